/* flow_sampler.c - Euler steps in embedded form. SPDX-License-Identifier: Apache-2.0 */
#include "flow/flow_sampler.h"

#include <stdlib.h>

/* added to the denominator of every step: model.md section 8 */
static const double euler_epsilon = 1e-5;

static void take(flm_sampler *s)
{
    flm_arena *at = &s->arena;
    const flm_model_shape *shape = &s->dit->shape;
    const int64_t B = s->dit->B_most;
    s->xi = flm_arena_3d(at, FLM_DTYPE_F32, B, shape->L, s->basis->K);
    s->z = flm_arena_3d(at, FLM_DTYPE_F32, B, shape->L, shape->d);
    s->mean = flm_arena_3d(at, FLM_DTYPE_F32, B, shape->L, shape->d);
    s->tokens = flm_arena_2d(at, FLM_DTYPE_I32, B, shape->L);
    s->E = s->dit->act == FLM_DTYPE_F32 ? s->weights->w.E : flm_arena_2d(at, s->dit->act, shape->V, shape->d);
}

flm_status flm_sampler_create(flm_dit *dit, const flm_weights *weights, flm_noise_basis *basis,
                              const flm_gamma *gamma, flm_sampler **out)
{
    flm_status rc = FLM_OK;
    flm_sampler *s = calloc(1, sizeof *s);
    if (s == NULL) FLM_FAIL(FLM_E_NOMEM, "no memory for the sampler");
    *s = (flm_sampler){.be = dit->be, .dit = dit, .weights = weights, .basis = basis, .gamma = gamma};
    s->host = malloc((size_t)dit->B_most * sizeof *s->host);
    if (s->host == NULL) FLM_FAIL(FLM_E_NOMEM, "no memory for %lld times", (long long)dit->B_most);
    s->arena = flm_arena_begin(dit->be);
    take(s);
    FLM_TRY(flm_arena_commit(&s->arena, "sampler"));
    take(s);
    if (dit->act != FLM_DTYPE_F32) FLM_TRY(dit->be->ops->cast(dit->be, &s->E, &weights->w.E));
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
    free((*sampler)->host);
    free(*sampler);
    *sampler = NULL;
}

/* The network at state z and time t, hidden state left in dit->y (z is copied: the forward pass works in place). */
static flm_status evaluate(flm_sampler *s, int64_t B, double t)
{
    flm_status rc = FLM_OK;
    flm_backend *be = s->be;
    const flm_tensor z = flm_tensor_slice(&s->z, 0, B);
    for (int64_t i = 0; i < B; i++)
        s->host[i] = (float)t;
    FLM_TRY(be->memory->to_device(be, s->dit->t.data, s->host, (size_t)B * sizeof *s->host));
    FLM_TRY(be->memory->copy(be, s->dit->input.data, z.data, flm_tensor_bytes(&z)));
    FLM_TRY(flm_dit_forward(s->dit, s->weights, B, NULL));
    FLM_TRY(be->stream->sync(be));
done:
    return rc;
}

flm_status flm_sampler_run(flm_sampler *s, int64_t B, int64_t steps, const flm_noise_source *noise, int32_t *tokens)
{
    flm_status rc = FLM_OK;
    flm_backend *be = s->be;
    if (B < 1 || B > s->dit->B_most) FLM_FAIL(FLM_E_ARG, "%lld samples at once, room for %lld", (long long)B,
                                              (long long)s->dit->B_most);
    if (steps < 1) FLM_FAIL(FLM_E_ARG, "%lld steps, must be at least 1", (long long)steps);
    const flm_tensor xi = flm_tensor_slice(&s->xi, 0, B), z = flm_tensor_slice(&s->z, 0, B);
    const flm_tensor mean = flm_tensor_slice(&s->mean, 0, B), to = flm_tensor_slice(&s->tokens, 0, B);
    if (noise->given != NULL)
        FLM_TRY(be->memory->copy(be, xi.data, noise->given->data, flm_tensor_bytes(&xi)));
    else
        FLM_TRY(be->ops->normal(be, &xi, noise->stream, noise->first_sample));
    FLM_TRY(flm_noise_embed(s->basis, &z, &xi));
    for (int64_t i = 0; i < steps; i++) {
        const double t = (double)i / (double)steps, g = flm_gamma_at(s->gamma, t);
        const double k = (flm_gamma_at(s->gamma, (double)(i + 1) / (double)steps) - g) / (1 - g + euler_epsilon);
        FLM_TRY(evaluate(s, B, t));
        if (i + 1 == steps) break;
        FLM_TRY(flm_dit_head_expect(s->dit, s->weights, &s->E, &mean));
        FLM_TRY(be->ops->axpby(be, &z, (float)k, &mean, (float)(1 - k)));
    }
    FLM_TRY(flm_dit_head_argmax(s->dit, s->weights, &to));
    FLM_TRY(be->memory->to_host(be, tokens, to.data, flm_tensor_bytes(&to)));
    FLM_TRY(be->stream->sync(be));
done:
    return rc;
}

flm_status flm_sampler_scores(flm_sampler *s, int64_t first, int64_t rows, float *scores)
{
    flm_status rc = FLM_OK;
    const flm_tensor logits = flm_tensor_slice(&s->dit->logits, 0, rows);
    FLM_TRY(flm_dit_head_logits(s->dit, s->weights, first, rows));
    FLM_TRY(s->be->ops->softmax(s->be, &logits, &logits));
    FLM_TRY(s->be->memory->to_host(s->be, scores, logits.data, flm_tensor_bytes(&logits)));
    FLM_TRY(s->be->stream->sync(s->be));
done:
    return rc;
}
