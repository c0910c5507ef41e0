/* flow_sampler_any_order.c - the samplers of any-order flow maps: flow, blocks of positions, posterior refinement
 * (docs/model.md section 10). Tokens that are known or committed are the network's context, with the state E[token];
 * the others are active, with times of their own. Path time is network time. Only active tokens go
 * through the head ("packed rows"). SPDX-License-Identifier: Apache-2.0 */
#include "flow/flow_sampler_internal.h"

#include <stdlib.h>
#include <string.h>

typedef struct any_order {
    int32_t *fixed;            /* [max_batch, L]: tokens that are context, FREE elsewhere */
    int32_t *context;          /* [max_batch, L]: 1 where fixed, else 0 */
    int32_t *prediction;       /* [max_batch, L]; of context the tokens themselves */
    float *confidence;         /* [max_batch, L] */
    int32_t *rows;             /* [max_batch L]: the row of the batch of each packed row */
    int32_t *chosen;           /* [max_batch L] of packed rows: tokens */
    float *certainty;          /* [max_batch L] of packed rows: confidence */
    int32_t *order;            /* [L]: active positions of a sequence */
    void *host;                /* all of them */
    int64_t active;            /* packed rows */
    flm_tensor from, y, state; /* device, of packed rows: i32 [max_batch L], rows; act, f32 [max_batch L, d] */
    flm_arena arena;
} any_order;

enum { FREE = -1 };

enum { ROW_ARRAYS = 7 }; /* of a row on the host */

static void layout(any_order *own, const flm_dit *dit)
{
    const int64_t rows = dit->max_batch * dit->shape.L;
    own->from = flm_arena_1d(&own->arena, FLM_DTYPE_I32, rows);
    own->y = flm_arena_2d(&own->arena, dit->act, rows, dit->shape.d);
    own->state = flm_arena_2d(&own->arena, FLM_DTYPE_F32, rows, dit->shape.d);
}

static flm_status create(flm_sampler *s)
{
    flm_status rc = FLM_OK;
    const flm_dit *dit = s->parts.dit;
    const int64_t rows = dit->max_batch * dit->shape.L;
    any_order *own = s->state = calloc(1, sizeof *own);
    if (own == NULL) FLM_FAIL(FLM_E_NOMEM, "no memory for the any-order sampler");
    own->arena = flm_arena_begin(s->be);
    layout(own, dit);
    FLM_TRY(flm_arena_commit(&own->arena, "any-order sampler"));
    layout(own, dit);
    FLM_TRY(s->be->memory->host_alloc(s->be, (size_t)(ROW_ARRAYS * rows + dit->shape.L) * sizeof(int32_t), &own->host));
    own->fixed = own->host;
    own->context = own->fixed + rows;
    own->prediction = own->context + rows;
    own->confidence = (float *)(own->prediction + rows);
    own->rows = own->prediction + 2 * rows;
    own->chosen = own->rows + rows;
    own->certainty = (float *)(own->chosen + rows);
    own->order = own->chosen + 2 * rows;
done:
    return rc;
}

static void destroy(flm_sampler *s)
{
    any_order *own = s->state;
    if (own == NULL) return;
    flm_arena_release(&own->arena);
    s->be->memory->host_release(s->be, own->host);
    free(own);
    s->state = NULL;
}

static size_t device_bytes(const flm_sampler *s) { return ((const any_order *)s->state)->arena.bytes; }

/* The rows of active tokens, in dit->y in front of the others. */
static flm_status pack(flm_sampler *s)
{
    flm_status rc = FLM_OK;
    const any_order *own = s->state;
    const flm_dit *dit = s->parts.dit;
    const flm_tensor all = flm_tensor_slice(&dit->y, 0, dit->B), flat = flm_tensor_flat(&all);
    const flm_tensor packed = flm_tensor_slice(&own->y, 0, own->active);
    const flm_tensor from = flm_tensor_slice(&own->from, 0, own->active);
    FLM_TRY(flm_op_gather_rows(s->be, &packed, &flat, &from));
    FLM_TRY(s->be->memory->copy(s->be, dit->y.data, packed.data, flm_tensor_bytes(&packed)));
done:
    return rc;
}

/* Moves active tokens from t to t_end. */
static flm_status step(flm_sampler *s, int64_t B, const flm_sampler_step *at)
{
    flm_status rc = FLM_OK;
    const any_order *own = s->state;
    const flm_tensor batch = flm_tensor_slice(&s->z[0], 0, B), z = flm_tensor_flat(&batch);
    const flm_tensor means = flm_tensor_flat(&s->mean[0]), mean = flm_tensor_slice(&means, 0, own->active);
    const flm_tensor state = flm_tensor_slice(&own->state, 0, own->active);
    const flm_tensor from = flm_tensor_slice(&own->from, 0, own->active);
    const double k = (at->t_end - at->t) / (1 - at->t);
    FLM_TRY(flm_sampler_evaluate(s, 0, B, at));
    FLM_TRY(pack(s));
    if (at->last) goto done;
    FLM_TRY(flm_dit_head_mean_rows(s->parts.dit, s->parts.weights, own->active, 1, s->E, s->mean));
    FLM_TRY(flm_op_gather_rows(s->be, &state, &z, &from));
    FLM_TRY(flm_op_axpby(s->be, &state, (float)k, &mean, (float)(1 - k)));
    FLM_TRY(flm_op_scatter_rows(s->be, &z, &state, &from));
done:
    return rc;
}

/* Logits have the same argmax as p: a cap does not change their order. */
static flm_status scores(flm_sampler *s, int64_t first, int64_t rows)
{
    return flm_dit_head_logits(s->parts.dit, s->parts.weights, first, rows);
}

/* Which tokens are context, and the packed rows, to the device. */
static flm_status load(flm_sampler *s, int64_t B)
{
    flm_status rc = FLM_OK;
    flm_memory const *memory = s->be->memory;
    any_order *own = s->state;
    const int64_t rows = B * s->parts.dit->shape.L;
    own->active = 0;
    for (int64_t i = 0; i < rows; i++) {
        own->context[i] = own->fixed[i] != FREE;
        if (own->fixed[i] == FREE) own->rows[own->active++] = (int32_t)i;
    }
    FLM_TRY(memory->to_device(s->be, s->parts.dit->context.data, own->context, (size_t)rows * sizeof *own->context));
    FLM_TRY(memory->to_device(s->be, s->known.data, own->fixed, (size_t)rows * sizeof *own->fixed));
    FLM_TRY(memory->to_device(s->be, own->from.data, own->rows, (size_t)own->active * sizeof *own->rows));
done:
    return rc;
}

/* From noise in the active tokens to predictions at t = 1 and their confidence, in own. */
static flm_status jump(flm_sampler *s, int64_t B, const flm_sampling *how, int64_t round)
{
    flm_status rc = FLM_OK;
    flm_memory const *memory = s->be->memory;
    any_order *own = s->state;
    const int64_t L = s->parts.dit->shape.L;
    FLM_TRY(load(s, B));
    const flm_tensor tokens = flm_tensor_1d(s->tokens.data, FLM_DTYPE_I32, own->active);
    const flm_tensor confidence = flm_tensor_1d(s->confidence.data, FLM_DTYPE_F32, own->active);
    FLM_TRY(flm_sampler_put_known(s, B, 1));
    FLM_TRY(flm_sampler_steps(s, B, how));
    FLM_TRY(flm_sampler_choose(s, how, round, &tokens, &confidence, &own->from));
    FLM_TRY(memory->to_host(s->be, own->chosen, tokens.data, flm_tensor_bytes(&tokens)));
    FLM_TRY(memory->to_host(s->be, own->certainty, confidence.data, flm_tensor_bytes(&confidence)));
    FLM_TRY(s->be->stream->sync(s->be));
    memcpy(own->prediction, own->fixed, (size_t)(B * L) * sizeof *own->prediction);
    for (int64_t i = 0; i < own->active; i++) {
        own->prediction[own->rows[i]] = own->chosen[i];
        own->confidence[own->rows[i]] = own->certainty[i];
    }
    FLM_TRY(flm_sampler_check_tokens(own->prediction, B, L));
done:
    return rc;
}

static flm_status to_initial_noise(flm_sampler *s, int64_t B)
{
    const flm_tensor z = flm_tensor_slice(&s->z[0], 0, B);
    return s->be->memory->copy(s->be, z.data, s->initial[0].data, flm_tensor_bytes(&z));
}

/* Commits the predictions of positions [first, end) that are active. */
static void commit_range(any_order *own, int64_t B, int64_t L, int64_t first, int64_t end)
{
    for (int64_t b = 0; b < B; b++)
        for (int64_t l = first; l < end; l++)
            if (own->fixed[b * L + l] == FREE) own->fixed[b * L + l] = own->prediction[b * L + l];
}

static bool any_active(const any_order *own, int64_t B, int64_t L, int64_t first, int64_t end)
{
    for (int64_t b = 0; b < B; b++)
        for (int64_t l = first; l < end; l++)
            if (own->fixed[b * L + l] == FREE) return true;
    return false;
}

static flm_status run_blocks(flm_sampler *s, int64_t B, const flm_sampling *how)
{
    flm_status rc = FLM_OK;
    any_order *own = s->state;
    const int64_t L = s->parts.dit->shape.L;
    for (int64_t first = 0; first < L; first += how->block_length) {
        const int64_t end = L - first < how->block_length ? L : first + how->block_length;
        if (!any_active(own, B, L, first, end)) continue;
        FLM_TRY(to_initial_noise(s, B));
        FLM_TRY(jump(s, B, how, first));
        commit_range(own, B, L, first, end);
    }
done:
    return rc;
}

static const float *compared; /* the confidences that by_confidence sorts positions by; one thread samples */

static int by_confidence(const void *a, const void *b)
{
    const int32_t i = *(const int32_t *)a, j = *(const int32_t *)b;
    if (compared[i] != compared[j]) return compared[i] > compared[j] ? -1 : 1;
    return (i > j) - (i < j);
}

/* Commits, of a sequence's active tokens, those of enough confidence and the most confident ones. */
static void commit_sequence(any_order *own, int64_t L, int64_t b, const flm_sampling *how, int64_t rounds_left)
{
    int32_t *fixed = own->fixed + b * L;
    int64_t active = 0, budget = how->budget;
    for (int64_t l = 0; l < L; l++)
        if (fixed[l] == FREE) own->order[active++] = (int32_t)l;
    if (budget == FLM_BUDGET_UNIFORM) budget = (active + rounds_left - 1) / rounds_left;
    compared = own->confidence + b * L;
    qsort(own->order, (size_t)active, sizeof *own->order, by_confidence);
    for (int64_t i = 0; i < active; i++) {
        const int32_t l = own->order[i];
        if (i < budget || (how->threshold >= 0 && (double)compared[l] >= how->threshold))
            fixed[l] = own->prediction[b * L + l];
    }
}

static void count_committed(const any_order *own, int64_t B, int64_t L, const flm_sampling *how, int64_t round)
{
    for (int64_t i = 0; i < B * L && how->committed != NULL; i++)
        how->committed[round] += own->fixed[i] != FREE && (how->known == NULL || how->known[i] < 0);
}

static flm_status run_rounds(flm_sampler *s, int64_t B, const flm_sampling *how)
{
    flm_status rc = FLM_OK;
    any_order *own = s->state;
    const int64_t L = s->parts.dit->shape.L;
    for (int64_t round = 0; round < how->rounds; round++) {
        if (any_active(own, B, L, 0, L)) {
            if (round > 0 && how->fresh_noise)
                FLM_TRY(flm_sampler_fresh_noise(s, B, &(flm_sampler_step){.index = round - 1, .sampling = how}, s->z));
            else
                FLM_TRY(to_initial_noise(s, B));
            FLM_TRY(jump(s, B, how, round));
            for (int64_t b = 0; b < B; b++) commit_sequence(own, L, b, how, how->rounds - round);
        }
        count_committed(own, B, L, how, round);
    }
    commit_range(own, B, L, 0, L);
done:
    return rc;
}

static flm_status run(flm_sampler *s, int64_t B, const flm_sampling *how, int32_t *tokens)
{
    flm_status rc = FLM_OK;
    any_order *own = s->state;
    const int64_t L = s->parts.dit->shape.L;
    for (int64_t i = 0; i < B * L; i++) own->fixed[i] = how->known != NULL && how->known[i] >= 0 ? how->known[i] : FREE;
    switch (how->schedule) {
    case FLM_SCHEDULE_FLOW:
        if (any_active(own, B, L, 0, L)) FLM_TRY(jump(s, B, how, 0));
        commit_range(own, B, L, 0, L);
        break;
    case FLM_SCHEDULE_BLOCKS: FLM_TRY(run_blocks(s, B, how)); break;
    case FLM_SCHEDULE_REFINE: FLM_TRY(run_rounds(s, B, how)); break;
    }
    memcpy(tokens, own->fixed, (size_t)(B * L) * sizeof *tokens);
done:
    return rc;
}

const flm_sampler_ops flm_sampler_any_order = {.token_times = true,
                                               .create = create,
                                               .destroy = destroy,
                                               .bytes = device_bytes,
                                               .step = step,
                                               .scores = scores,
                                               .run = run};
