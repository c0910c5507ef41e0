/* flow_coefficients.c - see flow_coefficients.h. SPDX-License-Identifier: Apache-2.0 */
#include "flow/flow_coefficients.h"

#include <math.h>

/* Lower bound of D and b of section 6, and what section 7 adds to its denominator: model.md. */
static const double min = 1e-6, two_stage_epsilon = 1e-5;

/* Lower bound of the denominators of section 9.2. */
static const double psd_min = 1e-12;

flm_two_model_coeffs flm_two_model_coeffs_make(const flm_gamma *gamma, double s, double d)
{
    flm_two_model_coeffs c = {.m = fmin(s + d / 2, 1), .u = fmin(s + d, 1)};
    c.gs = flm_gamma_at(gamma, s);
    c.gm = flm_gamma_at(gamma, c.m);
    c.gu = flm_gamma_at(gamma, c.u);
    const double c1 = c.gm - c.gs, c2 = c.gu - c.gm, a = 1 - c.gs;
    const double D = fmax(c1 + c2, min), b = fmax(a - c1, min);
    c.keep = b / a;
    c.mean = c1 / a;
    c.jump = c1 * c1 / 2;
    c.beta = a * c2 / (D * b);
    c.A = a / (2 * D) * c1 * c1 * (1 - c2 / b);
    c.B = a / (2 * D) * c2 * c2;
    c.w = a * D / 2;
    return c;
}

flm_two_stage_coeffs flm_two_stage_coeffs_make(const flm_gamma *gamma, double s, double d)
{
    flm_two_stage_coeffs c = {.u = fmin(s + d, 1), .gs = flm_gamma_at(gamma, s)};
    const double D = flm_gamma_at(gamma, c.u) - c.gs;
    c.k = D / (1 - c.gs + two_stage_epsilon);
    c.jump = D * D / 2;
    return c;
}

flm_psd_coeffs flm_psd_coeffs_make(const flm_gamma *gamma, double s, double d)
{
    flm_psd_coeffs c = {.u = fmin(s + d / 2, 1), .end = fmin(s + d, 1), .gs = flm_gamma_at(gamma, s)};
    if (d == 0) return c;
    const double gu = flm_gamma_at(gamma, c.u), gt = flm_gamma_at(gamma, c.end);
    c.k = fmin(fmax((gu - c.gs) / fmax(1 - c.gs, psd_min), 0), 1);
    c.lambda = (1 - gt) * (gu - c.gs) / fmax((1 - gu) * (gt - c.gs), psd_min);
    c.lambda = fmin(fmax(c.lambda, 0), 1);
    return c;
}
