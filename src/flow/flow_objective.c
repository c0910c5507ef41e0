/* flow_objective.c - the FLM objective on a micro-batch. SPDX-License-Identifier: Apache-2.0 */
#include "flow/flow_objective.h"

#include <stdlib.h>

static void take(flm_objective *o)
{
    flm_arena *at = &o->arena;
    const int64_t B = o->dit->B_most, L = o->dit->shape.L;
    o->xi = flm_arena_3d(at, FLM_DTYPE_F32, B, L, o->basis->K);
    o->noise = flm_arena_3d(at, FLM_DTYPE_F32, B, L, o->dit->shape.d);
    o->g = flm_arena_1d(at, FLM_DTYPE_F32, B);
    o->tokens = flm_arena_2d(at, FLM_DTYPE_I32, B, L);
    o->loss = flm_arena_1d(at, FLM_DTYPE_F32, B * L);
    o->total = flm_arena_1d(at, FLM_DTYPE_F64, 1);
}

flm_status flm_objective_create(flm_dit *dit, flm_noise_basis *basis, const flm_gamma *gamma, flm_objective **out)
{
    flm_status rc = FLM_OK;
    flm_objective *o = calloc(1, sizeof *o);
    if (o == NULL) FLM_FAIL(FLM_E_NOMEM, "no memory for the objective");
    *o = (flm_objective){.be = dit->be, .dit = dit, .basis = basis, .gamma = gamma};
    o->host = malloc(2 * (size_t)dit->B_most * sizeof *o->host);
    if (o->host == NULL) FLM_FAIL(FLM_E_NOMEM, "no memory for the times of %lld sequences", (long long)dit->B_most);
    o->arena = flm_arena_begin(dit->be);
    take(o);
    FLM_TRY(flm_arena_commit(&o->arena, "objective"));
    take(o);
    *out = o;
    o = NULL;
done:
    flm_objective_destroy(&o);
    return rc;
}

void flm_objective_destroy(flm_objective **objective)
{
    if (*objective == NULL) return;
    flm_arena_release(&(*objective)->arena);
    free((*objective)->host);
    free(*objective);
    *objective = NULL;
}

flm_status flm_objective_begin(flm_objective *o)
{
    return o->be->memory->zero(o->be, o->total.data, flm_tensor_bytes(&o->total));
}

/* Tokens, t and g = gamma(t) to the device; xi drawn; x = (1-g) xi T + g E[token] in dit->input. */
static flm_status make_state(flm_objective *o, const flm_weights *weights, const flm_micro_batch *batch)
{
    flm_status rc = FLM_OK;
    flm_backend *be = o->be;
    const int64_t B = batch->B;
    const flm_tensor tokens = flm_tensor_slice(&o->tokens, 0, B), g = flm_tensor_slice(&o->g, 0, B);
    const flm_tensor input = flm_tensor_slice(&o->dit->input, 0, B), xi = flm_tensor_slice(&o->xi, 0, B);
    float *t_host = o->host, *g_host = o->host + B;
    for (int64_t i = 0; i < B; i++) {
        t_host[i] = (float)batch->t[i];
        g_host[i] = (float)flm_gamma_at(o->gamma, batch->t[i]);
    }
    FLM_TRY(be->memory->to_device(be, tokens.data, batch->tokens, flm_tensor_bytes(&tokens)));
    FLM_TRY(be->memory->to_device(be, o->dit->t.data, t_host, (size_t)B * sizeof *t_host));
    FLM_TRY(be->memory->to_device(be, g.data, g_host, (size_t)B * sizeof *g_host));
    if (batch->noise.given != NULL)
        FLM_TRY(be->memory->copy(be, xi.data, batch->noise.given->data, flm_tensor_bytes(&xi)));
    else
        FLM_TRY(be->ops->normal(be, &xi, batch->noise.stream, batch->noise.first_sample));
    FLM_TRY(flm_noise_embed(o->basis, &input, &xi));
    FLM_TRY(be->ops->embed_state(be, &input, &input, &weights->w.E, &tokens, &g));
    FLM_TRY(be->stream->sync(be)); /* t_host, g_host are used again by the next micro-batch */
done:
    return rc;
}

/* E's gradient: the data part by scatter, the noise part as M += xi^T ((1-g) grad_x). */
static flm_status embedding_backward(flm_objective *o, const flm_weights *weights, const flm_micro_batch *batch)
{
    flm_status rc = FLM_OK;
    flm_backend *be = o->be;
    const int64_t B = batch->B;
    const flm_tensor tokens = flm_tensor_slice(&o->tokens, 0, B), g = flm_tensor_slice(&o->g, 0, B);
    const flm_tensor grad_x = flm_tensor_slice(&o->dit->grad_x, 0, B), xi = flm_tensor_slice(&o->xi, 0, B);
    const flm_tensor grad_noise = flm_tensor_slice(&o->noise, 0, B);
    FLM_TRY(be->ops->embed_scatter(be, &weights->grad.E, &grad_x, &tokens, &g));
    FLM_TRY(be->ops->sample_scale(be, &grad_noise, &grad_x, &g));
    FLM_TRY(flm_noise_backward(o->basis, &xi, &grad_noise));
    if (batch->hook != NULL) FLM_TRY(batch->hook->ready(batch->hook->context, FLM_BUCKET_EMBEDDING));
done:
    return rc;
}

flm_status flm_objective_micro(flm_objective *o, const flm_weights *weights, const flm_micro_batch *batch)
{
    flm_status rc = FLM_OK;
    if (batch->B < 1 || batch->B > o->dit->B_most)
        FLM_FAIL(FLM_E_ARG, "a micro-batch of %lld sequences, room for %lld", (long long)batch->B,
                 (long long)o->dit->B_most);
    const flm_tensor tokens = flm_tensor_slice(&o->tokens, 0, batch->B);
    const flm_tensor loss = flm_tensor_slice(&o->loss, 0, batch->B * o->dit->shape.L);
    FLM_TRY(make_state(o, weights, batch));
    FLM_TRY(flm_dit_forward(o->dit, weights, batch->B, batch->dropout));
    FLM_TRY(flm_dit_head_loss(o->dit, weights, &tokens, (float)batch->scale, &loss, batch->backward));
    FLM_TRY(o->be->ops->sum(o->be, &o->total, &loss));
    if (batch->backward) {
        FLM_TRY(flm_dit_backward(o->dit, weights, batch->dropout, batch->hook));
        FLM_TRY(embedding_backward(o, weights, batch));
    }
done:
    return rc;
}

flm_status flm_objective_total(flm_objective *o, double *sum)
{
    flm_status rc = FLM_OK;
    FLM_TRY(o->be->memory->to_host(o->be, sum, o->total.data, sizeof *sum));
    FLM_TRY(o->be->stream->sync(o->be));
done:
    return rc;
}
