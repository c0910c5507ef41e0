/* cuda_attention.c - rotary positions and attention: see backend_ops.def. bf16 uses tensor cores, f32 plain arithmetic.
 * Refuses, with FLM_E_UNSUPPORTED, heads of more than FLM_ATTENTION_HEAD_MAX columns, sequences and rows longer than
 * the limits of attention_tiles.h, and more blocks than a launch can have. SPDX-License-Identifier: Apache-2.0 */
#include "backend/backend_check.h"
#include "cuda/cuda_internal.h"
#include "cuda/kernel/attention_tiles.h"
#include "cuda/kernel/kernel.h"

/* Whether the kernels support H heads of h columns and sequences of L rows in at most `blocks` blocks. */
static flm_status kernels_fit(const char *what, int64_t H, int64_t h, int64_t L, int64_t blocks)
{
    flm_status rc = FLM_OK;
    if (h > FLM_ATTENTION_HEAD_MAX)
        FLM_FAIL(FLM_E_UNSUPPORTED, "%s: heads of %lld columns; the cuda backend supports at most %d", what,
                 (long long)h, FLM_ATTENTION_HEAD_MAX);
    if (L > FLM_ATTENTION_LENGTH_MAX || H * h > FLM_ATTENTION_WIDTH_MAX || blocks > INT32_MAX)
        FLM_FAIL(FLM_E_UNSUPPORTED, "%s: %lld rows of %lld heads in %lld blocks are too many for one launch", what,
                 (long long)L, (long long)H, (long long)blocks);
done:
    return rc;
}

/* The f32 kernels' tiles of wide heads need more shared memory than GPUs of compute capability 8.6, 8.9 and 12.x have
 * (99 KiB). */
static flm_status plain_fits(const flm_backend *be, const char *what, int64_t h, int tiles)
{
    flm_status rc = FLM_OK;
    const size_t bytes = (size_t)flm_plain_shared(flm_plain_head((int)h), tiles), max = flm_cuda_of(be)->max_shared;
    if (bytes > max)
        FLM_FAIL(FLM_E_UNSUPPORTED,
                 "%s: f32 heads of %lld columns need %zu bytes of shared memory, this GPU has %zu; "
                 "bf16 heads need less",
                 what, (long long)h, bytes, max);
done:
    return rc;
}

/* An upper bound: tiles have 64 rows or more. */
static int64_t blocks_of(const flm_tensor *qkv, int64_t H)
{
    return flm_attention_tiles(qkv->dim[1], 64) * qkv->dim[0] * H;
}

static bool aligned(const flm_tensor *t) { return (uintptr_t)t->data % 16 == 0; }

flm_status flm_cuda_rope(flm_backend *be, const flm_tensor *qkv, const flm_tensor *table)
{
    flm_status rc = FLM_OK;
    if (qkv->dim[0] * qkv->dim[1] > INT32_MAX || qkv->dim[2] > INT32_MAX)
        FLM_FAIL(FLM_E_UNSUPPORTED, "rope: %lld rows of %lld columns are too many for one launch",
                 (long long)(qkv->dim[0] * qkv->dim[1]), (long long)qkv->dim[2]);
    if (flm_tensor_elements(qkv) == 0) goto done;
    FLM_CUDA(flm_cuda_launch_rope(qkv->data, qkv->dtype == FLM_DTYPE_BF16, table->data, qkv->dim[0], qkv->dim[1],
                                  qkv->dim[2] / 3, table->dim[1], flm_cuda_of(be)->stream));
done:
    return rc;
}

flm_status flm_cuda_attention(flm_backend *be, const flm_tensor *o, const flm_tensor *lse, const flm_tensor *qkv,
                              int64_t H, float softcap)
{
    flm_status rc = FLM_OK;
    void *stream = flm_cuda_of(be)->stream;
    const int64_t B = qkv->dim[0], L = qkv->dim[1], h = qkv->dim[2] / 3 / H;
    FLM_TRY(kernels_fit("attention", H, h, L, blocks_of(qkv, H)));
    if (flm_tensor_elements(qkv) == 0) goto done;
    if (qkv->dtype != FLM_DTYPE_BF16) FLM_TRY(plain_fits(be, "attention", h, 3));
    if (qkv->dtype == FLM_DTYPE_BF16)
        FLM_CUDA(flm_cuda_launch_attention(o->data, lse->data, qkv->data, h % 8 == 0 && aligned(qkv) && aligned(o), B,
                                           L, H, h, softcap, stream));
    else
        FLM_CUDA(flm_cuda_launch_attention_plain(o->data, lse->data, qkv->data, B, L, H, h, softcap, stream));
done:
    return rc;
}

flm_status flm_cuda_attention_backward(flm_backend *be, const flm_tensor *grad_qkv, const flm_tensor *grad_o,
                                       const flm_tensor *o, const flm_tensor *qkv, const flm_tensor *lse, int64_t H,
                                       float softcap, const flm_tensor *rope)
{
    flm_status rc = FLM_OK;
    void *pairs, *stream = flm_cuda_of(be)->stream;
    const int64_t B = qkv->dim[0], L = qkv->dim[1], h = qkv->dim[2] / 3 / H;
    const bool bf16 = qkv->dtype == FLM_DTYPE_BF16;
    const bool vector = bf16 && h % 8 == 0 && aligned(grad_qkv) && aligned(grad_o) && aligned(o) && aligned(qkv);
    /* An upper bound: a block of attention_rows.cu has 16 rows. */
    FLM_TRY(kernels_fit("attention_backward", H, h, L, B * L * H));
    if (flm_tensor_elements(qkv) == 0) goto done;
    if (!bf16) FLM_TRY(plain_fits(be, "attention_backward", h, 4));
    FLM_TRY(flm_cuda_scratch(be, FLM_CUDA_ATTENTION, (size_t)(B * L * H) * 2 * sizeof(float), &pairs));
    FLM_CUDA(flm_cuda_launch_attention_rows(pairs, grad_o->data, o->data, bf16, vector, lse->data, B, L, H, h, stream));
    if (bf16) {
        FLM_CUDA(flm_cuda_launch_attention_backward_kv(grad_qkv->data, grad_o->data, qkv->data, pairs, vector, B, L, H,
                                                       h, softcap, rope->data, stream));
        FLM_CUDA(flm_cuda_launch_attention_backward_q(grad_qkv->data, grad_o->data, qkv->data, pairs, vector, B, L, H,
                                                      h, softcap, rope->data, stream));
    } else
        FLM_CUDA(flm_cuda_launch_attention_plain_backward(grad_qkv->data, grad_o->data, qkv->data, pairs, B, L, H, h,
                                                          softcap, rope->data, stream));
done:
    return rc;
}

flm_status flm_cuda_attention_causal(flm_backend *be, const flm_tensor *o, const flm_tensor *qkv,
                                     const flm_tensor *starts, int64_t H)
{
    flm_status rc = FLM_OK;
    void *stream = flm_cuda_of(be)->stream;
    const int64_t R = qkv->dim[0], h = qkv->dim[1] / 3 / H, B = starts->dim[0] - 1;
    FLM_TRY(kernels_fit("attention_causal", H, h, R, flm_causal_slots(R, B, 64) * H));
    if (flm_tensor_elements(qkv) == 0) goto done;
    if (qkv->dtype != FLM_DTYPE_BF16) FLM_TRY(plain_fits(be, "attention_causal", h, 3));
    if (qkv->dtype == FLM_DTYPE_BF16)
        FLM_CUDA(flm_cuda_launch_attention_causal(o->data, qkv->data, h % 8 == 0 && aligned(qkv) && aligned(o),
                                                  starts->data, B, R, H, h, stream));
    else
        FLM_CUDA(flm_cuda_launch_attention_causal_plain(o->data, qkv->data, starts->data, B, R, H, h, stream));
done:
    return rc;
}
