/* flow_coefficients.h - what multiplies what in the two distillations, of one sample's jump (docs/model.md sections 6
 * and 7). fp64. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_FLOW_COEFFICIENTS_H
#define FLM_FLOW_COEFFICIENTS_H

#include "flow/flow_gamma.h"

/* Stage one: from s over the middle m to u; letters of model.md section 6. */
typedef struct flm_semigroup {
    double m, u, gs, gm, gu;
    double keep, mean, jump; /* x' = keep x + mean p_s + jump g_su */
    double beta, A, B, w;    /* err = beta (p_u - p_s) + A g_su + B g_ut - w g_st */
} flm_semigroup;

/* Stage two: err = k (f - student) + jump g; letters of model.md section 7. */
typedef struct flm_second {
    double u, gs;
    double k, jump;
} flm_second;

/* flm_semigroup_at, flm_second_at - of a jump of length d from s; s >= 0, d > 0, s + d <= 1 up to rounding. */
flm_semigroup flm_semigroup_at(const flm_gamma *gamma, double s, double d);
flm_second flm_second_at(const flm_gamma *gamma, double s, double d);

#endif
