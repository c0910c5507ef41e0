/* cuda_matmul.c - matrix products by cuBLASLt, and the rules for the use of its epilogues.
 *
 * Row-major C = op(A) op(B) is column-major C^T = op(B)^T op(A)^T on the same bytes: cuBLASLt's A is our b, its B our
 * a, its D [N, M] our c, and its bias, one value for each row of D, has our N elements. bf16 operands are summed in
 * fp32; f32 operands are multiplied in fp32, never TF32 (parity needs it). Split sums (split-K) use the workspace only
 * and are added in a fixed order, so every call gives the same bits. The plan of a shape comes from cuBLASLt's
 * heuristics, is made once and kept.
 *
 * A product is computed in one of three ways, chosen by its arguments and the GPU alone:
 *   fused   the bias is cuBLASLt's epilogue BIAS. The library wants it in c's dtype, so for bf16 c it is rounded, as
 *           PyTorch's autocast does. On Hopper and later bf16 GELU is fused too (GELU_AUX_BIAS, of the sum before
 *           rounding); on Ampere llm.c found that slower than a kernel of its own.
 *   plain   without a bias, or if the library refuses the epilogue: an f32 bias and GELU are one kernel over c
 *           (kernel/epilogue.cu).
 *   chunks  bf16 c with a refused bias, or of f32 operands, which cuBLASLt does not offer: chunks of rows are
 *           multiplied into f32 scratch, small enough for the L2 cache; that kernel writes c and gelu from there.
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
    CHUNK_BYTES = 24 << 20, /* f32 scratch of a chunk of rows: within the 40 MiB of an A100's L2 cache */
    ALIGN_MAX = 256,
    ALIGN_EPILOGUE = 16, /* bytes: alignment of an epilogue's bias and auxiliary output */
    AUX_COLUMNS = 8,     /* the row stride of GELU_AUX's auxiliary output must be a multiple of it (cuBLAS manual) */
    FUSED_GELU = 9       /* smallest major compute capability on which GELU is fused */
};

enum {
    FLAG_BF16 = 1,        /* a and b are bf16, else f32 */
    FLAG_BF16_C = 2,      /* c is bf16, else f32 */
    FLAG_TRANSPOSE_A = 4, /* a is stored [K, M] */
    FLAG_TRANSPOSE_B = 8, /* b is stored [N, K] */
    FLAG_ACCUMULATE = 16,
    FLAG_BIAS = 32, /* by the epilogue */
    FLAG_GELU = 64  /* by the epilogue: its D is gelu, its auxiliary output c */
};

/* Everything that a plan depends on. Compared as bytes, so the struct must have no padding. */
typedef struct plan_key {
    int64_t M, N, K;
    int64_t row_stride_a, row_stride_b, row_stride_c; /* elements, of the matrices as stored */
    uint64_t flags;
    uint32_t align_a, align_b, align_c, align_bias, align_gelu; /* bytes, at most ALIGN_MAX */
    uint32_t unused;
} plan_key;

/* The addresses of one call. */
typedef struct operands {
    const void *a, *b, *bias; /* bias in c's dtype */
    void *c, *gelu;
} operands;

typedef struct flm_cuda_plan {
    plan_key key;
    cublasLtMatmulDesc_t product;
    cublasLtMatrixLayout_t a, b, c; /* our names; the library's B, A, and C and D (gelu has the layout of c) */
    cublasLtMatmulAlgo_t algo;
    bool missing; /* the library has no algorithm with this epilogue */
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

/* Sets the addresses of bias and auxiliary output; the heuristics use their alignment. */
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
    /* Rows, columns and leading dimension, column-major. */
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
    /* The environment can make cuBLAS use less than fp32 (NVIDIA_TF32_OVERRIDE): that fails instead of giving a less
     * accurate product. */
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
                 "matmul: cuBLASLt has no algorithm for M x N x K = %" PRId64 " x %" PRId64 " x %" PRId64
                 " (flags %#" PRIx64 ", alignment of a, b, c: %u, %u, %u bytes)",
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

    if (!grown) FLM_FAIL(FLM_E_NOMEM, "matmul: cannot allocate the table of %zu plans", count + 1);
    blas->plans = grown;
    grown[count] = plan;
    FLM_TRY(flm_table_add(&blas->by_key, checksum, (int32_t)count));
done:
    return rc;
}

/* The plan of the key, made if there is none yet. */
static flm_status plan_find(flm_cublas *blas, const plan_key *key, const operands *at, flm_cuda_plan **out)
{
    flm_status rc = FLM_OK;
    const uint64_t checksum = flm_crc32c_update(0, key, sizeof *key);
    flm_cuda_plan *plan = NULL;

    for (flm_table_cursor c = {0}; flm_table_next(&blas->by_key, checksum, &c);)
        if (memcmp(&blas->plans[c.value]->key, key, sizeof *key) == 0) {
            *out = blas->plans[c.value];
            return FLM_OK;
        }
    plan = calloc(1, sizeof *plan);
    if (!plan) FLM_FAIL(FLM_E_NOMEM, "matmul: cannot allocate %zu bytes", sizeof *plan);
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

/* One product by cuBLASLt, with the epilogue of the key's flags. *done is false if the library refuses that epilogue;
 * nothing has been written then. */
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

/* The kernel after a product: c = sum or c, plus the bias; then GELU. sum, gelu: NULL for none. */
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

/* Whether the library's epilogues may be used. */
static bool fused_fits(const flm_matmul *p, const plan_key *key)
{
    const bool bf16_c = key->flags & FLAG_BF16_C;
    /* PyTorch does not use cuBLASLt's epilogues for these either. */
    const bool thin = key->M == 1 || key->N == 1 || key->K == 1;
    return p->bias && !thin && (bf16_c ? (key->flags & FLAG_BF16) != 0 : alignment(p->bias->data) >= ALIGN_EPILOGUE);
}

/* With the library's epilogues. *done is false if it has none for this product. */
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

/* Chunks of rows of op(A), one after the other. */
static flm_status multiply_chunks(flm_backend *be, const flm_matmul *p, const plan_key *key)
{
    flm_status rc = FLM_OK;
    const int64_t M = key->M, N = key->N;
    /* The rows of a transposed a are not contiguous: one chunk. */
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

/* The key of a product, whose shapes the front door has checked; its alignments and epilogue flags come later. */
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

/* c = 0; the padding of its rows is not written. */
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
