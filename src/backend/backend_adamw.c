/* backend_adamw.c - see backend_adamw.h. SPDX-License-Identifier: Apache-2.0 */
#include "backend/backend_adamw.h"

#include "backend/backend_arguments.h"

#include <math.h>

flm_adamw_factors flm_adamw_factors_make(const flm_adamw *p)
{
    const double beta1 = (double)p->beta1, beta2 = (double)p->beta2, t = (double)p->update + 1, lr = (double)p->lr;
    return (flm_adamw_factors){.clip = p->clip,
                               .m = p->beta1,
                               .m_new = (float)(1 - beta1),
                               .v = p->beta2,
                               .v_new = (float)(1 - beta2),
                               .step_size = (float)(lr / (1 - pow(beta1, t))),
                               .v_correction = (float)(1 / (1 - pow(beta2, t))),
                               .eps = p->eps,
                               .decay = (float)(1 - lr * (double)p->weight_decay),
                               .ema = p->ema_decay,
                               .ema_new = (float)(1 - (double)p->ema_decay)};
}
