/* cuda_adamw.c - an update of AdamW (model.md section 5). The gradient's norm is known on the device alone, so the
 * kernel computes the factor of its clipping. SPDX-License-Identifier: Apache-2.0 */
#include "backend/backend_check.h"
#include "cuda/cuda_internal.h"
#include "cuda/kernel/kernel.h"

flm_status flm_cuda_adamw(flm_backend *be, const flm_adamw *p)
{
    flm_status rc = FLM_OK;
    const flm_cuda *cuda = flm_cuda_of(be);
    const flm_cuda_adamw_memory memory = {p->w.data,    p->m.data,    p->v.data, p->ema.data,
                                          p->cast.data, p->grad.data, p->norm_sq};
    const flm_adamw_factors factors = flm_adamw_factors_make(p);
    FLM_CUDA(flm_cuda_launch_adamw(&memory, &factors, p->w.dim[0], cuda->processors, cuda->stream));
done:
    return rc;
}
