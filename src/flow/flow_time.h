/* flow_time.h - stratified times and jumps over a global batch (docs/model.md sections 5 to 7, 9.2). The law of each
 * objective is in its file. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_FLOW_TIME_H
#define FLM_FLOW_TIME_H

#include "base/base_philox.h"

/* Sites of FLM_RANDOM_VALIDATION: noise of a batch, and its times. */
enum {
    FLM_VALIDATION_NOISE = 0,
    FLM_VALIDATION_OFFSETS = 1,
    FLM_VALIDATION_PERMUTATION = 2,
    FLM_VALIDATION_START = 3,
    FLM_VALIDATION_LENGTHS = 4, /* and 5; of the one-network flow map */
    FLM_VALIDATION_STARTS = 6,  /* and 7 */
    FLM_VALIDATION_SHARES = 8,  /* and 9; of context tokens */
    FLM_VALIDATION_CONTEXT = 10
};

/* flm_time_stratified - t_i = (u_i + p(i)) / n of samples [first, first + count) of a global batch of n, with u_i
 * uniform and p a random permutation of 0..n-1, so that every [k/n, (k+1)/n) has exactly one. A function of (seed,
 * purpose, step, i, n) alone, so that any rank can compute any part. in  purpose: FLM_RANDOM_TIME (step: of training)
 * or FLM_RANDOM_VALIDATION (step: index of the batch); 1 <= n <= 2^40, 0 <= first, first + count <= n   out t host
 * [count] in [0, 1). Not collective. Errors: none. Source: model.md section 5. */
void flm_time_stratified(uint64_t seed, flm_random_purpose purpose, uint64_t step, int64_t n, int64_t first,
                         int64_t count, double *t);

/* The law of jumps: d is at least `min`; with probability `boundary` a sample jumps from 0 to 1 instead. */
typedef struct flm_time_law {
    double min, boundary;
} flm_time_law;

/* flm_time_jumps - start s_i and length d_i of samples [first, first + count) of a global batch of n: d stratified as
 * above and s = U (1 - d), or s = 0 and d = 1; 0 <= s, 0 < d, s + d <= 1. A function of (seed, purpose, step, i, n)
 * alone. Arguments as above.   out s, d host [count]. Source: model.md sections 6 and 7. */
void flm_time_jumps(const flm_time_law *law, uint64_t seed, flm_random_purpose purpose, uint64_t step, int64_t n,
                    int64_t first, int64_t count, double *s, double *d);

/* The kinds of the samples of the one-network flow map. `diagonal_fraction`, in [0, 1], of them jump nowhere: every
 * second one, or with another fraction F those whose number modulo 32 is below 32 F. Of the others one in `boundary`
 * jumps from 0 to 1, at a place that moves with the step; 0: none. */
typedef struct flm_psd_law {
    double diagonal_fraction;
    int64_t boundary;
} flm_psd_law;

/* flm_time_psd_jumps - how many of the samples 0 .. i - 1 of a global batch are not diagonal. */
int64_t flm_time_psd_jumps(const flm_psd_law *law, int64_t i);

/* flm_time_psd - start s_i and length d_i of samples [first, first + count) of a global batch of n. Diagonal: s
 * stratified as above, d = 0; boundary: s = 0, d = 1; else d stratified and s = r (1 - d) with a stratified r. Each of
 * the three draws has its own permutation. A function of (seed, purpose, step, i, n) alone. Arguments as above.
 * out s, d host [count]. Source: model.md section 9.2. */
void flm_time_psd(const flm_psd_law *law, uint64_t seed, flm_random_purpose purpose, uint64_t step, int64_t n,
                  int64_t first, int64_t count, double *s, double *d);

/* flm_time_context - which tokens of samples [first, first + count) of a global batch of n are context. Each is with
 * the probability of its sample's share, which is stratified as above over [0, 1). A function of (seed, purpose, step,
 * i, n, position) alone. Arguments as above.   out context host i32 [count, L]: 1 for context, 0 for active tokens.
 * Returns the number of active ones. Source: model.md section 10.2. */
int64_t flm_time_context(uint64_t seed, flm_random_purpose purpose, uint64_t step, int64_t n, int64_t first,
                         int64_t count, int64_t L, int32_t *context);

#endif
