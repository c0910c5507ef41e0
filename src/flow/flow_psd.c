/* flow_psd.c - the objective of the one-network flow map, progressive self-distillation: cross entropy against a frozen
 * teacher or the data where both times are equal, elsewhere against the map's own jumps over the middle (docs/model.md
 * section 9.2).
 *
 * Passes of the trunk: all samples with gradient; without it the teacher at the diagonal samples, and both halves of
 * the jumps of the others, packed, at most half a micro-batch at once. V-wide products of a row: three of the gradient;
 * the teacher's logits, or the logits of both halves, of the first one twice (the state at the middle needs them over
 * all rows), and p E. Samples are in the order of the batch, except in the passes without gradient and in the head,
 * where the diagonal ones come first ("packed"). SPDX-License-Identifier: Apache-2.0 */
#include "flow/flow_coefficients.h"
#include "flow/flow_objective_internal.h"
#include "flow/flow_time.h"

#include <stdlib.h>

/* Dropout of the passes without gradient; the one with gradient is 0. */
enum { PASS_FIRST = 1, PASS_SECOND = 2 };
enum { PARTS = 2, TIMES = 3 }; /* parts of the state at the middle; start, middle and end of a jump */

typedef struct psd {
    flm_tensor time[TIMES];       /* f32 [max_batch], packed */
    flm_tensor combine;           /* f32 [max_batch, PARTS], packed: 1 - k, k */
    flm_tensor lambda;            /* f32 [max_batch L], packed */
    flm_tensor mean;              /* f32 [half, L, d]: p_su E */
    flm_tensor y_first, y_second; /* act [max_batch, L, d], packed: teacher's or p_su's, p_ut's last hidden states */
    flm_tensor y;                 /* act [max_batch, L, d]: dit's while they are reordered */
    flm_tensor tokens;            /* i32 [max_batch, L], packed; without teacher */
    flm_tensor E;                 /* act [V, d] of the network of the targets */
    flm_tensor logits;            /* f32 [half chunk, V], padded rows */
    int64_t *order;               /* host [max_batch]: the sample in each packed place */
    int64_t diagonals;            /* of the micro-batch */
    float *host;                  /* [max_batch (L + 1 + TIMES + PARTS)] */
    flm_arena arena;
} psd;

/* Networks of the targets, and their places in the noise basis. */
static const flm_weights *teacher_of(const flm_objective *o) { return o->parts.frozen[FLM_ROLE_TEACHER]; }

static const flm_weights *target_of(const flm_objective *o, const flm_weights *weights)
{
    const flm_weights *average = o->parts.frozen[FLM_ROLE_AVERAGE];
    return average != NULL ? average : weights;
}

static void layout(psd *own, const flm_objective *o)
{
    flm_arena *at = &own->arena;
    const flm_dit *dit = o->parts.dit, *inference = o->parts.inference;
    const int64_t B = dit->max_batch, L = dit->shape.L, d = dit->shape.d, V = dit->shape.V;
    for (int k = 0; k < TIMES; k++) own->time[k] = flm_arena_1d(at, FLM_DTYPE_F32, B);
    own->combine = flm_arena_2d(at, FLM_DTYPE_F32, B, PARTS);
    own->lambda = flm_arena_1d(at, FLM_DTYPE_F32, B * L);
    own->mean = flm_arena_3d(at, FLM_DTYPE_F32, inference->max_batch, L, d);
    own->y_first = flm_arena_3d(at, dit->act, B, L, d);
    own->y_second = flm_arena_3d(at, dit->act, B, L, d);
    own->y = flm_arena_3d(at, dit->act, B, L, d);
    if (teacher_of(o) == NULL) own->tokens = flm_arena_2d(at, FLM_DTYPE_I32, B, L);
    if (dit->act != FLM_DTYPE_F32) own->E = flm_arena_2d(at, dit->act, V, d);
    own->logits = flm_arena_rows(at, FLM_DTYPE_F32, inference->chunk, V);
}

static flm_status create(flm_objective *o)
{
    flm_status rc = FLM_OK;
    const flm_dit *dit = o->parts.dit;
    const int64_t values = dit->max_batch * (dit->shape.L + 1 + TIMES + PARTS);
    void *host = NULL;
    psd *own = o->state = calloc(1, sizeof *own);
    if (own == NULL) FLM_FAIL(FLM_E_NOMEM, "no memory for the objective of the one-network flow map");
    own->arena = flm_arena_begin(o->be);
    own->order = malloc((size_t)dit->max_batch * sizeof *own->order);
    if (own->order == NULL) FLM_FAIL(FLM_E_NOMEM, "no memory for %lld sequences", (long long)dit->max_batch);
    FLM_TRY(o->be->memory->host_alloc(o->be, (size_t)values * sizeof *own->host, &host));
    own->host = host;
    layout(own, o);
    FLM_TRY(flm_arena_commit(&own->arena, "objective of the one-network flow map"));
    layout(own, o);
done:
    return rc;
}

static void destroy(flm_objective *o)
{
    psd *own = o->state;
    if (own == NULL) return;
    flm_arena_release(&own->arena);
    free(own->order);
    o->be->memory->host_release(o->be, own->host);
    free(own);
    o->state = NULL;
}

static size_t bytes(const flm_objective *o)
{
    const psd *own = o->state;
    return own->arena.bytes;
}

static flm_status begin(flm_objective *o, const flm_weights *weights)
{
    flm_status rc = FLM_OK;
    psd *own = o->state;
    const flm_weights *target = target_of(o, weights);
    if (o->parts.dit->act != FLM_DTYPE_F32)
        FLM_TRY(flm_op_cast(o->be, &own->E, &target->w.E));
    else
        own->E = target->w.E;
done:
    return rc;
}

static void sample_times(const flm_objective *o, uint64_t seed, flm_random_purpose purpose, uint64_t step, int64_t n,
                         int64_t first, int64_t count, double *t, double *d)
{
    flm_time_psd(&o->parts.psd, seed, purpose, step, n, first, count, t, d);
}

/* The packed order: samples with d = 0 first, each kind in the order of the batch. */
static void make_order(psd *own, const flm_micro_batch *batch)
{
    int64_t at = 0;
    for (int64_t b = 0; b < batch->B; b++)
        if (batch->d[b] == 0) own->order[at++] = b;
    own->diagonals = at;
    for (int64_t b = 0; b < batch->B; b++)
        if (batch->d[b] != 0) own->order[at++] = b;
}

/* Everything that depends on the times alone, to the device. */
static flm_status load(flm_objective *o, const flm_micro_batch *batch)
{
    flm_status rc = FLM_OK;
    psd *own = o->state;
    flm_backend *be = o->be;
    const int64_t B = batch->B, L = o->parts.dit->shape.L;
    float *end = own->host, *time = end + B, *combine = time + TIMES * B, *lambda = combine + PARTS * B;
    float *g = o->host + o->parts.dit->max_batch;
    make_order(own, batch);
    for (int64_t i = 0; i < B; i++) {
        const int64_t b = own->order[i];
        const flm_psd_coeffs c = flm_psd_coeffs_make(o->parts.gamma, batch->t[b], batch->d[b]);
        const double times[TIMES] = {batch->t[b], c.u, c.end};
        for (int k = 0; k < TIMES; k++) time[k * B + i] = (float)times[k];
        end[b] = (float)c.end;
        g[b] = (float)c.gs;
        combine[PARTS * i] = (float)(1 - c.k);
        combine[PARTS * i + 1] = (float)c.k;
        for (int64_t row = i * L; row < (i + 1) * L; row++) lambda[row] = (float)c.lambda;
    }
    FLM_TRY(be->memory->to_device(be, o->parts.dit->t_end.data, end, (size_t)B * sizeof *end));
    for (int k = 0; k < TIMES; k++)
        FLM_TRY(be->memory->to_device(be, own->time[k].data, time + k * B, (size_t)B * sizeof *time));
    FLM_TRY(be->memory->to_device(be, own->combine.data, combine, (size_t)(PARTS * B) * sizeof *combine));
    FLM_TRY(be->memory->to_device(be, own->lambda.data, lambda, (size_t)(B * L) * sizeof *lambda));
    FLM_TRY(flm_objective_load(o, batch, g));
done:
    return rc;
}

/* Sequences of `from` in packed places [first, first + count) to the first places of `to`; back: the other way round.
 */
static flm_status reorder(flm_objective *o, const flm_tensor *to, const flm_tensor *from, int64_t first, int64_t count,
                          bool back)
{
    flm_status rc = FLM_OK;
    const psd *own = o->state;
    for (int64_t i = 0; i < count; i++) {
        const int64_t b = own->order[first + i];
        const flm_tensor a = flm_tensor_slice(to, back ? b : i, 1), c = flm_tensor_slice(from, back ? i : b, 1);
        FLM_TRY(o->be->memory->copy(o->be, a.data, c.data, flm_tensor_bytes(&a)));
    }
done:
    return rc;
}

/* The last hidden states of a pass without gradient of `count` sequences, to packed places from `first` on. */
static flm_status keep_hidden(flm_objective *o, const flm_tensor *to, int64_t first, int64_t count)
{
    const flm_tensor y = flm_tensor_slice(&o->parts.inference->y, 0, count), own = flm_tensor_slice(to, first, count);
    return o->be->memory->copy(o->be, own.data, y.data, flm_tensor_bytes(&y));
}

/* The teacher at the diagonal samples, in y_first. */
static flm_status teacher_pass(flm_objective *o, int64_t B)
{
    flm_status rc = FLM_OK;
    psd *own = o->state;
    flm_dit *inference = o->parts.inference;
    const flm_tensor none = flm_tensor_none();
    FLM_TRY(flm_objective_state(o, 0, &o->noise, &teacher_of(o)->w.E, B));
    for (int64_t at = 0; at < own->diagonals; at += inference->max_batch) {
        const int64_t left = own->diagonals - at, n = left < inference->max_batch ? left : inference->max_batch;
        const flm_tensor s = flm_tensor_slice(&own->time[0], at, n);
        FLM_TRY(reorder(o, &inference->input, &o->noise, at, n, false));
        FLM_TRY(flm_objective_pass(o, teacher_of(o), n, &inference->input, &s, &none, NULL));
        FLM_TRY(keep_hidden(o, &own->y_first, at, n));
    }
done:
    return rc;
}

/* Both halves of the jumps in packed places [at, at + n), from states x in the target network's embedding. */
static flm_status jump_passes(flm_objective *o, const flm_weights *target, const flm_tensor *x, int64_t at, int64_t n,
                              const flm_dit_dropout *dropout)
{
    flm_status rc = FLM_OK;
    psd *own = o->state;
    flm_dit *inference = o->parts.inference;
    flm_tensor time[TIMES];
    flm_dit_dropout first = {0}, second = {0};
    if (dropout != NULL) {
        first = second = *dropout;
        first.pass = PASS_FIRST;
        second.pass = PASS_SECOND;
    }
    for (int k = 0; k < TIMES; k++) time[k] = flm_tensor_slice(&own->time[k], at, n);
    FLM_TRY(reorder(o, &inference->input, x, at, n, false));
    FLM_TRY(flm_objective_pass(o, target, n, &inference->input, &time[0], &time[1], dropout != NULL ? &first : NULL));
    FLM_TRY(keep_hidden(o, &own->y_first, at, n));
    FLM_TRY(flm_dit_head_mean_embedding(inference, target, 1, &own->E, &own->mean));
    const flm_tensor state = flm_tensor_slice(&inference->input, 0, n), c = flm_tensor_slice(&own->combine, at, n);
    const flm_tensor from[PARTS] = {state, flm_tensor_slice(&own->mean, 0, n)};
    FLM_TRY(reorder(o, &inference->input, x, at, n, false)); /* the pass has overwritten it */
    FLM_TRY(flm_op_sample_combine(o->be, &state, &c, from, PARTS));
    FLM_TRY(flm_objective_pass(o, target, n, &inference->input, &time[1], &time[2], dropout != NULL ? &second : NULL));
    FLM_TRY(keep_hidden(o, &own->y_second, at, n));
done:
    return rc;
}

/* All jumps. Their dropout is numbered by jumps, of which those of a part of the global batch follow each other. */
static flm_status target_passes(flm_objective *o, const flm_weights *weights, const flm_micro_batch *batch)
{
    flm_status rc = FLM_OK;
    psd *own = o->state;
    const flm_weights *target = target_of(o, weights);
    const bool average = target != weights;
    const int64_t half = o->parts.inference->max_batch;
    if (average && own->diagonals < batch->B)
        FLM_TRY(flm_objective_state(o, teacher_of(o) != NULL ? 1 : 0, &o->noise, &target->w.E, batch->B));
    flm_dit_dropout dropout = {0};
    if (batch->dropout != NULL) dropout = *batch->dropout;
    const int64_t before = flm_time_psd_jumps(&o->parts.psd, dropout.first_sample);
    for (int64_t at = own->diagonals; at < batch->B; at += half) {
        const int64_t n = batch->B - at < half ? batch->B - at : half;
        dropout.first_sample = before + at - own->diagonals;
        FLM_TRY(jump_passes(o, target, average ? &o->noise : &o->parts.dit->input, at, n,
                            batch->dropout != NULL && !average ? &dropout : NULL));
    }
done:
    return rc;
}

/* The target of rows from `first` on: the logits of one softmax or two, and its cross entropy and gradient. */
static flm_status soft_rows(flm_objective *o, const flm_weights *weights, const flm_micro_batch *batch, int64_t first,
                            int64_t rows, bool jump)
{
    flm_status rc = FLM_OK;
    psd *own = o->state;
    flm_dit *dit = o->parts.dit;
    const flm_weights *target = jump ? target_of(o, weights) : teacher_of(o);
    const flm_tensor logits = flm_tensor_slice(&dit->logits, 0, rows);
    const flm_tensor p = flm_tensor_slice(&o->parts.inference->logits, 0, rows);
    const flm_tensor q = jump ? flm_tensor_slice(&own->logits, 0, rows) : flm_tensor_none();
    const flm_tensor weight = jump ? flm_tensor_slice(&own->lambda, first, rows) : flm_tensor_none();
    const flm_tensor grad = batch->backward ? flm_tensor_slice(&dit->probs, 0, rows) : flm_tensor_none();
    const flm_tensor loss = flm_tensor_slice(&o->loss, first, rows);
    FLM_TRY(flm_dit_head_logits(dit, weights, first, rows));
    FLM_TRY(flm_objective_logits(o, target, &own->y_first, first, &p, true));
    if (jump) FLM_TRY(flm_objective_logits(o, target, &own->y_second, first, &q, true));
    FLM_TRY(flm_op_mixture_xent(o->be, &(flm_mixture_xent){.loss = &loss,
                                                           .grad = &grad,
                                                           .logits = &logits,
                                                           .first = &p,
                                                           .second = &q,
                                                           .weight = &weight,
                                                           .scale = (float)batch->scale,
                                                           .logit_cap = (float)weights->shape.logit_cap}));
    if (batch->backward) FLM_TRY(flm_dit_head_backward(dit, weights, &grad, first));
done:
    return rc;
}

/* The target of rows from `first` on: their tokens. */
static flm_status data_rows(flm_objective *o, const flm_weights *weights, const flm_micro_batch *batch, int64_t first,
                            int64_t rows)
{
    flm_status rc = FLM_OK;
    psd *own = o->state;
    flm_dit *dit = o->parts.dit;
    const flm_tensor logits = flm_tensor_slice(&dit->logits, 0, rows), loss = flm_tensor_slice(&o->loss, first, rows);
    const flm_tensor grad = batch->backward ? flm_tensor_slice(&dit->probs, 0, rows) : flm_tensor_none();
    const flm_tensor flat =
        flm_tensor_1d(own->tokens.data, FLM_DTYPE_I32, dit->max_batch * dit->shape.L); /* max_batch: places */
    const flm_tensor target = flm_tensor_slice(&flat, first, rows);
    FLM_TRY(flm_dit_head_logits(dit, weights, first, rows));
    FLM_TRY(flm_op_softmax_xent(o->be, &loss, &grad, &logits, &target, (float)batch->scale,
                                (float)weights->shape.logit_cap));
    if (batch->backward) FLM_TRY(flm_dit_head_backward(dit, weights, &grad, first));
done:
    return rc;
}

/* Loss and gradient of the head, a chunk at a time, the diagonal samples first. */
static flm_status run_head(flm_objective *o, const flm_weights *weights, const flm_micro_batch *batch)
{
    flm_status rc = FLM_OK;
    psd *own = o->state;
    flm_dit *dit = o->parts.dit;
    const int64_t L = dit->shape.L, middle = own->diagonals * L, total = batch->B * L, half = o->parts.inference->chunk;
    const bool data = teacher_of(o) == NULL;
    for (int64_t first = 0, rows; first < total; first += rows) {
        const int64_t end = first < middle ? middle : total, max = data && first < middle ? dit->chunk : half;
        rows = end - first < max ? end - first : max;
        if (data && first < middle)
            FLM_TRY(data_rows(o, weights, batch, first, rows));
        else
            FLM_TRY(soft_rows(o, weights, batch, first, rows, first >= middle));
    }
    FLM_TRY(flm_objective_add_loss(o, total));
    if (middle > 0) {
        const flm_tensor diagonal = flm_tensor_slice(&o->total, 1, 1), part = flm_tensor_slice(&o->loss, 0, middle);
        FLM_TRY(flm_op_sum(o->be, &diagonal, &part));
    }
    o->diagonal_rows += middle;
done:
    return rc;
}

static flm_status micro_batch(flm_objective *o, const flm_weights *weights, const flm_micro_batch *batch)
{
    flm_status rc = FLM_OK;
    psd *own = o->state;
    flm_dit *dit = o->parts.dit;
    const int64_t B = batch->B;
    FLM_TRY(load(o, batch));
    FLM_TRY(flm_objective_state(o, o->parts.basis->networks - 1, &dit->input, &weights->w.E, B));
    if (teacher_of(o) != NULL)
        FLM_TRY(teacher_pass(o, B));
    else
        FLM_TRY(reorder(o, &own->tokens, &o->tokens, 0, own->diagonals, false));
    FLM_TRY(target_passes(o, weights, batch));
    FLM_TRY(flm_dit_forward(dit, weights, B, batch->dropout));
    const flm_tensor y = flm_tensor_slice(&dit->y, 0, B);
    FLM_TRY(reorder(o, &own->y, &dit->y, 0, B, false));
    FLM_TRY(o->be->memory->copy(o->be, y.data, own->y.data, flm_tensor_bytes(&y)));
    FLM_TRY(run_head(o, weights, batch));
    if (batch->backward) {
        FLM_TRY(o->be->memory->copy(o->be, own->y.data, dit->grad_y.data, flm_tensor_bytes(&y)));
        FLM_TRY(reorder(o, &dit->grad_y, &own->y, 0, B, true));
        FLM_TRY(flm_dit_backward(dit, weights, batch->dropout, batch->hook));
        FLM_TRY(flm_objective_embedding(o, weights, batch));
    }
done:
    return rc;
}

const flm_objective_ops flm_objective_psd = {
    .networks = {[FLM_ROLE_TEACHER] = {.kind = &flm_kinds[FLM_KIND_FLM], .optional = true},
                 [FLM_ROLE_AVERAGE] = {.kind = &flm_kinds[FLM_KIND_FMLM], .optional = true}},
    .inference = true,
    .halves = true,
    .diagonal = true,
    .trunk_passes = 4.5,
    .head_passes = 5.5,
    .create = create,
    .destroy = destroy,
    .bytes = bytes,
    .begin = begin,
    .sample_times = sample_times,
    .micro_batch = micro_batch};
