/* flow_sampler.c - steps of the samplers in embedded form. SPDX-License-Identifier: Apache-2.0 */
#include "flow/flow_sampler.h"

#include <stdlib.h>

/* added to the denominator of every step but a stage-one map's: model.md section 8 */
static const double euler_epsilon = 1e-5;

enum { TEACHER = 0, MAP = 1 };

static int networks(const flm_sampler *s) { return s->teacher != NULL ? 2 : 1; }

/* The weights of network j, and its embedding. */
static const flm_weights *weights_of(const flm_sampler *s, int j)
{
    return s->teacher != NULL && j == TEACHER ? s->teacher : s->weights;
}

static void take(flm_sampler *s)
{
    flm_arena *at = &s->arena;
    const flm_model_shape *shape = &s->dit->shape;
    const flm_dtype act = s->dit->act;
    const int64_t B = s->dit->max_batch, L = shape->L, d = shape->d;
    for (int i = 0; i < s->basis->blocks; i++) s->xi[i] = flm_arena_3d(at, FLM_DTYPE_F32, B, L, s->basis->width);
    s->tokens = flm_arena_2d(at, FLM_DTYPE_I32, B, L);
    for (int j = 0; j < networks(s); j++) {
        s->z[j] = flm_arena_3d(at, FLM_DTYPE_F32, B, L, d);
        s->mean[j] = flm_arena_3d(at, FLM_DTYPE_F32, B, L, d);
        s->E[j] = act == FLM_DTYPE_F32 ? weights_of(s, j)->w.E : flm_arena_2d(at, act, shape->V, d);
    }
    if (s->teacher == NULL) return;
    for (int j = 0; j < 2; j++) {
        s->map[j] = flm_arena_2d(at, act, d, d);
        s->offset[j] = flm_arena_2d(at, FLM_DTYPE_F32, 1, d);
    }
    s->product = flm_arena_3d(at, FLM_DTYPE_F32, B, L, d);
    s->y_teacher = flm_arena_3d(at, act, B, L, d);
    s->residual = flm_arena_rows(at, FLM_DTYPE_F32, s->dit->chunk, shape->V);
}

static flm_status check_networks(const flm_sampler *s)
{
    flm_status rc = FLM_OK;
    const bool residual = s->weights->shape.network == FLM_NETWORK_RESIDUAL;
    if (residual != (s->teacher != NULL))
        FLM_FAIL(FLM_E_ARG,
                 residual ? "a stage-one map needs its teacher" : "a network with a soft max has no teacher");
    if (s->teacher != NULL && s->teacher->shape.network != FLM_NETWORK_ONE_TIME)
        FLM_FAIL(FLM_E_ARG, "the teacher must be an FLM");
    if (s->basis->networks != networks(s))
        FLM_FAIL(FLM_E_ARG, "a noise basis of %d embeddings for %d networks", s->basis->networks, networks(s));
done:
    return rc;
}

flm_status flm_sampler_create(flm_dit *dit, const flm_weights *weights, const flm_weights *teacher,
                              flm_noise_basis *basis, const flm_gamma *gamma, flm_sampler **out)
{
    flm_status rc = FLM_OK;
    flm_sampler *s = calloc(1, sizeof *s);
    if (s == NULL) FLM_FAIL(FLM_E_NOMEM, "no memory for the sampler");
    *s = (flm_sampler){
        .be = dit->be, .dit = dit, .weights = weights, .teacher = teacher, .basis = basis, .gamma = gamma};
    FLM_TRY(check_networks(s));
    void *host = NULL;
    FLM_TRY(s->be->memory->host_alloc(s->be, 2 * (size_t)dit->max_batch * sizeof *s->host, &host));
    s->host = host;
    s->arena = flm_arena_begin(dit->be);
    take(s);
    FLM_TRY(flm_arena_commit(&s->arena, "sampler"));
    take(s);
    for (int j = 0; j < networks(s); j++) {
        const flm_tensor *E = &weights_of(s, j)->w.E;
        if (dit->act != FLM_DTYPE_F32) FLM_TRY(flm_op_cast(dit->be, &s->E[j], E));
        if (teacher != NULL) FLM_TRY(flm_residual_maps(dit->be, weights, E, &s->E[j], &s->map[j], &s->offset[j]));
    }
    *out = s;
    s = NULL;
done:
    flm_sampler_destroy(&s);
    return rc;
}

void flm_sampler_destroy(flm_sampler **sampler)
{
    if (*sampler == NULL) return;
    flm_arena_release(&(*sampler)->arena);
    (*sampler)->be->memory->host_release((*sampler)->be, (*sampler)->host);
    free(*sampler);
    *sampler = NULL;
}

/* Network j at its state and times, hidden state left in dit->y (z is copied: the forward pass works in place). */
static flm_status evaluate(flm_sampler *s, int j, int64_t B, double t, double until)
{
    flm_status rc = FLM_OK;
    flm_backend *be = s->be;
    const flm_tensor z = flm_tensor_slice(&s->z[j], 0, B);
    const size_t bytes = (size_t)B * sizeof *s->host;
    for (int64_t i = 0; i < B; i++) {
        s->host[i] = (float)t;
        s->host[B + i] = (float)until;
    }
    FLM_TRY(be->memory->to_device(be, s->dit->t.data, s->host, bytes));
    FLM_TRY(be->memory->to_device(be, s->dit->until.data, s->host + B, bytes));
    FLM_TRY(be->memory->copy(be, s->dit->input.data, z.data, flm_tensor_bytes(&z)));
    FLM_TRY(flm_dit_forward(s->dit, weights_of(s, j), B, NULL));
    FLM_TRY(be->stream->sync(be));
done:
    return rc;
}

/* The networks at t; z moved on unless it is the last step, whose hidden states are kept. */
static flm_status step(flm_sampler *s, int64_t B, double t, double until, bool last)
{
    flm_status rc = FLM_OK;
    flm_backend *be = s->be;
    const double k = s->k;
    FLM_TRY(evaluate(s, 0, B, t, until));
    if (!last) FLM_TRY(flm_dit_head_mean_embedding(s->dit, weights_of(s, 0), networks(s), s->E, s->mean));
    if (s->teacher != NULL) {
        const flm_tensor y = flm_tensor_slice(&s->dit->y, 0, B);
        if (last) FLM_TRY(be->memory->copy(be, s->y_teacher.data, y.data, flm_tensor_bytes(&y)));
        FLM_TRY(evaluate(s, MAP, B, t, until));
    }
    for (int j = 0; j < networks(s) && !last; j++) {
        const flm_tensor z = flm_tensor_slice(&s->z[j], 0, B), mean = flm_tensor_slice(&s->mean[j], 0, B);
        FLM_TRY(flm_op_axpby(be, &z, (float)k, &mean, (float)(1 - k)));
        if (s->teacher == NULL) continue;
        const flm_tensor y = flm_tensor_slice(&s->dit->y, 0, B), product = flm_tensor_slice(&s->product, 0, B);
        const flm_tensor offset = flm_tensor_1d(s->offset[j].data, FLM_DTYPE_F32, s->dit->shape.d);
        FLM_TRY(flm_dit_matmul(be, &y, false, &s->map[j], false, &product, false, &offset, NULL));
        FLM_TRY(flm_op_axpby(be, &z, (float)s->jump, &product, 1.0f));
    }
done:
    return rc;
}

/* The last step's scores of some rows of dit->B sequences, in dit->logits. */
static flm_status make_scores(flm_sampler *s, int64_t first, int64_t rows)
{
    flm_status rc = FLM_OK;
    flm_backend *be = s->be;
    const flm_tensor logits = flm_tensor_slice(&s->dit->logits, 0, rows);
    if (s->teacher == NULL) {
        FLM_TRY(flm_dit_head_logits(s->dit, s->weights, first, rows));
        FLM_TRY(flm_op_softmax(be, &logits, &logits));
        goto done;
    }
    const flm_tensor residual = flm_tensor_slice(&s->residual, 0, rows), all = flm_tensor_flat(&s->y_teacher);
    const flm_tensor y = flm_tensor_slice(&all, first, rows);
    const flm_dit_weights *teacher = &s->teacher->w;
    FLM_TRY(flm_dit_head_logits(s->dit, s->weights, first, rows));
    FLM_TRY(be->memory->copy(be, residual.data, logits.data, flm_tensor_bytes(&logits)));
    FLM_TRY(flm_dit_matmul(be, &y, false, &teacher->Wout, true, &logits, false, &teacher->bout, NULL));
    FLM_TRY(flm_op_softmax(be, &logits, &logits));
    FLM_TRY(flm_op_axpby(be, &logits, (float)s->jump, &residual, (float)s->k));
done:
    return rc;
}

/* Arg max of the scores; p has the arg max of its logits. */
static flm_status choose(flm_sampler *s, const flm_tensor *tokens)
{
    flm_status rc = FLM_OK;
    const int64_t total = flm_tensor_elements(tokens);
    const flm_tensor flat = flm_tensor_1d(tokens->data, FLM_DTYPE_I32, total);
    if (s->teacher == NULL) {
        FLM_TRY(flm_dit_head_argmax(s->dit, s->weights, tokens));
        goto done;
    }
    for (int64_t first = 0; first < total; first += s->dit->chunk) {
        const int64_t rows = total - first < s->dit->chunk ? total - first : s->dit->chunk;
        const flm_tensor scores = flm_tensor_slice(&s->dit->logits, 0, rows), to = flm_tensor_slice(&flat, first, rows);
        FLM_TRY(make_scores(s, first, rows));
        FLM_TRY(flm_op_argmax(s->be, &to, &scores));
    }
done:
    return rc;
}

static flm_status begin(flm_sampler *s, int64_t B, const flm_noise_source *noise)
{
    flm_status rc = FLM_OK;
    flm_tensor xi[FLM_NOISE_NETWORKS];
    for (int i = 0; i < s->basis->blocks; i++) {
        xi[i] = flm_tensor_slice(&s->xi[i], 0, B);
        if (noise->given != NULL)
            FLM_TRY(s->be->memory->copy(s->be, xi[i].data, noise->given[i].data, flm_tensor_bytes(&xi[i])));
    }
    if (noise->given == NULL) FLM_TRY(flm_noise_draw(s->basis, xi, noise->stream, noise->first_sample));
    for (int j = 0; j < networks(s); j++) {
        const flm_tensor z = flm_tensor_slice(&s->z[j], 0, B);
        FLM_TRY(flm_noise_embed(s->basis, j, &z, xi));
    }
done:
    return rc;
}

flm_status flm_sampler_run(flm_sampler *s, int64_t B, int64_t steps, const flm_noise_source *noise, int32_t *tokens)
{
    flm_status rc = FLM_OK;
    flm_backend *be = s->be;
    if (B < 1 || B > s->dit->max_batch)
        FLM_FAIL(FLM_E_ARG, "%lld samples at once, room for %lld", (long long)B, (long long)s->dit->max_batch);
    if (steps < 1) FLM_FAIL(FLM_E_ARG, "%lld steps, must be at least 1", (long long)steps);
    const flm_tensor to = flm_tensor_slice(&s->tokens, 0, B);
    FLM_TRY(begin(s, B, noise));
    for (int64_t i = 0; i < steps; i++) {
        const double t = (double)i / (double)steps, until = (double)(i + 1) / (double)steps;
        const double g = flm_gamma_at(s->gamma, t), dg = flm_gamma_at(s->gamma, until) - g;
        s->k = dg / (1 - g + (s->teacher == NULL ? euler_epsilon : 0));
        s->jump = dg * dg / 2;
        FLM_TRY(step(s, B, t, until, i + 1 == steps));
    }
    FLM_TRY(choose(s, &to));
    FLM_TRY(be->memory->to_host(be, tokens, to.data, flm_tensor_bytes(&to)));
    FLM_TRY(be->stream->sync(be));
    for (int64_t i = 0; i < flm_tensor_elements(&to); i++) /* how a device says so: backend_ops.h, argmax */
        if (tokens[i] < 0)
            FLM_FAIL(FLM_E_NUMERIC, "sample %lld of the batch has scores that are not a number",
                     (long long)(i / to.dim[1]));
done:
    return rc;
}

flm_status flm_sampler_scores(flm_sampler *s, int64_t first, int64_t rows, float *scores)
{
    flm_status rc = FLM_OK;
    const flm_tensor logits = flm_tensor_slice(&s->dit->logits, 0, rows);
    FLM_TRY(make_scores(s, first, rows));
    FLM_TRY(flm_backend_to_host(s->be, scores, &logits));
    FLM_TRY(s->be->stream->sync(s->be));
done:
    return rc;
}
