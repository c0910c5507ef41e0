/* score_statistics.h - statistics of token rows and of their scores: entropy, Gen-PPL and its interval, distinct
 * n-grams, repetition. Owns the formulas; leaves scoring, files and tables to others. No call is collective.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_SCORE_STATISTICS_H
#define FLM_SCORE_STATISTICS_H

#include "base/base_err.h"

#include <stdbool.h>
#include <stdint.h>

/* flm_statistics_sum_entropy - sum over rows of -sum_k p_k ln p_k, in nats, where p_k is the share of id k in the row.
 * in  ids i32 [rows, L], any values. Errors: FLM_E_NOMEM. Source: data.md section 6. */
flm_status flm_statistics_sum_entropy(const int32_t *ids, int64_t rows, int64_t L, double *sum);

/* flm_statistics_count_targets - which targets of a sequence are scored: counted[i], i >= 1, is true unless ids[i] is
 * an end_id after the sequence's first end_id; counted[0] is false. Returns the number of true values.
 * in  ids i32 [n]   out counted [n]. Source: data.md section 6. */
int64_t flm_statistics_count_targets(const int32_t *ids, int64_t n, int64_t end_id, bool *counted);

/* flm_statistics_gen_ppl - exp(sum of nll / sum of positions) over rows; NaN if no position is counted.
 * in  nll [rows], in nats, positions [rows]. Source: data.md section 6. */
double flm_statistics_gen_ppl(const double *nll, const int64_t *positions, int64_t rows);

/* flm_statistics_bootstrap - a 95 % interval of Gen-PPL: percentiles over `draws` resamplings of the rows with
 * replacement; NaN if no position is counted. Depends on (seed, draws) and the rows alone.
 * Errors: FLM_E_NOMEM, FLM_E_ARG (draws below 1).
 * Source: Efron, "Bootstrap methods: another look at the jackknife", 1979. */
flm_status flm_statistics_bootstrap(const double *nll, const int64_t *positions, int64_t rows, int64_t draws,
                                    uint64_t seed, double *low, double *high);

/* Rows of ids of any lengths: row r is ids[starts[r]] .. ids[starts[r + 1] - 1]. */
typedef struct flm_id_rows {
    const int32_t *ids;
    const int64_t *starts; /* [rows + 1] */
    int64_t rows;
} flm_id_rows;

/* flm_statistics_distinct - distinct n-grams divided by all n-grams, over all rows together; no n-gram spans two rows;
 * 0 if there are none. n: 1..16. Errors: FLM_E_NOMEM.
 * Source: Li et al., "A diversity-promoting objective function for neural conversation models", 2016. */
flm_status flm_statistics_distinct(const flm_id_rows *rows, int n, double *share);

/* flm_statistics_repetition - the share of a row's n-grams that occurred earlier in the same row, as a mean over rows
 * of at least n ids. It finds samples that repeat themselves; distinct-n finds what samples have in common. Both take
 * linear time, which self-BLEU does not. Errors: FLM_E_NOMEM.
 * Source: Welleck et al., "Neural text generation with unlikelihood training", 2020 (seq-rep-n). */
flm_status flm_statistics_repetition(const flm_id_rows *rows, int n, double *mean);

#endif
