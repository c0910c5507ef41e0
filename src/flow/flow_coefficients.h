/* flow_coefficients.h - the coefficients of one jump in the objectives of flow maps (docs/model.md sections 6, 7, 9.2),
 * in fp64. They are used in flow_two_model.c, flow_two_stage.c and flow_psd.c. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_FLOW_COEFFICIENTS_H
#define FLM_FLOW_COEFFICIENTS_H

#include "flow/flow_gamma.h"

/* A jump of the two-model flow map from s over its middle m to u; letters of model.md section 6. */
typedef struct flm_two_model_coeffs {
    double m, u, gs, gm, gu;
    double keep, mean, jump; /* x' = keep x + mean p_s + jump g_su */
    double beta, A, B, w;    /* err = beta (p_u - p_s) + A g_su + B g_ut - w g_st */
} flm_two_model_coeffs;

/* A jump of the two-stage flow map: err = k (f - student) + jump g; letters of model.md section 7. */
typedef struct flm_two_stage_coeffs {
    double u, gs;
    double k, jump;
} flm_two_stage_coeffs;

/* A jump of the one-network flow map from s over its middle u to its end t; letters of model.md section 9.2. */
typedef struct flm_psd_coeffs {
    double u, end, gs;
    double k, lambda; /* x' = (1-k) x + k p_su; target = lambda p_su + (1-lambda) p_ut */
} flm_psd_coeffs;

/* flm_psd_coeffs_make - of a jump of length d from s; s, d in [0, 1], s + d <= 1 up to rounding. d = 0, the diagonal,
 * has u = end = s. */
flm_psd_coeffs flm_psd_coeffs_make(const flm_gamma *gamma, double s, double d);

/* flm_two_model_coeffs_make, flm_two_stage_coeffs_make - the coefficients of a jump of length d from s; s >= 0, d > 0,
 * s + d <= 1 up to rounding. */
flm_two_model_coeffs flm_two_model_coeffs_make(const flm_gamma *gamma, double s, double d);
flm_two_stage_coeffs flm_two_stage_coeffs_make(const flm_gamma *gamma, double s, double d);

#endif
