/* flow_sampler.c - what the samplers share; it calls them only through their tables. SPDX-License-Identifier:
 * Apache-2.0 */
#include "flow/flow_sampler_internal.h"

#include <stdlib.h>

enum { CHOICE_SITE = 1 }; /* of the numbers that tokens are drawn by, in streams of samples; 0: noise */

static bool keeps_noise(const flm_sampler *s) { return s->parts.known || s->ops->run != NULL; }

static void layout(flm_sampler *s)
{
    flm_arena *at = &s->arena;
    const flm_dit *dit = s->parts.dit;
    const flm_noise_basis *basis = s->parts.basis;
    const int64_t B = dit->max_batch, L = dit->shape.L, d = dit->shape.d;
    for (int i = 0; i < basis->blocks; i++) s->xi[i] = flm_arena_3d(at, FLM_DTYPE_F32, B, L, basis->width);
    s->tokens = flm_arena_2d(at, FLM_DTYPE_I32, B, L);
    if (s->ops->run != NULL) s->confidence = flm_arena_2d(at, FLM_DTYPE_F32, B, L);
    if (keeps_noise(s)) s->known = flm_arena_2d(at, FLM_DTYPE_I32, B, L);
    for (int j = 0; j < s->networks; j++) {
        s->z[j] = flm_arena_3d(at, FLM_DTYPE_F32, B, L, d);
        s->mean[j] = flm_arena_3d(at, FLM_DTYPE_F32, B, L, d);
        if (keeps_noise(s)) s->initial[j] = flm_arena_3d(at, FLM_DTYPE_F32, B, L, d);
        s->E[j] = dit->act == FLM_DTYPE_F32 ? s->network[j]->w.E : flm_arena_2d(at, dit->act, dit->shape.V, d);
    }
}

/* The matrices of the heads do not change while the sampler lives, and each is multiplied once for each chunk. */
static void hold_heads(const flm_sampler *s, void (*hold)(flm_backend *, const flm_tensor *))
{
    for (int j = 0; j < s->networks; j++) {
        hold(s->be, &s->network[j]->w.Wout);
        hold(s->be, &s->E[j]);
    }
}

static flm_status check_parts(const flm_sampler_parts *p)
{
    flm_status rc = FLM_OK;
    flm_tensor E[FLM_ROLES];
    const int networks = 1 + flm_kind_embeddings(p->frozen, E);
    FLM_TRY(flm_kind_check_parts(p->kind, p->kind->sampler->networks, p->frozen, &p->weights->shape));
    if (p->weights->shape.network != p->kind->network)
        FLM_FAIL(FLM_E_ARG, "the weights do not fit the network of kind %s", p->kind->name);
    if (p->basis->networks != networks)
        FLM_FAIL(FLM_E_ARG, "kind %s has %d networks, but a noise basis of %d", p->kind->name, networks,
                 p->basis->networks);
done:
    return rc;
}

flm_status flm_sampler_create(const flm_sampler_parts *parts, flm_sampler **out)
{
    flm_status rc = FLM_OK;
    flm_sampler *s = NULL;
    flm_dit *dit = parts->dit;
    void *host = NULL;
    FLM_TRY(check_parts(parts));
    s = calloc(1, sizeof *s);
    if (s == NULL) FLM_FAIL(FLM_E_NOMEM, "no memory for the sampler");
    *s = (flm_sampler){.parts = *parts, .ops = parts->kind->sampler, .be = dit->be};
    for (int r = 0; r < FLM_ROLES; r++)
        if (parts->frozen[r] != NULL) s->network[s->networks++] = parts->frozen[r];
    s->network[s->networks++] = parts->weights;
    FLM_TRY(s->be->memory->host_alloc(s->be, 2 * (size_t)dit->max_batch * sizeof *s->host, &host));
    s->host = host;
    s->arena = flm_arena_begin(dit->be);
    layout(s);
    FLM_TRY(flm_arena_commit(&s->arena, "sampler"));
    layout(s);
    for (int j = 0; j < s->networks && dit->act != FLM_DTYPE_F32; j++)
        FLM_TRY(flm_op_cast(dit->be, &s->E[j], &s->network[j]->w.E));
    hold_heads(s, flm_backend_hold);
    s->holds = true;
    if (s->ops->create != NULL) FLM_TRY(s->ops->create(s));
    *out = s;
    s = NULL;
done:
    flm_sampler_destroy(&s);
    return rc;
}

void flm_sampler_destroy(flm_sampler **sampler)
{
    flm_sampler *s = *sampler;
    if (s == NULL) return;
    if (s->ops->destroy != NULL) s->ops->destroy(s);
    if (s->holds) hold_heads(s, flm_backend_let_go);
    flm_arena_release(&s->arena);
    s->be->memory->host_release(s->be, s->host);
    free(s);
    *sampler = NULL;
}

size_t flm_sampler_bytes(const flm_sampler *s)
{
    return s->arena.bytes + (s->ops->bytes != NULL ? s->ops->bytes(s) : 0);
}

flm_status flm_sampler_evaluate(flm_sampler *s, int j, int64_t B, const flm_sampler_step *at)
{
    flm_status rc = FLM_OK;
    flm_backend *be = s->be;
    flm_dit *dit = s->parts.dit;
    const flm_tensor z = flm_tensor_slice(&s->z[j], 0, B);
    const size_t bytes = (size_t)B * sizeof *s->host;
    for (int64_t i = 0; i < B; i++) {
        s->host[i] = (float)at->t;
        s->host[B + i] = (float)at->t_end;
    }
    FLM_TRY(be->memory->to_device(be, dit->t.data, s->host, bytes));
    FLM_TRY(be->memory->to_device(be, dit->t_end.data, s->host + B, bytes));
    FLM_TRY(be->memory->copy(be, dit->input.data, z.data,
                             flm_tensor_bytes(&z))); /* the forward pass overwrites its input */
    FLM_TRY(flm_dit_forward(dit, s->network[j], B, NULL));
    FLM_TRY(be->stream->sync(be));
done:
    return rc;
}

/* A chunk of rows at a time. */
flm_status flm_sampler_choose(flm_sampler *s, const flm_sampling *how, int64_t round, const flm_tensor *tokens,
                              const flm_tensor *confidence, const flm_tensor *place)
{
    flm_status rc = FLM_OK;
    const flm_dit *dit = s->parts.dit;
    const int64_t total = flm_tensor_elements(tokens);
    const bool confident = confidence->data != NULL, placed = place->data != NULL;
    flm_choose op = {.logit_cap = s->ops->linear ? 0 : (float)s->parts.weights->shape.logit_cap,
                     .linear = s->ops->linear,
                     .temperature = how->choice.temperature,
                     .top_p = how->choice.top_p,
                     .top_k = how->choice.top_k,
                     .first_sample = how->noise.first_sample,
                     .L = dit->shape.L,
                     .stream = flm_philox_stream(how->noise.stream, FLM_RANDOM_SAMPLE, (uint64_t)round, CHOICE_SITE)};
    for (int64_t first = 0; first < total; first += dit->chunk) {
        const int64_t rows = total - first < dit->chunk ? total - first : dit->chunk;
        const flm_tensor scores = flm_tensor_slice(&dit->logits, 0, rows), to = flm_tensor_slice(tokens, first, rows);
        op.x = &scores;
        const flm_tensor part = confident ? flm_tensor_slice(confidence, first, rows) : *confidence;
        const flm_tensor at = placed ? flm_tensor_slice(place, first, rows) : *place;
        op.index = &to;
        op.confidence = &part;
        op.place = &at;
        op.first_row = first;
        FLM_TRY(s->ops->scores(s, first, rows));
        if (op.temperature == 0 && !confident)
            FLM_TRY(flm_op_argmax(s->be, &to, &scores));
        else
            FLM_TRY(flm_op_choose(s->be, &op));
    }
done:
    return rc;
}

/* to = x0 E_j of every network, x0 drawn or given. */
static flm_status embed_noise(flm_sampler *s, int64_t B, const flm_noise_source *noise, const flm_tensor *to)
{
    flm_status rc = FLM_OK;
    const flm_noise_basis *basis = s->parts.basis;
    flm_tensor xi[FLM_NOISE_NETWORKS];
    for (int i = 0; i < basis->blocks; i++) {
        xi[i] = flm_tensor_slice(&s->xi[i], 0, B);
        if (noise->given != NULL)
            FLM_TRY(s->be->memory->copy(s->be, xi[i].data, noise->given[i].data, flm_tensor_bytes(&xi[i])));
    }
    if (noise->given == NULL) FLM_TRY(flm_noise_draw(basis, xi, noise->stream, noise->first_sample));
    for (int j = 0; j < s->networks; j++) {
        const flm_tensor own = flm_tensor_slice(&to[j], 0, B);
        FLM_TRY(flm_noise_embed(basis, j, &own, xi));
    }
done:
    return rc;
}

flm_status flm_sampler_fresh_noise(flm_sampler *s, int64_t B, const flm_sampler_step *at, const flm_tensor *noise)
{
    const flm_sampling *how = at->sampling;
    flm_noise_source fresh = how->noise;
    fresh.given = how->fresh != NULL ? how->fresh + at->index * s->parts.basis->blocks : NULL;
    fresh.stream = flm_philox_stream(how->noise.stream, FLM_RANDOM_SAMPLE, (uint64_t)at->index + 1, 0);
    return embed_noise(s, B, &fresh, noise);
}

/* Keeps the initial noise. */
static flm_status keep_noise(flm_sampler *s, int64_t B)
{
    flm_status rc = FLM_OK;
    for (int j = 0; j < s->networks; j++) {
        const flm_tensor noise = flm_tensor_slice(&s->z[j], 0, B);
        FLM_TRY(s->be->memory->copy(s->be, s->initial[j].data, noise.data, flm_tensor_bytes(&noise)));
    }
done:
    return rc;
}

flm_status flm_sampler_put_known(flm_sampler *s, int64_t B, double g)
{
    flm_status rc = FLM_OK;
    const flm_tensor known = flm_tensor_slice(&s->known, 0, B);
    for (int j = 0; j < s->networks; j++) {
        const flm_tensor z = flm_tensor_slice(&s->z[j], 0, B), noise = flm_tensor_slice(&s->initial[j], 0, B);
        FLM_TRY(flm_op_embed_known(s->be, &z, &noise, &s->network[j]->w.E, &known, (float)g));
    }
done:
    return rc;
}

static flm_status check_known(const flm_sampler *s, int64_t B, const flm_sampling *how)
{
    flm_status rc = FLM_OK;
    const flm_model_shape *shape = &s->parts.dit->shape;
    if (!keeps_noise(s)) FLM_FAIL(FLM_E_ARG, "the sampler was made without memory for known tokens");
    if (how->steps < 2 && !s->ops->token_times)
        FLM_FAIL(FLM_E_ARG, "known tokens need at least 2 steps with kind %s, whose tokens have no times of their own",
                 s->parts.kind->name);
    for (int64_t i = 0; i < B * shape->L; i++)
        if (how->known[i] >= shape->V)
            FLM_FAIL(FLM_E_ARG, "known token %ld of sample %lld is outside the vocabulary of %lld", (long)how->known[i],
                     (long long)(i / shape->L), (long long)shape->V);
done:
    return rc;
}

static flm_status check_schedule(const flm_sampler *s, const flm_sampling *how)
{
    flm_status rc = FLM_OK;
    if (how->schedule != FLM_SCHEDULE_FLOW && !s->ops->token_times)
        FLM_FAIL(FLM_E_ARG,
                 "the tokens of kind %s have no times of their own, so that they cannot be filled in in turn",
                 s->parts.kind->name);
    if (how->schedule == FLM_SCHEDULE_BLOCKS && how->block_length < 1)
        FLM_FAIL(FLM_E_ARG, "blocks of %lld positions, must be at least 1", (long long)how->block_length);
    if (how->schedule == FLM_SCHEDULE_REFINE && (how->rounds < 1 || how->budget < FLM_BUDGET_UNIFORM))
        FLM_FAIL(FLM_E_ARG, "%lld rounds with a budget of %lld, must be at least 1 and 0", (long long)how->rounds,
                 (long long)how->budget);
done:
    return rc;
}

static flm_status check_sampling(const flm_sampler *s, int64_t B, const flm_sampling *how)
{
    flm_status rc = FLM_OK;
    if (B < 1 || B > s->parts.dit->max_batch)
        FLM_FAIL(FLM_E_ARG, "a batch of %lld samples, must be in 1..%lld", (long long)B,
                 (long long)s->parts.dit->max_batch);
    if (how->steps < 1) FLM_FAIL(FLM_E_ARG, "%lld steps, must be at least 1", (long long)how->steps);
    if (!(how->noise_level >= 0 && how->noise_level <= 1))
        FLM_FAIL(FLM_E_ARG, "a noise level of %g, must be in 0..1", how->noise_level);
    if (how->noise_level > 0 && !s->ops->noise_level)
        FLM_FAIL(FLM_E_ARG, "the sampler of kind %s has no noise level", s->parts.kind->name);
    FLM_TRY(check_schedule(s, how));
    if (how->known != NULL) FLM_TRY(check_known(s, B, how));
done:
    return rc;
}

flm_status flm_sampler_steps(flm_sampler *s, int64_t B, const flm_sampling *how)
{
    flm_status rc = FLM_OK;
    for (int64_t i = 0; i < how->steps; i++) {
        flm_sampler_step at = {.index = i,
                               .t = (double)i / (double)how->steps,
                               .t_end = (double)(i + 1) / (double)how->steps,
                               .noise_level = how->noise_level,
                               .last = i + 1 == how->steps,
                               .sampling = how};
        at.g = flm_gamma_at(s->parts.gamma, at.t);
        at.g_end = flm_gamma_at(s->parts.gamma, at.t_end);
        if (how->known != NULL && !s->ops->token_times) FLM_TRY(flm_sampler_put_known(s, B, at.g));
        FLM_TRY(s->ops->step(s, B, &at));
    }
done:
    return rc;
}

flm_status flm_sampler_check_tokens(const int32_t *tokens, int64_t B, int64_t L)
{
    flm_status rc = FLM_OK;
    for (int64_t i = 0; i < B * L; i++)
        if (tokens[i] < 0)
            FLM_FAIL(FLM_E_NUMERIC, "the scores of sample %lld of the batch are NaN", (long long)(i / L));
done:
    return rc;
}

/* All tokens together. */
static flm_status run_flow(flm_sampler *s, int64_t B, const flm_sampling *how, int32_t *tokens)
{
    flm_status rc = FLM_OK;
    const flm_memory *memory = s->be->memory;
    const int64_t L = s->parts.dit->shape.L;
    const flm_tensor to = flm_tensor_1d(s->tokens.data, FLM_DTYPE_I32, B * L), none = flm_tensor_none();
    if (how->known != NULL) FLM_TRY(memory->to_device(s->be, s->known.data, how->known, flm_tensor_bytes(&to)));
    FLM_TRY(flm_sampler_steps(s, B, how));
    FLM_TRY(flm_sampler_choose(s, how, 0, &to, &none, &none));
    FLM_TRY(memory->to_host(s->be, tokens, to.data, flm_tensor_bytes(&to)));
    FLM_TRY(s->be->stream->sync(s->be));
    FLM_TRY(flm_sampler_check_tokens(tokens, B, L));
    for (int64_t i = 0; i < B * L && how->known != NULL; i++)
        if (how->known[i] >= 0) tokens[i] = how->known[i];
done:
    return rc;
}

flm_status flm_sampler_run(flm_sampler *s, int64_t B, const flm_sampling *how, int32_t *tokens)
{
    flm_status rc = FLM_OK;
    FLM_TRY(check_sampling(s, B, how));
    FLM_TRY(embed_noise(s, B, &how->noise, s->z));
    if (keeps_noise(s)) FLM_TRY(keep_noise(s, B));
    FLM_TRY(s->ops->run != NULL ? s->ops->run(s, B, how, tokens) : run_flow(s, B, how, tokens));
done:
    return rc;
}
