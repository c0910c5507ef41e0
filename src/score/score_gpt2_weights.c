/* score_gpt2_weights.c - GPT-2's weights: names, shapes, and loading them from a checkpoint to the backend.
 * SPDX-License-Identifier: Apache-2.0 */
#include "score/score_gpt2_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The weights of a block by Hugging Face's names; sizes in units of d, 0: the tensor has no second axis. */
static const struct {
    const char *name;
    int in, out;
} block_parts[FLM_GPT2_BLOCK_PARTS] = {
    [FLM_GPT2_LN1_W] = {"ln_1.weight", 1, 0},         [FLM_GPT2_LN1_B] = {"ln_1.bias", 1, 0},
    [FLM_GPT2_QKV_W] = {"attn.c_attn.weight", 1, 3},  [FLM_GPT2_QKV_B] = {"attn.c_attn.bias", 3, 0},
    [FLM_GPT2_PROJ_W] = {"attn.c_proj.weight", 1, 1}, [FLM_GPT2_PROJ_B] = {"attn.c_proj.bias", 1, 0},
    [FLM_GPT2_LN2_W] = {"ln_2.weight", 1, 0},         [FLM_GPT2_LN2_B] = {"ln_2.bias", 1, 0},
    [FLM_GPT2_FC_W] = {"mlp.c_fc.weight", 1, 4},      [FLM_GPT2_FC_B] = {"mlp.c_fc.bias", 4, 0},
    [FLM_GPT2_OUT_W] = {"mlp.c_proj.weight", 4, 1},   [FLM_GPT2_OUT_B] = {"mlp.c_proj.bias", 1, 0},
};

flm_status flm_gpt2_shape_check(const flm_gpt2_shape *s)
{
    flm_status rc = FLM_OK;
    const struct {
        const char *name;
        int64_t value, min, max;
    } sizes[] = {{"positions", s->L, 1, 1 << 20}, {"vocabulary", s->V, 2, 1 << 24}, {"hidden size", s->d, 1, 1 << 16},
                 {"heads", s->H, 1, 1 << 12},     {"blocks", s->N, 1, 4096},        {"end id", s->end_id, 0, s->V - 1}};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        if (sizes[i].value < sizes[i].min || sizes[i].value > sizes[i].max)
            FLM_FAIL(FLM_E_FORMAT, "gpt2: %s is %" PRId64 ", must be %" PRId64 "..%" PRId64, sizes[i].name,
                     sizes[i].value, sizes[i].min, sizes[i].max);
    if (s->d % s->H != 0)
        FLM_FAIL(FLM_E_FORMAT, "gpt2: hidden size %" PRId64 " is not a multiple of %" PRId64 " heads", s->d, s->H);
done:
    return rc;
}

static void dataset_set(flm_checkpoint_dataset *out, const char *prefix, const char *name, int64_t rows,
                        int64_t columns)
{
    snprintf(out->name, sizeof out->name, "%s%s", prefix, name);
    out->ndim = columns ? 2 : 1;
    out->dim[0] = rows;
    out->dim[1] = columns;
}

flm_status flm_gpt2_list_datasets(const flm_gpt2_shape *s, const char *prefix, flm_checkpoint_dataset **out, int *count)
{
    flm_status rc = FLM_OK;
    flm_checkpoint_dataset *all = NULL;
    char name[64];
    int n = 0;
    FLM_TRY(flm_gpt2_shape_check(s));
    all = calloc((size_t)(FLM_GPT2_OUTER_PARTS + s->N * FLM_GPT2_BLOCK_PARTS), sizeof *all);
    if (!all) FLM_FAIL(FLM_E_NOMEM, "gpt2: no memory for the table of its weights");
    dataset_set(&all[n++], prefix, "wte.weight", s->V, s->d);
    dataset_set(&all[n++], prefix, "wpe.weight", s->L, s->d);
    dataset_set(&all[n++], prefix, "ln_f.weight", s->d, 0);
    dataset_set(&all[n++], prefix, "ln_f.bias", s->d, 0);
    for (int64_t i = 0; i < s->N; i++)
        for (int k = 0; k < FLM_GPT2_BLOCK_PARTS; k++) {
            snprintf(name, sizeof name, "h.%" PRId64 ".%s", i, block_parts[k].name);
            dataset_set(&all[n++], prefix, name, block_parts[k].in * s->d, block_parts[k].out * s->d);
        }
    *out = all;
    *count = n;
done:
    return rc;
}

/* Memory of every weight, in the order of flm_gpt2_list_datasets; runs twice (backend_arena.h). An LN's bias lies
 * before d zeros: it is the shift, and they the scale, of layernorm_modulate. */
static void layout_weights(flm_gpt2 *g)
{
    flm_arena *at = &g->arena;
    const flm_dtype f32 = FLM_DTYPE_F32;
    const int64_t d = g->shape.d;
    g->E = flm_arena_2d(at, f32, g->shape.V, d);
    g->head = g->act == f32 ? g->E : flm_arena_2d(at, g->act, g->shape.V, d);
    g->P = flm_arena_2d(at, f32, g->shape.L, d);
    g->final_w = flm_arena_1d(at, f32, d);
    g->final_mod = flm_arena_2d(at, f32, 1, 2 * d);
    for (int64_t i = 0; i < g->shape.N; i++)
        for (int k = 0; k < FLM_GPT2_BLOCK_PARTS; k++) {
            const int64_t rows = block_parts[k].in * d, columns = block_parts[k].out * d;
            flm_tensor *t = &g->block[i].part[k];
            if (k == FLM_GPT2_LN1_B || k == FLM_GPT2_LN2_B)
                *t = flm_arena_2d(at, f32, 1, 2 * d);
            else
                *t = columns ? flm_arena_2d(at, g->act, rows, columns) : flm_arena_1d(at, f32, rows);
        }
}

/* Copies values f32 [elements] from host memory to the beginning of t, in t's dtype. */
static flm_status copy_to_device(flm_gpt2 *g, const flm_tensor *t, const float *values, int64_t elements)
{
    flm_status rc = FLM_OK;
    const void *from = values;
    uint16_t *narrow = NULL;
    if (t->dtype == FLM_DTYPE_BF16) {
        from = narrow = malloc((size_t)elements * sizeof *narrow);
        if (!narrow) FLM_FAIL(FLM_E_NOMEM, "gpt2: no memory for %" PRId64 " numbers", elements);
        for (int64_t i = 0; i < elements; i++) narrow[i] = flm_bf16_from_f32(values[i]);
    }
    FLM_TRY(g->be->memory->to_device(g->be, t->data, from, (size_t)elements * flm_dtype_size(t->dtype)));
    FLM_TRY(g->be->stream->sync(g->be));
done:
    free(narrow);
    return rc;
}

/* Loads one weight into t; values: a buffer for the largest weight. */
static flm_status load(flm_gpt2 *g, const flm_checkpoint *checkpoint, const flm_checkpoint_dataset *want,
                       const flm_tensor *t, float *values)
{
    flm_status rc = FLM_OK;
    const int64_t elements = flm_checkpoint_elements(want);
    FLM_TRY(flm_checkpoint_expect(checkpoint, want->name, want->ndim, want->dim));
    FLM_TRY(flm_checkpoint_read(checkpoint, want->name, 0, elements, values));
    if (t == &g->head) {
        FLM_TRY(copy_to_device(g, &g->E, values, elements));
        if (g->head.data == g->E.data) goto done;
    }
    FLM_TRY(copy_to_device(g, t, values, elements));
done:
    return rc;
}

flm_status flm_gpt2_load(flm_gpt2 *g, const flm_checkpoint *checkpoint)
{
    flm_status rc = FLM_OK;
    flm_checkpoint_dataset *want = NULL;
    float *values = NULL;
    int count = 0;
    int64_t max = (g->shape.V > g->shape.L ? g->shape.V : g->shape.L) * g->shape.d;

    g->block = calloc((size_t)g->shape.N, sizeof *g->block);
    if (!g->block) FLM_FAIL(FLM_E_NOMEM, "gpt2: no memory for %" PRId64 " blocks", g->shape.N);
    FLM_TRY(flm_gpt2_list_datasets(&g->shape, "weights/", &want, &count));
    if (max < 4 * g->shape.d * g->shape.d) max = 4 * g->shape.d * g->shape.d;
    values = malloc((size_t)max * sizeof *values);
    if (!values) FLM_FAIL(FLM_E_NOMEM, "gpt2: no memory for %" PRId64 " numbers", max);
    g->arena = flm_arena_begin(g->be);
    layout_weights(g);
    FLM_TRY(flm_arena_commit(&g->arena, "GPT-2's weights"));
    layout_weights(g);
    FLM_TRY(g->be->memory->zero(g->be, g->arena.base, g->arena.bytes));
    FLM_TRY(load(g, checkpoint, &want[0], &g->head, values));
    FLM_TRY(load(g, checkpoint, &want[1], &g->P, values));
    FLM_TRY(load(g, checkpoint, &want[2], &g->final_w, values));
    FLM_TRY(load(g, checkpoint, &want[3], &g->final_mod, values));
    for (int64_t i = 0; i < g->shape.N; i++)
        for (int k = 0; k < FLM_GPT2_BLOCK_PARTS; k++)
            FLM_TRY(load(g, checkpoint, &want[FLM_GPT2_OUTER_PARTS + i * FLM_GPT2_BLOCK_PARTS + k],
                         &g->block[i].part[k], values));
done:
    free(values);
    free(want);
    return rc;
}
