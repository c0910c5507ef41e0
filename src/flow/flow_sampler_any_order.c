/* flow_sampler_any_order.c - the samplers of any-order flow maps: flow, blocks of positions, posterior refinement
 * (docs/model.md section 10). Tokens that are known or committed are the network's context, with the state E[token];
 * the others are active, with times of their own. Path time is network time. SPDX-License-Identifier: Apache-2.0 */
#include "flow/flow_sampler_internal.h"

#include <stdlib.h>
#include <string.h>

typedef struct any_order {
    int32_t *fixed;      /* [max_batch, L]: tokens that are context, FREE elsewhere */
    int32_t *context;    /* [max_batch, L]: 1 where fixed, else 0 */
    int32_t *prediction; /* [max_batch, L] */
    float *confidence;   /* [max_batch, L] */
    int32_t *order;      /* [L]: active positions of a sequence */
    void *host;          /* all of them */
} any_order;

enum { FREE = -1 };

static flm_status create(flm_sampler *s)
{
    flm_status rc = FLM_OK;
    const int64_t rows = s->parts.dit->max_batch * s->parts.dit->shape.L;
    any_order *own = s->state = calloc(1, sizeof *own);
    if (own == NULL) FLM_FAIL(FLM_E_NOMEM, "no memory for the any-order sampler");
    FLM_TRY(s->be->memory->host_alloc(s->be, (size_t)(4 * rows + s->parts.dit->shape.L) * sizeof(int32_t), &own->host));
    own->fixed = own->host;
    own->context = own->fixed + rows;
    own->prediction = own->context + rows;
    own->confidence = (float *)(own->prediction + rows);
    own->order = own->prediction + 2 * rows;
done:
    return rc;
}

static void destroy(flm_sampler *s)
{
    any_order *own = s->state;
    if (own == NULL) return;
    s->be->memory->host_release(s->be, own->host);
    free(own);
    s->state = NULL;
}

/* Moves active tokens from t to t_end; the state of context is put back by the next begin_jump. */
static flm_status step(flm_sampler *s, int64_t B, const flm_sampler_step *at)
{
    flm_status rc = FLM_OK;
    const flm_tensor z = flm_tensor_slice(&s->z[0], 0, B), mean = flm_tensor_slice(&s->mean[0], 0, B);
    const double k = (at->t_end - at->t) / (1 - at->t);
    FLM_TRY(flm_sampler_evaluate(s, 0, B, at));
    if (at->last) goto done;
    FLM_TRY(flm_dit_head_mean_embedding(s->parts.dit, s->parts.weights, 1, s->E, s->mean));
    FLM_TRY(flm_op_axpby(s->be, &z, (float)k, &mean, (float)(1 - k)));
    FLM_TRY(flm_sampler_put_known(s, B, 1));
done:
    return rc;
}

/* Logits have the same argmax as p: a cap does not change their order. */
static flm_status scores(flm_sampler *s, int64_t first, int64_t rows)
{
    return flm_dit_head_logits(s->parts.dit, s->parts.weights, first, rows);
}

/* From noise in the active tokens to predictions at t = 1 and their confidence, in own. */
static flm_status jump(flm_sampler *s, int64_t B, const flm_sampling *how, int64_t round)
{
    flm_status rc = FLM_OK;
    flm_memory const *memory = s->be->memory;
    any_order *own = s->state;
    const flm_tensor tokens = flm_tensor_slice(&s->tokens, 0, B), confidence = flm_tensor_slice(&s->confidence, 0, B);
    const size_t bytes = flm_tensor_bytes(&tokens);
    for (int64_t i = 0; i < B * tokens.dim[1]; i++) own->context[i] = own->fixed[i] != FREE;
    FLM_TRY(memory->to_device(s->be, s->parts.dit->context.data, own->context, bytes));
    FLM_TRY(memory->to_device(s->be, s->known.data, own->fixed, bytes));
    FLM_TRY(flm_sampler_put_known(s, B, 1));
    FLM_TRY(flm_sampler_steps(s, B, how));
    FLM_TRY(flm_sampler_choose(s, how, round, &tokens, &confidence));
    FLM_TRY(memory->to_host(s->be, own->prediction, tokens.data, bytes));
    FLM_TRY(memory->to_host(s->be, own->confidence, confidence.data, bytes));
    FLM_TRY(s->be->stream->sync(s->be));
    FLM_TRY(flm_sampler_check_tokens(own->prediction, B, tokens.dim[1]));
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
        FLM_TRY(jump(s, B, how, 0));
        commit_range(own, B, L, 0, L);
        break;
    case FLM_SCHEDULE_BLOCKS: FLM_TRY(run_blocks(s, B, how)); break;
    case FLM_SCHEDULE_REFINE: FLM_TRY(run_rounds(s, B, how)); break;
    }
    memcpy(tokens, own->fixed, (size_t)(B * L) * sizeof *tokens);
done:
    return rc;
}

const flm_sampler_ops flm_sampler_any_order = {
    .token_times = true, .create = create, .destroy = destroy, .step = step, .scores = scores, .run = run};
