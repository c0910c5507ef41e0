/* cuda_matmul.c - matrix products through cuBLASLt, and the rules for what its epilogues do.
 *
 * Row-major C = op(A) op(B) is column-major C^T = op(B)^T op(A)^T on the same bytes: cuBLASLt's A is our b, its B our
 * a, its D [N, M] our c, and its bias, one value a row of D, runs over our N. bf16 operands are summed in fp32; f32
 * operands are multiplied in fp32, never TF32 (parity needs it). Split sums (split-K) only through the workspace, added
 * in a fixed order: the same bits at every call. A shape's plan is asked of cuBLASLt's heuristics once and kept.
 *
 * Which way a product goes depends on its arguments and the GPU alone. fused: a bias is the epilogue BIAS. The library
 * wants it in c's dtype, so it is rounded for bf16 c, as PyTorch's autocast rounds it. bf16 GELU goes with it
 * (GELU_AUX_ BIAS, of the sum before rounding) on Hopper and later; on Ampere llm.c found it slower than a kernel of
 * its own. plain: no bias, or one that the library refuses; f32 biases and GELU are then one kernel over c
 * (kernel/epilogue.cu). in pieces: bf16 c with a refused bias, or of f32 operands, which cuBLASLt has not. Pieces of
 * rows go to f32 scratch, small enough for the second-level cache, and from there by that kernel to c and gelu.
 * SPDX-License-Identifier: Apache-2.0 */
#include "backend/backend_check.h"
#include "base/base_crc32c.h"
#include "cuda/cuda_blas.h"
#include "cuda/kernel/kernel.h"

#include <cuda_runtime_api.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    CHUNK_BYTES = 24 << 20, /* f32 scratch of a piece: of the 40 MiB of an A100's second-level cache */
    ALIGN_MAX = 256,
    ALIGN_EPILOGUE = 16, /* bytes, of what an epilogue reads or writes beside c */
    AUX_COLUMNS = 8,     /* the step of what GELU_AUX writes is a multiple of it (cuBLAS's manual) */
    FUSED_GELU = 9       /* the least major compute capability */
};

enum {
    FLAG_BF16 = 1,        /* a and b are bf16, else f32 */
    FLAG_BF16_C = 2,      /* c is bf16, else f32 */
    FLAG_TRANSPOSE_A = 4, /* a is stored [K, M] */
    FLAG_TRANSPOSE_B = 8, /* b is stored [N, K] */
    FLAG_ACCUMULATE = 16,
    FLAG_BIAS = 32, /* the epilogue's */
    FLAG_GELU = 64  /* the epilogue's: its D is gelu, its auxiliary output c */
};

/* All that a plan depends on; compared as bytes, so without holes. */
typedef struct plan_key {
    int64_t M, N, K;
    int64_t row_stride_a, row_stride_b, row_stride_c; /* elements from row to row, as stored */
    uint64_t flags;
    uint32_t align_a, align_b, align_c, align_bias, align_gelu; /* bytes, at most ALIGN_MAX: views begin anywhere */
    uint32_t unused;
} plan_key;

/* What a call points the plan at. */
typedef struct operands {
    const void *a, *b, *bias; /* bias in c's dtype */
    void *c, *gelu;
} operands;

typedef struct flm_cuda_plan {
    plan_key key;
    cublasLtMatmulDesc_t product;
    cublasLtMatrixLayout_t a, b, c; /* ours; the library's B, A, and C and D (gelu lies as c does) */
    cublasLtMatmulAlgo_t algo;
    bool missing; /* the library has none with this epilogue */
} flm_cuda_plan;

static uint32_t alignment(const void *p)
{
    const uintptr_t at = (uintptr_t)p | ALIGN_MAX;
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
    for (size_t i = 0; i < blas->by_key.count; i++) plan_free(blas->plans[i]);
    free(blas->plans);
    blas->plans = NULL;
    flm_table_free(&blas->by_key);
}

#define SET(desc, name, value) \
    cublasLtMatmulDescSetAttribute((desc), CUBLASLT_MATMUL_DESC_##name, &(value), sizeof(value))

/* Where this call's bias and GELU are; the heuristics look at how they are aligned. */
static flm_status set_epilogue(flm_cuda_plan *plan, const operands *at)
{
    flm_status rc = FLM_OK;
    if (plan->key.flags & FLAG_BIAS) FLM_CUBLAS(SET(plan->product, BIAS_POINTER, at->bias));
    if (plan->key.flags & FLAG_GELU) FLM_CUBLAS(SET(plan->product, EPILOGUE_AUX_POINTER, at->c));
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
    const cublasLtEpilogue_t epilogue = k->flags & FLAG_GELU   ? CUBLASLT_EPILOGUE_GELU_AUX_BIAS
                                        : k->flags & FLAG_BIAS ? CUBLASLT_EPILOGUE_BIAS
                                                               : CUBLASLT_EPILOGUE_DEFAULT;

    FLM_CUBLAS(cublasLtMatmulDescCreate(&plan->product, CUBLAS_COMPUTE_32F, CUDA_R_32F));
    if (k->flags & FLAG_TRANSPOSE_B) FLM_CUBLAS(SET(plan->product, TRANSA, transposed));
    if (k->flags & FLAG_TRANSPOSE_A) FLM_CUBLAS(SET(plan->product, TRANSB, transposed));
    FLM_CUBLAS(SET(plan->product, EPILOGUE, epilogue));
    if (k->flags & FLAG_GELU) FLM_CUBLAS(SET(plan->product, EPILOGUE_AUX_LD, k->row_stride_c));
    /* Rows, columns and the step between columns, column-major. */
    FLM_CUBLAS(k->flags & FLAG_TRANSPOSE_B ? cublasLtMatrixLayoutCreate(&plan->b, in, K, N, k->row_stride_b)
                                           : cublasLtMatrixLayoutCreate(&plan->b, in, N, K, k->row_stride_b));
    FLM_CUBLAS(k->flags & FLAG_TRANSPOSE_A ? cublasLtMatrixLayoutCreate(&plan->a, in, M, K, k->row_stride_a)
                                           : cublasLtMatrixLayoutCreate(&plan->a, in, K, M, k->row_stride_a));
    FLM_CUBLAS(cublasLtMatrixLayoutCreate(&plan->c, out, N, M, k->row_stride_c));
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
    const uint32_t align_d = k->flags & FLAG_GELU ? k->align_gelu : k->align_c;
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
    FLM_CUBLAS(PREFER(MIN_ALIGNMENT_C_BYTES, align_d));
    FLM_CUBLAS(PREFER(MIN_ALIGNMENT_D_BYTES, align_d));
    const cublasStatus_t status = cublasLtMatmulAlgoGetHeuristic(lt, plan->product, plan->b, plan->a, plan->c, plan->c,
                                                                 preference, 1, &best, &found);
    plan->missing = status == CUBLAS_STATUS_NOT_SUPPORTED || status == CUBLAS_STATUS_INVALID_VALUE ||
                    (status == CUBLAS_STATUS_SUCCESS && (found == 0 || best.state != CUBLAS_STATUS_SUCCESS));
    if (plan->missing && k->flags & (FLAG_BIAS | FLAG_GELU)) goto done;
    if (plan->missing)
        FLM_FAIL(FLM_E_UNSUPPORTED,
                 "matmul: cuBLASLt has no product of %" PRId64 " x %" PRId64 " x %" PRId64 " (kind %#" PRIx64
                 ", aligned to %u, %u, %u)",
                 k->M, k->N, k->K, k->flags, k->align_a, k->align_b, k->align_c);
    FLM_CUBLAS(status);
    plan->algo = best.algo;
done:
    if (preference) cublasLtMatmulPreferenceDestroy(preference);
    return rc;
}

/* Keeps a plan under the checksum of its key. */
static flm_status plan_add(flm_cublas *blas, uint64_t checksum, flm_cuda_plan *plan)
{
    flm_status rc = FLM_OK;
    const size_t count = blas->by_key.count;
    flm_cuda_plan **grown = realloc(blas->plans, (count + 1) * sizeof(flm_cuda_plan *));

    if (!grown) FLM_FAIL(FLM_E_NOMEM, "matmul: no memory for %zu kept plans", count + 1);
    blas->plans = grown;
    grown[count] = plan;
    FLM_TRY(flm_table_add(&blas->by_key, checksum, (int32_t)count));
done:
    return rc;
}

/* The key's plan, found or made. */
static flm_status plan_find(flm_cublas *blas, const plan_key *key, const operands *at, flm_cuda_plan **out)
{
    flm_status rc = FLM_OK;
    const uint64_t checksum = flm_crc32c(0, key, sizeof *key);
    flm_cuda_plan *plan = NULL;

    for (flm_table_cursor c = {0}; flm_table_next(&blas->by_key, checksum, &c);)
        if (memcmp(&blas->plans[c.value]->key, key, sizeof *key) == 0) {
            *out = blas->plans[c.value];
            return FLM_OK;
        }
    plan = calloc(1, sizeof *plan);
    if (!plan) FLM_FAIL(FLM_E_NOMEM, "matmul: %zu bytes refused", sizeof *plan);
    plan->key = *key;
    FLM_TRY(describe_product(plan));
    FLM_TRY(set_epilogue(plan, at));
    FLM_TRY(choose_algorithm(blas->lt, plan));
    FLM_TRY(plan_add(blas, checksum, plan));
    *out = plan;
    plan = NULL;
done:
    plan_free(plan);
    return rc;
}

/* One product by cuBLASLt, with the epilogue that the key's flags say. *done: false where the library refuses that
 * epilogue, and nothing has been written. */
static flm_status multiply(flm_backend *be, plan_key key, const operands *at, bool *done)
{
    flm_status rc = FLM_OK;
    flm_cublas *blas = flm_cuda_of(be)->blas;
    void *to = key.flags & FLAG_GELU ? at->gelu : at->c;
    const float one = 1, beta = key.flags & FLAG_ACCUMULATE ? 1 : 0;
    flm_cuda_plan *plan = NULL;

    key.align_a = alignment(at->a);
    key.align_b = alignment(at->b);
    key.align_c = alignment(at->c);
    if (key.flags & FLAG_BIAS) key.align_bias = alignment(at->bias);
    if (key.flags & FLAG_GELU) key.align_gelu = alignment(at->gelu);
    FLM_TRY(plan_find(blas, &key, at, &plan));
    *done = !plan->missing;
    if (plan->missing) goto done;
    FLM_TRY(set_epilogue(plan, at));
    FLM_CUBLAS(cublasLtMatmul(blas->lt, plan->product, &one, at->b, plan->b, at->a, plan->a, &beta, to, plan->c, to,
                              plan->c, &plan->algo, blas->workspace, FLM_CUDA_WORKSPACE, flm_cuda_of(be)->stream));
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
                                          bias ? p->bias->data : NULL, c->dim[0], c->dim[1], flm_tensor_row_stride(c),
                                          flm_cuda_of(be)->stream));
done:
    return rc;
}

/* Whether the library may be asked for its epilogues. */
static bool fused_fits(const flm_matmul *p, const plan_key *key)
{
    const bool bf16_c = key->flags & FLAG_BF16_C;
    const bool thin =
        key->M == 1 || key->N == 1 || key->K == 1; /* PyTorch keeps such products from cuBLASLt's epilogues */
    return p->bias && !thin && (bf16_c ? (key->flags & FLAG_BF16) != 0 : alignment(p->bias->data) >= ALIGN_EPILOGUE);
}

/* With the library's epilogues, as far as it has them: *done. */
static flm_status multiply_fused(flm_backend *be, const flm_matmul *p, const plan_key *key, bool *done)
{
    flm_status rc = FLM_OK;
    const flm_cuda *cuda = flm_cuda_of(be);
    const bool bf16_c = key->flags & FLAG_BF16_C;
    plan_key k = *key;
    operands at = {p->a->data, p->b->data, p->bias->data, p->c->data, p->gelu ? p->gelu->data : NULL};
    const bool gelu = p->gelu && bf16_c && cuda->major >= FUSED_GELU && k.row_stride_c % AUX_COLUMNS == 0 &&
                      k.row_stride_c == k.N && alignment(at.c) >= ALIGN_EPILOGUE &&
                      alignment(at.gelu) >= ALIGN_EPILOGUE;

    *done = false;
    if (bf16_c) {
        void *rounded = NULL;
        FLM_TRY(flm_cuda_scratch(be, FLM_CUDA_ALGEBRA, (size_t)k.N * sizeof(uint16_t), &rounded));
        const flm_cuda_cast_rows row = {rounded, p->bias->data, FLM_CUDA_BF16, FLM_CUDA_F32, k.N, k.N, 1, k.N};
        FLM_CUDA(flm_cuda_launch_cast(&row, cuda->processors, cuda->stream));
        at.bias = rounded;
    }
    k.flags |= FLAG_BIAS;
    if (gelu) {
        plan_key both = k;
        both.flags |= FLAG_GELU;
        FLM_TRY(multiply(be, both, &at, done));
        if (*done) goto done;
    }
    FLM_TRY(multiply(be, k, &at, done));
    if (*done) FLM_TRY(finish(be, p, p->c, p->gelu, NULL, false));
done:
    return rc;
}

static flm_status multiply_plain(flm_backend *be, const flm_matmul *p, const plan_key *key)
{
    flm_status rc = FLM_OK;
    bool done;
    FLM_TRY(multiply(be, *key, &(operands){.a = p->a->data, .b = p->b->data, .c = p->c->data}, &done));
    FLM_TRY(finish(be, p, p->c, p->gelu, NULL, p->bias != NULL));
done:
    return rc;
}

/* Rows [first, first + rows) of op(A), as far as its layout has them side by side. */
static flm_status multiply_chunks(flm_backend *be, const flm_matmul *p, const plan_key *key)
{
    flm_status rc = FLM_OK;
    const int64_t M = key->M, N = key->N;
    /* Columns of a transposed a do not lie together: one piece. */
    int64_t rows = p->transpose_a ? M : CHUNK_BYTES / (N * (int64_t)sizeof(float));
    void *scratch = NULL;
    bool done;

    if (rows > M) rows = M;
    if (rows < 1) rows = 1;
    FLM_TRY(flm_cuda_scratch(be, FLM_CUDA_ALGEBRA, (size_t)(rows * N) * sizeof(float), &scratch));
    for (int64_t first = 0; first < M; first += rows) {
        const int64_t n = M - first < rows ? M - first : rows;
        const flm_tensor a = p->transpose_a ? *p->a : flm_tensor_slice(p->a, first, n);
        const flm_tensor c = flm_tensor_slice(p->c, first, n);
        const flm_tensor gelu = p->gelu ? flm_tensor_slice(p->gelu, first, n) : flm_tensor_none();
        plan_key k = *key;
        k.M = n;
        k.row_stride_c = N;
        k.flags &= ~(uint64_t)FLAG_BF16_C;
        FLM_TRY(multiply(be, k, &(operands){.a = a.data, .b = p->b->data, .c = scratch}, &done));
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
    k->row_stride_a = flm_tensor_row_stride(a);
    k->row_stride_b = flm_tensor_row_stride(b);
    k->row_stride_c = flm_tensor_row_stride(c);
    k->flags = (a->dtype == FLM_DTYPE_BF16 ? FLAG_BF16 : 0u) | (c->dtype == FLM_DTYPE_BF16 ? FLAG_BF16_C : 0u) |
               (p->transpose_a ? FLAG_TRANSPOSE_A : 0u) | (p->transpose_b ? FLAG_TRANSPOSE_B : 0u) |
               (p->accumulate ? FLAG_ACCUMULATE : 0u);
}

/* Zeros, rows of padded c one by one. */
static flm_status clear(flm_backend *be, const flm_tensor *c)
{
    flm_status rc = FLM_OK;
    const size_t size = flm_dtype_size(c->dtype), row_bytes = (size_t)flm_tensor_row_stride(c) * size;
    if (!flm_tensor_padded(c)) return flm_cuda_memory.zero(be, c->data, flm_tensor_bytes(c));
    for (int64_t i = 0; i < c->dim[0]; i++)
        FLM_TRY(flm_cuda_memory.zero(be, (char *)c->data + (size_t)i * row_bytes, (size_t)c->dim[1] * size));
done:
    return rc;
}

flm_status flm_cuda_matmul(flm_backend *be, const flm_matmul *p)
{
    flm_status rc = FLM_OK;
    plan_key key;
    bool done = false;

    describe_key(p, &key);
    if (key.M == 0 || key.N == 0) goto done;
    if (key.K == 0) { /* c = bias or zeros, or c += bias */
        if (!p->accumulate) FLM_TRY(clear(be, p->c));
        FLM_TRY(finish(be, p, p->c, p->gelu, NULL, p->bias != NULL));
        goto done;
    }
    if (fused_fits(p, &key)) FLM_TRY(multiply_fused(be, p, &key, &done));
    if (done) goto done;
    if (p->c->dtype == FLM_DTYPE_BF16 && (p->bias || p->a->dtype == FLM_DTYPE_F32))
        FLM_TRY(multiply_chunks(be, p, &key));
    else
        FLM_TRY(multiply_plain(be, p, &key));
done:
    return rc;
}
