/* prep_read.h - the documents of one input, in order: plain text now. A document is given in one piece; the memory held
 * is bounded by --document-bytes. A further kind of input is a further reader behind these calls.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PREP_READ_H
#define PREP_READ_H

#include "prep.h"

typedef struct prep_reader prep_reader;

typedef struct prep_document {
    const char *text; /* until the next call */
    size_t bytes;
    int64_t offset; /* where it begins in the file */
} prep_document;

/* prep_inputs_stat - sizes and times of every input, by rank 0, to all. Collective. Errors: FLM_E_IO, FLM_E_FORMAT (not
 * a regular file, a kind that is not read). */
flm_status prep_inputs_stat(prep_job *job, flm_comm *comm);

/* prep_reader_open - from a document's beginning at offset. sum_wanted: a SHA-256 sum of all that is read.
 * Errors: FLM_E_IO, FLM_E_MISMATCH (the file has changed), FLM_E_NOMEM. */
flm_status prep_reader_open(const prep_job *job, int input, int64_t offset, bool sum_wanted, prep_reader **out);

/* prep_reader_next - the next document; *end instead when there is none: the file has been read to the end it had.
 * Errors: FLM_E_IO, FLM_E_FORMAT (larger than --document-bytes), FLM_E_MISMATCH, FLM_E_NOMEM. */
flm_status prep_reader_next(prep_reader *reader, prep_document *document, bool *end);

/* prep_reader_sum - after the end: the sum, to text [65]. */
flm_status prep_reader_sum(prep_reader *reader, char *text);
void prep_reader_close(prep_reader **reader);

#endif
