/* cuda_rows.c - layer normalisation, the gated residual and column sums. See backend_ops.def.
 * SPDX-License-Identifier: Apache-2.0 */
#include "backend/backend_check.h"
#include "cuda/cuda_internal.h"
#include "cuda/kernel/kernel.h"
#include "cuda/kernel/shape.h"

flm_status flm_cuda_layernorm_modulate(flm_backend *be, const flm_tensor *y, const flm_tensor *mean,
                                       const flm_tensor *rstd, const flm_tensor *x, const flm_tensor *w,
                                       const flm_tensor *mod, const flm_tensor *context, int64_t shift_at,
                                       int64_t scale_at)
{
    flm_status rc = FLM_OK;
    FLM_CUDA(flm_cuda_launch_layernorm_modulate(y->data, y->dtype == FLM_DTYPE_BF16, mean->data, rstd->data, x->data,
                                                w->data, mod->data, context->data, shift_at, scale_at, x->dim[0],
                                                x->dim[1], x->dim[2], mod->dim[1], flm_cuda_of(be)->stream));
done:
    return rc;
}

flm_status flm_cuda_layernorm_modulate_backward(flm_backend *be, const flm_tensor *grad_x, const flm_tensor *grad_w,
                                                const flm_tensor *grad_mod, const flm_tensor *grad_y,
                                                const flm_tensor *x, const flm_tensor *mean, const flm_tensor *rstd,
                                                const flm_tensor *w, const flm_tensor *mod, const flm_tensor *context,
                                                int64_t shift_at, int64_t scale_at)
{
    flm_status rc = FLM_OK;
    const int64_t B = x->dim[0], L = x->dim[1], d = x->dim[2], mod_rows = mod->dim[0];
    void *stream = flm_cuda_of(be)->stream, *scratch = NULL;
    const int64_t sums = mod_rows * flm_cuda_parts(L, FLM_CUDA_SAMPLE_ROWS) * 2 * d;
    FLM_TRY(flm_cuda_scratch(be, FLM_CUDA_SUMS, (size_t)(sums + mod_rows * d) * sizeof(float), &scratch));
    float *part_w = scratch ? (float *)scratch + sums : NULL;
    FLM_CUDA(flm_cuda_launch_layernorm_modulate_backward(
        grad_x->data, grad_mod->data, part_w, scratch, grad_y->data, grad_y->dtype == FLM_DTYPE_BF16, x->data,
        mean->data, rstd->data, w->data, mod->data, context->data, shift_at, scale_at, B, L, d, mod->dim[1], stream));
    FLM_CUDA(flm_cuda_launch_fold(grad_w->data, 0, part_w, 1, mod_rows, d, true, stream));
done:
    return rc;
}

/* The kernels' form of a dropout. */
static flm_cuda_dropout dropout_of(const flm_dropout *dropout)
{
    const uint32_t threshold = flm_dropout_threshold(dropout);
    return (flm_cuda_dropout){dropout->stream, dropout->first_sample, threshold, 65536.0f / (float)(65536 - threshold)};
}

flm_status flm_cuda_gate_residual(flm_backend *be, const flm_tensor *y, const flm_tensor *x, const flm_tensor *branch,
                                  const flm_tensor *mod, const flm_tensor *context, int64_t gate_at,
                                  const flm_dropout *dropout)
{
    flm_status rc = FLM_OK;
    const flm_cuda_dropout drop = dropout_of(dropout);
    FLM_CUDA(flm_cuda_launch_gate_residual(y->data, x->data, branch->data, branch->dtype == FLM_DTYPE_BF16, mod->data,
                                           context->data, gate_at, &drop, x->dim[0], x->dim[1], x->dim[2], mod->dim[1],
                                           flm_cuda_of(be)->stream));
done:
    return rc;
}

flm_status flm_cuda_gate_residual_backward(flm_backend *be, const flm_tensor *grad_branch, const flm_tensor *grad_mod,
                                           const flm_tensor *grad_y, const flm_tensor *branch, const flm_tensor *mod,
                                           const flm_tensor *context, int64_t gate_at, const flm_dropout *dropout)
{
    flm_status rc = FLM_OK;
    const int64_t B = grad_y->dim[0], L = grad_y->dim[1], d = grad_y->dim[2];
    void *scratch = NULL;
    FLM_TRY(flm_cuda_scratch(be, FLM_CUDA_SUMS,
                             (size_t)(mod->dim[0] * flm_cuda_parts(L, FLM_CUDA_SAMPLE_ROWS) * d) * sizeof(float),
                             &scratch));
    const flm_cuda_dropout drop = dropout_of(dropout);
    FLM_CUDA(flm_cuda_launch_gate_residual_backward(
        grad_branch->data, grad_mod->data, scratch, grad_y->data, branch->data, branch->dtype == FLM_DTYPE_BF16,
        mod->data, context->data, gate_at, &drop, B, L, d, mod->dim[1], flm_cuda_of(be)->stream));
done:
    return rc;
}

flm_status flm_cuda_column_sum(flm_backend *be, const flm_tensor *out, const flm_tensor *x)
{
    flm_status rc = FLM_OK;
    const int64_t M = x->dim[0], N = x->dim[1];
    void *scratch = NULL;
    FLM_TRY(flm_cuda_scratch(be, FLM_CUDA_SUMS, (size_t)(flm_cuda_parts(M, FLM_CUDA_COLUMN_ROWS) * N) * sizeof(float),
                             &scratch));
    FLM_CUDA(flm_cuda_launch_column_sum(out->data, scratch, x->data, x->dtype == FLM_DTYPE_BF16, M, N,
                                        flm_tensor_row_stride(x), flm_cuda_of(be)->stream));
done:
    return rc;
}
