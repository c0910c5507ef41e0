/* score_rows.h - the rows of one set of texts scored by all ranks. Owns the distribution of blocks of rows over the
 * ranks; leaves where texts come from and where scores go to the source. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_SCORE_ROWS_H
#define FLM_SCORE_ROWS_H

#include "comm/comm.h"
#include "score/score_scorer.h"

/* Where the texts of a set come from and where their scores go. Its functions are called by one thread. */
typedef struct flm_score_source {
    void *context;
    const char *name; /* for messages and the progress bar */
    int64_t rows;
    int64_t length; /* score at most so many tokens of a text; 0: the scorer's length */
    flm_status (*text)(void *context, int64_t row, char **text, size_t *bytes);   /* malloc'd */
    flm_status (*store)(void *context, int64_t row, const flm_text_score *score); /* NULL: scores are not stored */
} flm_score_source;

/* flm_score_rows_compute - score the rows that are not present, in blocks of the scorer's batch; afterwards nll and
 * positions [rows] hold all rows on every rank; those that the scorer's protocol drops are 0. A row's score does not
 * depend on the scorer's batch or the ranks. stop_requested is called once a block.
 * in  present [rows], the same on every rank; nll, positions of the rows that are present. Collective.
 * Errors: FLM_E_INTERRUPTED (rows that were stored stay), those of source and scorer, naming the source. */
flm_status flm_score_rows_compute(flm_comm *comm, flm_scorer *scorer, const flm_score_source *source, double *nll,
                                  int64_t *positions, const bool *present, bool (*stop_requested)(void));

#endif
