/* score_statistics.h - what a set of scored samples comes to. All not collective. SPDX-License-Identifier: Apache-2.0
 */
#ifndef FLM_SCORE_STATISTICS_H
#define FLM_SCORE_STATISTICS_H

#include "base/base_status.h"

#include <stdbool.h>
#include <stdint.h>

/* flm_score_counted - which targets count: counted[i], i >= 1, unless ids[i] is end_id and not the first of its
 * sequence; counted[0] is false. in ids i32 [n]   out counted [n]; returns how many. Source: data.md section 6. */
int64_t flm_score_counted(const int32_t *ids, int64_t n, int64_t end_id, bool *counted);

/* flm_score_perplexity - exp(sum of nll / sum of positions) over rows; NaN where no position is counted. */
double flm_score_perplexity(const double *nll, const int64_t *positions, int64_t rows);

/* flm_score_bootstrap - an interval of 95 % for that by resampling rows with replacement (the percentiles of `draws`
 * draws). A function of (seed, draws) and the rows alone. Errors: FLM_E_NOMEM, FLM_E_ARG (draws below 1).
 * Source: Efron, "Bootstrap methods: another look at the jackknife", 1979. */
flm_status flm_score_bootstrap(const double *nll, const int64_t *positions, int64_t rows, int64_t draws, uint64_t seed,
                               double *low, double *high);

/* Rows of ids of any lengths: row r is ids[starts[r]] .. ids[starts[r + 1] - 1]. */
typedef struct flm_id_rows {
    const int32_t *ids;
    const int64_t *starts; /* [rows + 1] */
    int64_t rows;
} flm_id_rows;

/* flm_score_distinct - distinct n-grams over all n-grams of all rows together (none across rows); 0 without any.
 * n: 1..16. Errors: FLM_E_NOMEM. Source: Li et al., "A diversity-promoting objective function for neural conversation
 * models", 2016. */
flm_status flm_score_distinct(const flm_id_rows *rows, int n, double *share);

/* flm_score_repetition - the mean over rows of the share of a row's n-grams that stood in the row before; rows shorter
 * than n are left out. Taken beside distinct-n, and self-BLEU is not: samples of too low an entropy fail by repeating
 * themselves, which this sees in a row alone; what samples have in common distinct-n sees, in linear time.
 * Errors: FLM_E_NOMEM. Source: Welleck et al., "Neural text generation with unlikelihood training", 2020 (seq-rep-n).
 */
flm_status flm_score_repetition(const flm_id_rows *rows, int n, double *mean);

#endif
