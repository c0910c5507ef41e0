/* backend_adamw.h - the factors of an AdamW update that all elements share, computed once for every backend. For C and
 * for kernels in C++. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_BACKEND_ADAMW_H
#define FLM_BACKEND_ADAMW_H

#ifdef __cplusplus
extern "C" {
#endif

struct flm_adamw; /* backend_arguments.h */

/* Each is computed in fp64 and rounded once. */
typedef struct flm_adamw_factors {
    float clip;         /* the largest norm of the gradient */
    float m, m_new;     /* beta1, 1 - beta1 */
    float v, v_new;     /* beta2, 1 - beta2 */
    float step_size;    /* lr / (1 - beta1^t) */
    float v_correction; /* 1 / (1 - beta2^t) */
    float eps;          /* added to the root of the corrected v */
    float decay;        /* 1 - lr weight_decay */
    float ema, ema_new; /* the moving average's decay, 1 - decay */
} flm_adamw_factors;

/* flm_adamw_factors_make - the factors of update p->update; t = p->update + 1. Source: model.md section 5. */
flm_adamw_factors flm_adamw_factors_make(const struct flm_adamw *p);

#ifdef __cplusplus
}
#endif
#endif
