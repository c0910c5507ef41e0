/* noise.c - the noise basis of one embedding: distribution of the noise, and the noise part of a gradient.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/flow/flow.h"

#include <math.h>

static flm_tensor tensor_new(int64_t a, int64_t b, int64_t c, double scale)
{
    flm_tensor t = flm_tensor_3d(NULL, FLM_DTYPE_F32, a, b, c);
    must(be->memory->alloc(be, flm_tensor_bytes(&t), &t.data));
    for (int64_t i = 0; i < flm_tensor_elements(&t); i++) ((float *)t.data)[i] = (float)(scale * network_normal());
    return t;
}

static flm_tensor embedding_new(int64_t V, int64_t d)
{
    flm_tensor E = tensor_new(1, V, d, 0.3);
    return flm_tensor_2d(E.data, FLM_DTYPE_F32, V, d);
}

static double gram(const float *F, int64_t rows, int64_t d, int64_t i, int64_t j)
{
    double sum = 0;
    for (int64_t r = 0; r < rows; r++) sum += (double)F[r * d + i] * (double)F[r * d + j];
    return sum;
}

/* Entry (i, j) of the covariance of xi T^T, or of x0 T if the basis is direct. */
static double covariance(const flm_noise_basis *basis, int64_t i, int64_t j)
{
    const float *T = basis->T[0][0].data;
    double sum = 0;
    if (basis->direct) return gram(T, basis->V, basis->d, i, j);
    for (int64_t k = 0; k < basis->d; k++) sum += (double)T[i * basis->d + k] * (double)T[j * basis->d + k];
    return sum;
}

/* It is T T^T (direct: T^T T), which must be E^T E up to the ridge, 1e-10, and the rounding of T to f32. */
static void test_law(int64_t V, int64_t d)
{
    flm_noise_basis *basis = NULL;
    flm_tensor E = embedding_new(V, d);
    double worst = 0, trace = 0;
    must(flm_noise_create(be, V, d, 0, NULL, &basis));
    must(flm_noise_update(basis, comm, &E));
    tap_ok(basis->direct == (V <= d) && basis->K == (V <= d ? V : d), "V=%d d=%d: %d components", (int)V, (int)d,
           (int)basis->K);
    for (int64_t i = 0; i < d; i++) trace += gram(E.data, V, d, i, i);
    for (int64_t i = 0; i < d; i++)
        for (int64_t j = 0; j < d; j++) {
            const double e = fabs(covariance(basis, i, j) - gram(E.data, V, d, i, j));
            if (isnan(e) || e > worst) worst = e;
        }
    tap_ok(worst <= 2e-7 * trace, "V=%d d=%d: the covariance is E^T E: off by %.2g of the trace", (int)V, (int)d,
           worst / trace);
    flm_noise_destroy(&basis);
    be->memory->release(be, E.data);
}

/* The same from draws. A covariance of n = 20000 draws has the deviation sqrt((c_ii c_jj + c_ij^2) / n); one of 36
 * exceeds 5 of them with probability 2e-5. The seed is fixed. */
static void test_draws(int64_t V)
{
    enum { d = 6, n = 20000 };
    flm_noise_basis *basis = NULL;
    flm_tensor E = embedding_new(V, d), noise = tensor_new(1, n, d, 1);
    double worst = 0;
    must(flm_noise_create(be, V, d, 0, NULL, &basis));
    must(flm_noise_update(basis, comm, &E));
    flm_tensor xi = tensor_new(1, n, basis->K, 1);
    must(flm_op_normal(be, &xi, flm_philox_stream(11, FLM_RANDOM_NOISE, 0, 0), 0));
    must(flm_noise_embed(basis, 0, &noise, &xi));
    for (int64_t i = 0; i < d; i++)
        for (int64_t j = 0; j < d; j++) {
            const double want = gram(E.data, V, d, i, j);
            const double sigma = sqrt((gram(E.data, V, d, i, i) * gram(E.data, V, d, j, j) + want * want) / n);
            const double e = fabs(gram(noise.data, n, d, i, j) / n - want) / sigma;
            if (isnan(e) || e > worst) worst = e;
        }
    tap_ok(worst <= 5, "V=%d: the covariance of %d draws is E^T E: off by %.2g of its deviation", (int)V, (int)n,
           worst);
    flm_noise_destroy(&basis);
    be->memory->release(be, E.data);
    be->memory->release(be, xi.data);
    be->memory->release(be, noise.data);
}

/* E R^-T M with R = T, solved in double; M itself if V <= d. */
static void reference(const flm_noise_basis *basis, const float *E, const double *M, double *out)
{
    const int64_t d = basis->d, V = basis->V;
    const float *T = basis->T[0][0].data;
    double *P = must_alloc(d * d, sizeof *P);
    if (basis->direct) {
        memcpy(out, M, (size_t)(V * d) * sizeof *out);
    } else {
        for (int64_t i = d - 1; i >= 0; i--)
            for (int64_t j = 0; j < d; j++) {
                P[i * d + j] = M[i * d + j];
                for (int64_t k = i + 1; k < d; k++) P[i * d + j] -= (double)T[k * d + i] * P[k * d + j];
                P[i * d + j] /= (double)T[i * d + i];
            }
        for (int64_t v = 0; v < V; v++)
            for (int64_t j = 0; j < d; j++) {
                out[v * d + j] = 0;
                for (int64_t k = 0; k < d; k++) out[v * d + j] += (double)E[v * d + k] * P[k * d + j];
            }
    }
    free(P);
}

/* In two micro-batches and two ranges of rows, added to a gradient that is not zero. */
static void test_gradient(int64_t V, int64_t d)
{
    enum { B = 3, L = 5 };
    flm_noise_basis *basis = NULL;
    flm_tensor E = embedding_new(V, d), made = tensor_new(1, V, d, 1),
               grad = flm_tensor_2d(made.data, made.dtype, V, d);
    must(flm_noise_create(be, V, d, 0, NULL, &basis));
    must(flm_noise_update(basis, comm, &E));
    double *M = must_alloc(basis->K * d, sizeof *M), *want = must_alloc(V * d, sizeof *want), worst = 0, norm = 0;
    float *before = must_alloc(V * d, sizeof *before);
    memcpy(before, grad.data, flm_tensor_bytes(&grad));
    for (int k = 0; k < 2; k++) {
        flm_tensor xi = tensor_new(B, L, basis->K, 1), y = tensor_new(B, L, d, 1);
        must(flm_noise_backward(basis, &xi, &y));
        for (int64_t i = 0; i < basis->K; i++)
            for (int64_t j = 0; j < d; j++)
                for (int64_t r = 0; r < B * L; r++)
                    M[i * d + j] += (double)((float *)xi.data)[r * basis->K + i] * (double)((float *)y.data)[r * d + j];
        be->memory->release(be, xi.data);
        be->memory->release(be, y.data);
    }
    must(flm_noise_reduce(basis, comm));
    const flm_tensor head = flm_tensor_slice(&grad, 0, V / 3), tail = flm_tensor_slice(&grad, V / 3, V - V / 3);
    must(flm_noise_gradient(basis, &E, 0, &head));
    must(flm_noise_gradient(basis, &E, V / 3, &tail));
    reference(basis, E.data, M, want);
    for (int64_t i = 0; i < V * d; i++) norm = fmax(norm, fabs(want[i]));
    for (int64_t i = 0; i < V * d; i++) {
        const double e = fabs((double)((float *)grad.data)[i] - (double)before[i] - want[i]) / norm;
        if (isnan(e) || e > worst) worst = e;
    }
    /* f32 dot products of 30 and of d terms, and a solve with a well-conditioned R. */
    tap_ok(worst <= 1e-5, "V=%d d=%d: the noise part of a gradient: off by %.2g of its largest", (int)V, (int)d, worst);
    must(flm_noise_update(basis, comm, &E));
    for (int64_t i = 0; i < basis->K * d; i++) M[0] = fmax(fabs((double)((float *)basis->M.data)[i]), i ? M[0] : 0);
    tap_ok(M[0] == 0, "V=%d d=%d: an update sets M to zero", (int)V, (int)d);
    free(M);
    free(want);
    free(before);
    flm_noise_destroy(&basis);
    be->memory->release(be, E.data);
    be->memory->release(be, grad.data);
}

static void test_degenerate(void)
{
    enum { V = 40, d = 7 };
    flm_noise_basis *basis = NULL;
    flm_tensor E = embedding_new(V, d);
    double worst = 0;
    must(flm_noise_create(be, V, d, 0, NULL, &basis));
    for (int64_t v = 0; v < V; v++) ((float *)E.data)[v * d + 3] = ((float *)E.data)[v * d + 5];
    tap_ok(flm_noise_update(basis, comm, &E) == FLM_OK, "two equal columns: the ridge makes it possible");
    for (int64_t i = 0; i < d * d; i++) {
        const double e = fabs(covariance(basis, i / d, i % d) - gram(E.data, V, d, i / d, i % d));
        if (isnan(e) || e > worst) worst = e;
    }
    tap_ok(worst <= 1e-5, "and the covariance is right: off by %.2g", worst);
    ((float *)E.data)[17] = NAN;
    tap_ok(flm_noise_update(basis, comm, &E) == FLM_E_NUMERIC, "NaN in the embedding is an error");
    flm_err_clear();
    flm_noise_destroy(&basis);
    be->memory->release(be, E.data);
}

int main(void)
{
    flow_begin();
    static const int64_t sizes[][2] = {{2, 2}, {7, 6}, {6, 6}, {5, 6}, {131, 32}, {65, 7}, {27, 48}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) test_law(sizes[i][0], sizes[i][1]);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) test_gradient(sizes[i][0], sizes[i][1]);
    test_draws(4);
    test_draws(50);
    test_degenerate();
    return flow_end();
}
