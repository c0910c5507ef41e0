/* flow_objective.c - what the objectives share; it calls them only through their tables. SPDX-License-Identifier:
 * Apache-2.0
 */
#include "flow/flow_objective_internal.h"

#include <math.h>
#include <stdlib.h>

static void layout(flm_objective *o)
{
    flm_arena *at = &o->arena;
    const flm_dit *dit = o->parts.dit;
    const flm_noise_basis *basis = o->parts.basis;
    const int64_t B = dit->max_batch, L = dit->shape.L;
    for (int i = 0; i < basis->blocks; i++) o->xi[i] = flm_arena_3d(at, FLM_DTYPE_F32, B, L, basis->width);
    o->noise = flm_arena_3d(at, FLM_DTYPE_F32, B, L, dit->shape.d);
    o->g = o->ops->context ? flm_arena_2d(at, FLM_DTYPE_F32, B, L) : flm_arena_1d(at, FLM_DTYPE_F32, B);
    o->tokens = flm_arena_2d(at, FLM_DTYPE_I32, B, L);
    o->loss = flm_arena_1d(at, FLM_DTYPE_F32, B * L);
    o->total = flm_arena_1d(at, FLM_DTYPE_F64, FLM_TOTALS);
}

void flm_objective_inference_size(const flm_objective_ops *ops, int64_t *max_batch, int64_t *chunk)
{
    if (!ops->halves) return;
    *max_batch = (*max_batch + 1) / 2;
    *chunk = (*chunk + 1) / 2;
}

static flm_status check_parts(const flm_objective_parts *p)
{
    flm_status rc = FLM_OK;
    const flm_objective_ops *ops = p->kind->objective;
    const flm_model_shape *shape = &p->dit->shape;
    flm_tensor E[FLM_ROLES];
    const int networks = 1 + flm_kind_embeddings(p->frozen, E);
    FLM_TRY(flm_kind_check_parts(p->kind, ops->networks, p->frozen, shape));
    if (shape->network != p->kind->network)
        FLM_FAIL(FLM_E_ARG, "the activations do not fit the network of kind %s", p->kind->name);
    if (p->basis->networks != networks)
        FLM_FAIL(FLM_E_ARG, "kind %s has %d networks, but a noise basis of %d", p->kind->name, networks,
                 p->basis->networks);
    int64_t batch = p->dit->max_batch, chunk = p->dit->chunk;
    flm_objective_inference_size(ops, &batch, &chunk);
    if (ops->inference && (p->inference == NULL || p->inference->max_batch < batch || p->inference->chunk < chunk ||
                           p->inference->shape.network == FLM_NETWORK_ONE_TIME))
        FLM_FAIL(FLM_E_ARG, "activations for the passes without gradient are missing or too small");
    if (ops->context && p->inference->context.data == NULL)
        FLM_FAIL(FLM_E_ARG, "activations for the passes without gradient have no context tokens");
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
    *o = (flm_objective){.parts = *parts, .ops = parts->kind->objective, .be = parts->dit->be};
    const int64_t B = parts->dit->max_batch;
    void *host = NULL;
    const size_t values = (size_t)B * (1 + (size_t)(o->ops->context ? parts->dit->shape.L : 1));
    o->stage = flm_stage_begin(o->be);
    o->host = malloc(values * sizeof *o->host);
    if (o->host == NULL) FLM_FAIL(FLM_E_NOMEM, "no memory for the times of %lld sequences", (long long)B);
    FLM_TRY(o->be->memory->host_alloc(o->be, FLM_TOTALS * sizeof *o->result, &host));
    o->result = host;
    o->arena = flm_arena_begin(o->be);
    layout(o);
    FLM_TRY(flm_arena_commit(&o->arena, "objective"));
    layout(o);
    if (o->ops->create != NULL) FLM_TRY(o->ops->create(o));
    *out = o;
    o = NULL;
done:
    flm_objective_destroy(&o);
    return rc;
}

void flm_objective_destroy(flm_objective **objective)
{
    flm_objective *o = *objective;
    if (o == NULL) return;
    if (o->ops->destroy != NULL) o->ops->destroy(o);
    flm_arena_release(&o->arena);
    flm_stage_end(&o->stage);
    o->be->memory->host_release(o->be, o->result);
    free(o->host);
    free(o);
    *objective = NULL;
}

size_t flm_objective_bytes(const flm_objective *o)
{
    return o->arena.bytes + (o->ops->bytes != NULL ? o->ops->bytes(o) : 0);
}

flm_status flm_objective_begin(flm_objective *o, flm_comm *comm, const flm_weights *weights)
{
    flm_status rc = FLM_OK;
    FLM_TRY(flm_noise_begin(o->parts.basis, comm, &weights->w.E));
    FLM_TRY(o->be->memory->zero(o->be, o->total.data, flm_tensor_bytes(&o->total)));
    o->rows = o->diagonal_rows = 0;
    if (o->ops->begin != NULL) FLM_TRY(o->ops->begin(o, weights));
done:
    return rc;
}

void flm_objective_times(const flm_objective *o, uint64_t seed, flm_random_purpose purpose, uint64_t step, int64_t n,
                         int64_t first, int64_t count, double *t, double *d)
{
    o->ops->sample_times(o, seed, purpose, step, n, first, count, t, d);
}

flm_status flm_objective_load(flm_objective *o, const flm_micro_batch *batch, const float *g)
{
    flm_status rc = FLM_OK;
    flm_backend *be = o->be;
    const int64_t B = batch->B;
    const flm_tensor tokens = flm_tensor_slice(&o->tokens, 0, B), of_g = flm_tensor_slice(&o->g, 0, B);
    flm_tensor xi[FLM_NOISE_NETWORKS];
    for (int64_t i = 0; i < B; i++) o->host[i] = (float)batch->t[i];
    FLM_TRY(flm_stage_to_device(&o->stage, tokens.data, batch->tokens, flm_tensor_bytes(&tokens)));
    FLM_TRY(flm_stage_to_device(&o->stage, o->parts.dit->t.data, o->host, (size_t)B * sizeof *o->host));
    FLM_TRY(flm_stage_to_device(&o->stage, o->g.data, g, flm_tensor_bytes(&of_g)));
    for (int i = 0; i < o->parts.basis->blocks; i++) {
        xi[i] = flm_tensor_slice(&o->xi[i], 0, B);
        if (batch->noise.given != NULL)
            FLM_TRY(be->memory->copy(be, xi[i].data, batch->noise.given[i].data, flm_tensor_bytes(&xi[i])));
    }
    if (batch->noise.given == NULL)
        FLM_TRY(flm_noise_draw(o->parts.basis, xi, batch->noise.stream, batch->noise.first_sample));
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
    const flm_dit_hook *hook = batch->hook;
    const int64_t B = batch->B;
    const flm_tensor tokens = flm_tensor_slice(&o->tokens, 0, B), g = flm_tensor_slice(&o->g, 0, B);
    const flm_tensor grad_x = flm_tensor_slice(&o->parts.dit->grad_x, 0, B);
    const flm_tensor grad_noise = flm_tensor_slice(&o->noise, 0, B);
    flm_tensor xi[FLM_NOISE_NETWORKS];
    for (int i = 0; i < o->parts.basis->blocks; i++) xi[i] = flm_tensor_slice(&o->xi[i], 0, B);
    if (hook != NULL && weights->shape.network != FLM_NETWORK_ONE_TIME)
        FLM_TRY(hook->ready(hook->context, flm_bucket_two_time(weights->shape.N)));
    FLM_TRY(flm_op_embed_scatter(be, &weights->grad.E, &grad_x, &tokens, &g));
    FLM_TRY(flm_op_sample_scale(be, &grad_noise, &grad_x, &g));
    FLM_TRY(flm_noise_backward(o->parts.basis, xi, &grad_noise));
    if (hook != NULL) FLM_TRY(hook->ready(hook->context, FLM_BUCKET_EMBEDDING));
done:
    return rc;
}

flm_status flm_objective_pass(flm_objective *o, const flm_weights *weights, int64_t B, const flm_tensor *x,
                              const flm_tensor *t, const flm_tensor *t_end, const flm_dit_dropout *dropout)
{
    flm_status rc = FLM_OK;
    flm_backend *be = o->be;
    flm_dit *dit = o->parts.inference;
    const flm_tensor state = flm_tensor_slice(x, 0, B);
    const size_t times = (size_t)B * sizeof(float);
    if (state.data != dit->input.data)
        FLM_TRY(be->memory->copy(be, dit->input.data, state.data, flm_tensor_bytes(&state)));
    FLM_TRY(be->memory->copy(be, dit->t.data, t->data, times));
    if (t_end->data != NULL) FLM_TRY(be->memory->copy(be, dit->t_end.data, t_end->data, times));
    FLM_TRY(flm_dit_forward(dit, weights, B, dropout));
done:
    return rc;
}

flm_status flm_objective_logits(flm_objective *o, const flm_weights *weights, const flm_tensor *y, int64_t first,
                                const flm_tensor *logits, bool bias)
{
    const flm_tensor flat = flm_tensor_flat(y), rows = flm_tensor_slice(&flat, first, logits->dim[0]);
    return flm_dit_matmul(o->be, &rows, false, &weights->w.Wout, true, logits, false, bias ? &weights->w.bout : NULL,
                          NULL);
}

flm_status flm_objective_add_loss(flm_objective *o, int64_t rows)
{
    const flm_tensor sum = flm_tensor_slice(&o->total, FLM_TOTAL_ALL, 1), loss = flm_tensor_slice(&o->loss, 0, rows);
    o->rows += rows;
    return flm_op_sum(o->be, &sum, &loss);
}

/* The matrices of the heads do not change within a micro-batch, in which each is multiplied once for each chunk. */
static void hold_heads(flm_objective *o, const flm_weights *weights, void (*hold)(flm_backend *, const flm_tensor *))
{
    hold(o->be, &weights->w.Wout);
    for (int role = 0; role < FLM_ROLES; role++)
        if (o->parts.frozen[role] != NULL) hold(o->be, &o->parts.frozen[role]->w.Wout);
}

flm_status flm_objective_micro_batch(flm_objective *o, const flm_weights *weights, const flm_micro_batch *batch)
{
    flm_status rc = FLM_OK;
    if (batch->B < 1 || batch->B > o->parts.dit->max_batch)
        FLM_FAIL(FLM_E_ARG, "a micro-batch of %lld sequences, must be in 1..%lld", (long long)batch->B,
                 (long long)o->parts.dit->max_batch);
    hold_heads(o, weights, flm_backend_hold);
    rc = o->ops->micro_batch(o, weights, batch);
    hold_heads(o, weights, flm_backend_let_go);
done:
    return rc;
}

flm_status flm_objective_fetch(flm_objective *o)
{
    return o->be->memory->to_host(o->be, o->result, o->total.data, flm_tensor_bytes(&o->total));
}

flm_status flm_objective_sums_of(const flm_objective *o, flm_objective_sums *sums)
{
    flm_status rc = FLM_OK;
    const double *total = o->result;
    FLM_TRY(flm_noise_check(o->parts.basis));
    *sums = (flm_objective_sums){.loss = total[o->ops->weighted ? FLM_TOTAL_WEIGHTED : FLM_TOTAL_ALL],
                                 .rows = (double)o->rows,
                                 .error = o->ops->squared_error ? total[FLM_TOTAL_ALL] : NAN,
                                 .diagonal = total[FLM_TOTAL_DIAGONAL],
                                 .diagonal_rows = (double)o->diagonal_rows};
done:
    return rc;
}

flm_status flm_objective_total(flm_objective *o, flm_objective_sums *sums)
{
    flm_status rc = FLM_OK;
    FLM_TRY(flm_objective_fetch(o));
    FLM_TRY(o->be->stream->sync(o->be));
    FLM_TRY(flm_objective_sums_of(o, sums));
done:
    return rc;
}
