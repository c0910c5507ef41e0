/* optimizer.c - the sharded optimiser on two and on four ranks, compared with AdamW in double on complete parameters
 * and with the optimiser on one rank. Each rank's share of a gradient is a small integer times a power of two, so that
 * the sum over ranks is exact and the same for any number of ranks. SPDX-License-Identifier: Apache-2.0 */
#include "tests/ranks/ranks.h"
#include "train/train_optimizer.h"

#include <stdlib.h>
#include <string.h>

enum { UPDATES = 6, SAMPLES = 4, WARMUP = 3, DECAY = 2, STEPS = UPDATES + 1, SEED = 11 };

static const flm_optimizer_settings settings = {
    .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .weight_decay = 0.125, .clip = 1, .ema_decay = 0.3};
static const double LR = 0.01;

static flm_backend *be;
static flm_comm *world, *alone;

/* The state of a training on one group of ranks. */
typedef struct training {
    flm_comm *comm;
    flm_weights *weights;
    flm_optimizer *o;
    flm_noise_basis *basis;
} training;

/* The reference, in double, complete on every rank; element `offset` of bucket b is at start[b] + offset. */
typedef struct reference {
    double *w, *m, *v, *ema;
    float *grad;
    int64_t *start;
} reference;

static void must(flm_status rc)
{
    if (rc == FLM_OK) return;
    fprintf(stderr, "# %s\n%s", flm_err_message(), flm_err_trace());
    MPI_Abort(MPI_COMM_WORLD, 1);
}

static void *memory(size_t bytes)
{
    void *p = calloc(1, bytes);
    if (p == NULL) abort();
    return p;
}

static training training_new(flm_comm *comm, int64_t V, flm_dtype compute)
{
    training t = {.comm = comm};
    const flm_model_shape shape = {
        .L = 4, .V = V, .d = 12, .H = 2, .c = 10, .N = 1, .F = 6, .mlp_ratio = 2, .softcap = 50};
    must(flm_weights_create(be, &shape, compute, flm_comm_size(comm), true, &t.weights));
    must(flm_optimizer_create(t.weights, comm, &settings, &t.o));
    must(flm_noise_create(be, V, shape.d, 0, NULL, &t.basis));
    must(flm_optimizer_initialise(t.o, SEED));
    return t;
}

static void training_end(training *t)
{
    flm_noise_destroy(&t->basis);
    flm_optimizer_destroy(&t->o);
    flm_weights_destroy(&t->weights);
}

static int noise(int64_t a, int64_t b, int64_t c) /* an integer in -100..100 that looks random */
{
    uint64_t x = (uint64_t)(a * 1000003 + b * 7919 + c * 104729 + 12345) * 0x9E3779B97F4A7C15u;
    x ^= x >> 29;
    x *= 0xBF58476D1CE4E5B9u;
    return (int)((x >> 33) % 201) - 100;
}

/* Gradients of odd updates are too small to be clipped. */
static double gradient_scale(int k) { return k % 2 ? 0x1p-20 : 0x1p-8; }

static float gradient(int i, int64_t j, int k) { return (float)(noise(i, j, k) * gradient_scale(k)); }

/* This rank's share of it: pseudo-random on ranks above 0, the remainder on rank 0. */
static float gradient_share(const flm_comm *comm, int i, int64_t j, int k)
{
    const int rank = flm_comm_rank(comm), size = flm_comm_size(comm);
    int share = rank > 0 ? noise(i + 50 * rank, j, k) : noise(i, j, k);
    for (int r = 1; rank == 0 && r < size; r++) share -= noise(i + 50 * r, j, k);
    return (float)(share * gradient_scale(k));
}

/* Write the gradients of update k into the buckets and call the hook for each, the last layers first. */
static void backward(training *t, int k)
{
    const flm_dit_hook hook = flm_optimizer_hook(t->o);
    must(flm_weights_zero_grad(t->weights));
    for (int i = 0; i < t->weights->parameters; i++) {
        const flm_parameter *p = &t->weights->parameter[i];
        float *grad = (float *)t->weights->bucket[p->bucket].grad.data + p->offset;
        for (int64_t j = 0; j < p->count; j++) grad[j] = gradient_share(t->comm, i, j, k);
    }
    for (int b = t->weights->buckets - 1; b >= 0; b--) must(hook.ready(hook.context, b));
}

/* The noise part of this rank's samples: integers again, so that M is exact. */
static void backward_noise(training *t, int k)
{
    const int64_t own = SAMPLES / flm_comm_size(t->comm), L = 4, K = t->basis->K, d = t->basis->d;
    float *xi = memory((size_t)(own * L * K) * sizeof *xi), *grad = memory((size_t)(own * L * d) * sizeof *grad);
    const flm_tensor xi_tensor = flm_tensor_3d(xi, FLM_DTYPE_F32, own, L, K);
    const flm_tensor grad_tensor = flm_tensor_3d(grad, FLM_DTYPE_F32, own, L, d);
    const int64_t first = flm_comm_rank(t->comm) * own * L;
    for (int64_t i = 0; i < own * L * K; i++) xi[i] = (float)(noise(first + i / K, i % K, 1000 + k) * 0x1p-6);
    for (int64_t i = 0; i < own * L * d; i++)
        grad[i] = (float)(noise(first + i / d, i % d, 2000 + k) * gradient_scale(k));
    must(flm_noise_backward(t->basis, &xi_tensor, &grad_tensor));
    free(xi);
    free(grad);
}

static reference reference_new(const training *t)
{
    const flm_weights *weights = t->weights;
    reference r = {.start = memory((size_t)weights->buckets * sizeof *r.start)};
    int64_t all = 0;
    for (int b = 0; b < weights->buckets; b++) {
        r.start[b] = all;
        all += weights->bucket[b].slice * weights->size;
    }
    double **const arrays[] = {&r.w, &r.m, &r.v, &r.ema};
    for (int a = 0; a < 4; a++) *arrays[a] = memory((size_t)all * sizeof(double));
    r.grad = memory((size_t)all * sizeof(float));
    for (int i = 0; i < weights->parameters; i++) {
        const flm_parameter *p = &weights->parameter[i];
        float *const values = r.grad + r.start[p->bucket] + p->offset;
        flm_parameter_initial(p, i, SEED, 0, p->count, values);
        for (int64_t j = r.start[p->bucket] + p->offset, e = j + p->count; j < e; j++) r.w[j] = r.ema[j] = r.grad[j];
    }
    return r;
}

static void reference_end(reference *r)
{
    free(r->w);
    free(r->m);
    free(r->v);
    free(r->ema);
    free(r->grad);
    free(r->start);
}

/* Update k of model.md section 5 with decoupled weight decay; returns the gradient's norm. */
static double reference_update(reference *r, const training *t, int k)
{
    double sum = 0, n = k + 1, max = (1 + n) / (10 + n), decay = max < 0.3 ? max : 0.3;
    const double lr = k < WARMUP ? LR * k / WARMUP : STEPS - k < DECAY ? LR * (STEPS - k) / DECAY : LR;
    for (int i = 0; i < t->weights->parameters; i++)
        for (int64_t j = 0; j < t->weights->parameter[i].count; j++) sum += pow(gradient(i, j, k), 2);
    const double norm = sqrt(sum), clip = 1 / (norm + 1e-6) < 1 ? 1 / (norm + 1e-6) : 1;
    for (int i = 0; i < t->weights->parameters; i++) {
        const flm_parameter *p = &t->weights->parameter[i];
        for (int64_t j = 0; j < p->count; j++) {
            const int64_t at = r->start[p->bucket] + p->offset + j;
            const double g = clip * gradient(i, j, k);
            r->m[at] = 0.9 * r->m[at] + 0.1 * g;
            r->v[at] = 0.999 * r->v[at] + 0.001 * g * g;
            const double m = r->m[at] / (1 - pow(0.9, n)), v = r->v[at] / (1 - pow(0.999, n));
            r->w[at] -= lr * (m / (sqrt(v) + 1e-8) + 0.125 * r->w[at]);
            r->ema[at] = decay * r->ema[at] + (1 - decay) * r->w[at];
        }
    }
    return norm;
}

/* The largest difference between this rank's slices and the reference. */
static double off_slices(const training *t, const reference *r, bool ema)
{
    double worst = 0;
    for (int b = 0; b < t->weights->buckets; b++) {
        const int64_t slice = t->weights->bucket[b].slice, first = flm_comm_rank(t->comm) * slice;
        const flm_tensor *have = ema ? &t->o->slice[b].ema : &t->o->slice[b].master;
        for (int64_t j = 0; j < slice; j++) {
            const double e = fabs(((const float *)have->data)[j] - (ema ? r->ema : r->w)[r->start[b] + first + j]);
            if (!(e <= worst)) worst = e;
        }
    }
    return worst;
}

static double compute_at(const flm_bucket *bucket, int64_t j)
{
    return bucket->dtype == FLM_DTYPE_BF16 ? flm_bf16_to_f32(((const uint16_t *)bucket->compute.data)[j])
                                           : ((const float *)bucket->compute.data)[j];
}

/* The same for the complete compute weights; bf16 may differ by its rounding, half a unit, in addition. */
static double off_compute(const training *t, const reference *r, bool ema)
{
    double worst = 0;
    for (int b = 0; b < t->weights->buckets; b++) {
        const flm_bucket *bucket = &t->weights->bucket[b];
        for (int64_t j = 0; j < bucket->slice * t->weights->size; j++) {
            const double want = (ema ? r->ema : r->w)[r->start[b] + j];
            double e = fabs(compute_at(bucket, j) - want);
            if (bucket->dtype == FLM_DTYPE_BF16) e = e > 0x1p-8 * fabs(want) ? e - 0x1p-8 * fabs(want) : 0;
            if (!(e <= worst)) worst = e;
        }
    }
    return worst;
}

/* A copy of all weights and state of this rank, released by the caller. */
static unsigned char *snapshot(const training *t, size_t *bytes)
{
    unsigned char *copy = NULL;
    for (int pass = 0; pass < 2; pass++) { /* measure, then copy */
        size_t at = 0;
        if (pass == 1) copy = memory(*bytes);
        for (int b = 0; b < t->weights->buckets; b++) {
            const flm_optimizer_slice *s = &t->o->slice[b];
            const flm_tensor *const parts[] = {&t->weights->bucket[b].compute, &s->master, &s->m, &s->v, &s->ema};
            for (int i = 0; i < 5; i++) {
                if (copy) memcpy(copy + at, parts[i]->data, flm_tensor_bytes(parts[i]));
                at += flm_tensor_bytes(parts[i]);
            }
        }
        *bytes = at;
    }
    return copy;
}

static bool unchanged(const training *t, const unsigned char *before)
{
    size_t bytes;
    unsigned char *now = snapshot(t, &bytes);
    const bool same = memcmp(now, before, bytes) == 0;
    free(now);
    return same;
}

/* Whether the compute weights have the same bits on every rank. */
static bool same_everywhere(const training *t)
{
    bool same = true;
    for (int b = 0; b < t->weights->buckets; b++) {
        const flm_tensor *x = &t->weights->bucket[b].compute;
        void *first = memory(flm_tensor_bytes(x));
        memcpy(first, x->data, flm_tensor_bytes(x));
        must(flm_comm_broadcast(t->comm, first, (int64_t)flm_tensor_bytes(x), 0));
        same = same && memcmp(first, x->data, flm_tensor_bytes(x)) == 0;
        free(first);
    }
    return same;
}

static void test_ema(training *t, const reference *r, double tolerance)
{
    size_t bytes;
    unsigned char *before = snapshot(t, &bytes);
    must(flm_optimizer_swap_ema(t->o, true));
    const double off = off_compute(t, r, true);
    ranks_ok(off <= tolerance && !unchanged(t, before) && same_everywhere(t), "the EMA swapped in: off by %.2g", off);
    must(flm_optimizer_swap_ema(t->o, false));
    ranks_ok(unchanged(t, before), "swapped back: every bit as before");
    free(before);
}

/* A NaN on one rank prevents the update on every rank. */
static void test_not_finite(training *t)
{
    size_t bytes;
    unsigned char *before = snapshot(t, &bytes);
    double norm = 0, sums[1] = {0};
    const int last = t->weights->buckets - 1;
    must(flm_noise_update(t->basis, t->comm, &t->weights->w.E));
    if (flm_comm_rank(t->comm) == flm_comm_size(t->comm) - 1) {
        const flm_dit_hook hook = flm_optimizer_hook(t->o);
        must(flm_weights_zero_grad(t->weights));
        ((float *)t->weights->bucket[last].grad.data)[1] = NAN;
        for (int b = last; b >= 0; b--) must(hook.ready(hook.context, b));
    } else {
        backward(t, 0);
    }
    must(flm_optimizer_reduce(t->o, t->basis)); /* in host memory: nothing to wait for */
    must(flm_optimizer_norm(t->o, sums, 1, &norm));
    must(flm_optimizer_update(t->o, LR, UPDATES));
    ranks_ok(!isfinite(norm) && unchanged(t, before), "a gradient that is not finite changes nothing");
    free(before);
}

static void test_adamw(int64_t V, flm_dtype compute)
{
    training t = training_new(world, V, compute);
    reference r = reference_new(&t);
    /* |w| < 2: a few fp32 roundings per update, of terms below 1 */
    const double tolerance = 2e-7 * (UPDATES + 1);
    double worst_norm = 0;
    bool sums_right = true;
    ranks_ok(off_compute(&t, &r, false) <= 1e-12 && off_slices(&t, &r, false) == 0 && off_slices(&t, &r, true) == 0,
             "V = %d, %s: initial weights", (int)V, flm_dtype_name(compute));
    for (int k = 0; k < UPDATES; k++) {
        double norm, sums[2] = {flm_comm_rank(world), 1};
        must(flm_noise_update(t.basis, world, &t.weights->w.E));
        backward(&t, k);
        must(flm_optimizer_reduce(t.o, t.basis)); /* in host memory: nothing to wait for */
        must(flm_optimizer_norm(t.o, sums, 2, &norm));
        must(flm_optimizer_update(
            t.o,
            flm_lr_schedule_rate(&(flm_lr_schedule){.lr = LR, .warmup = WARMUP, .decay = DECAY, .steps = STEPS}, k),
            k));
        const int size = flm_comm_size(world);
        sums_right = sums_right && 2 * sums[0] == size * (size - 1) && sums[1] == size;
        const double want = reference_update(&r, &t, k), e = fabs(norm / want - 1);
        if (!(e <= worst_norm)) worst_norm = e;
    }
    ranks_ok(sums_right, "sums over the ranks");
    ranks_ok(worst_norm <= 1e-12, "norms of the gradient: off by %.2g", worst_norm); /* exact squares, summed in fp64 */
    const double master = off_slices(&t, &r, false), ema = off_slices(&t, &r, true), all = off_compute(&t, &r, false);
    ranks_ok(master <= tolerance, "master weights after %d updates: off by %.2g", UPDATES, master);
    ranks_ok(ema <= tolerance, "EMA: off by %.2g", ema);
    ranks_ok(all <= tolerance, "compute weights: off by %.2g", all);
    ranks_ok(same_everywhere(&t), "the same bits on every rank");
    test_ema(&t, &r, tolerance);
    test_not_finite(&t);
    reference_end(&r);
    training_end(&t);
}

static double step_with_noise(training *t, int k)
{
    double norm, sums[1] = {0};
    must(flm_noise_update(t->basis, t->comm, &t->weights->w.E));
    backward_noise(t, k);
    backward(t, k);
    must(flm_optimizer_reduce(t->o, t->basis)); /* in host memory: nothing to wait for */
    must(flm_optimizer_norm(t->o, sums, 1, &norm));
    return norm;
}

/* One step with the noise part, sharded and on one rank: gradient of E, norm and basis. */
static void test_noise(int64_t V)
{
    training t = training_new(world, V, FLM_DTYPE_F32), one = training_new(alone, V, FLM_DTYPE_F32);
    const int64_t d = t.weights->shape.d, slice = t.weights->bucket[0].slice, first = flm_comm_rank(world) * slice;
    double worst = 0, scale = 0, part = 0, basis = 0;
    const double norm = step_with_noise(&t, 2), norm_one = step_with_noise(&one, 2);
    const float *have = t.o->slice[0].grad.data, *want = one.o->slice[0].grad.data;
    for (int64_t j = 0; j < V * d; j++) {
        scale = fmax(scale, fabs((double)want[j]));
        part = fmax(part, fabs((double)want[j] - (double)gradient(0, j, 2))); /* parameter 0 is E */
    }
    for (int64_t j = first; j < first + slice && j < V * d; j++) {
        const double e = fabs((double)have[j - first] - (double)want[j]);
        if (!(e <= worst)) worst = e;
    }
    for (int64_t j = 0; j < t.basis->K * d; j++) {
        const double e = fabs((double)((const float *)t.basis->T[0][0].data)[j] -
                              (double)((const float *)one.basis->T[0][0].data)[j]);
        if (!(e <= basis)) basis = e;
    }
    ranks_ok(part > 0.01 * scale, "V = %d: the noise part of the gradient of E: %.2g of %.2g", (int)V, part, scale);
    ranks_ok(worst <= 1e-6 * scale, "its rows equal those of one rank: off by %.2g", worst); /* fp32 of the same fp64 */
    ranks_ok(basis <= 1e-6, "so does the basis: off by %.2g", basis);
    ranks_ok(fabs(norm / norm_one - 1) <= 1e-6, "so does the norm: %.9g, %.9g", norm, norm_one);
    training_end(&t);
    training_end(&one);
}

/* A rate without a decay does not depend on the number of steps, which a benchmark does not have. */
static void test_constant_rate(void)
{
    const flm_lr_schedule s = {.lr = 0.5};
    ranks_ok(flm_lr_schedule_rate(&s, 0) == 0.5 && flm_lr_schedule_rate(&s, 7) == 0.5, "a constant rate");
}

int main(int argc, char **argv)
{
    int provided;
    MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided);
    must(flm_comm_create(MPI_COMM_WORLD, &world));
    must(flm_comm_create(MPI_COMM_SELF, &alone));
    must(flm_backend_create(FLM_DEVICE_CPU, 1, flm_comm_local_rank(world), &be));
    test_constant_rate();
    test_adamw(37, FLM_DTYPE_F32);
    test_adamw(37, FLM_DTYPE_BF16);
    test_adamw(5, FLM_DTYPE_BF16); /* the last of four ranks has no row of E */
    test_noise(37);
    test_noise(5);
    flm_backend_destroy(&be);
    flm_comm_destroy(&alone);
    flm_comm_destroy(&world);
    return ranks_end();
}
