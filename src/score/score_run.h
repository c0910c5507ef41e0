/* score_run.h - a set of texts scored over all ranks, and what it comes to; sets are samples files' numbers of steps,
 * or lists of texts. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_SCORE_RUN_H
#define FLM_SCORE_RUN_H

#include "io/io_samples.h"
#include "score/score_scorer.h"
#include "score/score_statistics.h"

enum { FLM_SCORE_DISTINCT = 3, FLM_SCORE_REPETITION = 4 };

typedef struct flm_score_result {
    int64_t rows, unscored, positions;   /* unscored: texts without a counted position */
    double perplexity, low, high;        /* Gen-PPL and its interval of 95 %; NaN without positions */
    double entropy;                      /* mean over rows, nats */
    double distinct[FLM_SCORE_DISTINCT]; /* distinct-1, -2, -3 */
    double repetition;                   /* of 4-grams */
} flm_score_result;

/* Where the texts of a set come from and where their scores go. Calls are made by one thread. */
typedef struct flm_score_source {
    void *context;
    const char *name; /* for messages and the progress bar */
    int64_t rows;
    int64_t length; /* tokens of a text that are scored at most; 0: the scorer's */
    flm_status (*text)(void *context, int64_t row, char **text, size_t *bytes);   /* malloc'd */
    flm_status (*store)(void *context, int64_t row, const flm_text_score *score); /* NULL: nowhere */
} flm_score_source;

/* flm_score_rows - score the rows that are not present, blocks of the scorer's batch dealt over the ranks; afterwards
 * nll and positions [rows] hold all of them on every rank. present [rows]: the same on every rank. stop_requested is
 * asked once a block. A row's score does not depend on batch or ranks. Collective. Errors: FLM_E_INTERRUPTED (what was
 * stored stays), those of source and scorer, naming source and row. */
flm_status flm_score_rows(flm_comm *comm, flm_scorer *scorer, const flm_score_source *source, double *nll,
                          int64_t *positions, const bool *present, bool (*stop_requested)(void));

/* flm_score_summarise - the figures of a set; draws and seed of the bootstrap. Not collective. Errors: FLM_E_NOMEM. */
flm_status flm_score_summarise(const double *nll, const int64_t *positions, const flm_id_rows *ids, int64_t draws,
                               uint64_t seed, flm_score_result *out);

/* flm_score_samples - one number of steps of a samples file: scores what is missing into the file, and the figures as
 * attributes: "gen_ppl", "gen_ppl_low", "gen_ppl_high", "entropy", "distinct_1" ... "repetition_4". length: tokens at
 * most, 0: the file's L and the scorer's length. Collective; the result is rank 0's.
 * Errors: FLM_E_CHECKSUM (a row is missing or damaged), FLM_E_MISMATCH (its tokeniser is not here), those of
 * flm_score_rows. */
flm_status flm_score_samples(flm_comm *comm, flm_scorer *scorer, flm_samples *samples, const char *path, int64_t steps,
                             int64_t length, int64_t draws, uint64_t seed, bool (*stop_requested)(void),
                             flm_score_result *out);

#endif
