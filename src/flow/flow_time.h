/* flow_time.h - stratified times over a global batch (docs/model.md section 5). SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_FLOW_TIME_H
#define FLM_FLOW_TIME_H

#include "base/base_philox.h"

/* The sites of the streams of FLM_RANDOM_VALIDATION: xi of a batch is drawn from site 0, its times from the next two.
 */
enum { FLM_VALIDATION_NOISE = 0, FLM_VALIDATION_OFFSETS = 1, FLM_VALIDATION_PERMUTATION = 2 };

/* flm_time_stratified - t_i = (u_i + p(i)) / n of samples i in [first, first + count) of a global batch of n: u_i
 * uniform, p a random permutation of 0..n-1, so that every [k/n, (k+1)/n) has exactly one. A function of (seed,
 * purpose, step, i, n) alone: any rank makes any part.
 * purpose: FLM_RANDOM_TIME (step of training) or FLM_RANDOM_VALIDATION (step = batch index).
 * 1 <= n <= 2^40, 0 <= first, first + count <= n.   out t [count] in [0, 1). Not collective; errors: none.
 * Source: model.md section 5. */
void flm_time_stratified(uint64_t seed, flm_random_purpose purpose, uint64_t step, int64_t n, int64_t first,
                         int64_t count, double *t);

#endif
