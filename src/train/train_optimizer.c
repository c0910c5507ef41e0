/* train_optimizer.c - the sharded AdamW (train_optimizer.h). SPDX-License-Identifier: Apache-2.0 */
#include "train/train_optimizer.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SCRATCH = 1 << 16, MAX_SUMS = 8 };

static flm_tensor own_slice(const flm_optimizer *o, const flm_tensor *bucket, int64_t slice)
{
    return flm_tensor_slice(bucket, flm_comm_rank(o->comm) * slice, slice);
}

static void layout(flm_optimizer *o)
{
    for (int b = 0; b < o->weights->buckets; b++) {
        const flm_bucket *bucket = &o->weights->bucket[b];
        flm_optimizer_slice *s = &o->slice[b];
        s->compute = own_slice(o, &bucket->compute, bucket->slice);
        s->grad = own_slice(o, &bucket->grad, bucket->slice);
        s->master = s->compute;
        if (bucket->dtype != FLM_DTYPE_F32) s->master = flm_arena_1d(&o->arena, FLM_DTYPE_F32, bucket->slice);
        s->m = flm_arena_1d(&o->arena, FLM_DTYPE_F32, bucket->slice);
        s->v = flm_arena_1d(&o->arena, FLM_DTYPE_F32, bucket->slice);
        s->ema = flm_arena_1d(&o->arena, FLM_DTYPE_F32, bucket->slice);
    }
    o->norm_sq = flm_arena_1d(&o->arena, FLM_DTYPE_F64, 1);
    o->scratch = flm_arena_1d(&o->arena, FLM_DTYPE_F32, SCRATCH);
}

flm_status flm_optimizer_create(flm_weights *weights, flm_comm *comm, const flm_optimizer_settings *settings,
                                flm_optimizer **out)
{
    flm_status rc = FLM_OK;
    flm_optimizer *o = NULL;
    void *host = NULL;
    if (weights->buckets >= FLM_COMM_REQUESTS) /* the noise basis needs one request */
        FLM_FAIL(FLM_E_UNSUPPORTED, "the network has %d buckets of weights; at most %d are supported", weights->buckets,
                 FLM_COMM_REQUESTS - 1);
    assert(weights->size == flm_comm_size(comm));
    o = calloc(1, sizeof *o);
    if (o != NULL) {
        *o = (flm_optimizer){.weights = weights, .comm = comm, .settings = *settings};
        o->slice = calloc((size_t)weights->buckets, sizeof *o->slice);
    }
    if (o == NULL || o->slice == NULL) FLM_FAIL(FLM_E_NOMEM, "no memory for the optimiser's list of slices");
    FLM_TRY(weights->be->memory->host_alloc(weights->be, 2 * sizeof *o->result, &host));
    o->result = host;
    o->arena = flm_arena_begin(weights->be);
    layout(o);
    FLM_TRY(flm_arena_commit(&o->arena, "optimiser state"));
    layout(o);
    FLM_TRY(weights->be->memory->zero(weights->be, o->arena.base, o->arena.bytes));
    *out = o;
    o = NULL;
done:
    flm_optimizer_destroy(&o);
    return rc;
}

void flm_optimizer_destroy(flm_optimizer **optimizer)
{
    if (*optimizer == NULL) return;
    flm_backend *be = (*optimizer)->weights->be;
    flm_arena_release(&(*optimizer)->arena);
    be->memory->host_release(be, (*optimizer)->result);
    free((*optimizer)->slice);
    free(*optimizer);
    *optimizer = NULL;
}

/* An initial value is a function of seed and element, so each rank computes those of its slice. */
flm_status flm_optimizer_initialise(flm_optimizer *o, uint64_t seed)
{
    flm_status rc = FLM_OK;
    flm_weights *weights = o->weights;
    flm_backend *be = weights->be;
    const int rank = flm_comm_rank(o->comm);
    float *values = NULL;
    for (int i = 0; i < weights->parameters; i++) {
        const flm_parameter *p = &weights->parameter[i];
        const int64_t slice = weights->bucket[p->bucket].slice, begin = rank * slice;
        const int64_t first = p->offset > begin ? p->offset : begin;
        const int64_t end = p->offset + p->count < begin + slice ? p->offset + p->count : begin + slice;
        if (first >= end) continue;
        const size_t bytes = (size_t)(end - first) * sizeof *values;
        free(values);
        values = malloc(bytes);
        if (values == NULL) FLM_FAIL(FLM_E_NOMEM, "no memory for the initial values of %s", p->name);
        flm_parameter_initial(p, i, seed, first - p->offset, end - first, values);
        flm_optimizer_slice *s = &o->slice[p->bucket];
        FLM_TRY(be->memory->to_device(be, (float *)s->master.data + (first - begin), values, bytes));
        FLM_TRY(be->memory->to_device(be, (float *)s->ema.data + (first - begin), values, bytes));
        FLM_TRY(be->stream->sync(be));
    }
    for (int b = 0; b < weights->buckets; b++) {
        FLM_TRY(be->memory->zero(be, o->slice[b].m.data, flm_tensor_bytes(&o->slice[b].m)));
        FLM_TRY(be->memory->zero(be, o->slice[b].v.data, flm_tensor_bytes(&o->slice[b].v)));
    }
    FLM_TRY(flm_optimizer_gather(o));
done:
    free(values);
    return rc;
}

static flm_status gather_begin(flm_optimizer *o, const flm_weights *weights, int b)
{
    const flm_bucket *bucket = &weights->bucket[b];
    return flm_comm_all_gather_begin(o->comm, o->weights->be, bucket->compute.data, bucket->dtype, bucket->slice,
                                     &o->slice[b].request);
}

static flm_status wait_all(flm_optimizer *o)
{
    flm_status rc = FLM_OK;
    for (int b = 0; b < o->weights->buckets; b++) FLM_TRY(flm_comm_wait(o->comm, &o->slice[b].request));
done:
    return rc;
}

flm_status flm_optimizer_gather(flm_optimizer *o)
{
    flm_status rc = FLM_OK;
    flm_backend *be = o->weights->be;
    for (int b = 0; b < o->weights->buckets; b++) {
        flm_optimizer_slice *s = &o->slice[b];
        if (s->master.data != s->compute.data) FLM_TRY(flm_op_cast(be, &s->compute, &s->master));
        FLM_TRY(gather_begin(o, o->weights, b));
    }
    FLM_TRY(wait_all(o));
done:
    return rc;
}

flm_status flm_optimizer_gather_average(flm_optimizer *o, flm_weights *average)
{
    flm_status rc = FLM_OK;
    const int rank = flm_comm_rank(o->comm);
    assert(average->buckets == o->weights->buckets && average->size == o->weights->size);
    for (int b = 0; b < average->buckets; b++) {
        const flm_bucket *bucket = &average->bucket[b];
        const flm_tensor own = flm_tensor_slice(&bucket->compute, rank * bucket->slice, bucket->slice);
        const flm_tensor *ema = o->ema_active ? &o->slice[b].master : &o->slice[b].ema;
        FLM_TRY(flm_op_cast(o->weights->be, &own, ema));
        FLM_TRY(gather_begin(o, average, b));
    }
    FLM_TRY(wait_all(o));
done:
    return rc;
}

static flm_status bucket_ready(void *context, int b)
{
    flm_optimizer *o = context;
    const flm_bucket *bucket = &o->weights->bucket[b];
    flm_status rc = FLM_OK;
    FLM_TRY(
        flm_comm_reduce_scatter_begin(o->comm, o->weights->be, bucket->grad.data, bucket->slice, &o->slice[b].request));
    FLM_TRY(flm_comm_progress(o->comm));
done:
    return rc;
}

flm_dit_hook flm_optimizer_hook(flm_optimizer *o) { return (flm_dit_hook){bucket_ready, o}; }

/* Add the noise part to the rows of E in this rank's slice; the last slices may have fewer rows or none. */
static flm_status add_noise_part(flm_optimizer *o, flm_noise_basis *basis)
{
    flm_status rc = FLM_OK;
    const int64_t V = o->weights->shape.V, d = o->weights->shape.d;
    const int64_t slice = o->weights->bucket[FLM_BUCKET_EMBEDDING].slice / d, first = flm_comm_rank(o->comm) * slice;
    const int64_t rows = first >= V ? 0 : V - first < slice ? V - first : slice;
    if (rows > 0) {
        const flm_tensor grad = flm_tensor_2d(o->slice[FLM_BUCKET_EMBEDDING].grad.data, FLM_DTYPE_F32, rows, d);
        FLM_TRY(flm_noise_gradient(basis, &o->weights->w.E, first, &grad));
    }
done:
    return rc;
}

flm_status flm_optimizer_reduce(flm_optimizer *o, flm_noise_basis *basis)
{
    flm_status rc = FLM_OK;
    flm_backend *be = o->weights->be;
    assert(!o->ema_active);
    FLM_TRY(flm_noise_reduce(basis, o->comm));
    FLM_TRY(wait_all(o));
    FLM_TRY(add_noise_part(o, basis));
    FLM_TRY(be->memory->zero(be, o->norm_sq.data, sizeof(double)));
    for (int b = 0; b < o->weights->buckets; b++) FLM_TRY(flm_op_sum_squares(be, &o->norm_sq, &o->slice[b].grad));
    FLM_TRY(be->memory->to_host(be, &o->result[0], o->norm_sq.data, sizeof(double)));
done:
    return rc;
}

/* The global norm goes back to the device from memory that stays as it is until the next step's wait. */
flm_status flm_optimizer_norm(flm_optimizer *o, double *sums, int count, double *norm)
{
    flm_status rc = FLM_OK;
    flm_backend *be = o->weights->be;
    double all[MAX_SUMS + 1] = {0};
    assert(count <= MAX_SUMS);
    memcpy(all, sums, (size_t)count * sizeof *sums);
    all[count] = o->result[0];
    FLM_TRY(flm_comm_sum_f64(o->comm, all, count + 1));
    memcpy(sums, all, (size_t)count * sizeof *sums);
    *norm = sqrt(all[count]);
    o->result[1] = all[count];
    FLM_TRY(be->memory->to_device(be, o->norm_sq.data, &o->result[1], sizeof(double)));
done:
    return rc;
}

double flm_lr_schedule_rate(const flm_lr_schedule *s, int64_t update)
{
    const int64_t left = s->steps - update;
    const int64_t decay = s->decay > 0 || s->shape == FLM_LR_CONSTANT ? s->decay : s->steps - s->warmup;
    double lr = s->lr;
    if (update < s->warmup) lr = lr * (double)update / (double)s->warmup;
    if (decay <= 0 || left >= decay) return lr;
    const double above = s->shape == FLM_LR_COSINE ? (lr - s->min) * (1 - cos(M_PI * (double)left / (double)decay)) / 2
                                                   : (lr - s->min) * (double)left / (double)decay;
    return s->min + above;
}

flm_status flm_optimizer_update(flm_optimizer *o, double lr, int64_t update)
{
    flm_status rc = FLM_OK;
    flm_backend *be = o->weights->be;
    const flm_optimizer_settings *s = &o->settings;
    const double n = (double)(update + 1), decay = (1 + n) / (10 + n);
    assert(!o->ema_active);
    for (int b = 0; b < o->weights->buckets; b++) {
        flm_optimizer_slice *own = &o->slice[b];
        const flm_adamw p = {.w = own->master,
                             .m = own->m,
                             .v = own->v,
                             .ema = own->ema,
                             .grad = own->grad,
                             .cast = own->master.data == own->compute.data ? flm_tensor_none() : own->compute,
                             .norm_sq = o->norm_sq.data,
                             .clip = (float)s->clip,
                             .lr = (float)lr,
                             .beta1 = (float)s->beta1,
                             .beta2 = (float)s->beta2,
                             .eps = (float)s->eps,
                             .weight_decay = (float)s->weight_decay,
                             .ema_decay = (float)(decay < s->ema_decay ? decay : s->ema_decay),
                             .update = update};
        FLM_TRY(flm_op_adamw(be, &p));
        FLM_TRY(gather_begin(o, o->weights, b));
    }
    FLM_TRY(wait_all(o));
done:
    return rc;
}

/* Exchange the contents of a and b through the scratch buffer. */
static flm_status swap(flm_optimizer *o, const flm_tensor *a, const flm_tensor *b)
{
    flm_status rc = FLM_OK;
    flm_backend *be = o->weights->be;
    const int64_t count = flm_tensor_elements(a);
    for (int64_t first = 0; first < count; first += SCRATCH) {
        const size_t bytes = (size_t)(count - first < SCRATCH ? count - first : SCRATCH) * sizeof(float);
        float *at_a = (float *)a->data + first, *at_b = (float *)b->data + first;
        FLM_TRY(be->memory->copy(be, o->scratch.data, at_a, bytes));
        FLM_TRY(be->memory->copy(be, at_a, at_b, bytes));
        FLM_TRY(be->memory->copy(be, at_b, o->scratch.data, bytes));
    }
done:
    return rc;
}

flm_status flm_optimizer_swap_ema(flm_optimizer *o, bool ema)
{
    flm_status rc = FLM_OK;
    assert(ema != o->ema_active);
    for (int b = 0; b < o->weights->buckets; b++) FLM_TRY(swap(o, &o->slice[b].master, &o->slice[b].ema));
    FLM_TRY(flm_optimizer_gather(o));
    o->ema_active = ema;
done:
    return rc;
}
