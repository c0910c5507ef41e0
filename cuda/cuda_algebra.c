/* cuda_algebra.c - fp64 algebra of the noise basis (model.md section 4) by cuBLAS and cuSOLVER, and the handles of the
 * libraries.
 *
 * A row-major matrix is the transpose of the column-major one that the libraries see: its lower triangle is their upper
 * one. All calls use the backend's one stream and one workspace, so that sums have the same order every time (cuBLAS
 * manual, "Results reproducibility"). SPDX-License-Identifier: Apache-2.0 */
#include "backend/backend_check.h"
#include "cuda/cuda_blas.h"
#include "cuda/kernel/kernel.h"

#include <cuda_runtime_api.h>
#include <limits.h>
#include <stdlib.h>

/* Bytes of operands that gram converts to fp64 at a time. */
static const int64_t WIDE_BYTES = (int64_t)64 << 20;

flm_status flm_cuda_check_cublas(int code, const char *what, const char *file, int line)
{
    const cublasStatus_t status = (cublasStatus_t)code;
    if (status == CUBLAS_STATUS_SUCCESS) return FLM_OK;
    cudaGetLastError(); /* clears it, so that no later call reports it as its own */
    return flm_err_raise(status == CUBLAS_STATUS_ALLOC_FAILED ? FLM_E_NOMEM : FLM_E_DEVICE, file, line,
                         "cuBLAS: %s in %s", cublasGetStatusString(status), what);
}

flm_status flm_cuda_check_cusolver(int code, const char *what, const char *file, int line)
{
    if (code == CUSOLVER_STATUS_SUCCESS) return FLM_OK;
    cudaGetLastError();
    return flm_err_raise(code == CUSOLVER_STATUS_ALLOC_FAILED ? FLM_E_NOMEM : FLM_E_DEVICE, file, line,
                         "cuSOLVER: code %d in %s", code, what);
}

flm_status flm_cuda_blas_create(flm_backend *be)
{
    flm_status rc = FLM_OK;
    flm_cuda *cuda = flm_cuda_of(be);
    flm_cublas *blas = calloc(1, sizeof *blas);

    if (!blas) FLM_FAIL(FLM_E_NOMEM, "cuda backend: cannot allocate %zu bytes", sizeof *blas);
    cuda->blas = blas;
    FLM_TRY(flm_cuda_memory.alloc(be, FLM_CUDA_WORKSPACE, &blas->workspace));
    FLM_CUBLAS(cublasLtCreate(&blas->lt));
    FLM_CUBLAS(cublasCreate(&blas->blas));
    FLM_CUBLAS(cublasSetStream(blas->blas, cuda->stream));
    FLM_CUBLAS(
        cublasSetWorkspace(blas->blas, blas->workspace, FLM_CUDA_WORKSPACE)); /* after the stream, which resets it */
    FLM_CUSOLVER(cusolverDnCreate(&blas->solver));
    FLM_CUSOLVER(cusolverDnSetStream(blas->solver, cuda->stream));
done:
    return rc;
}

void flm_cuda_blas_destroy(flm_backend *be)
{
    flm_cublas *blas = flm_cuda_of(be)->blas;
    if (!blas) return;
    flm_cuda_plans_release(blas);
    if (blas->solver) cusolverDnDestroy(blas->solver);
    if (blas->blas) cublasDestroy(blas->blas);
    if (blas->lt) cublasLtDestroy(blas->lt);
    flm_cuda_memory.release(be, blas->workspace);
    free(blas);
    flm_cuda_of(be)->blas = NULL;
}

/* G += A^T B of `rows` rows in fp64; if A and B are the same, only the lower triangle. */
static flm_status add_block(flm_backend *be, double *g, const double *a, const double *b, int rows, int Ka, int Kb)
{
    flm_status rc = FLM_OK;
    cublasHandle_t blas = flm_cuda_of(be)->blas->blas;
    const double one = 1;
    /* Column-major: a is [Ka, rows], b [Kb, rows], and g [Kb, Ka] = b a^T. */
    if (a == b)
        FLM_CUBLAS(cublasDsyrk(blas, CUBLAS_FILL_MODE_UPPER, CUBLAS_OP_N, Ka, rows, &one, a, Ka, &one, g, Ka));
    else
        FLM_CUBLAS(cublasDgemm(blas, CUBLAS_OP_N, CUBLAS_OP_T, Kb, Ka, rows, &one, b, Kb, a, Ka, &one, g, Kb));
done:
    return rc;
}

flm_status flm_cuda_gram(flm_backend *be, const flm_tensor *G, const flm_tensor *A, const flm_tensor *B)
{
    flm_status rc = FLM_OK;
    void *stream = flm_cuda_of(be)->stream, *scratch = NULL;
    const int64_t R = A->dim[0], Ka = A->dim[1], Kb = B->dim[1];
    const bool same = A->data == B->data && Ka == Kb;
    const int64_t columns = Ka + (same ? 0 : Kb);

    if (Ka > INT_MAX || Kb > INT_MAX)
        FLM_FAIL(FLM_E_SHAPE, "gram: A is %lld columns wide and B %lld; at most %d are supported", (long long)Ka,
                 (long long)Kb, INT_MAX);
    if (R == 0 || Ka == 0 || Kb == 0) goto done;
    int64_t block = WIDE_BYTES / (columns * (int64_t)sizeof(double));
    if (block < 1) block = 1;
    if (block > R) block = R;
    FLM_TRY(flm_cuda_scratch(be, FLM_CUDA_ALGEBRA, (size_t)(block * columns) * sizeof(double), &scratch));
    double *a = scratch, *b = same ? a : a + block * Ka;
    for (int64_t first = 0; first < R; first += block) {
        const int64_t rows = R - first < block ? R - first : block;
        FLM_CUDA(flm_cuda_launch_widen(a, (const float *)A->data + first * Ka, rows * Ka, stream));
        if (!same) FLM_CUDA(flm_cuda_launch_widen(b, (const float *)B->data + first * Kb, rows * Kb, stream));
        FLM_TRY(add_block(be, G->data, a, b, (int)rows, (int)Ka, (int)Kb));
    }
    if (same) FLM_CUDA(flm_cuda_launch_mirror(G->data, Ka, stream));
done:
    return rc;
}

/* Without a verdict of the caller: wait for our own. */
static flm_status read_verdict(flm_backend *be, const int *device, int K)
{
    flm_status rc = FLM_OK;
    int row = 0;
    FLM_TRY(flm_cuda_memory.to_host(be, &row, device, sizeof row));
    FLM_TRY(flm_cuda_sync(be));
    if (row < 0) FLM_FAIL(FLM_E_DEVICE, "cuSOLVER: argument %d of cusolverDnDpotrf is invalid", -row);
    if (row > 0)
        FLM_FAIL(FLM_E_NUMERIC, "cholesky: the %d x %d matrix is not finite or not positive definite, at row %d", K, K,
                 row - 1);
done:
    return rc;
}

/* cuSOLVER's test of the pivots lets NaN pass, so the diagonal is checked, too: a value that is not finite anywhere in
 * a row makes the row's diagonal element not finite. */
flm_status flm_cuda_cholesky(flm_backend *be, const flm_tensor *G, const flm_tensor *verdict)
{
    flm_status rc = FLM_OK;
    cusolverDnHandle_t solver = flm_cuda_of(be)->blas->solver;
    enum { INFO, ROW, VERDICT, NUMBERS };
    int work = 0, *device;
    void *scratch = NULL;

    const int K = (int)G->dim[0];
    if (K == 0 && verdict->data) FLM_TRY(flm_cuda_memory.zero(be, verdict->data, sizeof(int)));
    if (K == 0) goto done;
    /* Row-major lower R is column-major upper R^T, and G = (R^T)^T R^T. */
    FLM_CUSOLVER(cusolverDnDpotrf_bufferSize(solver, CUBLAS_FILL_MODE_UPPER, K, G->data, K, &work));
    FLM_TRY(flm_cuda_scratch(be, FLM_CUDA_ALGEBRA, (size_t)work * sizeof(double) + NUMBERS * sizeof *device, &scratch));
    device = (int *)((double *)scratch + work);
    FLM_TRY(flm_cuda_memory.zero(be, device, NUMBERS * sizeof *device));
    FLM_CUSOLVER(cusolverDnDpotrf(solver, CUBLAS_FILL_MODE_UPPER, K, G->data, K, scratch, work, device + INFO));
    FLM_CUDA(flm_cuda_launch_cholesky_finish(G->data, K, device, verdict->data ? verdict->data : device + VERDICT,
                                             flm_cuda_of(be)->stream));
    if (verdict->data == NULL) FLM_TRY(read_verdict(be, device + VERDICT, K));
done:
    return rc;
}

flm_status flm_cuda_triangular_solve(flm_backend *be, const flm_tensor *X, const flm_tensor *R, bool transpose)
{
    flm_status rc = FLM_OK;
    const int64_t K = R->dim[0], n = X->dim[1];
    const double one = 1;

    if (K == 0 || n == 0) goto done;
    /* Column-major: x is X^T [n, K], r is the upper R^T; R X = B reads x r = b, R^T X = B reads x r^T = b. */
    FLM_CUBLAS(cublasDtrsm(flm_cuda_of(be)->blas->blas, CUBLAS_SIDE_RIGHT, CUBLAS_FILL_MODE_UPPER,
                           transpose ? CUBLAS_OP_T : CUBLAS_OP_N, CUBLAS_DIAG_NON_UNIT, (int)n, (int)K, &one, R->data,
                           (int)K, X->data, (int)n));
done:
    return rc;
}
