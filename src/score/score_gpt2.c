/* score_gpt2.c - see score_gpt2.h: the forward pass and the loss. SPDX-License-Identifier: Apache-2.0 */
#include "score/score_gpt2_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Runs twice (backend_arena.h): to measure, then to set the pointers. */
static void layout_activations(flm_gpt2 *g)
{
    flm_arena *at = &g->work;
    const flm_dtype f32 = FLM_DTYPE_F32, i32 = FLM_DTYPE_I32;
    const int64_t R = g->max_rows, d = g->shape.d;
    g->tokens = flm_arena_1d(at, i32, R);
    g->positions = flm_arena_1d(at, i32, R);
    g->target = flm_arena_1d(at, i32, R);
    g->starts = flm_arena_1d(at, i32, R + 1);
    g->x = flm_arena_2d(at, f32, R, d);
    g->mean = flm_arena_1d(at, f32, R);
    g->rstd = flm_arena_1d(at, f32, R);
    g->y = flm_arena_2d(at, g->act, R, d);
    g->wide = flm_arena_2d(at, g->act, R, 4 * d);
    g->wide_act = flm_arena_2d(at, g->act, R, 4 * d);
    g->logits = flm_arena_rows(at, f32, g->chunk, g->shape.V);
    g->loss = flm_arena_1d(at, f32, R);
}

flm_status flm_gpt2_create(flm_backend *be, const flm_checkpoint *checkpoint, flm_dtype act, int64_t max_rows,
                           int64_t chunk, flm_gpt2 **out)
{
    flm_status rc = FLM_OK;
    const flm_checkpoint_info *info = flm_checkpoint_get_info(checkpoint);
    flm_gpt2 *g = calloc(1, sizeof *g);

    if (!g) FLM_FAIL(FLM_E_NOMEM, "gpt2: no memory for %zu bytes", sizeof *g);
    g->be = be;
    g->act = act;
    if (strcmp(info->kind, "gpt2") != 0)
        FLM_FAIL(FLM_E_MISMATCH, "expected a checkpoint of kind gpt2 (flm_convert makes one), found kind %s",
                 info->kind);
    g->shape = (flm_gpt2_shape){info->L, info->vocabulary.V, info->d, info->H, info->N, info->vocabulary.end_id};
    FLM_TRY(flm_gpt2_shape_check(&g->shape));
    if (max_rows < g->shape.L || max_rows > INT32_MAX / 4 || chunk < 1)
        FLM_FAIL(FLM_E_ARG,
                 "gpt2: %" PRId64 " tokens at once, must be at least %" PRId64 "; chunk %" PRId64
                 ", must be at least 1",
                 max_rows, g->shape.L, chunk);
    g->max_rows = (max_rows + FLM_GPT2_ROWS - 1) / FLM_GPT2_ROWS * FLM_GPT2_ROWS;
    if (chunk > flm_backend_chunk_max(g->shape.V)) chunk = flm_backend_chunk_max(g->shape.V);
    g->chunk = chunk < g->max_rows ? chunk : g->max_rows;
    void *host = NULL;
    const int64_t words = 4 * g->max_rows + 1;
    FLM_TRY(be->memory->host_alloc(be, (size_t)(words > g->shape.d ? words : g->shape.d) * sizeof *g->host, &host));
    g->host = host;
    FLM_TRY(flm_gpt2_load(g, checkpoint));
    g->work = flm_arena_begin(be);
    layout_activations(g);
    FLM_TRY(flm_arena_commit(&g->work, "GPT-2's activations"));
    layout_activations(g);
    *out = g;
    g = NULL;
done:
    flm_gpt2_destroy(&g);
    return rc;
}

void flm_gpt2_destroy(flm_gpt2 **gpt2)
{
    flm_gpt2 *g = *gpt2;
    if (!g) return;
    *gpt2 = NULL;
    if (g->arena.be) flm_arena_release(&g->arena);
    if (g->work.be) flm_arena_release(&g->work);
    free(g->block);
    g->be->memory->host_release(g->be, g->host);
    free(g);
}

const flm_gpt2_shape *flm_gpt2_get_shape(const flm_gpt2 *gpt2) { return &gpt2->shape; }

/* The beginning of t's memory as a tensor [rows, columns]. */
static flm_tensor view(const flm_tensor *t, int64_t rows, int64_t columns)
{
    return flm_tensor_2d(t->data, t->dtype, rows, columns);
}

/* C = A B + bias, or with accumulate C += A B + bias; gelu: NULL, or receives gelu(C). */
static flm_status linear(flm_gpt2 *g, const flm_tensor *c, bool accumulate, const flm_tensor *a, const flm_tensor *b,
                         const flm_tensor *bias, const flm_tensor *gelu)
{
    const flm_matmul p = {.a = a, .b = b, .c = c, .accumulate = accumulate, .bias = bias, .gelu = gelu};
    return flm_op_matmul(g->be, &p);
}

/* y = LN(x) w + b, by layernorm_modulate of one sample of R positions with shift b and scale 0. */
static flm_status layernorm(flm_gpt2 *g, int64_t R, const flm_tensor *w, const flm_tensor *mod)
{
    const int64_t d = g->shape.d;
    const flm_tensor x = flm_tensor_3d(g->x.data, FLM_DTYPE_F32, 1, R, d);
    const flm_tensor y = flm_tensor_3d(g->y.data, g->act, 1, R, d);
    const flm_tensor mean = view(&g->mean, 1, R), rstd = view(&g->rstd, 1, R), none = flm_tensor_none();
    return flm_op_layernorm_modulate(g->be, &y, &mean, &rstd, &x, w, mod, &none, 0, d);
}

static flm_status block_forward(flm_gpt2 *g, const gpt2_block *b, int64_t R, const flm_tensor *starts)
{
    flm_status rc = FLM_OK;
    const flm_tensor *w = b->part;
    const int64_t d = g->shape.d;
    const flm_tensor x = view(&g->x, R, d), y = view(&g->y, R, d), qkv = view(&g->wide, R, 3 * d);
    const flm_tensor h = view(&g->wide, R, 4 * d), h_act = view(&g->wide_act, R, 4 * d), o = view(&g->wide_act, R, d);
    FLM_TRY(layernorm(g, R, &w[FLM_GPT2_LN1_W], &w[FLM_GPT2_LN1_B]));
    FLM_TRY(linear(g, &qkv, false, &y, &w[FLM_GPT2_QKV_W], &w[FLM_GPT2_QKV_B], NULL));
    FLM_TRY(flm_op_attention_causal(g->be, &o, &qkv, starts, g->shape.H));
    FLM_TRY(linear(g, &x, true, &o, &w[FLM_GPT2_PROJ_W], &w[FLM_GPT2_PROJ_B], NULL));
    FLM_TRY(layernorm(g, R, &w[FLM_GPT2_LN2_W], &w[FLM_GPT2_LN2_B]));
    FLM_TRY(linear(g, &h, false, &y, &w[FLM_GPT2_FC_W], &w[FLM_GPT2_FC_B], &h_act));
    FLM_TRY(linear(g, &x, true, &h_act, &w[FLM_GPT2_OUT_W], &w[FLM_GPT2_OUT_B], NULL));
done:
    return rc;
}

/* The loss of rows [0, R), a chunk at a time. Chunks begin at the same rows for every R, so that a row's result does
 * not depend on R. */
static flm_status head_loss(flm_gpt2 *g, int64_t R)
{
    flm_status rc = FLM_OK;
    const flm_tensor none = flm_tensor_none(), y = view(&g->y, R, g->shape.d);
    for (int64_t at = 0; at < R; at += g->chunk) {
        const int64_t rows = R - at < g->chunk ? R - at : g->chunk;
        const flm_tensor part = flm_tensor_slice(&y, at, rows), logits = flm_tensor_slice(&g->logits, 0, rows);
        const flm_tensor loss = flm_tensor_slice(&g->loss, at, rows), target = flm_tensor_slice(&g->target, at, rows);
        const flm_matmul p = {.a = &part, .b = &g->head, .transpose_b = true, .c = &logits};
        FLM_TRY(flm_op_matmul(g->be, &p));
        FLM_TRY(flm_op_softmax_xent(g->be, &loss, &none, &logits, &target, 1, 0));
    }
done:
    return rc;
}

static flm_status check_batch(const flm_gpt2 *g, const int32_t *ids, const int64_t *starts, int64_t B)
{
    flm_status rc = FLM_OK;
    const flm_gpt2_shape *s = &g->shape;
    if (B < 1 || starts[0] != 0 || B > g->max_rows)
        FLM_FAIL(FLM_E_ARG, "gpt2: a batch of %" PRId64 " sequences, must be 1..%" PRId64, B, g->max_rows);
    for (int64_t b = 0; b < B; b++)
        if (starts[b + 1] < starts[b] || starts[b + 1] - starts[b] > s->L || starts[b + 1] > g->max_rows)
            FLM_FAIL(FLM_E_ARG, "gpt2: sequence %" PRId64 " has %" PRId64 " tokens, at most %" PRId64 " are possible",
                     b, starts[b + 1] - starts[b], s->L);
    for (int64_t i = 0; i < starts[B]; i++)
        if (ids[i] < 0 || ids[i] >= s->V)
            FLM_FAIL(FLM_E_MISMATCH, "gpt2: token %" PRId32 " is outside the vocabulary (V = %" PRId64 ")", ids[i],
                     s->V);
done:
    return rc;
}

/* Copies tokens, positions, targets and starts to the backend; padding rows have token 0 at position 0. */
static flm_status put_batch(flm_gpt2 *g, const int32_t *ids, const int64_t *starts, int64_t B, int64_t R)
{
    flm_status rc = FLM_OK;
    const flm_memory *memory = g->be->memory;
    int32_t *tokens = g->host, *positions = tokens + R, *target = positions + R, *at = target + R;
    memset(g->host, 0, (size_t)(3 * R) * sizeof *g->host);
    if (starts[B] > 0) memcpy(tokens, ids, (size_t)starts[B] * sizeof *tokens);
    for (int64_t b = 0; b < B; b++)
        for (int64_t i = starts[b]; i < starts[b + 1]; i++) {
            positions[i] = (int32_t)(i - starts[b]);
            if (i + 1 < starts[b + 1]) target[i] = ids[i + 1];
        }
    for (int64_t b = 0; b <= B; b++) at[b] = (int32_t)starts[b];
    FLM_TRY(memory->to_device(g->be, g->tokens.data, tokens, (size_t)R * sizeof *tokens));
    FLM_TRY(memory->to_device(g->be, g->positions.data, positions, (size_t)R * sizeof *tokens));
    FLM_TRY(memory->to_device(g->be, g->target.data, target, (size_t)R * sizeof *tokens));
    FLM_TRY(memory->to_device(g->be, g->starts.data, at, (size_t)(B + 1) * sizeof *at));
    FLM_TRY(g->be->stream->sync(g->be));
done:
    return rc;
}

/* The last layer norm of R rows of a batch, to g->y. */
static flm_status forward(flm_gpt2 *g, const int32_t *ids, const int64_t *starts, int64_t B, int64_t R)
{
    flm_status rc = FLM_OK;
    FLM_TRY(put_batch(g, ids, starts, B, R));
    const flm_tensor x = view(&g->x, R, g->shape.d), tokens = flm_tensor_slice(&g->tokens, 0, R);
    const flm_tensor positions = flm_tensor_slice(&g->positions, 0, R), at = flm_tensor_slice(&g->starts, 0, B + 1);
    FLM_TRY(flm_op_embed_learned(g->be, &x, &g->E, &g->P, &tokens, &positions));
    for (int64_t i = 0; i < g->shape.N; i++) FLM_TRY(block_forward(g, &g->block[i], R, &at));
    FLM_TRY(layernorm(g, R, &g->final_w, &g->final_mod));
done:
    return rc;
}

static int64_t round_rows(int64_t count) { return (count + FLM_GPT2_ROWS - 1) / FLM_GPT2_ROWS * FLM_GPT2_ROWS; }

flm_status flm_gpt2_compute_nll(flm_gpt2 *g, const int32_t *ids, const int64_t *starts, int64_t B, float *nll)
{
    flm_status rc = FLM_OK;
    float *loss = (float *)g->host;
    FLM_TRY(check_batch(g, ids, starts, B));
    const int64_t R = round_rows(starts[B]);
    if (R == 0) goto done;
    FLM_TRY(forward(g, ids, starts, B, R));
    FLM_TRY(head_loss(g, R));
    FLM_TRY(g->be->memory->to_host(g->be, loss, g->loss.data, (size_t)R * sizeof *loss));
    FLM_TRY(g->be->stream->sync(g->be));
    for (int64_t b = 0; b < B; b++)
        for (int64_t i = starts[b]; i < starts[b + 1]; i++) nll[i] = i == starts[b] ? 0 : loss[i - 1];
done:
    return rc;
}

flm_status flm_gpt2_compute_features(flm_gpt2 *g, const int32_t *ids, const int64_t *starts, int64_t B, float *features)
{
    flm_status rc = FLM_OK;
    const int64_t d = g->shape.d;
    FLM_TRY(check_batch(g, ids, starts, B));
    for (int64_t b = 0; b < B; b++)
        if (starts[b + 1] == starts[b]) FLM_FAIL(FLM_E_ARG, "gpt2: sequence %" PRId64 " has no token", b);
    const int64_t R = round_rows(starts[B]);
    FLM_TRY(forward(g, ids, starts, B, R));
    const flm_tensor y = view(&g->y, R, d);
    for (int64_t b = 0; b < B; b++) {
        const flm_tensor row = flm_tensor_slice(&y, starts[b + 1] - 1, 1);
        FLM_TRY(g->be->memory->to_host(g->be, g->host, row.data,
                                       (size_t)d * (g->act == FLM_DTYPE_F32 ? sizeof(float) : sizeof(uint16_t))));
        FLM_TRY(g->be->stream->sync(g->be));
        for (int64_t k = 0; k < d; k++)
            features[b * d + k] =
                g->act == FLM_DTYPE_F32 ? ((const float *)g->host)[k] : flm_bf16_to_f32(((const uint16_t *)g->host)[k]);
    }
done:
    return rc;
}
