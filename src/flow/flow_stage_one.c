/* flow_stage_one.c - the objective of stage one: a flow map that is consistent over the middle of every jump, as the
 * residual of a frozen teacher (docs/model.md section 6).
 *
 * Passes of the trunk: teacher at s and at m, student s to m and m to u without gradient, student s to u with it.
 * V-wide products: teacher's logits at s twice (once for the state at m, which the later passes need whole), p E in
 * both embeddings, teacher's logits at m, one of the residual, two of its gradient. Where the residual meets an
 * embedding, the d x d matrix Wout^T E_j stands for both products. SPDX-License-Identifier: Apache-2.0 */
#include "flow/flow_coefficients.h"
#include "flow/flow_objective_internal.h"
#include "model/model_weighting.h"

#include <math.h>
#include <stdlib.h>

enum {
    PARTS = 3,              /* of the state at m, and of the residual's last hidden state */
    SAMPLE = 2 + 2 * PARTS, /* what the host makes a sample: m, u, the coefficients of both */
    PASS_FIRST = 1,         /* dropout of the passes without gradient; the one with gradient is 0 */
    PASS_SECOND = 2,
    TEACHER = 0,
    STUDENT = 1
};

typedef struct flm_stage_one {
    flm_weighting *weighting;
    flm_tensor m, u;             /* f32 [max_batch] */
    flm_tensor state;            /* f32 [max_batch, L, d]: the teacher's; the student's is dit->input */
    flm_tensor mean[2], product; /* f32 [max_batch, L, d]: p_s E_j, g_su E_j */
    flm_tensor y_s, y_m, y_su; /* act [max_batch, L, d]: teacher's at s and m; student's s to m, then the combination */
    flm_tensor E[2];           /* act [V, d] */
    flm_tensor map[2], offset[2]; /* act [d, d] Wout^T E_j, f32 [1, d] bout^T E_j */
    flm_tensor step, combine;     /* f32 [max_batch, PARTS]: keep, mean, jump; A, B, -w */
    flm_tensor coefficient;       /* f32 [max_batch L, FLM_DISTILL_COEFFICIENTS] */
    flm_tensor grad_l;            /* f32 [max_batch, 1] */
    flm_tensor logits;            /* f32 [chunk, V], padded rows */
    flm_semigroup *sample;        /* host [max_batch] */
    float *host;                  /* [max_batch (L FLM_DISTILL_COEFFICIENTS + SAMPLE)] */
    flm_arena arena;
} flm_stage_one;

static void take(flm_stage_one *one, const flm_objective *o)
{
    flm_arena *at = &one->arena;
    const flm_dit *dit = o->parts.dit;
    const int64_t B = dit->max_batch, L = dit->shape.L, d = dit->shape.d, V = dit->shape.V;
    one->m = flm_arena_1d(at, FLM_DTYPE_F32, B);
    one->u = flm_arena_1d(at, FLM_DTYPE_F32, B);
    one->state = flm_arena_3d(at, FLM_DTYPE_F32, B, L, d);
    one->product = flm_arena_3d(at, FLM_DTYPE_F32, B, L, d);
    one->y_s = flm_arena_3d(at, dit->act, B, L, d);
    one->y_m = flm_arena_3d(at, dit->act, B, L, d);
    one->y_su = flm_arena_3d(at, dit->act, B, L, d);
    for (int j = 0; j < 2; j++) {
        one->mean[j] = flm_arena_3d(at, FLM_DTYPE_F32, B, L, d);
        if (dit->act != FLM_DTYPE_F32) one->E[j] = flm_arena_2d(at, dit->act, V, d);
        one->map[j] = flm_arena_2d(at, dit->act, d, d);
        one->offset[j] = flm_arena_2d(at, FLM_DTYPE_F32, 1, d);
    }
    one->step = flm_arena_2d(at, FLM_DTYPE_F32, B, PARTS);
    one->combine = flm_arena_2d(at, FLM_DTYPE_F32, B, PARTS);
    one->coefficient = flm_arena_2d(at, FLM_DTYPE_F32, B * L, FLM_DISTILL_COEFFICIENTS);
    one->grad_l = flm_arena_2d(at, FLM_DTYPE_F32, B, 1);
    one->logits = flm_arena_rows(at, FLM_DTYPE_F32, dit->chunk, V);
}

flm_status flm_stage_one_create(flm_objective *o, flm_stage_one **out)
{
    flm_status rc = FLM_OK;
    const flm_dit *dit = o->parts.dit;
    flm_stage_one *one = calloc(1, sizeof *one);
    if (one == NULL) FLM_FAIL(FLM_E_NOMEM, "no memory for stage one");
    one->arena = flm_arena_begin(o->be);
    one->sample = malloc((size_t)dit->max_batch * sizeof *one->sample);
    if (one->sample == NULL) FLM_FAIL(FLM_E_NOMEM, "no memory for %lld sequences", (long long)dit->max_batch);
    const int64_t values = dit->max_batch * (dit->shape.L * FLM_DISTILL_COEFFICIENTS + SAMPLE);
    void *host = NULL;
    FLM_TRY(o->be->memory->host_alloc(o->be, (size_t)values * sizeof *one->host, &host));
    one->host = host;
    FLM_TRY(flm_weighting_create(o->be, &dit->shape, dit->max_batch, &one->weighting));
    take(one, o);
    FLM_TRY(flm_arena_commit(&one->arena, "stage one"));
    take(one, o);
    if (dit->act != FLM_DTYPE_F32)
        FLM_TRY(flm_op_cast(o->be, &one->E[TEACHER], &o->parts.teacher->w.E));
    else
        one->E[TEACHER] = o->parts.teacher->w.E;
    *out = one;
    one = NULL;
done:
    flm_stage_one_destroy(&one);
    return rc;
}

void flm_stage_one_destroy(flm_stage_one **one)
{
    if (*one == NULL) return;
    flm_weighting_destroy(&(*one)->weighting);
    flm_arena_release(&(*one)->arena);
    free((*one)->sample);
    (*one)->arena.be->memory->host_release((*one)->arena.be, (*one)->host);
    free(*one);
    *one = NULL;
}

size_t flm_stage_one_bytes(const flm_stage_one *one) { return one->arena.bytes + one->weighting->arena.bytes; }

flm_status flm_stage_one_begin(flm_objective *o, const flm_weights *weights)
{
    flm_status rc = FLM_OK;
    flm_stage_one *one = o->one;
    const flm_tensor *const E[2] = {&o->parts.teacher->w.E, &weights->w.E};
    if (o->parts.dit->act != FLM_DTYPE_F32)
        FLM_TRY(flm_op_cast(o->be, &one->E[STUDENT], &weights->w.E));
    else
        one->E[STUDENT] = weights->w.E;
    for (int j = 0; j < 2; j++)
        FLM_TRY(flm_residual_maps(o->be, weights, E[j], &one->E[j], &one->map[j], &one->offset[j]));
done:
    return rc;
}

/* Per sample: everything that depends on its times alone; the times go to the device, l comes from it. */
static flm_status load(flm_objective *o, const flm_weights *weights, const flm_micro_batch *batch)
{
    flm_status rc = FLM_OK;
    flm_stage_one *one = o->one;
    flm_backend *be = o->be;
    const int64_t B = batch->B;
    float *m = one->host, *u = m + B, *step = u + B, *combine = step + PARTS * B,
          *g = o->host + o->parts.dit->max_batch;
    for (int64_t b = 0; b < B; b++) {
        const flm_semigroup c = flm_semigroup_at(o->parts.gamma, batch->t[b], batch->d[b]);
        const double of_step[PARTS] = {c.keep, c.mean, c.jump}, of_combine[PARTS] = {c.A, c.B, -c.w};
        one->sample[b] = c;
        m[b] = (float)c.m;
        u[b] = (float)c.u;
        g[b] = (float)c.gs;
        for (int k = 0; k < PARTS; k++) {
            step[PARTS * b + k] = (float)of_step[k];
            combine[PARTS * b + k] = (float)of_combine[k];
        }
    }
    FLM_TRY(be->memory->to_device(be, one->m.data, m, (size_t)B * sizeof *m));
    FLM_TRY(be->memory->to_device(be, one->u.data, u, (size_t)B * sizeof *u));
    FLM_TRY(be->memory->to_device(be, one->step.data, step, (size_t)(PARTS * B) * sizeof *step));
    FLM_TRY(be->memory->to_device(be, one->combine.data, combine, (size_t)(PARTS * B) * sizeof *combine));
    FLM_TRY(flm_objective_load(o, batch, g));
    const flm_tensor s = flm_tensor_slice(&o->parts.dit->t, 0, B);
    FLM_TRY(flm_weighting_forward(one->weighting, weights, &s));
done:
    return rc;
}

/* Coefficients of the error, a row a token, from l: the gradient's has the loss's weight in it. */
static flm_status load_coefficients(flm_objective *o, const flm_micro_batch *batch)
{
    flm_status rc = FLM_OK;
    flm_stage_one *one = o->one;
    flm_backend *be = o->be;
    const int64_t B = batch->B, L = o->parts.dit->shape.L;
    float *l = o->host;
    FLM_TRY(be->memory->to_host(be, l, one->weighting->l.data, (size_t)B * sizeof *l));
    FLM_TRY(be->stream->sync(be));
    for (int64_t row = 0; row < B * L; row++) {
        const flm_semigroup *c = &one->sample[row / L];
        float *to = one->host + row * FLM_DISTILL_COEFFICIENTS;
        to[0] = (float)c->beta;
        to[1] = 1;
        to[2] = (float)(c->A + c->B - c->w);
        to[3] = (float)(-2 * c->w * exp(-(double)l[row / L]) * batch->scale);
    }
    FLM_TRY(be->memory->to_device(be, one->coefficient.data, one->host,
                                  (size_t)(B * L * FLM_DISTILL_COEFFICIENTS) * sizeof *one->host));
    FLM_TRY(be->stream->sync(be));
done:
    return rc;
}

static flm_status keep(flm_objective *o, int64_t B, const flm_tensor *to)
{
    const flm_tensor y = flm_tensor_slice(&o->parts.frozen->y, 0, B);
    return o->be->memory->copy(o->be, to->data, y.data, flm_tensor_bytes(&y));
}

/* frozen->input = x' in embedding j: keep x + mean p_s E_j + jump g_su E_j. */
static flm_status middle_state(flm_objective *o, int j, const flm_tensor *x, int64_t B)
{
    flm_status rc = FLM_OK;
    flm_stage_one *one = o->one;
    const flm_tensor y = flm_tensor_slice(&one->y_su, 0, B), product = flm_tensor_slice(&one->product, 0, B);
    const flm_tensor from[PARTS] = {flm_tensor_slice(x, 0, B), flm_tensor_slice(&one->mean[j], 0, B), product};
    const flm_tensor to = flm_tensor_slice(&o->parts.frozen->input, 0, B), c = flm_tensor_slice(&one->step, 0, B);
    const flm_tensor offset = flm_tensor_1d(one->offset[j].data, FLM_DTYPE_F32, o->parts.dit->shape.d);
    FLM_TRY(flm_dit_matmul(o->be, &y, false, &one->map[j], false, &product, false, &offset, NULL));
    FLM_TRY(flm_op_sample_combine(o->be, &to, &c, from, PARTS));
done:
    return rc;
}

/* The five passes: teacher's last hidden states in y_s and y_m, the student's combination A y_su + B y_ut - w y_st in
 * y_su, and the student's with gradient in dit. */
static flm_status run_passes(flm_objective *o, const flm_weights *weights, const flm_micro_batch *batch)
{
    flm_status rc = FLM_OK;
    flm_stage_one *one = o->one;
    flm_dit *dit = o->parts.dit, *frozen = o->parts.frozen;
    const flm_weights *teacher = o->parts.teacher;
    const int64_t B = batch->B;
    const flm_tensor none = flm_tensor_none();
    flm_dit_dropout first = {0}, second = {0};
    if (batch->dropout != NULL) {
        first = second = *batch->dropout;
        first.pass = PASS_FIRST;
        second.pass = PASS_SECOND;
    }
    FLM_TRY(flm_objective_state(o, TEACHER, &one->state, &teacher->w.E, B));
    FLM_TRY(flm_objective_state(o, STUDENT, &dit->input, &weights->w.E, B));
    FLM_TRY(flm_objective_pass(o, teacher, B, &one->state, &dit->t, &none, NULL));
    FLM_TRY(keep(o, B, &one->y_s));
    FLM_TRY(flm_dit_head_mean_embedding(frozen, teacher, 2, one->E, one->mean));
    FLM_TRY(flm_objective_pass(o, weights, B, &dit->input, &dit->t, &one->m, batch->dropout != NULL ? &first : NULL));
    FLM_TRY(keep(o, B, &one->y_su));
    FLM_TRY(middle_state(o, TEACHER, &one->state, B));
    FLM_TRY(flm_objective_pass(o, teacher, B, &frozen->input, &one->m, &none, NULL));
    FLM_TRY(keep(o, B, &one->y_m));
    FLM_TRY(middle_state(o, STUDENT, &dit->input, B));
    FLM_TRY(
        flm_objective_pass(o, weights, B, &frozen->input, &one->m, &one->u, batch->dropout != NULL ? &second : NULL));
    FLM_TRY(o->be->memory->copy(o->be, dit->until.data, one->u.data, (size_t)B * sizeof(float)));
    FLM_TRY(flm_dit_forward(dit, weights, B, batch->dropout));
    const flm_tensor y = flm_tensor_slice(&one->y_su, 0, B), c = flm_tensor_slice(&one->combine, 0, B);
    const flm_tensor from[PARTS] = {y, flm_tensor_slice(&frozen->y, 0, B), flm_tensor_slice(&dit->y, 0, B)};
    FLM_TRY(flm_op_sample_combine(o->be, &y, &c, from, PARTS));
done:
    return rc;
}

/* Error and gradient of the head, a chunk at a time. */
static flm_status run_head(flm_objective *o, const flm_weights *weights, const flm_micro_batch *batch)
{
    flm_status rc = FLM_OK;
    flm_stage_one *one = o->one;
    flm_dit *dit = o->parts.dit;
    const int64_t total = batch->B * dit->shape.L;
    for (int64_t first = 0; first < total; first += dit->chunk) {
        const int64_t rows = total - first < dit->chunk ? total - first : dit->chunk;
        const flm_tensor from = flm_tensor_slice(&o->parts.frozen->logits, 0, rows);
        const flm_tensor to = flm_tensor_slice(&one->logits, 0, rows);
        const flm_tensor residual = flm_tensor_slice(&dit->logits, 0, rows);
        const flm_tensor grad = batch->backward ? flm_tensor_slice(&dit->probs, 0, rows) : flm_tensor_none();
        const flm_tensor loss = flm_tensor_slice(&o->loss, first, rows);
        const flm_tensor coefficient = flm_tensor_slice(&one->coefficient, first, rows);
        FLM_TRY(flm_objective_logits(o, o->parts.teacher, &one->y_s, first, &from, true));
        FLM_TRY(flm_objective_logits(o, o->parts.teacher, &one->y_m, first, &to, true));
        FLM_TRY(flm_objective_logits(o, weights, &one->y_su, first, &residual, false));
        FLM_TRY(flm_op_distill_error(o->be, &(flm_distill_error){.loss = &loss,
                                                                 .grad = &grad,
                                                                 .from = &from,
                                                                 .to = &to,
                                                                 .residual = &residual,
                                                                 .bias = &weights->w.bout,
                                                                 .coefficient = &coefficient}));
        if (batch->backward) FLM_TRY(flm_objective_head(o, weights, &grad, first));
    }
    const flm_tensor loss = flm_tensor_slice(&o->loss, 0, total);
    FLM_TRY(flm_op_sum(o->be, &o->total, &loss));
done:
    return rc;
}

/* exp(-l) error + l summed, and its gradient for l into grad_l. */
static flm_status weigh(flm_objective *o, const flm_micro_batch *batch)
{
    flm_status rc = FLM_OK;
    flm_stage_one *one = o->one;
    flm_backend *be = o->be;
    const int64_t B = batch->B, L = o->parts.dit->shape.L;
    float *l = o->host, *error = one->host, *grad_l = o->host + o->parts.dit->max_batch; /* l: of load_coefficients */
    FLM_TRY(be->memory->to_host(be, error, o->loss.data, (size_t)(B * L) * sizeof *error));
    FLM_TRY(be->stream->sync(be));
    for (int64_t b = 0; b < B; b++) {
        double sum = 0;
        for (int64_t i = 0; i < L; i++) sum += (double)error[b * L + i];
        sum *= exp(-(double)l[b]);
        o->weighted += sum + (double)L * (double)l[b];
        grad_l[b] = (float)(((double)L - sum) * batch->scale);
    }
    FLM_TRY(be->memory->to_device(be, one->grad_l.data, grad_l, (size_t)B * sizeof *grad_l));
    FLM_TRY(be->stream->sync(be));
done:
    return rc;
}

flm_status flm_stage_one_micro(flm_objective *o, const flm_weights *weights, const flm_micro_batch *batch)
{
    flm_status rc = FLM_OK;
    const flm_dit_hook *hook = batch->hook;
    const flm_tensor grad_l = flm_tensor_slice(&o->one->grad_l, 0, batch->B);
    FLM_TRY(load(o, weights, batch));
    FLM_TRY(load_coefficients(o, batch));
    FLM_TRY(run_passes(o, weights, batch));
    FLM_TRY(run_head(o, weights, batch));
    if (batch->backward) FLM_TRY(flm_dit_backward(o->parts.dit, weights, batch->dropout, hook));
    FLM_TRY(weigh(o, batch));
    if (batch->backward) {
        FLM_TRY(flm_weighting_backward(o->one->weighting, weights, &grad_l));
        if (hook != NULL) FLM_TRY(hook->ready(hook->context, flm_bucket_two_time(o->parts.dit->shape.N)));
        FLM_TRY(flm_objective_embedding(o, weights, batch));
    }
done:
    return rc;
}
