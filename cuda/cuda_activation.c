/* cuda_activation.c - GELU's gradient, SiLU, GELU by erf and the timestep features. See backend_ops.def.
 * SPDX-License-Identifier: Apache-2.0 */
#include "backend/backend_check.h"
#include "cuda/cuda_internal.h"
#include "cuda/kernel/kernel.h"
#include "cuda/kernel/shape.h"

flm_status flm_cuda_gelu_backward(flm_backend *be, const flm_tensor *grad_x, const flm_tensor *grad_b,
                                  const flm_tensor *x, const flm_tensor *grad_y)
{
    flm_status rc = FLM_OK;
    const int64_t M = x->dim[0], N = x->dim[1];
    void *scratch = NULL;
    FLM_TRY(flm_cuda_scratch(be, FLM_CUDA_SUMS, (size_t)(flm_cuda_parts(M, FLM_CUDA_COLUMN_ROWS) * N) * sizeof(float),
                             &scratch));
    FLM_CUDA(flm_cuda_launch_gelu_backward(grad_x->data, grad_b->data, scratch, x->data, grad_y->data,
                                           x->dtype == FLM_DTYPE_BF16, M, N, flm_cuda_of(be)->stream));
done:
    return rc;
}

flm_status flm_cuda_silu(flm_backend *be, const flm_tensor *y, const flm_tensor *x)
{
    flm_status rc = FLM_OK;
    FLM_CUDA(flm_cuda_launch_silu(y->data, x->data, flm_tensor_elements(x), flm_cuda_of(be)->stream));
done:
    return rc;
}

flm_status flm_cuda_silu_backward(flm_backend *be, const flm_tensor *grad_x, const flm_tensor *grad_y,
                                  const flm_tensor *x)
{
    flm_status rc = FLM_OK;
    FLM_CUDA(flm_cuda_launch_silu_backward(grad_x->data, grad_y->data, x->data, flm_tensor_elements(x),
                                           flm_cuda_of(be)->stream));
done:
    return rc;
}

flm_status flm_cuda_gelu_erf(flm_backend *be, const flm_tensor *y, const flm_tensor *x)
{
    flm_status rc = FLM_OK;
    FLM_CUDA(flm_cuda_launch_gelu_erf(y->data, x->data, flm_tensor_elements(x), flm_cuda_of(be)->stream));
done:
    return rc;
}

flm_status flm_cuda_gelu_erf_backward(flm_backend *be, const flm_tensor *grad_x, const flm_tensor *grad_y,
                                      const flm_tensor *x)
{
    flm_status rc = FLM_OK;
    FLM_CUDA(flm_cuda_launch_gelu_erf_backward(grad_x->data, grad_y->data, x->data, flm_tensor_elements(x),
                                               flm_cuda_of(be)->stream));
done:
    return rc;
}

flm_status flm_cuda_timestep_features(flm_backend *be, const flm_tensor *out, const flm_tensor *t)
{
    flm_status rc = FLM_OK;
    FLM_CUDA(flm_cuda_launch_timestep_features(out->data, t->data, out->dim[0], out->dim[1], flm_cuda_of(be)->stream));
done:
    return rc;
}
