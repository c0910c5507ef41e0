/* score_store.h - a file with the scores of a list of texts, so that an interrupted scoring can be resumed.
 *
 * A line a text, in the order of the texts, all of one width: nll in nats, counted positions, and a CRC-32C of both, of
 * the text, of the scorer, of the length and, in the published protocol, of all texts of its batch. A line is valid if
 * its checksum fits; other texts are scored again.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_SCORE_STORE_H
#define FLM_SCORE_STORE_H

#include "io/io_lock.h"
#include "score/score_scorer.h"
#include "score/score_texts.h"

typedef struct flm_score_store {
    const flm_score_texts *texts;
    flm_score_protocol protocol;
    uint32_t scorer; /* identity of the scorer (flm_scorer_describe) */
    int64_t length;  /* tokens of a text, as asked for */
    int fd;          /* -1: none */
    flm_lock *lock;  /* of the rank that has it */
} flm_score_store;

/* flm_score_store_open - open DIRECTORY/NAME-CHECKSUM.scores for the texts of the file at path, and create it if it
 * does not exist; the checksum is that of path. lock: keep other jobs from it until it is closed; for one rank of a
 * job. Not collective. Errors: FLM_E_USAGE (path too long), FLM_E_IO, FLM_E_LOCKED. */
flm_status flm_score_store_open(flm_score_store *store, const char *directory, const char *path, bool lock);

/* flm_score_store_close - a closed store is allowed. */
void flm_score_store_close(flm_score_store *store);

/* flm_score_store_read - the valid scores: sets nll, positions and present [texts->count] of those rows and leaves the
 * others. Not collective. Errors: FLM_E_IO. */
flm_status flm_score_store_read(const flm_score_store *store, double *nll, int64_t *positions, bool *present);

/* flm_score_store_write - the score of one row. Not collective: ranks write different rows. Errors: FLM_E_IO. */
flm_status flm_score_store_write(const flm_score_store *store, int64_t row, const flm_text_score *score);

#endif
