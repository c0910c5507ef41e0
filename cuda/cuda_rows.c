/* cuda_rows.c - the ops over rows: layer normalisation. See backend_ops.h. SPDX-License-Identifier: Apache-2.0 */
#include "cuda/cuda_internal.h"
#include "cuda/kernel/kernel.h"
#include "backend/backend_check.h"

flm_status flm_cuda_layernorm_modulate(flm_backend *be, const flm_tensor *y, const flm_tensor *mean,
                                       const flm_tensor *rstd, const flm_tensor *x, const flm_tensor *w,
                                       const flm_tensor *mod, int64_t shift_at, int64_t scale_at)
{
    flm_status rc = FLM_OK;
    FLM_TRY(flm_check_layernorm_modulate(y, mean, rstd, x, w, mod, shift_at, scale_at));
    FLM_CUDA(flm_cuda_launch_layernorm_modulate(y->data, y->dtype == FLM_DTYPE_BF16, mean->data, rstd->data, x->data,
                                                w->data, mod->data, shift_at, scale_at, x->dim[0], x->dim[1],
                                                x->dim[2], mod->dim[1], flm_cuda_of(be)->stream));
done:
    return rc;
}
