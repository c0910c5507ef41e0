/* model_weights.c - the buckets and the views. SPDX-License-Identifier: Apache-2.0 */
#include "model/model_weights.h"

#include "backend/backend_ops.h"

#include <stdlib.h>

enum { ALIGN = 16 }; /* elements: 64 bytes of f32 */

static int count_buckets(const flm_model_shape *shape)
{
    return 1 +
           (shape->network != FLM_NETWORK_ONE_TIME ? flm_bucket_two_time(shape->N) : flm_bucket_head_small(shape->N));
}

/* The parameters of each bucket, which lie in the table one after the other. */
static void list_parameters(flm_weights *weights)
{
    for (int i = 0; i < weights->parameters; i++) {
        flm_bucket *bucket = &weights->bucket[weights->parameter[i].bucket];
        if (bucket->count++ == 0) bucket->first = i;
    }
}

/* Slices hold whole rows of E, and elsewhere multiples of ALIGN, so that every slice starts aligned. */
static void divide(flm_weights *weights)
{
    for (int b = 0; b < weights->buckets; b++) {
        const flm_bucket *bucket = &weights->bucket[b];
        const flm_parameter *last = &weights->parameter[bucket->first + bucket->count - 1];
        const int64_t unit = b == FLM_BUCKET_EMBEDDING ? weights->shape.d : ALIGN;
        const int64_t units = (last->offset + last->count + unit - 1) / unit;
        weights->bucket[b].slice = (units + weights->size - 1) / weights->size * unit;
    }
}

static void layout_buckets(flm_weights *weights, bool gradients)
{
    const int64_t N = weights->shape.N;
    for (int b = 0; b < weights->buckets; b++) {
        flm_bucket *bucket = &weights->bucket[b];
        const bool matrices = b >= 2 && b <= flm_bucket_head_matrix(N) && b % 2 == 0;
        bucket->dtype = matrices ? weights->compute : FLM_DTYPE_F32;
        bucket->compute = flm_arena_1d(&weights->arena, bucket->dtype, bucket->slice * weights->size);
        if (gradients) bucket->grad = flm_arena_1d(&weights->arena, FLM_DTYPE_F32, bucket->slice * weights->size);
    }
}

static flm_tensor parameter_view(const flm_parameter *p, const flm_tensor *bucket)
{
    if (bucket->data == NULL) return flm_tensor_none();
    char *data = (char *)bucket->data + (size_t)p->offset * flm_dtype_size(bucket->dtype);
    return flm_tensor_make(data, bucket->dtype, p->ndim, p->dim);
}

static flm_tensor *view_of(flm_dit_weights *w, const flm_parameter *p)
{
    char *base = p->block < 0 ? (char *)w : (char *)&w->block[p->block];
    return (flm_tensor *)(base + p->view);
}

static void make_views(flm_weights *weights)
{
    for (int i = 0; i < weights->parameters; i++) {
        const flm_parameter *p = &weights->parameter[i];
        const flm_bucket *bucket = &weights->bucket[p->bucket];
        *view_of(&weights->w, p) = parameter_view(p, &bucket->compute);
        *view_of(&weights->grad, p) = parameter_view(p, &bucket->grad);
    }
}

flm_status flm_weights_create(flm_backend *be, const flm_model_shape *shape, flm_dtype compute, int size,
                              bool gradients, flm_weights **out)
{
    flm_status rc = FLM_OK;
    flm_weights *weights = NULL;
    FLM_TRY(flm_model_check(shape));
    if (size < 1) FLM_FAIL(FLM_E_ARG, "weights for %d ranks, must be at least 1", size);
    if (compute != FLM_DTYPE_F32 && compute != FLM_DTYPE_BF16)
        FLM_FAIL(FLM_E_ARG, "weights cannot compute in %s", flm_dtype_name(compute));
    const size_t N = (size_t)shape->N;
    weights = calloc(1, sizeof *weights);
    if (weights == NULL) FLM_FAIL(FLM_E_NOMEM, "no memory for weights");
    *weights =
        (flm_weights){.be = be, .shape = *shape, .compute = compute, .size = size, .buckets = count_buckets(shape)};
    weights->arena = flm_arena_begin(be);
    FLM_TRY(flm_parameter_make_table(shape, &weights->parameter, &weights->parameters));
    weights->bucket = calloc((size_t)weights->buckets, sizeof *weights->bucket);
    weights->w.block = calloc(N, sizeof *weights->w.block);
    weights->grad.block = calloc(N, sizeof *weights->grad.block);
    if (weights->bucket == NULL || weights->w.block == NULL || weights->grad.block == NULL)
        FLM_FAIL(FLM_E_NOMEM, "no memory for the weights of %zu blocks", N);
    list_parameters(weights);
    divide(weights);
    layout_buckets(weights, gradients);
    FLM_TRY(flm_arena_commit(&weights->arena, "weights"));
    layout_buckets(weights, gradients);
    make_views(weights);
    FLM_TRY(be->memory->zero(be, weights->arena.base, weights->arena.bytes));
    *out = weights;
    weights = NULL;
done:
    flm_weights_destroy(&weights);
    return rc;
}

void flm_weights_destroy(flm_weights **weights)
{
    if (*weights == NULL) return;
    flm_arena_release(&(*weights)->arena);
    free((*weights)->parameter);
    free((*weights)->bucket);
    free((*weights)->w.block);
    free((*weights)->grad.block);
    free(*weights);
    *weights = NULL;
}

flm_status flm_weights_zero_grad(flm_weights *weights)
{
    flm_status rc = FLM_OK;
    for (int b = 0; b < weights->buckets; b++) {
        const flm_tensor *grad = &weights->bucket[b].grad;
        FLM_TRY(weights->be->memory->zero(weights->be, grad->data, flm_tensor_bytes(grad)));
    }
done:
    return rc;
}

flm_status flm_weights_set(flm_weights *weights, int index, const float *values)
{
    flm_status rc = FLM_OK;
    flm_backend *be = weights->be;
    const flm_parameter *p = &weights->parameter[index];
    flm_tensor to = parameter_view(p, &weights->bucket[p->bucket].compute), from = to;
    void *staged = NULL;
    if (to.dtype == FLM_DTYPE_F32) {
        FLM_TRY(be->memory->to_device(be, to.data, values, (size_t)p->count * sizeof *values));
    } else {
        FLM_TRY(be->memory->alloc(be, (size_t)p->count * sizeof *values, &staged));
        from.data = staged;
        from.dtype = FLM_DTYPE_F32;
        FLM_TRY(be->memory->to_device(be, staged, values, (size_t)p->count * sizeof *values));
        FLM_TRY(flm_op_cast(be, &to, &from));
    }
    FLM_TRY(be->stream->sync(be));
done:
    be->memory->release(be, staged);
    return rc;
}
