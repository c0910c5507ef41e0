/* prep_read.h - the documents of one input, in order: what prep_source.h gives, taken apart into lines, blocks, files
 * or the texts of JSON lines. A document is given in one piece; the memory held is bounded by --document-bytes.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PREP_READ_H
#define PREP_READ_H

#include "prep_corpus.h"

typedef struct prep_reader prep_reader;

typedef struct prep_document {
    char *text; /* until the next call */
    size_t bytes;
    int64_t offset;   /* where it begins in the member: of a plain file, a place to begin from */
    int64_t position; /* how much of the file has been read */
    int64_t replaced; /* sequences that were not UTF-8, replaced already so that JSON could be read */
} prep_document;

/* prep_inputs_stat - sizes, times and kinds of every input, by rank 0, to all. Collective. Errors: FLM_E_IO,
 * FLM_E_FORMAT (not a regular file, a kind that is not read). */
flm_status prep_inputs_stat(prep_job *job, flm_comm *comm);

/* prep_reader_open - from a document's beginning at offset, 0 but for a plain file. sum_wanted: a SHA-256 sum of the
 * file. Errors: FLM_E_IO, FLM_E_MISMATCH (the file has changed), FLM_E_NOMEM. */
flm_status prep_reader_open(const prep_job *job, int input, int64_t offset, bool sum_wanted, prep_reader **out);

/* prep_reader_next - the next document, as it stands there; *end instead when there is none: the file has been read to
 * the end it had. Errors: FLM_E_IO; FLM_E_FORMAT: larger than --document-bytes, a line that is no JSON with
 * --on-bad-line fail, and what prep_source.h refuses; FLM_E_MISMATCH; FLM_E_NOMEM. */
flm_status prep_reader_next(prep_reader *reader, prep_document *document, bool *end);

/* prep_reader_clean - the document at hand as --clean wants it, in place. */
void prep_reader_clean(const prep_reader *reader, prep_document *document);

/* prep_reader_sum - after the end: the sum, to text [65]. prep_reader_tally - after the end: what there was. */
flm_status prep_reader_sum(prep_reader *reader, char *text);
void prep_reader_tally(const prep_reader *reader, prep_tally *tally);
void prep_reader_close(prep_reader **reader);

/* ---- prep_clean.c ---- */

/* prep_clean_owt - in place: runs of 3 or more newlines become 2, white space at both ends goes (*text moves); what is
 * white is as Python's str.strip has it. It never grows. Source: data.md section 1. */
void prep_clean_owt(char **text, size_t *bytes);

/* prep_is_white - nothing but white space: of ASCII, or of Unicode. */
bool prep_is_white(const char *text, size_t bytes, bool unicode);

/* ---- prep_json.c ---- */

/* prep_json_text - the string `field` of a line of JSON, an object: *text malloc'd, and how many sequences were
 * replaced that were not UTF-8. *why, 128 bytes: what is wrong with the line; "" when nothing is.
 * Errors: FLM_E_NOMEM. */
flm_status prep_json_text(const char *line, size_t bytes, const char *field, char **text, size_t *text_bytes,
                          int64_t *replaced, char *why);

#endif
