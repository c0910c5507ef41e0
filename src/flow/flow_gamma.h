/* flow_gamma.h - the time change gamma, from the network's t to the path's g (docs/model.md section 3).
 *
 * gamma = alpha^-1 with alpha(g) = (V q(g) - 1) / (V - 1), q(g) = integral phi(z) Phi(z + g/(1-g))^(V-1) dz.
 * alpha is inverted for every t, not interpolated: alpha(gamma(t)) is t but for rounding.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_FLOW_GAMMA_H
#define FLM_FLOW_GAMMA_H

#include "base/base_err.h"

#include <stdint.h>

typedef struct flm_gamma flm_gamma;

/* flm_gamma_create - quadrature nodes and brackets for a vocabulary of V, 2 <= V <= 2^24; 20 KB. Not collective.
 * Errors: FLM_E_ARG, FLM_E_NOMEM. Source: model.md section 3. */
flm_status flm_gamma_create(int64_t V, flm_gamma **out);

/* flm_gamma_create_identity - path time that is network time: gamma(t) = t. Not collective. Errors: FLM_E_NOMEM.
 * Source: model.md section 10. */
flm_status flm_gamma_create_identity(flm_gamma **out);

/* flm_gamma_destroy - accepts NULL, nulls it. */
void flm_gamma_destroy(flm_gamma **gamma);

/* flm_gamma_at - g for t, both in [0, 1]: 0 at 0, 1 at 1, increasing. t outside is clamped, NaN gives NaN. fp64, about
 * 10 microseconds. Thread-safe. */
double flm_gamma_at(const flm_gamma *gamma, double t);

/* flm_gamma_alpha - the inverse: t for g, both in [0, 1]. g outside is clamped, NaN gives NaN. fp64, thread-safe.
 * Source: model.md section 3. */
double flm_gamma_alpha(const flm_gamma *gamma, double g);

#endif
