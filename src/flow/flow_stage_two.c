/* flow_stage_two.c - the objective of stage two: teacher and stage-one map into one network with a soft max head
 * (docs/model.md section 7).
 *
 * Passes of the trunk: teacher at s, flow map s to u, student s to u with gradient. V-wide products: one of each, and
 * two of the student's gradient. SPDX-License-Identifier: Apache-2.0 */
#include "flow/flow_coefficients.h"
#include "flow/flow_objective_internal.h"

#include <stdlib.h>

enum { TEACHER = 0, FLOW_MAP = 1, STUDENT = 2 };

typedef struct flm_stage_two {
    flm_tensor u;           /* f32 [max_batch] */
    flm_tensor state;       /* f32 [max_batch, L, d]: the teacher's, then the flow map's; the student's is dit->input */
    flm_tensor y;           /* act [max_batch, L, d]: the teacher's; the flow map's is frozen->y */
    flm_tensor coefficient; /* f32 [max_batch L, FLM_DISTILL_COEFFICIENTS] */
    flm_tensor residual;    /* f32 [chunk, V], padded rows */
    float *host;            /* [max_batch L FLM_DISTILL_COEFFICIENTS + max_batch] */
    flm_arena arena;
} flm_stage_two;

static void take(flm_stage_two *two, const flm_dit *dit)
{
    flm_arena *at = &two->arena;
    const int64_t B = dit->max_batch, L = dit->shape.L, d = dit->shape.d;
    two->u = flm_arena_1d(at, FLM_DTYPE_F32, B);
    two->state = flm_arena_3d(at, FLM_DTYPE_F32, B, L, d);
    two->y = flm_arena_3d(at, dit->act, B, L, d);
    two->coefficient = flm_arena_2d(at, FLM_DTYPE_F32, B * L, FLM_DISTILL_COEFFICIENTS);
    two->residual = flm_arena_rows(at, FLM_DTYPE_F32, dit->chunk, dit->shape.V);
}

flm_status flm_stage_two_create(flm_objective *o, flm_stage_two **out)
{
    flm_status rc = FLM_OK;
    const flm_dit *dit = o->parts.dit;
    flm_stage_two *two = calloc(1, sizeof *two);
    if (two == NULL) FLM_FAIL(FLM_E_NOMEM, "no memory for stage two");
    two->arena = flm_arena_begin(o->be);
    const int64_t values = dit->max_batch * (dit->shape.L * FLM_DISTILL_COEFFICIENTS + 1);
    void *host = NULL;
    FLM_TRY(o->be->memory->host_alloc(o->be, (size_t)values * sizeof *two->host, &host));
    two->host = host;
    take(two, dit);
    FLM_TRY(flm_arena_commit(&two->arena, "stage two"));
    take(two, dit);
    *out = two;
    two = NULL;
done:
    flm_stage_two_destroy(&two);
    return rc;
}

void flm_stage_two_destroy(flm_stage_two **two)
{
    if (*two == NULL) return;
    flm_arena_release(&(*two)->arena);
    (*two)->arena.be->memory->host_release((*two)->arena.be, (*two)->host);
    free(*two);
    *two = NULL;
}

size_t flm_stage_two_bytes(const flm_stage_two *two) { return two->arena.bytes; }

static flm_status load(flm_objective *o, const flm_micro_batch *batch)
{
    flm_status rc = FLM_OK;
    flm_stage_two *two = o->two;
    flm_backend *be = o->be;
    const int64_t B = batch->B, L = o->parts.dit->shape.L, values = B * L * FLM_DISTILL_COEFFICIENTS;
    float *u = two->host + values, *g = o->host + o->parts.dit->max_batch;
    for (int64_t b = 0; b < B; b++) {
        const flm_second c = flm_second_at(o->parts.gamma, batch->t[b], batch->d[b]);
        u[b] = (float)c.u;
        g[b] = (float)c.gs;
        for (int64_t row = b * L; row < (b + 1) * L; row++) {
            float *to = two->host + row * FLM_DISTILL_COEFFICIENTS;
            to[0] = (float)c.k;
            to[1] = to[2] = (float)c.jump;
            to[3] = (float)(-2 * c.k * batch->scale);
        }
    }
    FLM_TRY(be->memory->to_device(be, two->u.data, u, (size_t)B * sizeof *u));
    FLM_TRY(be->memory->to_device(be, two->coefficient.data, two->host, (size_t)values * sizeof *two->host));
    FLM_TRY(flm_objective_load(o, batch, g));
done:
    return rc;
}

static flm_status run_passes(flm_objective *o, const flm_weights *weights, const flm_micro_batch *batch)
{
    flm_status rc = FLM_OK;
    flm_stage_two *two = o->two;
    flm_dit *dit = o->parts.dit;
    const flm_weights *teacher = o->parts.teacher, *flow_map = o->parts.flow_map;
    const int64_t B = batch->B;
    const flm_tensor none = flm_tensor_none(), y = flm_tensor_slice(&o->parts.frozen->y, 0, B);
    FLM_TRY(flm_objective_state(o, TEACHER, &two->state, &teacher->w.E, B));
    FLM_TRY(flm_objective_pass(o, teacher, B, &two->state, &dit->t, &none, NULL));
    FLM_TRY(o->be->memory->copy(o->be, two->y.data, y.data, flm_tensor_bytes(&y)));
    FLM_TRY(flm_objective_state(o, FLOW_MAP, &two->state, &flow_map->w.E, B));
    FLM_TRY(flm_objective_pass(o, flow_map, B, &two->state, &dit->t, &two->u, NULL));
    FLM_TRY(flm_objective_state(o, STUDENT, &dit->input, &weights->w.E, B));
    FLM_TRY(o->be->memory->copy(o->be, dit->until.data, two->u.data, (size_t)B * sizeof(float)));
    FLM_TRY(flm_dit_forward(dit, weights, B, batch->dropout));
done:
    return rc;
}

/* Error and gradient of the head, a chunk at a time. */
static flm_status run_head(flm_objective *o, const flm_weights *weights, const flm_micro_batch *batch)
{
    flm_status rc = FLM_OK;
    flm_stage_two *two = o->two;
    flm_dit *dit = o->parts.dit, *frozen = o->parts.frozen;
    const flm_weights *teacher = o->parts.teacher, *flow_map = o->parts.flow_map;
    const int64_t total = batch->B * dit->shape.L;
    for (int64_t first = 0; first < total; first += dit->chunk) {
        const int64_t rows = total - first < dit->chunk ? total - first : dit->chunk;
        const flm_tensor from = flm_tensor_slice(&dit->logits, 0, rows),
                         to = flm_tensor_slice(&frozen->logits, 0, rows);
        const flm_tensor residual = flm_tensor_slice(&two->residual, 0, rows);
        const flm_tensor grad = batch->backward ? flm_tensor_slice(&dit->probs, 0, rows) : flm_tensor_none();
        const flm_tensor loss = flm_tensor_slice(&o->loss, first, rows);
        const flm_tensor coefficient = flm_tensor_slice(&two->coefficient, first, rows);
        FLM_TRY(flm_objective_logits(o, weights, &dit->y, first, &from, true));
        FLM_TRY(flm_objective_logits(o, teacher, &two->y, first, &to, true));
        FLM_TRY(flm_objective_logits(o, flow_map, &frozen->y, first, &residual, false));
        FLM_TRY(flm_op_distill_error(o->be, &(flm_distill_error){.loss = &loss,
                                                                 .grad = &grad,
                                                                 .from = &from,
                                                                 .to = &to,
                                                                 .residual = &residual,
                                                                 .bias = &flow_map->w.bout,
                                                                 .coefficient = &coefficient,
                                                                 .through = true}));
        if (batch->backward) FLM_TRY(flm_objective_head(o, weights, &grad, first));
    }
    const flm_tensor loss = flm_tensor_slice(&o->loss, 0, total);
    FLM_TRY(flm_op_sum(o->be, &o->total, &loss));
done:
    return rc;
}

flm_status flm_stage_two_micro(flm_objective *o, const flm_weights *weights, const flm_micro_batch *batch)
{
    flm_status rc = FLM_OK;
    const flm_dit_hook *hook = batch->hook;
    FLM_TRY(load(o, batch));
    FLM_TRY(run_passes(o, weights, batch));
    FLM_TRY(run_head(o, weights, batch));
    if (batch->backward) {
        FLM_TRY(flm_dit_backward(o->parts.dit, weights, batch->dropout, hook));
        if (hook != NULL) FLM_TRY(hook->ready(hook->context, flm_bucket_two_time(o->parts.dit->shape.N)));
        FLM_TRY(flm_objective_embedding(o, weights, batch));
    }
done:
    return rc;
}
