/* flow_objective.c - what the objectives share, and the FLM's. SPDX-License-Identifier: Apache-2.0 */
#include "flow/flow_objective_internal.h"

#include "flow/flow_time.h"

#include <stdlib.h>
#include <string.h>

static void take(flm_objective *o)
{
    flm_arena *at = &o->arena;
    const flm_dit *dit = o->parts.dit;
    const flm_noise_basis *basis = o->parts.basis;
    const int64_t B = dit->max_batch, L = dit->shape.L;
    for (int i = 0; i < basis->blocks; i++) o->xi[i] = flm_arena_3d(at, FLM_DTYPE_F32, B, L, basis->width);
    o->noise = flm_arena_3d(at, FLM_DTYPE_F32, B, L, dit->shape.d);
    o->g = flm_arena_1d(at, FLM_DTYPE_F32, B);
    o->tokens = flm_arena_2d(at, FLM_DTYPE_I32, B, L);
    o->loss = flm_arena_1d(at, FLM_DTYPE_F32, B * L);
    o->total = flm_arena_1d(at, FLM_DTYPE_F64, 1);
}

static bool same_sizes(const flm_model_shape *a, const flm_model_shape *b)
{
    return a->L == b->L && a->V == b->V && a->d == b->d && a->H == b->H && a->c == b->c && a->N == b->N &&
           a->F == b->F && a->mlp_ratio == b->mlp_ratio;
}

static flm_status check_parts(const flm_objective_parts *p)
{
    flm_status rc = FLM_OK;
    const int networks = 1 + (p->teacher != NULL) + (p->flow_map != NULL);
    const flm_network kind = networks == 1   ? FLM_NETWORK_ONE_TIME
                             : networks == 2 ? FLM_NETWORK_RESIDUAL
                                             : FLM_NETWORK_TWO_TIME;
    if (p->dit->shape.network != kind || p->basis->networks != networks || (p->flow_map != NULL && p->teacher == NULL))
        FLM_FAIL(FLM_E_ARG, "an objective of %d networks for a network of kind %d and a noise basis of %d", networks,
                 (int)p->dit->shape.network, p->basis->networks);
    if (p->teacher == NULL) goto done;
    if (p->teacher->shape.network != FLM_NETWORK_ONE_TIME ||
        (p->flow_map != NULL && p->flow_map->shape.network != FLM_NETWORK_RESIDUAL))
        FLM_FAIL(FLM_E_ARG, "the teacher must be an FLM, and the flow map one of stage one");
    if (!same_sizes(&p->teacher->shape, &p->dit->shape) ||
        (p->flow_map != NULL && !same_sizes(&p->flow_map->shape, &p->dit->shape)))
        FLM_FAIL(FLM_E_ARG, "teacher and student have other sizes");
    if (p->frozen == NULL || p->frozen->max_batch < p->dit->max_batch || p->frozen->chunk < p->dit->chunk ||
        p->frozen->shape.network == FLM_NETWORK_ONE_TIME)
        FLM_FAIL(FLM_E_ARG, "no activations for the passes without gradient, or too small ones");
done:
    return rc;
}

flm_status flm_objective_create(const flm_objective_parts *parts, flm_objective **out)
{
    flm_status rc = FLM_OK;
    flm_objective *o = NULL;
    FLM_TRY(check_parts(parts));
    o = calloc(1, sizeof *o);
    if (o == NULL) FLM_FAIL(FLM_E_NOMEM, "no memory for the objective");
    *o = (flm_objective){.parts = *parts, .be = parts->dit->be};
    const int64_t B = parts->dit->max_batch;
    void *host = NULL;
    FLM_TRY(o->be->memory->host_alloc(o->be, 2 * (size_t)B * sizeof *o->host, &host));
    o->host = host;
    FLM_TRY(o->be->memory->host_alloc(o->be, (size_t)(B * parts->dit->shape.L) * sizeof *o->ids, &host));
    o->ids = host;
    o->arena = flm_arena_begin(o->be);
    take(o);
    FLM_TRY(flm_arena_commit(&o->arena, "objective"));
    take(o);
    if (parts->flow_map != NULL)
        FLM_TRY(flm_stage_two_create(o, &o->two));
    else if (parts->teacher != NULL)
        FLM_TRY(flm_stage_one_create(o, &o->one));
    *out = o;
    o = NULL;
done:
    flm_objective_destroy(&o);
    return rc;
}

void flm_objective_destroy(flm_objective **objective)
{
    if (*objective == NULL) return;
    flm_stage_one_destroy(&(*objective)->one);
    flm_stage_two_destroy(&(*objective)->two);
    flm_arena_release(&(*objective)->arena);
    (*objective)->be->memory->host_release((*objective)->be, (*objective)->host);
    (*objective)->be->memory->host_release((*objective)->be, (*objective)->ids);
    free(*objective);
    *objective = NULL;
}

size_t flm_objective_bytes(const flm_objective *o)
{
    return o->arena.bytes + (o->one != NULL ? flm_stage_one_bytes(o->one) : 0) +
           (o->two != NULL ? flm_stage_two_bytes(o->two) : 0);
}

flm_status flm_objective_begin(flm_objective *o, flm_comm *comm, const flm_weights *weights)
{
    flm_status rc = FLM_OK;
    FLM_TRY(flm_noise_update(o->parts.basis, comm, &weights->w.E));
    FLM_TRY(o->be->memory->zero(o->be, o->total.data, flm_tensor_bytes(&o->total)));
    o->weighted = 0;
    if (o->one != NULL) FLM_TRY(flm_stage_one_begin(o, weights));
done:
    return rc;
}

void flm_objective_times(const flm_objective *o, uint64_t seed, flm_random_purpose purpose, uint64_t step, int64_t n,
                         int64_t first, int64_t count, double *t, double *d)
{
    if (o->parts.teacher == NULL)
        flm_time_stratified(seed, purpose, step, n, first, count, t);
    else
        flm_time_jumps(o->one != NULL ? &flm_time_stage_one : &flm_time_stage_two, seed, purpose, step, n, first, count,
                       t, d);
}

flm_tensor flm_objective_rows(const flm_tensor *t, int64_t first, int64_t rows)
{
    const flm_tensor flat = flm_tensor_flat(t);
    return flm_tensor_slice(&flat, first, rows);
}

flm_status flm_objective_load(flm_objective *o, const flm_micro_batch *batch, const float *g)
{
    flm_status rc = FLM_OK;
    flm_backend *be = o->be;
    const int64_t B = batch->B;
    const flm_tensor tokens = flm_tensor_slice(&o->tokens, 0, B);
    flm_tensor xi[FLM_NOISE_NETWORKS];
    for (int64_t i = 0; i < B; i++) o->host[i] = (float)batch->t[i];
    memcpy(o->ids, batch->tokens, flm_tensor_bytes(&tokens));
    FLM_TRY(be->memory->to_device(be, tokens.data, o->ids, flm_tensor_bytes(&tokens)));
    FLM_TRY(be->memory->to_device(be, o->parts.dit->t.data, o->host, (size_t)B * sizeof *o->host));
    FLM_TRY(be->memory->to_device(be, o->g.data, g, (size_t)B * sizeof *g));
    for (int i = 0; i < o->parts.basis->blocks; i++) {
        xi[i] = flm_tensor_slice(&o->xi[i], 0, B);
        if (batch->noise.given != NULL)
            FLM_TRY(be->memory->copy(be, xi[i].data, batch->noise.given[i].data, flm_tensor_bytes(&xi[i])));
    }
    if (batch->noise.given == NULL)
        FLM_TRY(flm_noise_draw(o->parts.basis, xi, batch->noise.stream, batch->noise.first_sample));
    FLM_TRY(be->stream->sync(be)); /* the host's arrays are used again by the next micro-batch */
done:
    return rc;
}

flm_status flm_objective_state(flm_objective *o, int j, const flm_tensor *x, const flm_tensor *E, int64_t B)
{
    flm_status rc = FLM_OK;
    const flm_tensor tokens = flm_tensor_slice(&o->tokens, 0, B), g = flm_tensor_slice(&o->g, 0, B);
    const flm_tensor to = flm_tensor_slice(x, 0, B);
    flm_tensor xi[FLM_NOISE_NETWORKS];
    for (int i = 0; i < o->parts.basis->blocks; i++) xi[i] = flm_tensor_slice(&o->xi[i], 0, B);
    FLM_TRY(flm_noise_embed(o->parts.basis, j, &to, xi));
    FLM_TRY(flm_op_embed_state(o->be, &to, &to, E, &tokens, &g));
done:
    return rc;
}

flm_status flm_objective_embedding(flm_objective *o, const flm_weights *weights, const flm_micro_batch *batch)
{
    flm_status rc = FLM_OK;
    flm_backend *be = o->be;
    const int64_t B = batch->B;
    const flm_tensor tokens = flm_tensor_slice(&o->tokens, 0, B), g = flm_tensor_slice(&o->g, 0, B);
    const flm_tensor grad_x = flm_tensor_slice(&o->parts.dit->grad_x, 0, B);
    const flm_tensor grad_noise = flm_tensor_slice(&o->noise, 0, B);
    flm_tensor xi[FLM_NOISE_NETWORKS];
    for (int i = 0; i < o->parts.basis->blocks; i++) xi[i] = flm_tensor_slice(&o->xi[i], 0, B);
    FLM_TRY(flm_op_embed_scatter(be, &weights->grad.E, &grad_x, &tokens, &g));
    FLM_TRY(flm_op_sample_scale(be, &grad_noise, &grad_x, &g));
    FLM_TRY(flm_noise_backward(o->parts.basis, xi, &grad_noise));
    if (batch->hook != NULL) FLM_TRY(batch->hook->ready(batch->hook->context, FLM_BUCKET_EMBEDDING));
done:
    return rc;
}

flm_status flm_objective_pass(flm_objective *o, const flm_weights *weights, int64_t B, const flm_tensor *x,
                              const flm_tensor *t, const flm_tensor *until, const flm_dit_dropout *dropout)
{
    flm_status rc = FLM_OK;
    flm_backend *be = o->be;
    flm_dit *dit = o->parts.frozen;
    const flm_tensor state = flm_tensor_slice(x, 0, B);
    const size_t times = (size_t)B * sizeof(float);
    if (state.data != dit->input.data)
        FLM_TRY(be->memory->copy(be, dit->input.data, state.data, flm_tensor_bytes(&state)));
    FLM_TRY(be->memory->copy(be, dit->t.data, t->data, times));
    if (until->data != NULL) FLM_TRY(be->memory->copy(be, dit->until.data, until->data, times));
    FLM_TRY(flm_dit_forward(dit, weights, B, dropout));
done:
    return rc;
}

flm_status flm_objective_logits(flm_objective *o, const flm_weights *weights, const flm_tensor *y, int64_t first,
                                const flm_tensor *logits, bool bias)
{
    const flm_tensor rows = flm_objective_rows(y, first, logits->dim[0]);
    return flm_dit_matmul(o->be, &rows, false, &weights->w.Wout, true, logits, false, bias ? &weights->w.bout : NULL,
                          NULL);
}

flm_status flm_objective_head(flm_objective *o, const flm_weights *weights, const flm_tensor *grad, int64_t first)
{
    flm_status rc = FLM_OK;
    flm_backend *be = o->be;
    const flm_tensor y = flm_objective_rows(&o->parts.dit->y, first, grad->dim[0]);
    const flm_tensor grad_y = flm_objective_rows(&o->parts.dit->grad_y, first, grad->dim[0]);
    FLM_TRY(flm_dit_matmul(be, grad, true, &y, false, &weights->grad.Wout, true, NULL, NULL));
    FLM_TRY(flm_op_column_sum(be, &weights->grad.bout, grad));
    FLM_TRY(flm_dit_matmul(be, grad, false, &weights->w.Wout, false, &grad_y, false, NULL, NULL));
done:
    return rc;
}

/* x = (1-g) xi T + g E[token], cross entropy, gradients: model.md section 5. */
static flm_status flm_micro(flm_objective *o, const flm_weights *weights, const flm_micro_batch *batch)
{
    flm_status rc = FLM_OK;
    flm_dit *dit = o->parts.dit;
    const int64_t B = batch->B;
    const flm_tensor tokens = flm_tensor_slice(&o->tokens, 0, B);
    const flm_tensor loss = flm_tensor_slice(&o->loss, 0, B * dit->shape.L);
    float *g = o->host + dit->max_batch;
    for (int64_t i = 0; i < B; i++) g[i] = (float)flm_gamma_at(o->parts.gamma, batch->t[i]);
    FLM_TRY(flm_objective_load(o, batch, g));
    FLM_TRY(flm_objective_state(o, 0, &dit->input, &weights->w.E, B));
    FLM_TRY(flm_dit_forward(dit, weights, B, batch->dropout));
    FLM_TRY(flm_dit_head_loss(dit, weights, &tokens, (float)batch->scale, &loss, batch->backward));
    FLM_TRY(flm_op_sum(o->be, &o->total, &loss));
    if (batch->backward) {
        FLM_TRY(flm_dit_backward(dit, weights, batch->dropout, batch->hook));
        FLM_TRY(flm_objective_embedding(o, weights, batch));
    }
done:
    return rc;
}

flm_status flm_objective_micro_batch(flm_objective *o, const flm_weights *weights, const flm_micro_batch *batch)
{
    flm_status rc = FLM_OK;
    if (batch->B < 1 || batch->B > o->parts.dit->max_batch)
        FLM_FAIL(FLM_E_ARG, "a micro-batch of %lld sequences, room for %lld", (long long)batch->B,
                 (long long)o->parts.dit->max_batch);
    if (o->one != NULL)
        FLM_TRY(flm_stage_one_micro(o, weights, batch));
    else if (o->two != NULL)
        FLM_TRY(flm_stage_two_micro(o, weights, batch));
    else
        FLM_TRY(flm_micro(o, weights, batch));
done:
    return rc;
}

flm_status flm_objective_total(flm_objective *o, double *sum, double *error)
{
    flm_status rc = FLM_OK;
    double total;
    FLM_TRY(o->be->memory->to_host(o->be, &total, o->total.data, sizeof total));
    FLM_TRY(o->be->stream->sync(o->be));
    *sum = o->one != NULL ? o->weighted : total;
    if (error != NULL) *error = total;
done:
    return rc;
}
