/* cpu_lapack.c - factors and solutions of the noise basis, in fp64 (model.md section 4), through CBLAS and LAPACK.
 *
 * Each library call runs on one thread; the operations divide their work into tiles of fixed size, so that results do
 * not depend on the number of threads. SPDX-License-Identifier: Apache-2.0 */
#include "backend/cpu/cpu_internal.h"

#include <cblas.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>

enum {
    BUFFER_MIB = 128,   /* OpenBLAS's buffer of a thread */
    SOLVE_COLUMNS = 64, /* columns of X solved together */
    BLAS_CALLERS = 32   /* threads that call the library at once: OpenBLAS is built for a limited number */
};

/* LAPACK's own name and conventions: column-major, sizes by address. */
void dpotrf_(const char *uplo, const int *n, double *a, const int *lda, int *info);

#if FLM_HAVE_OPENBLAS
/* OpenBLAS maps a buffer for each thread at its first call, and where it cannot be had, it tries forever. So as many
 * are mapped here, and released: at the start, and again right before the first call. Source: BUFFER_SIZE in OpenBLAS
 * 0.3.21, common_x86_64.h and driver/others/memory.c. */
static flm_status check_buffers(int threads)
{
    flm_status rc = FLM_OK;
    const size_t bytes = ((size_t)BUFFER_MIB << 20) * (size_t)(threads < BLAS_CALLERS ? threads : BLAS_CALLERS);
    void *buffers = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (buffers == MAP_FAILED)
        FLM_FAIL(
            FLM_E_NOMEM,
            "no memory for OpenBLAS, which maps %zu MiB of address space (%d MiB per thread); the limit is that of "
            "ulimit -v or of the batch system",
            bytes >> 20, BUFFER_MIB);
    munmap(buffers, bytes);
done:
    return rc;
}
#endif

flm_status flm_cpu_lapack_begin(int threads)
{
#if FLM_HAVE_OPENBLAS
    openblas_set_num_threads(1);
    return check_buffers(threads);
#else
    (void)threads;
    return FLM_OK;
#endif
}

const char *flm_cpu_lapack_describe(char *text, size_t size)
{
#if FLM_HAVE_OPENBLAS
    char version[48] = "";
    /* "OpenBLAS 0.3.21 NO_LAPACKE DYNAMIC_ARCH ... Cooperlake MAX_THREADS=64" */
    if (sscanf(openblas_get_config(), "OpenBLAS %47s", version) != 1) version[0] = '\0';
    snprintf(text, size, "OpenBLAS %s (%s)", version, openblas_get_corename());
#else
    snprintf(text, size, "CBLAS and LAPACK");
#endif
    return text;
}

static int blas_threads(const flm_backend *be)
{
    int threads = flm_cpu_threads(be);
    return threads < BLAS_CALLERS ? threads : BLAS_CALLERS;
}

/* The Cholesky factor comes before everything else that the library is called for. */
static flm_status check_first_call(const flm_backend *be)
{
    flm_status rc = FLM_OK;
#if FLM_HAVE_OPENBLAS
    static atomic_bool called;
    if (!called) FLM_TRY(check_buffers(flm_cpu_threads(be)));
    called = true;
done:
#endif
    (void)be;
    return rc;
}

flm_status flm_cpu_cholesky(flm_backend *be, const flm_tensor *G, const flm_tensor *verdict)
{
    flm_status rc = FLM_OK;
    double *g = G->data;
    int K = 0, info = 0;

    FLM_TRY(check_first_call(be));
    K = (int)G->dim[0];
    /* Row-major lower R is column-major upper R^T, and G = (R^T)^T R^T. */
    if (K > 0) dpotrf_("U", &K, g, &K, &info);
    /* LAPACK's pivot test accepts NaN, so the diagonal is checked: a NaN or infinity anywhere in a row reaches it. */
    for (int i = 0; i < K && info == 0; i++)
        if (!isfinite(g[(int64_t)i * K + i])) info = i + 1;
    if (verdict->data) *(int32_t *)verdict->data = info;
    if (info != 0)
        FLM_FAIL(FLM_E_NUMERIC, "the %d x %d matrix is not positive definite or not finite (row %d)", K, K, info - 1);
    for (int64_t i = 0; i < K; i++)
        for (int64_t j = i + 1; j < K; j++) g[i * K + j] = 0.0;
done:
    return rc;
}

/* The scales, and *base = ||F_0||^2. */
static flm_status find_scales(const flm_gram_scale *p, double *s, double *base)
{
    flm_status rc = FLM_OK;
    const int64_t d = p->gram->dim[1];
    for (int64_t j = 0; j < p->scale->dim[0]; j++) {
        const double *block = (const double *)p->gram->data + (j * (j + 1) / 2 + j) * d * d;
        float *scale = (float *)p->scale->data + 2 * j;
        double trace = 0;
        for (int64_t i = 0; i < d; i++) trace += block[i * d + i];
        if (!isfinite(trace)) FLM_FAIL(FLM_E_NUMERIC, "factor %d is not finite", (int)j);
        if (j == 0) *base = trace;
        s[j] = j == 0 ? 1 : *base > 0 ? sqrt(trace / *base) : 0;
        if (s[j] < FLM_GRAM_SCALE_MIN) s[j] = 0;
        scale[0] = (float)s[j];
        scale[1] = s[j] > 0 ? (float)(1 / s[j]) : 0;
    }
done:
    return rc;
}

flm_status flm_cpu_gram_scale(flm_backend *be, const flm_gram_scale *p)
{
    flm_status rc = FLM_OK;
    const int64_t k = p->scale->dim[0], d = p->gram->dim[1], last = (k - 1) * d;
    double *R = p->R->data, s[FLM_GRAM_FACTORS], base = 0;
    (void)be;
    FLM_TRY(find_scales(p, s, &base));
    for (int64_t i = 0; i < k * d; i++) {
        const int64_t own = i / d;
        for (int64_t of = 0; of <= own; of++) { /* a row of a block, up to the diagonal */
            const double *row = (const double *)p->gram->data + ((own * (own + 1) / 2 + of) * d + i % d) * d;
            const int64_t count = of < own ? d : i % d + 1;
            const double scale = s[own] * s[of];
            for (int64_t j = 0; j < count; j++) R[i * k * d + of * d + j] = scale > 0 ? row[j] / scale : 0;
        }
        R[i * k * d + i] += p->ridge * base / (double)d;
        if (p->last_ridge > 0 && i >= last && s[k - 1] > 0)
            R[i * k * d + i] += p->last_ridge / (s[k - 1] * s[k - 1]) * base / (double)d;
    }
done:
    return rc;
}

flm_status flm_cpu_triangular_solve(flm_backend *be, const flm_tensor *X, const flm_tensor *R, bool transpose)
{
    flm_status rc = FLM_OK;
    int64_t K = R->dim[0], n = X->dim[1];
    const double *r = R->data;
    double *x = X->data;

    if (K == 0) goto done; /* the library requires leading dimensions of at least 1 */
#pragma omp parallel for num_threads(blas_threads(be)) schedule(dynamic)
    for (int64_t first = 0; first < n; first += SOLVE_COLUMNS)
        cblas_dtrsm(CblasRowMajor, CblasLeft, CblasLower, transpose ? CblasTrans : CblasNoTrans, CblasNonUnit, (int)K,
                    (int)(n - first < SOLVE_COLUMNS ? n - first : SOLVE_COLUMNS), 1.0, r, (int)K, x + first, (int)n);
done:
    return rc;
}
