/* flow_psd.c - the objectives of the one-network and of the any-order flow map, progressive self-distillation: cross
 * entropy against a frozen teacher or the data where both times are equal, elsewhere against the map's own jumps over
 * the middle (docs/model.md sections 9.2 and 10.2).
 *
 * Passes of the trunk: all samples with gradient; without it the teacher at the diagonal samples, and both halves of
 * the jumps of the others, packed, at most half a micro-batch at once. V-wide products of a row: three of the gradient;
 * the teacher's logits, or the logits of both halves, of the first one twice (the state at the middle needs them over
 * all rows), and p E. Samples are in the order of the batch, except in the passes without gradient, where the diagonal
 * ones come first ("packed"). The head has the rows of the packed samples, without those of context tokens, which have
 * no loss ("packed rows"). SPDX-License-Identifier: Apache-2.0 */
#include "flow/flow_coefficients.h"
#include "flow/flow_objective_internal.h"
#include "flow/flow_time.h"

#include <stdlib.h>
#include <string.h>

/* Dropout of the passes without gradient; the one with gradient is 0. */
enum { PASS_FIRST = 1, PASS_SECOND = 2 };
enum { PARTS = 2, TIMES = 3 }; /* parts of the state at the middle; start, middle and end of a jump */
enum { ROW_IDS = 5 };          /* of a row from the host: from, from_pass, tokens, context in both orders */

typedef struct psd {
    flm_tensor time[TIMES];     /* f32 [max_batch], packed */
    flm_tensor context;         /* i32 [max_batch, L], packed; absent unless ops->context */
    flm_tensor from, from_pass; /* i32 [max_batch L]: the row of the batch, and of its pass, of each packed row */
    flm_tensor combine;         /* f32 [max_batch L, PARTS] of packed rows: 1 - k, k */
    flm_tensor lambda;          /* f32 [max_batch L] of packed rows */
    flm_tensor tokens;          /* i32 [max_batch L] of packed rows; without teacher */
    flm_tensor mean, state;     /* f32 [half, L, d] of packed rows: p_su E; the state, unless it has all rows */
    flm_tensor y_first,
        y_second;       /* act [max_batch, L, d] of packed rows: teacher's or p_su's, p_ut's last hidden states */
    flm_tensor y;       /* act [max_batch, L, d] of packed rows: dit's, and their gradients */
    flm_tensor E;       /* act [V, d] of the network of the targets */
    flm_tensor logits;  /* f32 [half chunk, V], padded rows */
    int64_t *order;     /* host [max_batch]: the sample in each packed place */
    int64_t *first_row; /* host [max_batch + 1]: the packed rows of a place begin here */
    int64_t diagonals;  /* of the micro-batch */
    float *host;        /* [max_batch (1 + TIMES + L (1 + PARTS))] */
    int32_t *ids;       /* [max_batch L ROW_IDS] */
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
    if (o->ops->context) own->context = flm_arena_2d(at, FLM_DTYPE_I32, B, L);
    own->from = flm_arena_1d(at, FLM_DTYPE_I32, B * L);
    own->from_pass = flm_arena_1d(at, FLM_DTYPE_I32, B * L);
    own->combine = flm_arena_2d(at, FLM_DTYPE_F32, B * L, PARTS);
    own->lambda = flm_arena_1d(at, FLM_DTYPE_F32, B * L);
    own->mean = flm_arena_3d(at, FLM_DTYPE_F32, inference->max_batch, L, d);
    if (o->ops->context) own->state = flm_arena_3d(at, FLM_DTYPE_F32, inference->max_batch, L, d);
    own->y_first = flm_arena_3d(at, dit->act, B, L, d);
    own->y_second = flm_arena_3d(at, dit->act, B, L, d);
    own->y = flm_arena_3d(at, dit->act, B, L, d);
    if (teacher_of(o) == NULL) own->tokens = flm_arena_1d(at, FLM_DTYPE_I32, B * L);
    if (dit->act != FLM_DTYPE_F32) own->E = flm_arena_2d(at, dit->act, V, d);
    own->logits = flm_arena_rows(at, FLM_DTYPE_F32, inference->chunk, V);
}

static flm_status create(flm_objective *o)
{
    flm_status rc = FLM_OK;
    const flm_dit *dit = o->parts.dit;
    const int64_t rows = dit->max_batch * dit->shape.L, values = dit->max_batch * (1 + TIMES) + rows * (1 + PARTS);
    psd *own = o->state = calloc(1, sizeof *own);
    if (own == NULL) FLM_FAIL(FLM_E_NOMEM, "no memory for the objective of a flow map");
    own->arena = flm_arena_begin(o->be);
    own->order = malloc((size_t)dit->max_batch * sizeof *own->order);
    own->first_row = malloc((size_t)(dit->max_batch + 1) * sizeof *own->first_row);
    own->host = malloc((size_t)values * sizeof *own->host);
    own->ids = malloc((size_t)(rows * ROW_IDS) * sizeof *own->ids);
    if (own->order == NULL || own->first_row == NULL || own->host == NULL || own->ids == NULL)
        FLM_FAIL(FLM_E_NOMEM, "no memory for %lld sequences", (long long)dit->max_batch);
    layout(own, o);
    FLM_TRY(flm_arena_commit(&own->arena, "objective of a flow map"));
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
    free(own->first_row);
    free(own->host);
    free(own->ids);
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

static bool is_context(const flm_micro_batch *batch, int64_t row) { return batch->context && batch->context[row] != 0; }

/* The packed rows: those of the packed samples whose tokens have a loss, as rows of the batch, of the pass without
 * gradient that has the sample, and their tokens. */
static void list_rows(const flm_objective *o, const flm_micro_batch *batch)
{
    psd *own = o->state;
    const int64_t L = o->parts.dit->shape.L, rows = batch->B * L, half = o->parts.inference->max_batch;
    int32_t *from = own->ids, *from_pass = from + rows, *token = from_pass + rows;
    int64_t at = 0;
    for (int64_t i = 0; i < batch->B; i++) {
        const int64_t place = i < own->diagonals ? i % half : (i - own->diagonals) % half;
        own->first_row[i] = at;
        for (int64_t l = 0; l < L; l++) {
            const int64_t row = own->order[i] * L + l;
            if (is_context(batch, row)) continue;
            from[at] = (int32_t)row;
            from_pass[at] = (int32_t)(place * L + l);
            token[at++] = batch->tokens[row];
        }
    }
    own->first_row[batch->B] = at;
}

/* Times of the samples and coefficients of their rows, in own->host; g of the states, in o->host. */
static void set_coefficients(const flm_objective *o, const flm_micro_batch *batch)
{
    psd *own = o->state;
    const int64_t B = batch->B, L = o->parts.dit->shape.L;
    float *end = own->host, *time = end + B, *combine = time + TIMES * B, *lambda = combine + PARTS * B * L;
    float *g = o->host + o->parts.dit->max_batch;
    for (int64_t i = 0; i < B; i++) {
        const int64_t b = own->order[i];
        const flm_psd_coeffs c = flm_psd_coeffs_make(o->parts.gamma, batch->t[b], batch->d[b]);
        const double times[TIMES] = {batch->t[b], c.u, c.end};
        for (int k = 0; k < TIMES; k++) time[k * B + i] = (float)times[k];
        end[b] = (float)c.end;
        if (!o->ops->context) g[b] = (float)c.gs;
        for (int64_t row = b * L; o->ops->context && row < (b + 1) * L; row++)
            g[row] = is_context(batch, row) ? 1 : (float)c.gs;
        for (int64_t row = own->first_row[i]; row < own->first_row[i + 1]; row++) {
            combine[PARTS * row] = (float)(1 - c.k);
            combine[PARTS * row + 1] = (float)c.k;
            lambda[row] = (float)c.lambda;
        }
    }
}

/* Which tokens are context, to dit and packed. */
static flm_status load_context(flm_objective *o, const flm_micro_batch *batch)
{
    flm_status rc = FLM_OK;
    psd *own = o->state;
    const int64_t B = batch->B, L = o->parts.dit->shape.L;
    int32_t *as_is = own->ids + 3 * B * L, *packed = as_is + B * L;
    memcpy(as_is, batch->context, (size_t)(B * L) * sizeof *as_is);
    for (int64_t i = 0; i < B; i++)
        memcpy(packed + i * L, batch->context + own->order[i] * L, (size_t)L * sizeof *packed);
    FLM_TRY(flm_stage_to_device(&o->stage, o->parts.dit->context.data, as_is, (size_t)(B * L) * sizeof *as_is));
    FLM_TRY(flm_stage_to_device(&o->stage, own->context.data, packed, (size_t)(B * L) * sizeof *packed));
done:
    return rc;
}

/* Everything that depends on times and kinds of tokens alone, to the device. */
static flm_status load(flm_objective *o, const flm_micro_batch *batch)
{
    flm_status rc = FLM_OK;
    psd *own = o->state;
    const int64_t B = batch->B, L = o->parts.dit->shape.L;
    const float *end = own->host, *time = end + B, *combine = time + TIMES * B, *lambda = combine + PARTS * B * L;
    const int32_t *from = own->ids, *from_pass = from + B * L, *token = from_pass + B * L;
    make_order(own, batch);
    list_rows(o, batch);
    set_coefficients(o, batch);
    const size_t rows = (size_t)own->first_row[B];
    FLM_TRY(flm_stage_to_device(&o->stage, o->parts.dit->t_end.data, end, (size_t)B * sizeof *end));
    for (int k = 0; k < TIMES; k++)
        FLM_TRY(flm_stage_to_device(&o->stage, own->time[k].data, time + k * B, (size_t)B * sizeof *time));
    FLM_TRY(flm_stage_to_device(&o->stage, own->combine.data, combine, rows * PARTS * sizeof *combine));
    FLM_TRY(flm_stage_to_device(&o->stage, own->lambda.data, lambda, rows * sizeof *lambda));
    FLM_TRY(flm_stage_to_device(&o->stage, own->from.data, from, rows * sizeof *from));
    FLM_TRY(flm_stage_to_device(&o->stage, own->from_pass.data, from_pass, rows * sizeof *from_pass));
    if (own->tokens.data != NULL)
        FLM_TRY(flm_stage_to_device(&o->stage, own->tokens.data, token, rows * sizeof *token));
    if (o->ops->context) FLM_TRY(load_context(o, batch));
    FLM_TRY(flm_objective_load(o, batch, o->host + o->parts.dit->max_batch));
done:
    return rc;
}

/* Sequences of `from` in packed places [first, first + count) to the first places of `to`. */
static flm_status reorder(flm_objective *o, const flm_tensor *to, const flm_tensor *from, int64_t first, int64_t count)
{
    flm_status rc = FLM_OK;
    const psd *own = o->state;
    for (int64_t i = 0; i < count; i++) {
        const flm_tensor a = flm_tensor_slice(to, i, 1), c = flm_tensor_slice(from, own->order[first + i], 1);
        FLM_TRY(o->be->memory->copy(o->be, a.data, c.data, flm_tensor_bytes(&a)));
    }
done:
    return rc;
}

/* The rows of t [max_batch, L, d] as [n, d] from `first` on. */
static flm_tensor rows_of(const flm_tensor *t, int64_t first, int64_t n)
{
    const flm_tensor flat = flm_tensor_flat(t);
    return flm_tensor_slice(&flat, first, n);
}

/* A pass without gradient of `n` sequences from packed place `at` on, and its last hidden states, of packed rows. */
static flm_status pass(flm_objective *o, const flm_weights *weights, int64_t at, int64_t n, const flm_tensor *t,
                       const flm_tensor *t_end, const flm_dit_dropout *dropout, const flm_tensor *y)
{
    flm_status rc = FLM_OK;
    const psd *own = o->state;
    flm_dit *inference = o->parts.inference;
    const int64_t first = own->first_row[at], rows = own->first_row[at + n] - first;
    if (o->ops->context) {
        const flm_tensor context = flm_tensor_slice(&own->context, at, n);
        FLM_TRY(o->be->memory->copy(o->be, inference->context.data, context.data, flm_tensor_bytes(&context)));
    }
    FLM_TRY(flm_objective_pass(o, weights, n, &inference->input, t, t_end, dropout));
    const flm_tensor all = rows_of(&inference->y, 0, n * o->parts.dit->shape.L), packed = rows_of(y, first, rows);
    const flm_tensor from = flm_tensor_slice(&own->from_pass, first, rows);
    FLM_TRY(flm_op_gather_rows(o->be, &packed, &all, &from));
done:
    return rc;
}

/* The teacher at the diagonal samples, in y_first. */
static flm_status teacher_pass(flm_objective *o, int64_t B)
{
    flm_status rc = FLM_OK;
    psd *own = o->state;
    flm_dit *inference = o->parts.inference;
    const bool two_times = teacher_of(o)->shape.network != FLM_NETWORK_ONE_TIME;
    FLM_TRY(flm_objective_state(o, 0, &o->noise, &teacher_of(o)->w.E, B));
    for (int64_t at = 0; at < own->diagonals; at += inference->max_batch) {
        const int64_t left = own->diagonals - at, n = left < inference->max_batch ? left : inference->max_batch;
        const flm_tensor s = flm_tensor_slice(&own->time[0], at, n), end = two_times ? s : flm_tensor_none();
        FLM_TRY(reorder(o, &inference->input, &o->noise, at, n));
        FLM_TRY(pass(o, teacher_of(o), at, n, &s, &end, NULL, &own->y_first));
    }
done:
    return rc;
}

/* inference->input = x' of `n` sequences from packed place `at` on, from their states there and y_first. Context tokens
 * keep theirs. */
static flm_status middle_state(flm_objective *o, int64_t at, int64_t n)
{
    flm_status rc = FLM_OK;
    psd *own = o->state;
    flm_dit *inference = o->parts.inference;
    const int64_t first = own->first_row[at], rows = own->first_row[at + n] - first;
    const flm_tensor all = rows_of(&inference->input, 0, n * o->parts.dit->shape.L);
    const flm_tensor c = flm_tensor_slice(&own->combine, first, rows);
    const flm_tensor from = flm_tensor_slice(&own->from_pass, first, rows);
    const flm_tensor state = o->ops->context ? rows_of(&own->state, 0, rows) : all;
    const flm_tensor parts[PARTS] = {state, rows_of(&own->mean, 0, rows)};
    if (o->ops->context) FLM_TRY(flm_op_gather_rows(o->be, &state, &all, &from));
    FLM_TRY(flm_op_sample_combine(o->be, &state, &c, parts, PARTS));
    if (o->ops->context) FLM_TRY(flm_op_scatter_rows(o->be, &all, &state, &from));
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
    const int64_t rows = own->first_row[at + n] - own->first_row[at];
    const flm_tensor y = rows_of(&own->y_first, own->first_row[at], rows);
    FLM_TRY(reorder(o, &inference->input, x, at, n));
    FLM_TRY(pass(o, target, at, n, &time[0], &time[1], dropout != NULL ? &first : NULL, &own->y_first));
    if (o->ops->context) FLM_TRY(o->be->memory->copy(o->be, inference->y.data, y.data, flm_tensor_bytes(&y)));
    FLM_TRY(flm_dit_head_mean_rows(inference, target, rows, 1, &own->E, &own->mean));
    FLM_TRY(reorder(o, &inference->input, x, at, n)); /* the pass has overwritten it */
    FLM_TRY(middle_state(o, at, n));
    FLM_TRY(pass(o, target, at, n, &time[1], &time[2], dropout != NULL ? &second : NULL, &own->y_second));
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

/* Cross entropy of packed rows from `first` on, and its gradient. The target is the mixture of a jump's two softmaxes,
 * the teacher's softmax, or without one the token. */
static flm_status head_rows(flm_objective *o, const flm_weights *weights, const flm_micro_batch *batch, int64_t first,
                            int64_t rows, bool jump)
{
    flm_status rc = FLM_OK;
    psd *own = o->state;
    flm_dit *dit = o->parts.dit;
    const flm_weights *target = jump ? target_of(o, weights) : teacher_of(o);
    const float scale = (float)batch->scale, cap = (float)weights->shape.logit_cap;
    const flm_tensor logits = flm_tensor_slice(&dit->logits, 0, rows), loss = flm_tensor_slice(&o->loss, first, rows);
    const flm_tensor grad = batch->backward ? flm_tensor_slice(&dit->probs, 0, rows) : flm_tensor_none();
    FLM_TRY(flm_dit_head_logits(dit, weights, first, rows));
    if (target == NULL) {
        const flm_tensor tokens = flm_tensor_slice(&own->tokens, first, rows);
        FLM_TRY(flm_op_softmax_xent(o->be, &loss, &grad, &logits, &tokens, scale, cap));
    } else {
        const flm_tensor p = flm_tensor_slice(&o->parts.inference->logits, 0, rows);
        const flm_tensor q = jump ? flm_tensor_slice(&own->logits, 0, rows) : flm_tensor_none();
        const flm_tensor lambda = jump ? flm_tensor_slice(&own->lambda, first, rows) : flm_tensor_none();
        FLM_TRY(flm_objective_logits(o, target, &own->y_first, first, &p, true));
        if (jump) FLM_TRY(flm_objective_logits(o, target, &own->y_second, first, &q, true));
        FLM_TRY(flm_op_mixture_xent(o->be, &(flm_mixture_xent){.loss = &loss,
                                                               .grad = &grad,
                                                               .logits = &logits,
                                                               .first = &p,
                                                               .second = &q,
                                                               .weight = &lambda,
                                                               .scale = scale,
                                                               .logit_cap = cap}));
    }
    if (batch->backward) FLM_TRY(flm_dit_head_backward(dit, weights, &grad, first));
done:
    return rc;
}

/* Loss and gradient of the head, a chunk of packed rows at a time, those of the diagonal samples first. */
static flm_status run_head(flm_objective *o, const flm_weights *weights, const flm_micro_batch *batch)
{
    flm_status rc = FLM_OK;
    psd *own = o->state;
    flm_dit *dit = o->parts.dit;
    const int64_t middle = own->first_row[own->diagonals], total = own->first_row[batch->B];
    const int64_t half = o->parts.inference->chunk;
    const bool data = teacher_of(o) == NULL;
    for (int64_t first = 0, rows; first < total; first += rows) {
        const int64_t end = first < middle ? middle : total, max = data && first < middle ? dit->chunk : half;
        rows = end - first < max ? end - first : max;
        FLM_TRY(head_rows(o, weights, batch, first, rows, first >= middle));
    }
    FLM_TRY(flm_objective_add_loss(o, total));
    if (middle > 0) {
        const flm_tensor diagonal = flm_tensor_slice(&o->total, FLM_TOTAL_DIAGONAL, 1),
                         part = flm_tensor_slice(&o->loss, 0, middle);
        FLM_TRY(flm_op_sum(o->be, &diagonal, &part));
    }
    o->diagonal_rows += middle;
done:
    return rc;
}

/* dit->y, or back its gradient, in the order of packed rows. */
static flm_status pack_hidden(flm_objective *o, int64_t B)
{
    flm_status rc = FLM_OK;
    psd *own = o->state;
    flm_dit *dit = o->parts.dit;
    const int64_t rows = own->first_row[B];
    const flm_tensor all = rows_of(&dit->y, 0, B * dit->shape.L), packed = rows_of(&own->y, 0, rows);
    const flm_tensor from = flm_tensor_slice(&own->from, 0, rows);
    FLM_TRY(flm_op_gather_rows(o->be, &packed, &all, &from));
    FLM_TRY(o->be->memory->copy(o->be, dit->y.data, own->y.data, flm_tensor_bytes(&packed)));
done:
    return rc;
}

static flm_status unpack_gradient(flm_objective *o, int64_t B)
{
    flm_status rc = FLM_OK;
    psd *own = o->state;
    flm_dit *dit = o->parts.dit;
    const int64_t rows = own->first_row[B];
    const flm_tensor all = rows_of(&dit->grad_y, 0, B * dit->shape.L), packed = rows_of(&own->y, 0, rows);
    const flm_tensor from = flm_tensor_slice(&own->from, 0, rows);
    FLM_TRY(o->be->memory->copy(o->be, own->y.data, dit->grad_y.data, flm_tensor_bytes(&packed)));
    if (rows < all.dim[0]) FLM_TRY(o->be->memory->zero(o->be, all.data, flm_tensor_bytes(&all)));
    FLM_TRY(flm_op_scatter_rows(o->be, &all, &packed, &from));
done:
    return rc;
}

static flm_status micro_batch(flm_objective *o, const flm_weights *weights, const flm_micro_batch *batch)
{
    flm_status rc = FLM_OK;
    flm_dit *dit = o->parts.dit;
    const int64_t B = batch->B;
    FLM_TRY(load(o, batch));
    FLM_TRY(flm_objective_state(o, o->parts.basis->networks - 1, &dit->input, &weights->w.E, B));
    if (teacher_of(o) != NULL) FLM_TRY(teacher_pass(o, B));
    FLM_TRY(target_passes(o, weights, batch));
    FLM_TRY(flm_dit_forward(dit, weights, B, batch->dropout));
    FLM_TRY(pack_hidden(o, B));
    FLM_TRY(run_head(o, weights, batch));
    if (batch->backward) {
        FLM_TRY(unpack_gradient(o, B));
        FLM_TRY(flm_dit_backward(dit, weights, batch->dropout, batch->hook));
        FLM_TRY(flm_objective_embedding(o, weights, batch));
    }
done:
    return rc;
}

/* What both objectives have. */
#define PSD(of_teacher, own_kind, with_context, head)                                                      \
    {                                                                                                      \
        .networks = {[FLM_ROLE_TEACHER] = {.kind = &flm_kinds[FLM_KIND_##of_teacher], .optional = true},   \
                     [FLM_ROLE_AVERAGE] = {.kind = &flm_kinds[FLM_KIND_##own_kind], .optional = true}},    \
        .inference = true, .halves = true, .context = with_context, .diagonal = true, .trunk_passes = 4.5, \
        .head_passes = head, .create = create, .destroy = destroy, .bytes = bytes, .begin = begin,         \
        .sample_times = sample_times, .micro_batch = micro_batch                                           \
    }

const flm_objective_ops flm_objective_psd = PSD(FLM, FMLM, false, 5.5);
/* Half of the tokens are active, on average. */
const flm_objective_ops flm_objective_any_order = PSD(FMLM_ANY_ORDER, FMLM_ANY_ORDER, true, 2.75);
