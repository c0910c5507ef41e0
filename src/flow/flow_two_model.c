/* flow_two_model.c - the objective of a flow map in two models: the residual of a frozen teacher, trained so that a
 * jump equals two jumps over its middle (docs/model.md section 6).
 *
 * Passes of the trunk: teacher at s and at m; student s to m and m to u without gradient, student s to u with it.
 * V-wide products: the teacher's logits at s twice (the state at m needs them over all rows first), p E in both
 * embeddings, the teacher's logits at m, one of the residual, two of its gradient. Where the residual meets an
 * embedding, the d x d matrix Wout^T E_j replaces both products. SPDX-License-Identifier: Apache-2.0 */
#include "flow/flow_coefficients.h"
#include "flow/flow_objective_internal.h"
#include "flow/flow_time.h"
#include "model/model_weighting.h"

#include <stdlib.h>

enum {
    PARTS = 3,              /* of the state at m, and of the residual's last hidden state */
    SAMPLE = 2 + 2 * PARTS, /* f32 values a sample from the host: m, u, the coefficients of both */
    PASS_FIRST = 1,         /* dropout of the passes without gradient; the one with gradient is 0 */
    PASS_SECOND = 2,
    TEACHER = 0, /* of the noise basis */
    STUDENT = 1
};

/* Lengths of jumps from 1e-6; one sample in 64 jumps from 0 to 1: model.md section 6. */
static const flm_time_law time_law = {.min = 1e-6, .boundary = 1.0 / 64};

typedef struct two_model {
    flm_weighting *weighting;
    flm_tensor m, u;                /* f32 [max_batch] */
    flm_tensor state;               /* f32 [max_batch, L, d]: the teacher's; the student's is dit->input */
    flm_tensor mean[2], residual_E; /* f32 [max_batch, L, d]: p_s E_j, g_su E_j */
    flm_tensor y_s, y_m, y_su; /* act [max_batch, L, d]: teacher's at s and m; student's s to m, then the combination */
    flm_tensor E[2];           /* act [V, d] */
    flm_tensor map[2], map_bias[2]; /* act [d, d] Wout^T E_j, f32 [1, d] bout^T E_j */
    flm_tensor step, combine;       /* f32 [max_batch, PARTS]: keep, mean, jump; A, B, -w */
    flm_tensor coefficient;         /* f32 [max_batch L, FLM_DISTILL_COEFFICIENTS] */
    flm_tensor factor;              /* f64 [max_batch]: the last coefficient without exp(-l) and the scale */
    flm_tensor grad_l;              /* f32 [max_batch, 1] */
    flm_tensor logits;              /* f32 [chunk, V], padded rows */
    double *of_factor;              /* host [max_batch] */
    float *host;                    /* [max_batch (L FLM_DISTILL_COEFFICIENTS + SAMPLE)] */
    flm_arena arena;
} two_model;

static void layout(two_model *own, const flm_objective *o)
{
    flm_arena *at = &own->arena;
    const flm_dit *dit = o->parts.dit;
    const int64_t B = dit->max_batch, L = dit->shape.L, d = dit->shape.d, V = dit->shape.V;
    own->m = flm_arena_1d(at, FLM_DTYPE_F32, B);
    own->u = flm_arena_1d(at, FLM_DTYPE_F32, B);
    own->state = flm_arena_3d(at, FLM_DTYPE_F32, B, L, d);
    own->residual_E = flm_arena_3d(at, FLM_DTYPE_F32, B, L, d);
    own->y_s = flm_arena_3d(at, dit->act, B, L, d);
    own->y_m = flm_arena_3d(at, dit->act, B, L, d);
    own->y_su = flm_arena_3d(at, dit->act, B, L, d);
    for (int j = 0; j < 2; j++) {
        own->mean[j] = flm_arena_3d(at, FLM_DTYPE_F32, B, L, d);
        if (dit->act != FLM_DTYPE_F32) own->E[j] = flm_arena_2d(at, dit->act, V, d);
        own->map[j] = flm_arena_2d(at, dit->act, d, d);
        own->map_bias[j] = flm_arena_2d(at, FLM_DTYPE_F32, 1, d);
    }
    own->step = flm_arena_2d(at, FLM_DTYPE_F32, B, PARTS);
    own->combine = flm_arena_2d(at, FLM_DTYPE_F32, B, PARTS);
    own->coefficient = flm_arena_2d(at, FLM_DTYPE_F32, B * L, FLM_DISTILL_COEFFICIENTS);
    own->factor = flm_arena_1d(at, FLM_DTYPE_F64, B);
    own->grad_l = flm_arena_2d(at, FLM_DTYPE_F32, B, 1);
    own->logits = flm_arena_rows(at, FLM_DTYPE_F32, dit->chunk, V);
}

static flm_status create(flm_objective *o)
{
    flm_status rc = FLM_OK;
    const flm_dit *dit = o->parts.dit;
    const flm_tensor *E = &o->parts.frozen[FLM_ROLE_TEACHER]->w.E;
    const int64_t values = dit->max_batch * (dit->shape.L * FLM_DISTILL_COEFFICIENTS + SAMPLE);
    two_model *own = o->state = calloc(1, sizeof *own);
    if (own == NULL) FLM_FAIL(FLM_E_NOMEM, "no memory for the two-model objective");
    own->arena = flm_arena_begin(o->be);
    own->of_factor = malloc((size_t)dit->max_batch * sizeof *own->of_factor);
    own->host = malloc((size_t)values * sizeof *own->host);
    if (own->of_factor == NULL || own->host == NULL)
        FLM_FAIL(FLM_E_NOMEM, "no memory for %lld sequences", (long long)dit->max_batch);
    FLM_TRY(flm_weighting_create(o->be, &dit->shape, dit->max_batch, &own->weighting));
    layout(own, o);
    FLM_TRY(flm_arena_commit(&own->arena, "two-model objective"));
    layout(own, o);
    if (dit->act != FLM_DTYPE_F32)
        FLM_TRY(flm_op_cast(o->be, &own->E[TEACHER], E));
    else
        own->E[TEACHER] = *E;
done:
    return rc;
}

static void destroy(flm_objective *o)
{
    two_model *own = o->state;
    if (own == NULL) return;
    flm_weighting_destroy(&own->weighting);
    flm_arena_release(&own->arena);
    free(own->of_factor);
    free(own->host);
    free(own);
    o->state = NULL;
}

static size_t bytes(const flm_objective *o)
{
    const two_model *own = o->state;
    return own->arena.bytes + own->weighting->arena.bytes;
}

static flm_status begin(flm_objective *o, const flm_weights *weights)
{
    flm_status rc = FLM_OK;
    two_model *own = o->state;
    const flm_tensor *const E[2] = {&o->parts.frozen[FLM_ROLE_TEACHER]->w.E, &weights->w.E};
    if (o->parts.dit->act != FLM_DTYPE_F32)
        FLM_TRY(flm_op_cast(o->be, &own->E[STUDENT], &weights->w.E));
    else
        own->E[STUDENT] = weights->w.E;
    for (int j = 0; j < 2; j++)
        FLM_TRY(flm_dit_map_residual(o->be, weights, E[j], &own->E[j], &own->map[j], &own->map_bias[j]));
done:
    return rc;
}

static void sample_times(const flm_objective *o, uint64_t seed, flm_random_purpose purpose, uint64_t step, int64_t n,
                         int64_t first, int64_t count, double *t, double *d)
{
    (void)o;
    flm_time_jumps(&time_law, seed, purpose, step, n, first, count, t, d);
}

/* The coefficients of the error of a sequence, a row a token; the last one follows on the device. */
static void set_rows(const flm_two_model_coeffs *c, float *to, int64_t L)
{
    for (int64_t i = 0; i < L; i++, to += FLM_DISTILL_COEFFICIENTS) {
        to[0] = (float)c->beta;
        to[1] = 1;
        to[2] = (float)(c->A + c->B - c->w);
        to[3] = 0;
    }
}

/* Everything that depends on the times alone, for each sample, to the device; l is computed there, and with it the
 * coefficient of the gradient, which includes the weight of the loss, exp(-l). */
static flm_status load(flm_objective *o, const flm_weights *weights, const flm_micro_batch *batch)
{
    flm_status rc = FLM_OK;
    two_model *own = o->state;
    flm_backend *be = o->be;
    const int64_t B = batch->B, L = o->parts.dit->shape.L, values = B * L * FLM_DISTILL_COEFFICIENTS;
    float *m = own->host, *u = m + B, *step = u + B, *combine = step + PARTS * B, *rows = combine + PARTS * B,
          *g = o->host + o->parts.dit->max_batch;
    for (int64_t b = 0; b < B; b++) {
        const flm_two_model_coeffs c = flm_two_model_coeffs_make(o->parts.gamma, batch->t[b], batch->d[b]);
        const double of_step[PARTS] = {c.keep, c.mean, c.jump}, of_combine[PARTS] = {c.A, c.B, -c.w};
        own->of_factor[b] = -2 * c.w;
        m[b] = (float)c.m;
        u[b] = (float)c.u;
        g[b] = (float)c.gs;
        for (int k = 0; k < PARTS; k++) {
            step[PARTS * b + k] = (float)of_step[k];
            combine[PARTS * b + k] = (float)of_combine[k];
        }
        set_rows(&c, rows + b * L * FLM_DISTILL_COEFFICIENTS, L);
    }
    FLM_TRY(flm_stage_to_device(&o->stage, own->m.data, m, (size_t)B * sizeof *m));
    FLM_TRY(flm_stage_to_device(&o->stage, own->u.data, u, (size_t)B * sizeof *u));
    FLM_TRY(flm_stage_to_device(&o->stage, own->step.data, step, (size_t)(PARTS * B) * sizeof *step));
    FLM_TRY(flm_stage_to_device(&o->stage, own->combine.data, combine, (size_t)(PARTS * B) * sizeof *combine));
    FLM_TRY(flm_stage_to_device(&o->stage, own->coefficient.data, rows, (size_t)values * sizeof *rows));
    FLM_TRY(flm_stage_to_device(&o->stage, own->factor.data, own->of_factor, (size_t)B * sizeof *own->of_factor));
    FLM_TRY(flm_objective_load(o, batch, g));
    const flm_tensor s = flm_tensor_slice(&o->parts.dit->t, 0, B), l = flm_tensor_slice(&own->weighting->l, 0, B);
    const flm_tensor factor = flm_tensor_slice(&own->factor, 0, B);
    const flm_tensor coefficient = flm_tensor_slice(&own->coefficient, 0, B * L);
    FLM_TRY(flm_weighting_forward(own->weighting, weights, &s));
    FLM_TRY(flm_op_distill_weigh(be, &coefficient, &l, &factor, batch->scale));
done:
    return rc;
}

/* to act [max_batch, L, d] = the last hidden states of a pass without gradient. */
static flm_status copy_hidden(flm_objective *o, int64_t B, const flm_tensor *to)
{
    const flm_tensor y = flm_tensor_slice(&o->parts.inference->y, 0, B);
    return o->be->memory->copy(o->be, to->data, y.data, flm_tensor_bytes(&y));
}

/* inference->input = x' in embedding j: keep x + mean p_s E_j + jump g_su E_j. */
static flm_status middle_state(flm_objective *o, int j, const flm_tensor *x, int64_t B)
{
    flm_status rc = FLM_OK;
    two_model *own = o->state;
    const flm_tensor y = flm_tensor_slice(&own->y_su, 0, B), residual_E = flm_tensor_slice(&own->residual_E, 0, B);
    const flm_tensor from[PARTS] = {flm_tensor_slice(x, 0, B), flm_tensor_slice(&own->mean[j], 0, B), residual_E};
    const flm_tensor to = flm_tensor_slice(&o->parts.inference->input, 0, B), c = flm_tensor_slice(&own->step, 0, B);
    const flm_tensor bias = flm_tensor_1d(own->map_bias[j].data, FLM_DTYPE_F32, o->parts.dit->shape.d);
    FLM_TRY(flm_dit_matmul(o->be, &y, false, &own->map[j], false, &residual_E, false, &bias, NULL));
    FLM_TRY(flm_op_sample_combine(o->be, &to, &c, from, PARTS));
done:
    return rc;
}

/* The five passes. They leave the teacher's last hidden states in y_s and y_m, the combination A y_su + B y_ut - w y_st
 * of the student's in y_su, and those of the pass with gradient in dit. */
static flm_status run_passes(flm_objective *o, const flm_weights *weights, const flm_micro_batch *batch)
{
    flm_status rc = FLM_OK;
    two_model *own = o->state;
    flm_dit *dit = o->parts.dit, *inference = o->parts.inference;
    const flm_weights *teacher = o->parts.frozen[FLM_ROLE_TEACHER];
    const int64_t B = batch->B;
    const flm_tensor none = flm_tensor_none();
    flm_dit_dropout first = {0}, second = {0};
    if (batch->dropout != NULL) {
        first = second = *batch->dropout;
        first.pass = PASS_FIRST;
        second.pass = PASS_SECOND;
    }
    FLM_TRY(flm_objective_state(o, TEACHER, &own->state, &teacher->w.E, B));
    FLM_TRY(flm_objective_state(o, STUDENT, &dit->input, &weights->w.E, B));
    FLM_TRY(flm_objective_pass(o, teacher, B, &own->state, &dit->t, &none, NULL));
    FLM_TRY(copy_hidden(o, B, &own->y_s));
    FLM_TRY(flm_dit_head_mean_embedding(inference, teacher, 2, own->E, own->mean));
    FLM_TRY(flm_objective_pass(o, weights, B, &dit->input, &dit->t, &own->m, batch->dropout != NULL ? &first : NULL));
    FLM_TRY(copy_hidden(o, B, &own->y_su));
    FLM_TRY(middle_state(o, TEACHER, &own->state, B));
    FLM_TRY(flm_objective_pass(o, teacher, B, &inference->input, &own->m, &none, NULL));
    FLM_TRY(copy_hidden(o, B, &own->y_m));
    FLM_TRY(middle_state(o, STUDENT, &dit->input, B));
    FLM_TRY(flm_objective_pass(o, weights, B, &inference->input, &own->m, &own->u,
                               batch->dropout != NULL ? &second : NULL));
    FLM_TRY(o->be->memory->copy(o->be, dit->t_end.data, own->u.data, (size_t)B * sizeof(float)));
    FLM_TRY(flm_dit_forward(dit, weights, B, batch->dropout));
    const flm_tensor y = flm_tensor_slice(&own->y_su, 0, B), c = flm_tensor_slice(&own->combine, 0, B);
    const flm_tensor from[PARTS] = {y, flm_tensor_slice(&inference->y, 0, B), flm_tensor_slice(&dit->y, 0, B)};
    FLM_TRY(flm_op_sample_combine(o->be, &y, &c, from, PARTS));
done:
    return rc;
}

/* Error and gradient of the head, a chunk at a time. */
static flm_status run_head(flm_objective *o, const flm_weights *weights, const flm_micro_batch *batch)
{
    flm_status rc = FLM_OK;
    two_model *own = o->state;
    flm_dit *dit = o->parts.dit;
    const flm_weights *teacher = o->parts.frozen[FLM_ROLE_TEACHER];
    const int64_t total = batch->B * dit->shape.L;
    for (int64_t first = 0; first < total; first += dit->chunk) {
        const int64_t rows = total - first < dit->chunk ? total - first : dit->chunk;
        const flm_tensor from = flm_tensor_slice(&o->parts.inference->logits, 0, rows);
        const flm_tensor to = flm_tensor_slice(&own->logits, 0, rows);
        const flm_tensor residual = flm_tensor_slice(&dit->logits, 0, rows);
        const flm_tensor grad = batch->backward ? flm_tensor_slice(&dit->probs, 0, rows) : flm_tensor_none();
        const flm_tensor loss = flm_tensor_slice(&o->loss, first, rows);
        const flm_tensor coefficient = flm_tensor_slice(&own->coefficient, first, rows);
        FLM_TRY(flm_objective_logits(o, teacher, &own->y_s, first, &from, true));
        FLM_TRY(flm_objective_logits(o, teacher, &own->y_m, first, &to, true));
        FLM_TRY(flm_objective_logits(o, weights, &own->y_su, first, &residual, false));
        FLM_TRY(flm_op_distill_error(o->be, &(flm_distill_error){.loss = &loss,
                                                                 .grad = &grad,
                                                                 .from = &from,
                                                                 .to = &to,
                                                                 .residual = &residual,
                                                                 .bias = &weights->w.bout,
                                                                 .coefficient = &coefficient,
                                                                 .logit_cap = (float)teacher->shape.logit_cap}));
        if (batch->backward) FLM_TRY(flm_dit_head_backward(dit, weights, &grad, first));
    }
    FLM_TRY(flm_objective_add_loss(o, total));
done:
    return rc;
}

/* Sums exp(-l) error + l, and computes its gradient with respect to l in grad_l. */
static flm_status weight_loss(flm_objective *o, const flm_micro_batch *batch)
{
    const two_model *own = o->state;
    const int64_t B = batch->B, L = o->parts.dit->shape.L;
    const flm_tensor total = flm_tensor_slice(&o->total, FLM_TOTAL_WEIGHTED, 1);
    const flm_tensor grad_l = flm_tensor_slice(&own->grad_l, 0, B), l = flm_tensor_slice(&own->weighting->l, 0, B);
    const flm_tensor loss = flm_tensor_slice(&o->loss, 0, B * L);
    return flm_op_distill_loss(o->be, &total, &grad_l, &loss, &l, batch->scale);
}

static flm_status micro_batch(flm_objective *o, const flm_weights *weights, const flm_micro_batch *batch)
{
    flm_status rc = FLM_OK;
    two_model *own = o->state;
    const flm_tensor grad_l = flm_tensor_slice(&own->grad_l, 0, batch->B);
    FLM_TRY(load(o, weights, batch));
    FLM_TRY(run_passes(o, weights, batch));
    FLM_TRY(run_head(o, weights, batch));
    if (batch->backward) FLM_TRY(flm_dit_backward(o->parts.dit, weights, batch->dropout, batch->hook));
    FLM_TRY(weight_loss(o, batch));
    if (batch->backward) {
        FLM_TRY(flm_weighting_backward(own->weighting, weights, &grad_l));
        FLM_TRY(flm_objective_embedding(o, weights, batch));
    }
done:
    return rc;
}

const flm_objective_ops flm_objective_two_model = {
    .networks = {[FLM_ROLE_TEACHER] = {.kind = &flm_kinds[FLM_KIND_FLM]}},
    .inference = true,
    .squared_error = true,
    .weighted = true,
    .trunk_passes = 7,
    .head_passes = 8,
    .create = create,
    .destroy = destroy,
    .bytes = bytes,
    .begin = begin,
    .sample_times = sample_times,
    .micro_batch = micro_batch};
