/* conform_lapack.c - every backend: Gram matrix, Cholesky factor, triangular solve in fp64, against plain loops.
 * SPDX-License-Identifier: Apache-2.0 */
#include "backend/backend_ops.h"
#include "tests/tap.h"

#include <stdlib.h>
#include <string.h>

static const flm_tensor none;

/* The verdict on the matrices of test_refused: 1 + the row. The emulated device has none of the library's own. */
#ifdef FLM_EMULATED
enum { refused_row = 1 };
#else
enum { refused_row = 67 };
#endif

/* Two backends of different thread counts: the results must be the same bits. */
static flm_backend *backends[2];

/* Fixed pseudo-random numbers in [-1, 1): Marsaglia's xorshift64, "Xorshift RNGs", 2003. */
static double draw(void)
{
    static uint64_t x = 88172645463325252u;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return (double)(int64_t)x * 0x1p-63;
}

static double *numbers(int64_t count)
{
    double *x = calloc((size_t)count + 1, sizeof *x);
    if (!x) abort();
    for (int64_t i = 0; i < count; i++) x[i] = draw();
    return x;
}

static flm_tensor device(flm_backend *be, const void *host, flm_dtype dtype, int64_t rows, int64_t columns)
{
    flm_tensor t = flm_tensor_2d(NULL, dtype, rows, columns);
    size_t bytes = flm_tensor_bytes(&t);
    if (be->memory->alloc(be, bytes, &t.data) != FLM_OK || be->memory->to_device(be, t.data, host, bytes) != FLM_OK ||
        be->stream->sync(be) != FLM_OK)
        abort();
    return t;
}

/* To the host, and free. */
static void fetch(flm_backend *be, void *host, flm_tensor *t)
{
    if (be->memory->to_host(be, host, t->data, flm_tensor_bytes(t)) != FLM_OK || be->stream->sync(be) != FLM_OK)
        abort();
    be->memory->release(be, t->data);
    t->data = NULL;
}

static int said(flm_status rc)
{
    if (rc != FLM_OK) printf("# %s\n", flm_err_message());
    return rc == FLM_OK;
}

/* A symmetric positive definite matrix: A A^T + I. */
static double *definite(int64_t K)
{
    double *a = numbers(K * K), *g = numbers(K * K);
    for (int64_t i = 0; i < K; i++)
        for (int64_t j = 0; j < K; j++) {
            double sum = i == j;
            for (int64_t k = 0; k < K; k++) sum += a[i * K + k] * a[j * K + k];
            g[i * K + j] = sum;
        }
    free(a);
    return g;
}

static void test_gram(int64_t R, int64_t K)
{
    float *F = calloc((size_t)(R * K) + 1, sizeof *F);
    double *G = numbers(K * K), *have[2] = {numbers(K * K), numbers(K * K)};
    int wrong = 0, ok = 1;

    if (!F) abort();
    for (int64_t i = 0; i < R * K; i++) F[i] = (float)draw();
    for (int64_t i = 0; i < K; i++)
        for (int64_t j = 0; j < i; j++) G[i * K + j] = G[j * K + i]; /* added to: symmetric */
    for (int b = 0; b < 2; b++) {
        flm_backend *be = backends[b];
        flm_tensor g = device(be, G, FLM_DTYPE_F64, K, K), f = device(be, F, FLM_DTYPE_F32, R, K);
        ok &= said(flm_op_gram(be, &g, &f, &f));
        fetch(be, have[b], &g);
        be->memory->release(be, f.data);
    }
    for (int64_t i = 0; i < K; i++)
        for (int64_t j = 0; j < K; j++) {
            double ref = G[i * K + j], size = fabs(ref);
            for (int64_t r = 0; r < R; r++) {
                double p = (double)F[r * K + i] * (double)F[r * K + j];
                ref += p;
                size += fabs(p);
            }
            /* Two sums of R + 1 terms in fp64, in different orders: R u times the magnitudes each (Higham 2002, 4.2).
             */
            wrong += !(fabs(have[0][i * K + j] - ref) <= (double)(R + 1) * 0x1p-52 * size);
            wrong += !(have[0][i * K + j] == have[0][j * K + i]);
        }
    tap_ok(ok && wrong == 0, "gram of %lld x %lld: %d wrong", (long long)R, (long long)K, wrong);
    tap_ok(memcmp(have[0], have[1], (size_t)(K * K) * sizeof(double)) == 0, "gram of %lld x %lld: any thread count",
           (long long)R, (long long)K);
    free(F);
    free(G);
    free(have[0]);
    free(have[1]);
}

/* Two factors: G += A^T B, neither square nor symmetric. */
static void test_gram_of_two(int64_t R, int64_t Ka, int64_t Kb)
{
    float *A = calloc((size_t)(R * Ka) + 1, sizeof *A), *B = calloc((size_t)(R * Kb) + 1, sizeof *B);
    double *G = numbers(Ka * Kb), *have[2] = {numbers(Ka * Kb), numbers(Ka * Kb)};
    int wrong = 0, ok = 1;

    if (!A || !B) abort();
    for (int64_t i = 0; i < R * Ka; i++) A[i] = (float)draw();
    for (int64_t i = 0; i < R * Kb; i++) B[i] = (float)draw();
    for (int b = 0; b < 2; b++) {
        flm_backend *be = backends[b];
        flm_tensor g = device(be, G, FLM_DTYPE_F64, Ka, Kb), a = device(be, A, FLM_DTYPE_F32, R, Ka);
        flm_tensor other = device(be, B, FLM_DTYPE_F32, R, Kb);
        ok &= said(flm_op_gram(be, &g, &a, &other));
        fetch(be, have[b], &g);
        be->memory->release(be, a.data);
        be->memory->release(be, other.data);
    }
    for (int64_t i = 0; i < Ka; i++)
        for (int64_t j = 0; j < Kb; j++) {
            double ref = G[i * Kb + j], size = fabs(ref);
            for (int64_t r = 0; r < R; r++) {
                double p = (double)A[r * Ka + i] * (double)B[r * Kb + j];
                ref += p;
                size += fabs(p);
            }
            wrong += !(fabs(have[0][i * Kb + j] - ref) <= (double)(R + 1) * 0x1p-52 * size); /* as in test_gram */
        }
    tap_ok(ok && wrong == 0, "gram of %lld x %lld and %lld: %d wrong", (long long)R, (long long)Ka, (long long)Kb,
           wrong);
    tap_ok(memcmp(have[0], have[1], (size_t)(Ka * Kb) * sizeof(double)) == 0, "gram of two: any thread count");
    free(A);
    free(B);
    free(G);
    free(have[0]);
    free(have[1]);
}

static void test_cholesky(int64_t K)
{
    double *G = definite(K), *R[2] = {numbers(K * K), numbers(K * K)};
    int wrong = 0, ok = 1;

    for (int b = 0; b < 2; b++) {
        memcpy(R[b], G, (size_t)(K * K) * sizeof(double));
        for (int64_t i = 0; i < K; i++) /* the lower triangle counts */
            for (int64_t j = i + 1; j < K; j++) R[b][i * K + j] = NAN;
        flm_tensor g = device(backends[b], R[b], FLM_DTYPE_F64, K, K);
        ok &= said(flm_op_cholesky(backends[b], &g, &none));
        fetch(backends[b], R[b], &g);
    }
    for (int64_t i = 0; i < K; i++)
        for (int64_t j = 0; j < K; j++) {
            double sum = 0;
            for (int64_t k = 0; k < K; k++) sum += R[0][i * K + k] * R[0][j * K + k];
            /* |R R^T - G| <= (K + 1) u |R| |R^T| <= (K + 1) u sqrt(G_ii G_jj) (Higham 2002, theorem 10.3), and the
             * check's own sum as much again. */
            wrong += !(fabs(sum - G[i * K + j]) <= (double)(K + 1) * 0x1p-51 * sqrt(G[i * K + i] * G[j * K + j]));
            wrong += j > i && !(R[0][i * K + j] == 0);
            wrong += i == j && !(R[0][i * K + i] > 0);
        }
    tap_ok(ok && wrong == 0, "cholesky of %lld x %lld: %d wrong", (long long)K, (long long)K, wrong);
    tap_ok(memcmp(R[0], R[1], (size_t)(K * K) * sizeof(double)) == 0, "cholesky of %lld x %lld: any thread count",
           (long long)K, (long long)K);
    free(G);
    free(R[0]);
    free(R[1]);
}

static void test_solve(int64_t K, int64_t n, bool transpose)
{
    double *R = numbers(K * K), *X = numbers(K * n), *Y[2] = {numbers(K * n), numbers(K * n)};
    int wrong = 0, ok = 1;

    for (int64_t i = 0; i < K; i++) {
        R[i * K + i] += 4; /* well conditioned */
        for (int64_t j = 0; j < i; j++) R[i * K + j] /= (double)K;
        for (int64_t j = i + 1; j < K; j++) R[i * K + j] = NAN; /* never read */
    }
    for (int b = 0; b < 2; b++) {
        flm_backend *be = backends[b];
        flm_tensor x = device(be, X, FLM_DTYPE_F64, K, n), r = device(be, R, FLM_DTYPE_F64, K, K);
        ok &= said(flm_op_triangular_solve(be, &x, &r, transpose));
        fetch(be, Y[b], &x);
        be->memory->release(be, r.data);
    }
    for (int64_t i = 0; i < K; i++)
        for (int64_t j = 0; j < n; j++) {
            double sum = 0, size = fabs(X[i * n + j]);
            for (int64_t k = transpose ? i : 0; k < (transpose ? K : i + 1); k++) {
                double p = (transpose ? R[k * K + i] : R[i * K + k]) * Y[0][k * n + j];
                sum += p;
                size += fabs(p);
            }
            /* The residual of a triangular solve is at most K u |R| |X| (Higham 2002, theorem 8.5), twice for the sum.
             */
            wrong += !(fabs(sum - X[i * n + j]) <= (double)(K + 1) * 0x1p-51 * size);
        }
    tap_ok(ok && wrong == 0, "solve of %lld x %lld, %lld columns%s: %d wrong", (long long)K, (long long)K, (long long)n,
           transpose ? ", transposed" : "", wrong);
    tap_ok(memcmp(Y[0], Y[1], (size_t)(K * n) * sizeof(double)) == 0,
           "solve of %lld x %lld, %lld columns%s: any thread count", (long long)K, (long long)K, (long long)n,
           transpose ? ", transposed" : "");
    free(R);
    free(X);
    free(Y[0]);
    free(Y[1]);
}

/* cholesky of [[4, x], [x, y]] in the corner of a unit matrix must be refused, and with a verdict at the row: on a
 * device by the verdict alone. */
static void test_refused(double x, double y, const char *what)
{
    enum { K = 70 };
    flm_backend *be = backends[0];
    double *G = calloc(K * K, sizeof *G);
    int32_t row = -1;
    if (!G) abort();
    for (int i = 0; i < K; i++) G[i * K + i] = 4;
    G[66 * K + 65] = G[65 * K + 66] = x;
    G[66 * K + 66] = y;
    flm_tensor g = device(be, G, FLM_DTYPE_F64, K, K), verdict = flm_tensor_1d(NULL, FLM_DTYPE_I32, 1);
    flm_status rc = flm_op_cholesky(be, &g, &none);
    tap_ok(rc == FLM_E_NUMERIC, "cholesky, %s: %s (%s)", what, flm_status_name(rc), flm_err_message());
    be->memory->release(be, g.data);
    g = device(be, G, FLM_DTYPE_F64, K, K);
    if (be->memory->alloc(be, sizeof row, &verdict.data) != FLM_OK) abort();
    rc = flm_op_cholesky(be, &g, &verdict);
    fetch(be, &row, &verdict);
    tap_ok(rc == (be->host_memory ? FLM_E_NUMERIC : FLM_OK) && row == refused_row, "%s, with a verdict: row %d", what,
           (int)row - 1);
    flm_err_clear();
    be->memory->release(be, g.data);
    free(G);
}

/* A verdict of a matrix that is positive definite, over one that was not. */
static void test_accepted(void)
{
    flm_backend *be = backends[0];
    double one = 1;
    int32_t row = 7;
    flm_tensor g = device(be, &one, FLM_DTYPE_F64, 1, 1), verdict = flm_tensor_1d(NULL, FLM_DTYPE_I32, 1);
    if (be->memory->alloc(be, sizeof row, &verdict.data) != FLM_OK ||
        be->memory->to_device(be, verdict.data, &row, sizeof row) != FLM_OK || be->stream->sync(be) != FLM_OK)
        abort();
    tap_ok(flm_op_cholesky(be, &g, &verdict) == FLM_OK, "cholesky with a verdict");
    fetch(be, &row, &verdict);
    tap_ok(row == 0, "which is 0");
    be->memory->release(be, g.data);
}

static void test_shapes(void)
{
    flm_backend *be = backends[0];
    double zeros[12] = {0};
    float single[12] = {0};
    flm_tensor square = flm_tensor_2d(zeros, FLM_DTYPE_F64, 3, 3), wide = flm_tensor_2d(zeros, FLM_DTYPE_F64, 3, 4);
    flm_tensor f = flm_tensor_2d(single, FLM_DTYPE_F32, 3, 4), f64 = flm_tensor_2d(zeros, FLM_DTYPE_F64, 4, 3);

    tap_ok(flm_op_gram(be, &square, &f, &f) == FLM_E_SHAPE, "gram: F wider than G: %s", flm_err_message());
    tap_ok(flm_op_gram(be, &square, &f64, &f64) == FLM_E_SHAPE, "gram: F in f64: %s", flm_err_message());
    tap_ok(flm_op_cholesky(be, &wide, &none) == FLM_E_SHAPE, "cholesky: not square: %s", flm_err_message());
    tap_ok(flm_op_triangular_solve(be, &f64, &square, false) == FLM_E_SHAPE, "solve: X higher than R: %s",
           flm_err_message());
    tap_ok(flm_op_triangular_solve(be, &wide, &wide, false) == FLM_E_SHAPE, "solve: R not square: %s",
           flm_err_message());
    flm_err_clear();
}

int main(void)
{
    static const int64_t sizes[] = {0, 1, 2, 5, 64, 129, 200};

    if (flm_backend_create(FLM_DEVICE_AUTO, 1, 0, &backends[0]) != FLM_OK ||
        flm_backend_create(FLM_DEVICE_AUTO, 3, 0, &backends[1]) != FLM_OK) {
        tap_ok(0, "two backends: %s", flm_err_message());
        return tap_end();
    }
    printf("# %s\n", flm_backend_describe(backends[0]));
    test_gram(0, 3);
    test_gram(1, 1);
    test_gram(5, 3);
    test_gram(513, 130);
    test_gram(1100, 257);
    test_gram_of_two(0, 3, 2);
    test_gram_of_two(1, 1, 1);
    test_gram_of_two(5, 3, 17);
    test_gram_of_two(300, 65, 65);
    test_gram_of_two(513, 130, 31);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) test_cholesky(sizes[i]);
    for (int transpose = 0; transpose < 2; transpose++) {
        test_solve(0, 3, transpose);
        test_solve(1, 1, transpose);
        test_solve(5, 0, transpose);
        test_solve(7, 65, transpose);
        test_solve(129, 200, transpose);
    }
    test_accepted();
    test_refused(0, -1, "a negative pivot");
    test_refused(0, 0, "a zero pivot");
    test_refused(4, 1, "indefinite");
    test_refused(NAN, 4, "a NaN beside the diagonal");
    test_refused(0, NAN, "a NaN on the diagonal");
    test_refused(0, INFINITY, "an infinity");
    if (backends[0]->host_memory) test_shapes();
    flm_backend_destroy(&backends[0]);
    flm_backend_destroy(&backends[1]);
    return tap_end();
}
