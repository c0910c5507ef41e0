/* fake_blas.c - see fake.h: cuBLASLt, and cuBLAS and cuSOLVER by the host's BLAS and LAPACK, which are column-major
 * too. SPDX-License-Identifier: Apache-2.0 */
#include "tests/cuda/fake.h"
#include "tests/cuda/fake_stream.h"

#include "backend/backend_tensor.h"

#include <cblas.h>
#include <cublasLt.h>
#include <cublas_v2.h>
#include <cusolverDn.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

void dpotrf_(const char *uplo, const int *n, double *a, const int *lda, int *info);

/* ---- cuBLASLt ---- */

typedef struct product {
    cublasOperation_t a, b;
    cublasLtEpilogue_t epilogue;
    const void *bias;
    void *aux;
    int64_t aux_ld;
} product;

typedef struct layout {
    cudaDataType type;
    uint64_t rows, columns;
    int64_t ld;
} layout;

typedef struct preference {
    uint32_t reduction, align[4]; /* of A, B, C, D */
    uint64_t implementations;
    size_t workspace;
} preference;

size_t cublasLtGetVersion(void) { return 130000; }

cublasStatus_t cublasLtCreate(cublasLtHandle_t *out)
{
    *out = malloc(1);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle)
{
    free(handle);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t *out, cublasComputeType_t compute, cudaDataType_t scale)
{
    product *p = calloc(1, sizeof *p);
    if (!p || compute != CUBLAS_COMPUTE_32F || scale != CUDA_R_32F) abort();
    p->a = p->b = CUBLAS_OP_N;
    p->epilogue = CUBLASLT_EPILOGUE_DEFAULT;
    *out = (cublasLtMatmulDesc_t)p;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t desc)
{
    free(desc);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t desc, cublasLtMatmulDescAttributes_t name,
                                              const void *value, size_t bytes)
{
    product *p = (product *)desc;
    void *to = name == CUBLASLT_MATMUL_DESC_TRANSA                 ? (void *)&p->a
               : name == CUBLASLT_MATMUL_DESC_TRANSB               ? (void *)&p->b
               : name == CUBLASLT_MATMUL_DESC_EPILOGUE             ? (void *)&p->epilogue
               : name == CUBLASLT_MATMUL_DESC_BIAS_POINTER         ? (void *)&p->bias
               : name == CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER ? (void *)&p->aux
               : name == CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD      ? (void *)&p->aux_ld
                                                                   : NULL;
    const size_t want = name == CUBLASLT_MATMUL_DESC_TRANSA || name == CUBLASLT_MATMUL_DESC_TRANSB ||
                                name == CUBLASLT_MATMUL_DESC_EPILOGUE
                            ? sizeof(int32_t)
                            : sizeof(int64_t);
    if (!to || bytes != want) return CUBLAS_STATUS_INVALID_VALUE;
    memcpy(to, value, bytes);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t *out, cudaDataType type, uint64_t rows,
                                          uint64_t columns, int64_t ld)
{
    layout *l = malloc(sizeof *l);
    if (!l) abort();
    *l = (layout){type, rows, columns, ld};
    *out = (cublasLtMatrixLayout_t)l;
    return rows > 0 && columns > 0 && ld >= (int64_t)rows ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_INVALID_VALUE;
}

cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t desc)
{
    free(desc);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t *out)
{
    *out = calloc(1, sizeof(preference));
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t desc)
{
    free(desc);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t desc,
                                                    cublasLtMatmulPreferenceAttributes_t name, const void *value,
                                                    size_t bytes)
{
    preference *p = (preference *)desc;
    void *to = NULL;
    size_t want = sizeof(uint32_t);
    switch (name) {
    case CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES: to = &p->workspace, want = sizeof(size_t); break;
    case CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK: to = &p->reduction; break;
    case CUBLASLT_MATMUL_PREF_IMPL_MASK: to = &p->implementations, want = sizeof(uint64_t); break;
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES: to = &p->align[0]; break;
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES: to = &p->align[1]; break;
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES: to = &p->align[2]; break;
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES: to = &p->align[3]; break;
    default: return CUBLAS_STATUS_INVALID_VALUE;
    }
    if (bytes != want) return CUBLAS_STATUS_INVALID_VALUE;
    memcpy(to, value, bytes);
    return CUBLAS_STATUS_SUCCESS;
}

/* Whether the shapes fit and cuBLASLt supports the types (its manual, "cublasLtMatmul", Table 1). */
static int fits(const product *p, const layout *a, const layout *b, const layout *c, const layout *d)
{
    const uint64_t m = p->a == CUBLAS_OP_N ? a->rows : a->columns, k = p->a == CUBLAS_OP_N ? a->columns : a->rows;
    const uint64_t k2 = p->b == CUBLAS_OP_N ? b->rows : b->columns, n = p->b == CUBLAS_OP_N ? b->columns : b->rows;
    const int types = a->type == b->type && c->type == d->type &&
                      ((a->type == CUDA_R_32F && d->type == CUDA_R_32F) ||
                       (a->type == CUDA_R_16BF && (d->type == CUDA_R_32F || d->type == CUDA_R_16BF)));
    /* The bias and aux, which gets GELU's input, have D's type. */
    const int bias = p->bias && (uintptr_t)p->bias % 16 == 0;
    const int aux = p->aux && (uintptr_t)p->aux % 16 == 0 && p->aux_ld % 8 == 0 && p->aux_ld >= (int64_t)d->rows &&
                    d->type == CUDA_R_16BF;
    const int epilogue = p->epilogue == CUBLASLT_EPILOGUE_DEFAULT || (p->epilogue == CUBLASLT_EPILOGUE_BIAS && bias) ||
                         (p->epilogue == CUBLASLT_EPILOGUE_GELU_AUX_BIAS && bias && aux);
    return types && epilogue && k == k2 && d->rows == m && d->columns == n && c->rows == m && c->columns == n;
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t wish, int asked,
                                              cublasLtMatmulHeuristicResult_t result[], int *found)
{
    const preference *p = (const preference *)wish;
    *found = 0;
    if (!handle || asked < 1 || p->reduction & CUBLASLT_REDUCTION_SCHEME_INPLACE) return CUBLAS_STATUS_INVALID_VALUE;
    if (!fits((product *)desc, (layout *)a, (layout *)b, (layout *)c, (layout *)d)) return CUBLAS_STATUS_NOT_SUPPORTED;
    const layout *left = (const layout *)a, *to = (const layout *)d;
    /* As with NVIDIA_TF32_OVERRIDE: fp32 is used only on request. Thin products have no epilogue. */
    if (left->type == CUDA_R_32F &&
        (!p->implementations || p->implementations & CUBLASLT_NUMERICAL_IMPL_FLAGS_INPUT_TF32))
        return CUBLAS_STATUS_NOT_SUPPORTED;
    const int plain = ((product *)desc)->epilogue == CUBLASLT_EPILOGUE_DEFAULT;
    if (!plain && (to->rows == 1 || to->columns == 1)) return CUBLAS_STATUS_INVALID_VALUE;
    if (!plain && to->rows % 2 == 1) return CUBLAS_STATUS_NOT_SUPPORTED; /* so that a refusal is tested, too */
    memset(&result[0], 0, sizeof result[0]);
    for (int i = 0; i < 4; i++) result[0].algo.data[i] = p->align[i];
    *found = 1;
    return CUBLAS_STATUS_SUCCESS;
}

static float at(const void *x, const layout *l, uint64_t i)
{
    return l->type == CUDA_R_32F ? ((const float *)near(x))[i] : flm_bf16_to_f32(((const uint16_t *)near(x))[i]);
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc, const void *alpha, const void *A,
                              cublasLtMatrixLayout_t ad, const void *B, cublasLtMatrixLayout_t bd, const void *beta,
                              const void *C, cublasLtMatrixLayout_t cd, void *D, cublasLtMatrixLayout_t dd,
                              const cublasLtMatmulAlgo_t *algo, void *workspace, size_t bytes, cudaStream_t stream)
{
    const product *p = (product *)desc;
    const layout *a = (layout *)ad, *b = (layout *)bd, *d = (layout *)dd;
    const void *const operand[4] = {A, B, C, D};
    const uint64_t K = p->a == CUBLAS_OP_N ? a->columns : a->rows;
    if (!handle || !fake_stream_reach(stream) || !is_far(workspace) || bytes == 0 || !fits(p, a, b, (layout *)cd, d) ||
        *(const float *)alpha != 1)
        return CUBLAS_STATUS_INVALID_VALUE;
    for (int i = 0; i < 4; i++) /* the algorithm was chosen for at least this alignment */
        if (!is_far(operand[i]) || (uintptr_t)operand[i] % algo->data[i] != 0) return CUBLAS_STATUS_INVALID_VALUE;
    for (uint64_t j = 0; j < d->columns; j++)
        for (uint64_t i = 0; i < d->rows; i++) {
            const uint64_t to = i + j * (uint64_t)d->ld;
            float sum = 0;
            for (uint64_t k = 0; k < K; k++)
                sum += at(A, a, p->a == CUBLAS_OP_N ? i + k * (uint64_t)a->ld : k + i * (uint64_t)a->ld) *
                       at(B, b, p->b == CUBLAS_OP_N ? k + j * (uint64_t)b->ld : j + k * (uint64_t)b->ld);
            if (*(const float *)beta != 0) sum += *(const float *)beta * at(C, d, to);
            if (p->epilogue != CUBLASLT_EPILOGUE_DEFAULT) sum += at(p->bias, d, i);
            if (p->epilogue == CUBLASLT_EPILOGUE_GELU_AUX_BIAS) {
                ((uint16_t *)near(p->aux))[i + j * (uint64_t)p->aux_ld] = flm_bf16_from_f32(sum);
                sum = 0.5f * sum * (1 + tanhf(0.7978845608f * (sum + 0.044715f * sum * sum * sum)));
            }
            if (d->type == CUDA_R_32F)
                ((float *)near(D))[to] = sum;
            else
                ((uint16_t *)near(D))[to] = flm_bf16_from_f32(sum);
        }
    return CUBLAS_STATUS_SUCCESS;
}

/* ---- cuBLAS ---- */

cublasStatus_t cublasCreate(cublasHandle_t *out)
{
    *out = calloc(1, sizeof(void *));
    return *out ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_ALLOC_FAILED;
}

cublasStatus_t cublasDestroy(cublasHandle_t handle)
{
    free(handle);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetStream(cublasHandle_t handle, cudaStream_t stream)
{
    if (!handle || !stream) return CUBLAS_STATUS_INVALID_VALUE;
    *(void **)handle = stream;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetWorkspace(cublasHandle_t handle, void *workspace, size_t bytes)
{
    return handle && is_far(workspace) && bytes > 0 && (uintptr_t)workspace % 256 == 0 ? CUBLAS_STATUS_SUCCESS
                                                                                       : CUBLAS_STATUS_INVALID_VALUE;
}

static CBLAS_TRANSPOSE op(cublasOperation_t t) { return t == CUBLAS_OP_N ? CblasNoTrans : CblasTrans; }
static CBLAS_UPLO uplo_of(cublasFillMode_t t) { return t == CUBLAS_FILL_MODE_UPPER ? CblasUpper : CblasLower; }

cublasStatus_t cublasDgemm(cublasHandle_t handle, cublasOperation_t ta, cublasOperation_t tb, int m, int n, int k,
                           const double *alpha, const double *A, int lda, const double *B, int ldb, const double *beta,
                           double *C, int ldc)
{
    if (!handle || !fake_stream_reach(*(void **)handle)) return CUBLAS_STATUS_NOT_INITIALIZED;
    cblas_dgemm(CblasColMajor, op(ta), op(tb), m, n, k, *alpha, near(A), lda, near(B), ldb, *beta, near(C), ldc);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasDsyrk(cublasHandle_t handle, cublasFillMode_t uplo, cublasOperation_t t, int n, int k,
                           const double *alpha, const double *A, int lda, const double *beta, double *C, int ldc)
{
    if (!handle || !fake_stream_reach(*(void **)handle)) return CUBLAS_STATUS_NOT_INITIALIZED;
    cblas_dsyrk(CblasColMajor, uplo_of(uplo), op(t), n, k, *alpha, near(A), lda, *beta, near(C), ldc);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasDtrsm(cublasHandle_t handle, cublasSideMode_t side, cublasFillMode_t uplo, cublasOperation_t t,
                           cublasDiagType_t diag, int m, int n, const double *alpha, const double *A, int lda,
                           double *B, int ldb)
{
    if (!handle || !fake_stream_reach(*(void **)handle)) return CUBLAS_STATUS_NOT_INITIALIZED;
    cblas_dtrsm(CblasColMajor, side == CUBLAS_SIDE_LEFT ? CblasLeft : CblasRight, uplo_of(uplo), op(t),
                diag == CUBLAS_DIAG_UNIT ? CblasUnit : CblasNonUnit, m, n, *alpha, near(A), lda, near(B), ldb);
    return CUBLAS_STATUS_SUCCESS;
}

/* ---- cuSOLVER ---- */

cusolverStatus_t cusolverDnCreate(cusolverDnHandle_t *out)
{
    *out = calloc(1, sizeof(void *));
    return *out ? CUSOLVER_STATUS_SUCCESS : CUSOLVER_STATUS_ALLOC_FAILED;
}

cusolverStatus_t cusolverDnDestroy(cusolverDnHandle_t handle)
{
    free(handle);
    return CUSOLVER_STATUS_SUCCESS;
}

cusolverStatus_t cusolverDnSetStream(cusolverDnHandle_t handle, cudaStream_t stream)
{
    if (!handle || !stream) return CUSOLVER_STATUS_INVALID_VALUE;
    *(void **)handle = stream;
    return CUSOLVER_STATUS_SUCCESS;
}

cusolverStatus_t cusolverDnDpotrf_bufferSize(cusolverDnHandle_t handle, cublasFillMode_t uplo, int n, double *A,
                                             int lda, int *work)
{
    (void)uplo;
    *work = 3 * n + 1;
    return handle && is_far(A) && lda >= n ? CUSOLVER_STATUS_SUCCESS : CUSOLVER_STATUS_INVALID_VALUE;
}

cusolverStatus_t cusolverDnDpotrf(cusolverDnHandle_t handle, cublasFillMode_t uplo, int n, double *A, int lda,
                                  double *work, int size, int *info)
{
    if (!handle || !fake_stream_reach(*(void **)handle) || size < 3 * n + 1) return CUSOLVER_STATUS_INVALID_VALUE;
    memset(near(work), 0xEE, (size_t)size * sizeof *work); /* the library may write all of it */
    dpotrf_(uplo == CUBLAS_FILL_MODE_UPPER ? "U" : "L", &n, near(A), &lda, near(info));
    return CUSOLVER_STATUS_SUCCESS;
}
