/* cuda_matmul.c - matrix products through cuBLASLt, and the rules for what its epilogues do.
 *
 * Row-major C = op(A) op(B) is column-major C^T = op(B)^T op(A)^T on the same bytes: cuBLASLt's A is our b, its B our
 * a, its D [N, M] our c, and its bias, one value a row of D, runs over our N. bf16 operands are summed in fp32; f32
 * operands are multiplied in fp32, never TF32 (parity needs it). Which way a product goes depends on its arguments
 * alone: direct     f32 c, and bf16 c of bf16 operands without a bias. A bias is the epilogue BIAS where it is
 * 16-aligned. What is left, another bias and GELU, is one kernel over c (kernel/epilogue.cu). in pieces
 * otherwise: bf16 c with a bias, because cuBLASLt's bias has c's dtype, while ours is f32 and is to be added before
 * rounding; and bf16 c of f32 operands, which cuBLASLt has not. Pieces of rows go to f32 scratch, small enough for the
 * second-level cache, and from there by one kernel to c and gelu. The epilogue GELU_AUX would fit bf16 c without bias
 * alone, which no network here has: it is not used. Split sums (split-K) only through the workspace, added in a fixed
 * order: the same bits at every call. A shape's plan is asked of cuBLASLt's heuristics once and kept.
 * SPDX-License-Identifier: Apache-2.0 */
#include "backend/backend_check.h"
#include "cuda/cuda_blas.h"
#include "cuda/kernel/kernel.h"

#include <cuda_runtime_api.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    PIECE_BYTES = 24 << 20, /* f32 scratch of a piece: of the 40 MiB of an A100's second-level cache */
    ALIGN_MOST = 256,
    ALIGN_BIAS = 16
};

enum {
    FLAG_BF16 = 1,        /* a and b are bf16, else f32 */
    FLAG_BF16_C = 2,      /* c is bf16, else f32 */
    FLAG_TRANSPOSE_A = 4, /* a is stored [K, M] */
    FLAG_TRANSPOSE_B = 8, /* b is stored [N, K] */
    FLAG_ACCUMULATE = 16,
    FLAG_BIAS = 32 /* the epilogue's */
};

/* All that a plan depends on; compared as bytes, so without holes. */
typedef struct plan_key {
    int64_t M, N, K;
    uint64_t flags;
    uint32_t align_a, align_b, align_c, align_bias; /* bytes, at most ALIGN_MOST: views begin anywhere */
} plan_key;

typedef struct flm_cuda_plan {
    plan_key key;
    cublasLtMatmulDesc_t product;
    cublasLtMatrixLayout_t a, b, c; /* ours; the library's B, A, D */
    cublasLtMatmulAlgo_t algo;
    struct flm_cuda_plan *next;
} flm_cuda_plan;

static uint32_t alignment(const void *p)
{
    const uintptr_t at = (uintptr_t)p | ALIGN_MOST;
    return (uint32_t)(at & -at);
}

static void plan_free(flm_cuda_plan *plan)
{
    if (!plan) return;
    if (plan->product) cublasLtMatmulDescDestroy(plan->product);
    if (plan->a) cublasLtMatrixLayoutDestroy(plan->a);
    if (plan->b) cublasLtMatrixLayoutDestroy(plan->b);
    if (plan->c) cublasLtMatrixLayoutDestroy(plan->c);
    free(plan);
}

void flm_cuda_plans_release(flm_cublas *blas)
{
    for (int i = 0; i < FLM_CUDA_PLANS; i++)
        while (blas->plan[i]) {
            flm_cuda_plan *next = blas->plan[i]->next;
            plan_free(blas->plan[i]);
            blas->plan[i] = next;
        }
}

/* FNV-1a (Fowler, Noll, Vo) over the key's bytes. */
static unsigned bucket_of(const plan_key *key)
{
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < sizeof *key; i++) hash = (hash ^ ((const unsigned char *)key)[i]) * 16777619u;
    return (hash ^ hash >> 16) % FLM_CUDA_PLANS;
}

#define SET(desc, name, value) \
    cublasLtMatmulDescSetAttribute((desc), CUBLASLT_MATMUL_DESC_##name, &(value), sizeof(value))

/* The bias of this call; the heuristics look at how it is aligned. */
static flm_status set_bias(flm_cuda_plan *plan, const flm_matmul *p)
{
    flm_status rc = FLM_OK;
    if (plan->key.flags & FLAG_BIAS) {
        const void *bias = p->bias->data;
        FLM_CUBLAS(SET(plan->product, BIAS_POINTER, bias));
    }
done:
    return rc;
}

static flm_status describe_product(flm_cuda_plan *plan)
{
    flm_status rc = FLM_OK;
    const plan_key *k = &plan->key;
    const cudaDataType_t in = k->flags & FLAG_BF16 ? CUDA_R_16BF : CUDA_R_32F;
    const cudaDataType_t out = k->flags & FLAG_BF16_C ? CUDA_R_16BF : CUDA_R_32F;
    const uint64_t M = (uint64_t)k->M, N = (uint64_t)k->N, K = (uint64_t)k->K;
    const cublasOperation_t transposed = CUBLAS_OP_T;
    const cublasLtEpilogue_t epilogue = k->flags & FLAG_BIAS ? CUBLASLT_EPILOGUE_BIAS : CUBLASLT_EPILOGUE_DEFAULT;

    FLM_CUBLAS(cublasLtMatmulDescCreate(&plan->product, CUBLAS_COMPUTE_32F, CUDA_R_32F));
    if (k->flags & FLAG_TRANSPOSE_B) FLM_CUBLAS(SET(plan->product, TRANSA, transposed));
    if (k->flags & FLAG_TRANSPOSE_A) FLM_CUBLAS(SET(plan->product, TRANSB, transposed));
    FLM_CUBLAS(SET(plan->product, EPILOGUE, epilogue));
    /* Rows, columns and the step between columns, column-major. */
    FLM_CUBLAS(k->flags & FLAG_TRANSPOSE_B ? cublasLtMatrixLayoutCreate(&plan->b, in, K, N, k->K)
                                           : cublasLtMatrixLayoutCreate(&plan->b, in, N, K, k->N));
    FLM_CUBLAS(k->flags & FLAG_TRANSPOSE_A ? cublasLtMatrixLayoutCreate(&plan->a, in, M, K, k->M)
                                           : cublasLtMatrixLayoutCreate(&plan->a, in, K, M, k->K));
    FLM_CUBLAS(cublasLtMatrixLayoutCreate(&plan->c, out, N, M, k->N));
done:
    return rc;
}

#define PREFER(name, value) \
    cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_##name, &(value), sizeof(value))

static flm_status choose_algorithm(cublasLtHandle_t lt, flm_cuda_plan *plan)
{
    flm_status rc = FLM_OK;
    const plan_key *k = &plan->key;
    cublasLtMatmulPreference_t preference = NULL;
    cublasLtMatmulHeuristicResult_t best = {0};
    const size_t workspace = FLM_CUDA_WORKSPACE;
    const uint32_t reduction = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;
    /* The environment can ask cuBLAS for less than fp32 (NVIDIA_TF32_OVERRIDE): then there is no product, rather than a
     * coarse one. */
    const uint64_t exact =
        ~(uint64_t)(CUBLASLT_NUMERICAL_IMPL_FLAGS_INPUT_TF32 | CUBLASLT_NUMERICAL_IMPL_FLAGS_INPUT_16BF |
                    CUBLASLT_NUMERICAL_IMPL_FLAGS_INPUT_16F);
    int found = 0;

    FLM_CUBLAS(cublasLtMatmulPreferenceCreate(&preference));
    FLM_CUBLAS(PREFER(MAX_WORKSPACE_BYTES, workspace));
    FLM_CUBLAS(PREFER(REDUCTION_SCHEME_MASK, reduction));
    if (!(k->flags & FLAG_BF16)) FLM_CUBLAS(PREFER(IMPL_MASK, exact));
    FLM_CUBLAS(PREFER(MIN_ALIGNMENT_A_BYTES, k->align_b));
    FLM_CUBLAS(PREFER(MIN_ALIGNMENT_B_BYTES, k->align_a));
    FLM_CUBLAS(PREFER(MIN_ALIGNMENT_C_BYTES, k->align_c));
    FLM_CUBLAS(PREFER(MIN_ALIGNMENT_D_BYTES, k->align_c));
    const cublasStatus_t status = cublasLtMatmulAlgoGetHeuristic(lt, plan->product, plan->b, plan->a, plan->c, plan->c,
                                                                 preference, 1, &best, &found);
    if (status == CUBLAS_STATUS_NOT_SUPPORTED || status == CUBLAS_STATUS_INVALID_VALUE ||
        (status == CUBLAS_STATUS_SUCCESS && found == 0))
        FLM_FAIL(FLM_E_UNSUPPORTED,
                 "matmul: cuBLASLt has no product of %" PRId64 " x %" PRId64 " x %" PRId64 " (kind %#" PRIx64
                 ", aligned to %u, %u, %u)",
                 k->M, k->N, k->K, k->flags, k->align_a, k->align_b, k->align_c);
    FLM_CUBLAS(status);
    FLM_CUBLAS(best.state);
    plan->algo = best.algo;
done:
    if (preference) cublasLtMatmulPreferenceDestroy(preference);
    return rc;
}

/* The key's plan, found or made. */
static flm_status plan_find(flm_cublas *blas, const plan_key *key, const flm_matmul *p, flm_cuda_plan **out)
{
    flm_status rc = FLM_OK;
    flm_cuda_plan **bucket = &blas->plan[bucket_of(key)], *plan = NULL;

    for (flm_cuda_plan *have = *bucket; have; have = have->next)
        if (memcmp(&have->key, key, sizeof *key) == 0) {
            *out = have;
            return FLM_OK;
        }
    plan = calloc(1, sizeof *plan);
    if (!plan) FLM_FAIL(FLM_E_NOMEM, "matmul: %zu bytes refused", sizeof *plan);
    plan->key = *key;
    FLM_TRY(describe_product(plan));
    FLM_TRY(set_bias(plan, p));
    FLM_TRY(choose_algorithm(blas->lt, plan));
    plan->next = *bucket;
    *bucket = plan;
    *out = plan;
    plan = NULL;
done:
    plan_free(plan);
    return rc;
}

/* One product by cuBLASLt, with the bias where the key says so. */
static flm_status multiply(flm_backend *be, const flm_matmul *p, plan_key key)
{
    flm_status rc = FLM_OK;
    flm_cublas *blas = flm_cuda_of(be)->blas;
    void *to = p->c->data;
    const float one = 1, beta = key.flags & FLAG_ACCUMULATE ? 1 : 0;
    flm_cuda_plan *plan = NULL;

    key.align_a = alignment(p->a->data);
    key.align_b = alignment(p->b->data);
    key.align_c = alignment(to);
    if (key.flags & FLAG_BIAS) key.align_bias = alignment(p->bias->data);
    FLM_TRY(plan_find(blas, &key, p, &plan));
    FLM_TRY(set_bias(plan, p));
    FLM_CUBLAS(cublasLtMatmul(blas->lt, plan->product, &one, p->b->data, plan->b, p->a->data, plan->a, &beta, to,
                              plan->c, to, plan->c, &plan->algo, blas->workspace, FLM_CUDA_WORKSPACE,
                              flm_cuda_of(be)->stream));
done:
    return rc;
}

/* What is left to do on c, or from sum to c. */
static flm_status finish(flm_backend *be, const flm_matmul *p, const flm_tensor *c, const flm_tensor *gelu,
                         const float *sum, bool bias)
{
    flm_status rc = FLM_OK;
    if (sum || bias || gelu)
        FLM_CUDA(flm_cuda_launch_epilogue(c->data, gelu ? gelu->data : NULL, c->dtype == FLM_DTYPE_BF16, sum,
                                          bias ? p->bias->data : NULL, c->dim[0], c->dim[1], flm_cuda_of(be)->stream));
done:
    return rc;
}

static flm_status multiply_direct(flm_backend *be, const flm_matmul *p, plan_key key)
{
    flm_status rc = FLM_OK;
    const bool thin =
        key.M == 1 || key.N == 1 || key.K == 1; /* PyTorch keeps such products from cuBLASLt's epilogues */
    const bool bias = p->bias && !thin && alignment(p->bias->data) >= ALIGN_BIAS;

    if (bias) key.flags |= FLAG_BIAS;
    FLM_TRY(multiply(be, p, key));
    FLM_TRY(finish(be, p, p->c, p->gelu, NULL, p->bias && !bias));
done:
    return rc;
}

/* Rows [first, first + rows) of op(A), as far as its layout has them side by side. */
static flm_status multiply_pieces(flm_backend *be, const flm_matmul *p, const plan_key *key)
{
    flm_status rc = FLM_OK;
    const int64_t M = key->M, N = key->N;
    /* Columns of a transposed a do not lie together: one piece. */
    int64_t rows = p->transpose_a ? M : PIECE_BYTES / (N * (int64_t)sizeof(float));
    void *scratch = NULL;

    if (rows > M) rows = M;
    if (rows < 1) rows = 1;
    FLM_TRY(flm_cuda_scratch(be, FLM_CUDA_ALGEBRA, (size_t)(rows * N) * sizeof(float), &scratch));
    for (int64_t first = 0; first < M; first += rows) {
        const int64_t n = M - first < rows ? M - first : rows;
        const flm_tensor a = p->transpose_a ? *p->a : flm_tensor_slice(p->a, first, n);
        const flm_tensor sum = flm_tensor_2d(scratch, FLM_DTYPE_F32, n, N), c = flm_tensor_slice(p->c, first, n);
        const flm_tensor gelu = p->gelu ? flm_tensor_slice(p->gelu, first, n) : flm_tensor_none();
        const flm_matmul piece = {
            .a = &a, .b = p->b, .c = &sum, .transpose_a = p->transpose_a, .transpose_b = p->transpose_b};
        plan_key k = *key;
        k.M = n;
        k.flags &= ~(uint64_t)FLAG_BF16_C;
        FLM_TRY(multiply(be, &piece, k));
        FLM_TRY(finish(be, p, &c, p->gelu ? &gelu : NULL, scratch, p->bias != NULL));
    }
done:
    return rc;
}

/* Of a product that has been checked. */
static void describe_key(const flm_matmul *p, plan_key *k)
{
    const flm_tensor *a = p->a, *b = p->b, *c = p->c;
    memset(k, 0, sizeof *k);
    k->M = a->dim[p->transpose_a ? 1 : 0];
    k->K = a->dim[p->transpose_a ? 0 : 1];
    k->N = b->dim[p->transpose_b ? 0 : 1];
    k->flags = (a->dtype == FLM_DTYPE_BF16 ? FLAG_BF16 : 0u) | (c->dtype == FLM_DTYPE_BF16 ? FLAG_BF16_C : 0u) |
               (p->transpose_a ? FLAG_TRANSPOSE_A : 0u) | (p->transpose_b ? FLAG_TRANSPOSE_B : 0u) |
               (p->accumulate ? FLAG_ACCUMULATE : 0u);
}

flm_status flm_cuda_matmul(flm_backend *be, const flm_matmul *p)
{
    flm_status rc = FLM_OK;
    plan_key key;

    FLM_TRY(flm_check_matmul(p));
    describe_key(p, &key);
    if (key.M == 0 || key.N == 0) goto done;
    if (key.K == 0) { /* c = bias or zeros, or c += bias */
        if (!p->accumulate) FLM_TRY(flm_cuda_memory.zero(be, p->c->data, flm_tensor_bytes(p->c)));
        FLM_TRY(finish(be, p, p->c, p->gelu, NULL, p->bias != NULL));
    } else if (p->c->dtype == FLM_DTYPE_BF16 && (p->bias || p->a->dtype == FLM_DTYPE_F32)) {
        FLM_TRY(multiply_pieces(be, p, &key));
    } else {
        FLM_TRY(multiply_direct(be, p, key));
    }
done:
    return rc;
}
