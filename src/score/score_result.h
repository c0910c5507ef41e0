/* score_result.h - the figures of one set of scored texts, and their record in a samples file.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_SCORE_RESULT_H
#define FLM_SCORE_RESULT_H

#include "io/io_samples.h"
#include "score/score_statistics.h"

enum { FLM_SCORE_DISTINCT = 3, FLM_SCORE_REPETITION = 4 };

typedef struct flm_score_result {
    int64_t rows, unscored, dropped, positions; /* unscored: texts without a counted position; dropped: by protocol */
    double gen_ppl, gen_ppl_low, gen_ppl_high;  /* with its 95 % interval; NaN without positions */
    double entropy;                             /* mean over rows, nats */
    double distinct[FLM_SCORE_DISTINCT];        /* distinct-1, -2, -3 */
    double repetition;                          /* of 4-grams */
} flm_score_result;

/* flm_score_result_compute - the figures of scored rows; draws, seed: of the bootstrap. Not collective.
 * in  nll, positions [scored]: the first of the ids->rows rows, which the protocol does not drop. Errors: FLM_E_NOMEM,
 * FLM_E_ARG (draws). */
flm_status flm_score_result_compute(const double *nll, const int64_t *positions, int64_t scored, const flm_id_rows *ids,
                                    int64_t draws, uint64_t seed, flm_score_result *out);

/* flm_score_result_record - set the figures of a set, for flm_samples_commit: "gen_ppl", "gen_ppl_low",
 * "gen_ppl_high", "entropy", "distinct_1" to "distinct_3", "repetition_4". Not collective. Errors: those of
 * flm_samples_set_result. */
flm_status flm_score_result_record(flm_samples *samples, int set, const flm_score_result *result);

/* flm_score_result_read - read them back; a figure that is not recorded is NaN. *scored: whether Gen-PPL is recorded.
 * rows is the file's number of samples; unscored and positions are not recorded, and 0. Not collective.
 * Errors: those of flm_samples_get_result. */
flm_status flm_score_result_read(const flm_samples *samples, int set, flm_score_result *out, bool *scored);

#endif
