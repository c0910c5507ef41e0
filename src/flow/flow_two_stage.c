/* flow_two_stage.c - the objective of the second stage: teacher and two-model flow map into one network with a softmax
 * head (docs/model.md section 7).
 *
 * Passes of the trunk: teacher at s, flow map s to u, student s to u with gradient. V-wide products: one of each, and
 * two of the student's gradient. SPDX-License-Identifier: Apache-2.0 */
#include "flow/flow_coefficients.h"
#include "flow/flow_objective_internal.h"
#include "flow/flow_time.h"

#include <stdlib.h>

enum { TEACHER = 0, FLOW_MAP = 1, STUDENT = 2 }; /* of the noise basis */

/* Lengths of jumps from 1e-5; one sample in 128 jumps from 0 to 1: model.md section 7. */
static const flm_time_law time_law = {.min = 1e-5, .boundary = 1.0 / 128};

typedef struct two_stage {
    flm_tensor u;           /* f32 [max_batch] */
    flm_tensor state;       /* f32 [max_batch, L, d]: the teacher's, then the flow map's; the student's is dit->input */
    flm_tensor y;           /* act [max_batch, L, d]: the teacher's; the flow map's is inference->y */
    flm_tensor coefficient; /* f32 [max_batch L, FLM_DISTILL_COEFFICIENTS] */
    flm_tensor residual;    /* f32 [chunk, V], padded rows */
    float *host;            /* [max_batch L FLM_DISTILL_COEFFICIENTS + max_batch] */
    flm_arena arena;
} two_stage;

static void layout(two_stage *own, const flm_dit *dit)
{
    flm_arena *at = &own->arena;
    const int64_t B = dit->max_batch, L = dit->shape.L, d = dit->shape.d;
    own->u = flm_arena_1d(at, FLM_DTYPE_F32, B);
    own->state = flm_arena_3d(at, FLM_DTYPE_F32, B, L, d);
    own->y = flm_arena_3d(at, dit->act, B, L, d);
    own->coefficient = flm_arena_2d(at, FLM_DTYPE_F32, B * L, FLM_DISTILL_COEFFICIENTS);
    own->residual = flm_arena_rows(at, FLM_DTYPE_F32, dit->chunk, dit->shape.V);
}

static flm_status create(flm_objective *o)
{
    flm_status rc = FLM_OK;
    const flm_dit *dit = o->parts.dit;
    const int64_t values = dit->max_batch * (dit->shape.L * FLM_DISTILL_COEFFICIENTS + 1);
    two_stage *own = o->state = calloc(1, sizeof *own);
    if (own == NULL) FLM_FAIL(FLM_E_NOMEM, "no memory for the two-stage objective");
    own->arena = flm_arena_begin(o->be);
    own->host = malloc((size_t)values * sizeof *own->host);
    if (own->host == NULL) FLM_FAIL(FLM_E_NOMEM, "no memory for %lld sequences", (long long)dit->max_batch);
    layout(own, dit);
    FLM_TRY(flm_arena_commit(&own->arena, "two-stage objective"));
    layout(own, dit);
done:
    return rc;
}

static void destroy(flm_objective *o)
{
    two_stage *own = o->state;
    if (own == NULL) return;
    flm_arena_release(&own->arena);
    free(own->host);
    free(own);
    o->state = NULL;
}

static size_t bytes(const flm_objective *o)
{
    const two_stage *own = o->state;
    return own->arena.bytes;
}

static void sample_times(const flm_objective *o, uint64_t seed, flm_random_purpose purpose, uint64_t step, int64_t n,
                         int64_t first, int64_t count, double *t, double *d)
{
    (void)o;
    flm_time_jumps(&time_law, seed, purpose, step, n, first, count, t, d);
}

static flm_status load(flm_objective *o, const flm_micro_batch *batch)
{
    flm_status rc = FLM_OK;
    two_stage *own = o->state;
    const int64_t B = batch->B, L = o->parts.dit->shape.L, values = B * L * FLM_DISTILL_COEFFICIENTS;
    float *u = own->host + values, *g = o->host + o->parts.dit->max_batch;
    for (int64_t b = 0; b < B; b++) {
        const flm_two_stage_coeffs c = flm_two_stage_coeffs_make(o->parts.gamma, batch->t[b], batch->d[b]);
        u[b] = (float)c.u;
        g[b] = (float)c.gs;
        for (int64_t row = b * L; row < (b + 1) * L; row++) {
            float *to = own->host + row * FLM_DISTILL_COEFFICIENTS;
            to[0] = (float)c.k;
            to[1] = to[2] = (float)c.jump;
            to[3] = (float)(-2 * c.k * batch->scale);
        }
    }
    FLM_TRY(flm_stage_to_device(&o->stage, own->u.data, u, (size_t)B * sizeof *u));
    FLM_TRY(flm_stage_to_device(&o->stage, own->coefficient.data, own->host, (size_t)values * sizeof *own->host));
    FLM_TRY(flm_objective_load(o, batch, g));
done:
    return rc;
}

static flm_status run_passes(flm_objective *o, const flm_weights *weights, const flm_micro_batch *batch)
{
    flm_status rc = FLM_OK;
    two_stage *own = o->state;
    flm_dit *dit = o->parts.dit;
    const flm_weights *teacher = o->parts.frozen[FLM_ROLE_TEACHER];
    const flm_weights *flow_map = o->parts.frozen[FLM_ROLE_FLOW_MAP];
    const int64_t B = batch->B;
    const flm_tensor none = flm_tensor_none(), y = flm_tensor_slice(&o->parts.inference->y, 0, B);
    FLM_TRY(flm_objective_state(o, TEACHER, &own->state, &teacher->w.E, B));
    FLM_TRY(flm_objective_pass(o, teacher, B, &own->state, &dit->t, &none, NULL));
    FLM_TRY(o->be->memory->copy(o->be, own->y.data, y.data, flm_tensor_bytes(&y)));
    FLM_TRY(flm_objective_state(o, FLOW_MAP, &own->state, &flow_map->w.E, B));
    FLM_TRY(flm_objective_pass(o, flow_map, B, &own->state, &dit->t, &own->u, NULL));
    FLM_TRY(flm_objective_state(o, STUDENT, &dit->input, &weights->w.E, B));
    FLM_TRY(o->be->memory->copy(o->be, dit->t_end.data, own->u.data, (size_t)B * sizeof(float)));
    FLM_TRY(flm_dit_forward(dit, weights, B, batch->dropout));
done:
    return rc;
}

/* Error and gradient of the head, a chunk at a time. */
static flm_status run_head(flm_objective *o, const flm_weights *weights, const flm_micro_batch *batch)
{
    flm_status rc = FLM_OK;
    two_stage *own = o->state;
    flm_dit *dit = o->parts.dit, *inference = o->parts.inference;
    const flm_weights *teacher = o->parts.frozen[FLM_ROLE_TEACHER];
    const flm_weights *flow_map = o->parts.frozen[FLM_ROLE_FLOW_MAP];
    const int64_t total = batch->B * dit->shape.L;
    for (int64_t first = 0; first < total; first += dit->chunk) {
        const int64_t rows = total - first < dit->chunk ? total - first : dit->chunk;
        const flm_tensor from = flm_tensor_slice(&dit->logits, 0, rows),
                         to = flm_tensor_slice(&inference->logits, 0, rows);
        const flm_tensor residual = flm_tensor_slice(&own->residual, 0, rows);
        const flm_tensor grad = batch->backward ? flm_tensor_slice(&dit->probs, 0, rows) : flm_tensor_none();
        const flm_tensor loss = flm_tensor_slice(&o->loss, first, rows);
        const flm_tensor coefficient = flm_tensor_slice(&own->coefficient, first, rows);
        FLM_TRY(flm_objective_logits(o, weights, &dit->y, first, &from, true));
        FLM_TRY(flm_objective_logits(o, teacher, &own->y, first, &to, true));
        FLM_TRY(flm_objective_logits(o, flow_map, &inference->y, first, &residual, false));
        FLM_TRY(flm_op_distill_error(o->be, &(flm_distill_error){.loss = &loss,
                                                                 .grad = &grad,
                                                                 .from = &from,
                                                                 .to = &to,
                                                                 .residual = &residual,
                                                                 .bias = &flow_map->w.bout,
                                                                 .coefficient = &coefficient,
                                                                 .logit_cap = (float)weights->shape.logit_cap,
                                                                 .softmax_backward = true}));
        if (batch->backward) FLM_TRY(flm_dit_head_backward(dit, weights, &grad, first));
    }
    FLM_TRY(flm_objective_add_loss(o, total));
done:
    return rc;
}

static flm_status micro_batch(flm_objective *o, const flm_weights *weights, const flm_micro_batch *batch)
{
    flm_status rc = FLM_OK;
    FLM_TRY(load(o, batch));
    FLM_TRY(run_passes(o, weights, batch));
    FLM_TRY(run_head(o, weights, batch));
    if (batch->backward) {
        FLM_TRY(flm_dit_backward(o->parts.dit, weights, batch->dropout, batch->hook));
        FLM_TRY(flm_objective_embedding(o, weights, batch));
    }
done:
    return rc;
}

const flm_objective_ops flm_objective_two_stage = {
    .networks = {[FLM_ROLE_TEACHER] = {.kind = &flm_kinds[FLM_KIND_FLM]},
                 [FLM_ROLE_FLOW_MAP] = {.kind = &flm_kinds[FLM_KIND_FMLM_TWO_MODEL]}},
    .inference = true,
    .squared_error = true,
    .trunk_passes = 5,
    .head_passes = 5,
    .create = create,
    .destroy = destroy,
    .bytes = bytes,
    .sample_times = sample_times,
    .micro_batch = micro_batch};
