/* model_weights.c - the parameter table, the buckets, the views. SPDX-License-Identifier: Apache-2.0 */
#include "model/model_weights.h"

#include "backend/backend_ops.h"
#include "base/base_philox.h"

#include <assert.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* elements: 64 bytes of f32; parameters a block, elsewhere, and of emb_u and of the weighting network */
enum { ALIGN = 16, PER_BLOCK = 10, OUTSIDE = 10, TWO_TIME = 4, WEIGHTING = 8 };

/* A parameter appended to the table at the end of its bucket; `view` points at the tensor of flm_weights.w. */
typedef struct builder {
    flm_weights *weights;
    flm_tensor **view;
    int64_t *end; /* elements used, a bucket */
} builder;

static void add(builder *at, flm_tensor *view, int bucket, flm_init init, double bound, int64_t rows, int64_t columns,
                const char *fmt, ...) __attribute__((format(printf, 8, 9)));

/* columns 0: a vector of `rows`. */
static void add(builder *at, flm_tensor *view, int bucket, flm_init init, double bound, int64_t rows, int64_t columns,
                const char *fmt, ...)
{
    flm_weights *weights = at->weights;
    flm_parameter *p = &weights->parameter[weights->parameters];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(p->name, sizeof p->name, fmt, ap);
    va_end(ap);
    p->ndim = columns ? 2 : 1;
    p->dim[0] = rows;
    p->dim[1] = columns ? columns : 1;
    p->count = p->dim[0] * p->dim[1];
    p->init = init;
    p->bound = bound;
    p->bucket = bucket;
    p->offset = at->end[bucket];
    at->end[bucket] += (p->count + ALIGN - 1) / ALIGN * ALIGN;
    if (weights->bucket[bucket].count++ == 0) weights->bucket[bucket].first = weights->parameters;
    at->view[weights->parameters++] = view;
}

static void add_block(builder *at, int i)
{
    const flm_model_shape *s = &at->weights->shape;
    const int64_t d = s->d, wide = s->mlp_ratio * s->d;
    flm_block_weights *b = &at->weights->w.block[i];
    const int matrices = flm_bucket_block_matrices(i), small = flm_bucket_block_small(i);
    const double in_d = 1 / sqrt((double)d), in_wide = 1 / sqrt((double)wide);
    add(at, &b->Wqkv, matrices, FLM_INIT_UNIFORM, in_d, 3 * d, d, "blocks.%d.attn_qkv.weight", i);
    add(at, &b->Wo, matrices, FLM_INIT_UNIFORM, in_d, d, d, "blocks.%d.attn_out.weight", i);
    add(at, &b->W1, matrices, FLM_INIT_UNIFORM, in_d, wide, d, "blocks.%d.mlp.0.weight", i);
    add(at, &b->W2, matrices, FLM_INIT_UNIFORM, in_wide, d, wide, "blocks.%d.mlp.2.weight", i);
    add(at, &b->w1, small, FLM_INIT_ONE, 0, d, 0, "blocks.%d.norm1.weight", i);
    add(at, &b->w2, small, FLM_INIT_ONE, 0, d, 0, "blocks.%d.norm2.weight", i);
    add(at, &b->b1, small, FLM_INIT_UNIFORM, in_d, wide, 0, "blocks.%d.mlp.0.bias", i);
    add(at, &b->b2, small, FLM_INIT_UNIFORM, in_wide, d, 0, "blocks.%d.mlp.2.bias", i);
    add(at, &b->A, small, FLM_INIT_ZERO, 0, 6 * d, s->c, "blocks.%d.adaLN_modulation.weight", i);
    add(at, &b->a, small, FLM_INIT_ZERO, 0, 6 * d, 0, "blocks.%d.adaLN_modulation.bias", i);
}

/* The head's linear layers: a residual begins with none. */
static void add_head(builder *at)
{
    const flm_model_shape *s = &at->weights->shape;
    flm_dit_weights *w = &at->weights->w;
    const int Wout = flm_bucket_head_matrix(s->N), head = flm_bucket_head_small(s->N);
    const int first = at->weights->parameters;
    add(at, &w->Wout, Wout, FLM_INIT_ZERO, 0, s->V, s->d, "output_layer.linear.weight");
    add(at, &w->bout, head, FLM_INIT_ZERO, 0, s->V, 0, "output_layer.linear.bias");
    add(at, &w->wf, head, FLM_INIT_ONE, 0, s->d, 0, "output_layer.norm_final.weight");
    add(at, &w->Af, head, FLM_INIT_ZERO, 0, 2 * s->d, s->c, "output_layer.adaLN_modulation.weight");
    add(at, &w->af, head, FLM_INIT_ZERO, 0, 2 * s->d, 0, "output_layer.adaLN_modulation.bias");
    for (int i = first; i < at->weights->parameters; i++)
        at->weights->parameter[i].reinit =
            s->network == FLM_NETWORK_RESIDUAL && at->weights->parameter[i].init == FLM_INIT_ZERO;
}

/* Linear(F->c), Linear(c->c); the second zero where the embedding must begin by saying nothing. */
static void add_embedding(builder *at, int bucket, flm_tensor *const view[4], flm_init second, const char *name)
{
    const flm_model_shape *s = &at->weights->shape;
    const double in_F = 1 / sqrt((double)s->F), in_c = 1 / sqrt((double)s->c);
    add(at, view[0], bucket, FLM_INIT_UNIFORM, in_F, s->c, s->F, "%s.mlp.0.weight", name);
    add(at, view[1], bucket, FLM_INIT_UNIFORM, in_F, s->c, 0, "%s.mlp.0.bias", name);
    add(at, view[2], bucket, second, in_c, s->c, s->c, "%s.mlp.2.weight", name);
    add(at, view[3], bucket, second, in_c, s->c, 0, "%s.mlp.2.bias", name);
}

/* What an FLM does not have: model.md sections 6 and 7. */
static void add_two_time(builder *at)
{
    const flm_model_shape *s = &at->weights->shape;
    flm_dit_weights *w = &at->weights->w;
    const int bucket = flm_bucket_two_time(s->N), first = at->weights->parameters, width = FLM_WEIGHTING_WIDTH;
    const double in_c = 1 / sqrt((double)s->c);
    flm_tensor *const t_end[] = {&w->t_end_W1, &w->t_end_b1, &w->t_end_W2, &w->t_end_b2};
    flm_tensor *const embed[] = {&w->weighting_time_W1, &w->weighting_time_b1, &w->weighting_time_W2,
                                 &w->weighting_time_b2};
    add_embedding(at, bucket, t_end, FLM_INIT_ZERO, "sigma_map_prime");
    if (s->network == FLM_NETWORK_RESIDUAL) {
        add_embedding(at, bucket, embed, FLM_INIT_UNIFORM, "learnable_loss_weighting.s_embed");
        add(at, &w->weighting_W1, bucket, FLM_INIT_UNIFORM, in_c, width, s->c, "learnable_loss_weighting.mlp.0.weight");
        add(at, &w->weighting_b1, bucket, FLM_INIT_UNIFORM, in_c, width, 0, "learnable_loss_weighting.mlp.0.bias");
        add(at, &w->weighting_W2, bucket, FLM_INIT_ZERO, 0, 1, width, "learnable_loss_weighting.mlp.2.weight");
        add(at, &w->weighting_b2, bucket, FLM_INIT_ZERO, 0, 1, 0, "learnable_loss_weighting.mlp.2.bias");
    }
    for (int i = first; i < at->weights->parameters; i++) at->weights->parameter[i].reinit = true;
}

static void add_all(builder *at)
{
    const flm_model_shape *s = &at->weights->shape;
    flm_dit_weights *w = &at->weights->w;
    const double in_d = 1 / sqrt((double)s->d);
    flm_tensor *const time[] = {&w->time_W1, &w->time_b1, &w->time_W2, &w->time_b2};
    add(at, &w->E, FLM_BUCKET_EMBEDDING, FLM_INIT_UNIFORM, in_d, s->V, s->d, "vocab_embed.embedding");
    add_embedding(at, FLM_BUCKET_TIME, time, FLM_INIT_UNIFORM, "sigma_map");
    for (int i = 0; i < s->N; i++) add_block(at, i);
    add_head(at);
    if (s->network != FLM_NETWORK_ONE_TIME) add_two_time(at);
}

/* Slices: whole rows of E; elsewhere multiples of ALIGN, so that every slice starts aligned. */
static void divide(flm_weights *weights, const int64_t *end)
{
    for (int b = 0; b < weights->buckets; b++) {
        const int64_t unit = b == FLM_BUCKET_EMBEDDING ? weights->shape.d : ALIGN;
        const int64_t count = b == FLM_BUCKET_EMBEDDING ? weights->shape.V * weights->shape.d : end[b];
        const int64_t units = (count + unit - 1) / unit;
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

/* The gradient's view stands in weights->grad where the weight's stands in weights->w. */
static void make_views(flm_weights *weights, flm_tensor **view)
{
    for (int i = 0; i < weights->parameters; i++) {
        const flm_parameter *p = &weights->parameter[i];
        const flm_bucket *bucket = &weights->bucket[p->bucket];
        const char *outer = (const char *)&weights->w, *blocks = (const char *)weights->w.block;
        const char *at = (const char *)view[i];
        const bool in_block = at >= blocks && at < (const char *)(weights->w.block + weights->shape.N);
        char *grad = in_block ? (char *)weights->grad.block + (at - blocks) : (char *)&weights->grad + (at - outer);
        *view[i] = parameter_view(p, &bucket->compute);
        *(flm_tensor *)grad = parameter_view(p, &bucket->grad);
    }
}

flm_status flm_weights_create(flm_backend *be, const flm_model_shape *shape, flm_dtype compute, int size,
                              bool gradients, flm_weights **out)
{
    flm_status rc = FLM_OK;
    flm_weights *weights = NULL;
    builder at = {0};
    FLM_TRY(flm_model_check(shape));
    if (size < 1) FLM_FAIL(FLM_E_ARG, "weights divided among %d ranks", size);
    if (compute != FLM_DTYPE_F32 && compute != FLM_DTYPE_BF16)
        FLM_FAIL(FLM_E_ARG, "weights cannot compute in %s", flm_dtype_name(compute));
    const size_t N = (size_t)shape->N;
    const size_t max = OUTSIDE + PER_BLOCK * N + (shape->network != FLM_NETWORK_ONE_TIME ? TWO_TIME : 0) +
                       (shape->network == FLM_NETWORK_RESIDUAL ? WEIGHTING : 0);
    weights = calloc(1, sizeof *weights);
    if (weights != NULL) {
        *weights = (flm_weights){.be = be, .shape = *shape, .compute = compute, .size = size};
        weights->buckets = flm_bucket_head_small(shape->N) + 1;
        if (shape->network != FLM_NETWORK_ONE_TIME) weights->buckets = flm_bucket_two_time(shape->N) + 1;
        weights->parameter = calloc(max, sizeof *weights->parameter);
        weights->bucket = calloc((size_t)weights->buckets, sizeof *weights->bucket);
        weights->w.block = calloc(N, sizeof *weights->w.block);
        weights->grad.block = calloc(N, sizeof *weights->grad.block);
        at = (builder){weights, calloc(max, sizeof *at.view), calloc((size_t)weights->buckets, sizeof *at.end)};
    }
    if (weights == NULL || weights->parameter == NULL || weights->bucket == NULL || weights->w.block == NULL ||
        weights->grad.block == NULL || at.view == NULL || at.end == NULL)
        FLM_FAIL(FLM_E_NOMEM, "no memory for the table of parameters");
    add_all(&at);
    assert((size_t)weights->parameters == max);
    divide(weights, at.end);
    weights->arena = flm_arena_begin(be);
    layout_buckets(weights, gradients);
    FLM_TRY(flm_arena_commit(&weights->arena, "weights"));
    layout_buckets(weights, gradients);
    make_views(weights, at.view);
    FLM_TRY(be->memory->zero(be, weights->arena.base, weights->arena.bytes));
    *out = weights;
    weights = NULL;
done:
    free(at.view);
    free(at.end);
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

int flm_weights_find(const flm_weights *weights, const char *name)
{
    for (int i = 0; i < weights->parameters; i++)
        if (strcmp(weights->parameter[i].name, name) == 0) return i;
    return -1;
}

flm_status flm_weights_get_grad(const flm_weights *weights, int index, float *values)
{
    flm_status rc = FLM_OK;
    flm_backend *be = weights->be;
    const flm_parameter *p = &weights->parameter[index];
    const flm_tensor from = parameter_view(p, &weights->bucket[p->bucket].grad);
    FLM_TRY(be->memory->to_host(be, values, from.data, flm_tensor_bytes(&from)));
    FLM_TRY(be->stream->sync(be));
done:
    return rc;
}

void flm_parameter_initial(const flm_parameter *p, int index, uint64_t seed, int64_t first, int64_t count,
                           float *values)
{
    const uint64_t stream = flm_philox_stream(seed, FLM_RANDOM_INIT, 0, (uint32_t)index);
    for (int64_t i = 0; i < count; i++) {
        if (p->init != FLM_INIT_UNIFORM) {
            values[i] = p->init == FLM_INIT_ONE ? 1.0f : 0.0f;
            continue;
        }
        const uint64_t pair = (uint64_t)(first + i) / 2; /* two words a value, two values a counter */
        const int at = (int)((first + i) % 2) * 2;
        const flm_philox4 r = flm_philox4x32(stream, (uint32_t)pair, (uint32_t)(pair >> 32), 0, 0);
        values[i] = (float)(p->bound * (2 * flm_philox_uniform(r.v[at], r.v[at + 1]) - 1));
    }
}
