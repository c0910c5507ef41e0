/* joint.c - the noise basis of two and three embeddings at all distances from each other: distribution of the noise,
 * and accuracy of gradients compared with double. SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/flow/flow.h"

#include <math.h>

enum { NETWORKS_MAX = FLM_NOISE_NETWORKS };

static flm_tensor tensor_new(int64_t a, int64_t b, int64_t c, double scale)
{
    flm_tensor t = flm_tensor_3d(NULL, FLM_DTYPE_F32, a, b, c);
    must(be->memory->alloc(be, flm_tensor_bytes(&t), &t.data));
    for (int64_t i = 0; i < flm_tensor_elements(&t); i++) ((float *)t.data)[i] = (float)(scale * network_normal());
    return t;
}

/* k embeddings [V, d]; the distance of the later ones from the first is `distance` times its norm. */
typedef struct embeddings {
    int k;
    int64_t V, d;
    flm_tensor E[NETWORKS_MAX];
} embeddings;

static embeddings embeddings_new(int k, int64_t V, int64_t d, double distance)
{
    embeddings e = {.k = k, .V = V, .d = d};
    for (int j = 0; j < k; j++) {
        const flm_tensor made = tensor_new(1, V, d, 0.3 * (j > 0 ? distance : 1));
        e.E[j] = flm_tensor_2d(made.data, FLM_DTYPE_F32, V, d);
        for (int64_t i = 0; i < V * d && j > 0; i++) ((float *)e.E[j].data)[i] += ((float *)e.E[0].data)[i];
    }
    return e;
}

static void embeddings_free(embeddings *e)
{
    for (int j = 0; j < e->k; j++) be->memory->release(be, e->E[j].data);
}

static flm_noise_basis *basis_new(const embeddings *e)
{
    flm_noise_basis *basis = NULL;
    must(flm_noise_create(be, e->V, e->d, e->k - 1, e->E, &basis));
    must(flm_noise_update(basis, comm, &e->E[e->k - 1]));
    return basis;
}

/* The factor of component r of a block of xi in entry p of x0 E_i. */
static double factor(const flm_noise_basis *basis, int i, int block, int64_t r, int64_t p)
{
    const float *T = basis->T[i][block].data;
    return T[basis->direct ? r * basis->d + p : p * basis->d + r];
}

/* Entry (p, q) of the covariance of the noise of networks i and j: xi T^T, or x0 E if direct. */
static double covariance(const flm_noise_basis *basis, int i, int j, int64_t p, int64_t q)
{
    double sum = 0;
    for (int b = 0; b < basis->blocks && b <= (i < j ? i : j); b++)
        for (int64_t r = 0; r < basis->width; r++) sum += factor(basis, i, b, r, p) * factor(basis, j, b, r, q);
    return sum;
}

static double inner(const embeddings *e, int i, int j, int64_t p, int64_t q)
{
    double sum = 0;
    for (int64_t v = 0; v < e->V; v++)
        sum += (double)((float *)e->E[i].data)[v * e->d + p] * (double)((float *)e->E[j].data)[v * e->d + q];
    return sum;
}

/* Tolerance: the ridge, 1e-10, and the rounding of T to f32. */
static void test_law(int k, int64_t V, int64_t d, double distance)
{
    embeddings e = embeddings_new(k, V, d, distance);
    flm_noise_basis *basis = basis_new(&e);
    double worst = 0, trace = 0;
    for (int64_t p = 0; p < d; p++) trace += inner(&e, 0, 0, p, p);
    for (int i = 0; i < k; i++)
        for (int j = 0; j < k; j++)
            for (int64_t n = 0; n < d * d; n++) {
                const double error = fabs(covariance(basis, i, j, n / d, n % d) - inner(&e, i, j, n / d, n % d));
                worst = isnan(error) || error > worst ? error : worst;
            }
    tap_ok(worst <= 3e-7 * trace, "k=%d V=%d d=%d, %g apart: the joint covariance is E^T E: off by %.2g of the trace",
           k, (int)V, (int)d, distance, worst / trace);
    tap_ok(basis->direct == (V <= k * d) && basis->K == (V <= k * d ? V : k * d), "%d components", (int)basis->K);
    flm_noise_destroy(&basis);
    embeddings_free(&e);
}

/* F [V, kd] in double, and lower R with R R^T = F^T F + 1e-10 ||E_1||^2 / d. */
static void reference_factors(const embeddings *e, double *F, double *R)
{
    const int64_t V = e->V, d = e->d, kd = e->k * d;
    double base = 0;
    for (int j = 0; j < e->k; j++) {
        double square = 0;
        for (int64_t i = 0; i < V * d; i++) {
            const double x = (double)((float *)e->E[j].data)[i] - (j > 0 ? (double)((float *)e->E[0].data)[i] : 0);
            F[i / d * kd + j * d + i % d] = x;
            square += x * x;
        }
        if (j == 0) base = square;
        for (int64_t i = 0; i < V * d && square > 0; i++) F[i / d * kd + j * d + i % d] /= sqrt(square / base);
    }
    for (int64_t i = 0; i < kd; i++)
        for (int64_t j = 0; j <= i; j++) {
            double sum = i == j ? 1e-10 * base / (double)d : 0;
            for (int64_t v = 0; v < V; v++) sum += F[v * kd + i] * F[v * kd + j];
            for (int64_t n = 0; n < j; n++) sum -= R[i * kd + n] * R[j * kd + n];
            R[i * kd + j] = i == j ? sqrt(sum) : sum / R[j * kd + j];
        }
}

/* F R^-T M with M = xi^T y; M itself if direct, where xi is x0. xi: one tensor for each block. */
static void reference_gradient(const embeddings *e, const flm_noise_basis *basis, const flm_tensor *xi,
                               const flm_tensor *y, int64_t rows, double *out)
{
    const int64_t V = e->V, d = e->d, K = basis->K, width = basis->width;
    double *F = must_alloc(V * e->k * d, sizeof *F), *R = must_alloc(e->k * d * e->k * d, sizeof *R);
    double *M = must_alloc(K * d, sizeof *M);
    for (int64_t i = 0; i < K; i++)
        for (int64_t r = 0; r < rows; r++)
            for (int64_t j = 0; j < d; j++)
                M[i * d + j] += (double)((float *)xi[i / width].data)[r * width + i % width] *
                                (double)((float *)y->data)[r * d + j];
    if (basis->direct) {
        memcpy(out, M, (size_t)(V * d) * sizeof *out);
    } else {
        reference_factors(e, F, R);
        for (int64_t i = K - 1; i >= 0; i--)
            for (int64_t j = 0; j < d; j++) {
                for (int64_t n = i + 1; n < K; n++) M[i * d + j] -= R[n * K + i] * M[n * d + j];
                M[i * d + j] /= R[i * K + i];
            }
        for (int64_t v = 0; v < V; v++)
            for (int64_t j = 0; j < d; j++) {
                out[v * d + j] = 0;
                for (int64_t n = 0; n < K; n++) out[v * d + j] += F[v * K + n] * M[n * d + j];
            }
    }
    free(F);
    free(R);
    free(M);
}

/* In two micro-batches and two ranges of rows. */
static void test_gradient(int k, int64_t V, int64_t d, double distance)
{
    enum { B = 6, L = 5 };
    embeddings e = embeddings_new(k, V, d, distance);
    flm_noise_basis *basis = basis_new(&e);
    flm_tensor xi[NETWORKS_MAX] = {{0}}, part[NETWORKS_MAX], y = tensor_new(B, L, d, 1);
    flm_tensor made = tensor_new(1, V, d, 0), grad = flm_tensor_2d(made.data, FLM_DTYPE_F32, V, d);
    double *want = must_alloc(V * d, sizeof *want), error = 0, norm = 0;
    for (int i = 0; i < basis->blocks; i++) xi[i] = tensor_new(B, L, basis->width, 1);
    for (int64_t first = 0; first < B; first += B / 2) {
        const flm_tensor own = flm_tensor_slice(&y, first, B / 2);
        for (int i = 0; i < basis->blocks; i++) part[i] = flm_tensor_slice(&xi[i], first, B / 2);
        must(flm_noise_backward(basis, part, &own));
    }
    must(flm_noise_reduce(basis, comm));
    const flm_tensor head = flm_tensor_slice(&grad, 0, V / 3), tail = flm_tensor_slice(&grad, V / 3, V - V / 3);
    must(flm_noise_gradient(basis, &e.E[k - 1], 0, &head));
    must(flm_noise_gradient(basis, &e.E[k - 1], V / 3, &tail));
    reference_gradient(&e, basis, xi, &y, B * L, want);
    for (int64_t i = 0; i < V * d; i++) {
        error += ((double)((float *)grad.data)[i] - want[i]) * ((double)((float *)grad.data)[i] - want[i]);
        norm += want[i] * want[i];
    }
    /* f32 dot products of 30 and of d terms; the distance of the embeddings must not matter. */
    tap_ok(norm > 0 && sqrt(error / norm) <= 1e-6, "k=%d V=%d d=%d, %g apart: the gradient is off by %.2g", k, (int)V,
           (int)d, distance, sqrt(error / norm));
    for (int i = 0; i < basis->blocks; i++) be->memory->release(be, xi[i].data);
    be->memory->release(be, y.data);
    be->memory->release(be, grad.data);
    free(want);
    flm_noise_destroy(&basis);
    embeddings_free(&e);
}

/* The noise part of the gradient of the last embedding: F R^-T xi^T y.   out [V, d], released by the caller */
static float *gradient_of(const embeddings *e, bool average, const flm_tensor *xi, const flm_tensor *y)
{
    flm_noise_basis *basis = NULL;
    flm_tensor made = tensor_new(1, e->V, e->d, 0), grad = flm_tensor_2d(made.data, FLM_DTYPE_F32, e->V, e->d);
    must(flm_noise_create(be, e->V, e->d, e->k - 1, e->E, &basis));
    basis->frozen_change = average;
    must(flm_noise_update(basis, comm, &e->E[e->k - 1]));
    must(flm_noise_backward(basis, xi, y));
    must(flm_noise_reduce(basis, comm));
    must(flm_noise_gradient(basis, &e->E[e->k - 1], 0, &grad));
    flm_noise_destroy(&basis);
    return grad.data;
}

static double relative_difference(const float *a, const float *b, int64_t n)
{
    double error = 0, norm = 0;
    for (int64_t i = 0; i < n; i++) {
        error += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
        norm += (double)b[i] * (double)b[i];
    }
    return sqrt(error / norm);
}

/* After one update the average lies between the first embedding and the trained one. Rounding moves both away from the
 * line, by 3e-8 of their size, in another direction on other ranks; the gradient must not follow that. Where the last
 * difference is of the size of the others, the larger ridge changes nothing. */
static void test_average(double between)
{
    enum { V = 131, d = 8, B = 6, L = 5, N = V * d };
    embeddings e = embeddings_new(3, V, d, 1e-3);
    flm_tensor xi[NETWORKS_MAX], y = tensor_new(B, L, d, 1);
    const float *first = e.E[0].data;
    float *average = e.E[1].data, *trained = e.E[2].data;
    for (int i = 0; i < NETWORKS_MAX; i++) xi[i] = tensor_new(B, L, d, 1);
    for (int i = 0; i < N && between > 0; i++)
        average[i] = (float)((double)first[i] + between * ((double)trained[i] - (double)first[i]));
    float *plain = gradient_of(&e, false, xi, &y), *ridged = gradient_of(&e, true, xi, &y);
    for (int i = 0; i < N; i++) average[i] *= 1 + 6e-8f * (float)(i % 3 - 1);
    float *plain_again = gradient_of(&e, false, xi, &y), *again = gradient_of(&e, true, xi, &y);
    const double moved = relative_difference(again, ridged, N), before = relative_difference(plain_again, plain, N);
    if (between > 0)
        tap_ok(moved <= 3e-3 && before > 0.1,
               "an average on the line: rounding moves the gradient by %.2g (without: %.2g)", moved, before);
    else
        tap_ok(relative_difference(ridged, plain, N) <= 1e-2,
               "an average in another direction: the larger ridge moves the gradient by %.2g",
               relative_difference(ridged, plain, N));
    float *const made[] = {plain, ridged, plain_again, again, y.data, xi[0].data, xi[1].data, xi[2].data};
    for (size_t i = 0; i < sizeof made / sizeof made[0]; i++) be->memory->release(be, made[i]);
    embeddings_free(&e);
}

/* The noise of network j from a stream. */
static float *noise_of(const flm_noise_basis *basis, int j, int64_t first_sample)
{
    enum { B = 3, L = 4 };
    flm_tensor xi[NETWORKS_MAX], noise = tensor_new(B, L, basis->d, 1);
    for (int i = 0; i < basis->blocks; i++) xi[i] = tensor_new(B, L, basis->width, 1);
    must(flm_noise_draw(basis, xi, flm_philox_stream(3, FLM_RANDOM_NOISE, 7, 0), first_sample));
    must(flm_noise_embed(basis, j, &noise, xi));
    float *out = must_alloc(B * L * basis->d, sizeof *out);
    memcpy(out, noise.data, flm_tensor_bytes(&noise));
    for (int i = 0; i < basis->blocks; i++) be->memory->release(be, xi[i].data);
    be->memory->release(be, noise.data);
    return out;
}

/* The first network has the noise of an FLM with the same stream; equal embeddings have equal noise. */
static void test_same_start(void)
{
    enum { V = 65, d = 7, N = 3 * 4 * d };
    embeddings e = embeddings_new(2, V, d, 0);
    flm_noise_basis *joint = basis_new(&e), *single = NULL;
    must(flm_noise_create(be, V, d, 0, NULL, &single));
    must(flm_noise_update(single, comm, &e.E[0]));
    float *alone = noise_of(single, 0, 5), *first = noise_of(joint, 0, 5), *second = noise_of(joint, 1, 5);
    tap_ok(worst_difference(alone, first, N) <= 1e-6, "an FLM and its distillation: the same noise, off by %.2g",
           worst_difference(alone, first, N));
    tap_ok(worst_difference(first, second, N) == 0, "equal embeddings: equal noise");
    tap_ok(((const float *)joint->scale.data)[2] == 0, "at no distance");
    free(alone);
    free(first);
    free(second);
    flm_noise_destroy(&single);
    flm_noise_destroy(&joint);
    embeddings_free(&e);
}

/* Blocks of frozen embeddings are computed once: a second update equals the first one of a new basis. */
static void test_updates(int k, int64_t V, int64_t d)
{
    embeddings e = embeddings_new(k, V, d, 0.1);
    flm_noise_basis *old = basis_new(&e), *new = NULL;
    int different = 0;
    for (int64_t i = 0; i < V * d; i++) ((float *)e.E[k - 1].data)[i] *= 1.5f;
    must(flm_noise_update(old, comm, &e.E[k - 1]));
    new = basis_new(&e);
    for (int j = 0; j < k; j++)
        for (int i = 0; i <= j && i < new->blocks; i++)
            different += memcmp(old->T[j][i].data, new->T[j][i].data, flm_tensor_bytes(&new->T[j][i])) != 0;
    tap_ok(different == 0, "k=%d V=%d: a second update equals that of a new basis", k, (int)V);
    ((float *)e.E[k - 1].data)[V * d - 1] = NAN;
    if (!new->direct)
        tap_ok(flm_noise_update(new, comm, &e.E[k - 1]) == FLM_E_NUMERIC, "NaN in the trained embedding is an error");
    flm_err_clear();
    flm_noise_destroy(&old);
    flm_noise_destroy(&new);
    embeddings_free(&e);
}

/* The difference is in the span of E_1: F has half the full rank, and the ridge is needed. */
static void test_degenerate(void)
{
    enum { V = 65, d = 7 };
    embeddings e = embeddings_new(2, V, d, 0);
    for (int64_t i = 0; i < V * d; i++) ((float *)e.E[1].data)[i] *= 1.25f;
    flm_noise_basis *basis = basis_new(&e);
    double worst = 0, trace = 0;
    for (int64_t n = 0; n < d * d; n++) {
        worst = fmax(worst, fabs(covariance(basis, 1, 1, n / d, n % d) - inner(&e, 1, 1, n / d, n % d)));
        if (n % (d + 1) == 0) trace += inner(&e, 1, 1, n / d, n % d);
    }
    tap_ok(worst <= 3e-7 * trace, "a multiple of the first: the covariance is off by %.2g of the trace", worst / trace);
    flm_noise_destroy(&basis);
    embeddings_free(&e);
}

/* Embeddings that differ in one row, which is zero in E_1, by so little that 1 / s_2 would overflow in fp32. */
static void test_tiny_difference(void)
{
    embeddings e = embeddings_new(2, 131, 8, 0);
    for (int64_t i = 0; i < e.d; i++) {
        ((float *)e.E[0].data)[i] = 0;
        ((float *)e.E[1].data)[i] = 0x1p-125f;
    }
    flm_noise_basis *basis = basis_new(&e);
    tap_ok(((const float *)basis->scale.data)[2] == 0, "a difference of 2^-125 counts as none");
    tap_ok(memcmp(basis->T[1][0].data, basis->T[0][0].data, flm_tensor_bytes(&basis->T[0][0])) == 0,
           "and the noise is that of E_1");
    flm_noise_destroy(&basis);
    embeddings_free(&e);
}

int main(void)
{
    static const double distances[] = {0, 1e-6, 1e-3, 1};
    static const int64_t sizes[][2] = {{131, 32}, {65, 7}, {2100, 5}, {13, 6}, {27, 48}, {2, 2}};
    flow_begin();
    for (int k = 2; k <= NETWORKS_MAX; k++)
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
            for (size_t i = 0; i < sizeof distances / sizeof *distances; i++) {
                test_law(k, sizes[s][0], sizes[s][1], distances[i]);
                test_gradient(k, sizes[s][0], sizes[s][1], distances[i]);
            }
    test_average(9.0 / 11);
    test_average(0);
    test_same_start();
    test_updates(2, 65, 7);
    test_updates(3, 65, 7);
    test_updates(2, 5, 7);
    test_degenerate();
    test_tiny_difference();
    return flow_end();
}
