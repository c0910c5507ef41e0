/* cuda_adamw.c - an update of AdamW (model.md section 5). Only the gradient's norm lives on the device: what depends on
 * it is made there. SPDX-License-Identifier: Apache-2.0 */
#include "backend/backend_check.h"
#include "cuda/cuda_internal.h"
#include "cuda/kernel/kernel.h"

#include <math.h>

static flm_cuda_adamw_factors factors_of(const flm_adamw *p)
{
    const double beta1 = (double)p->beta1, beta2 = (double)p->beta2, t = (double)p->update + 1, lr = (double)p->lr;
    return (flm_cuda_adamw_factors){.clip = p->clip,
                                    .m = p->beta1,
                                    .m_new = (float)(1 - beta1),
                                    .v = p->beta2,
                                    .v_new = (float)(1 - beta2),
                                    .step = (float)(lr / (1 - pow(beta1, t))),
                                    .correction = (float)(1 / (1 - pow(beta2, t))),
                                    .eps = p->eps,
                                    .keep = (float)(1 - lr * (double)p->weight_decay),
                                    .ema = p->ema_decay,
                                    .ema_new = (float)(1 - (double)p->ema_decay)};
}

flm_status flm_cuda_adamw(flm_backend *be, const flm_adamw *p)
{
    flm_status rc = FLM_OK;
    const flm_cuda *cuda = flm_cuda_of(be);
    const flm_cuda_adamw_memory memory = {p->w.data,    p->m.data,    p->v.data, p->ema.data,
                                          p->cast.data, p->grad.data, p->norm_sq};
    const flm_cuda_adamw_factors factors = factors_of(p);
    FLM_CUDA(flm_cuda_launch_adamw(&memory, &factors, p->w.dim[0], cuda->processors, cuda->stream));
done:
    return rc;
}
