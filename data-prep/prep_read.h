/* prep_read.h - the documents of one input, in order: the members that prep_source.h gives, divided into lines, blocks,
 * files or the texts of JSON lines. A document is held in memory as a whole, limited by --document-bytes.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_PREP_READ_H
#define FLM_PREP_READ_H

#include "prep_corpus.h"

typedef struct flm_reader flm_reader;

typedef struct flm_document {
    char *text; /* valid until the next call */
    size_t bytes;
    int64_t offset;   /* where it begins in its member; in a plain file, an offset for flm_reader_open */
    int64_t position; /* bytes of the input file that have been read */
    int64_t replaced; /* invalid UTF-8 sequences that were replaced so that JSON could be parsed */
} flm_document;

/* flm_reader_stat_inputs - sizes, times and containers of every input, by rank 0 for all. Collective. Errors: FLM_E_IO;
 * FLM_E_FORMAT for what is not a regular file or cannot be text. */
flm_status flm_reader_stat_inputs(flm_prep_job *job, flm_comm *comm);

/* flm_reader_open - read an input from the beginning of a document at offset, which is 0 unless the file is plain.
 * want_digest: compute the SHA-256 of the file. Errors: FLM_E_IO; FLM_E_MISMATCH for a file that has changed;
 * FLM_E_NOMEM. */
flm_status flm_reader_open(const flm_prep_job *job, int input, int64_t offset, bool want_digest, flm_reader **out);

/* flm_reader_next - the next document, as it is in the input, or *end after the last one; the file has then been read
 * to its end. Errors: FLM_E_IO; FLM_E_FORMAT for a document larger than --document-bytes, for a bad line of JSON with
 * --on-bad-line fail, and as in prep_source.h; FLM_E_MISMATCH for a file that has changed; FLM_E_NOMEM. */
flm_status flm_reader_next(flm_reader *reader, flm_document *document, bool *end);

/* flm_reader_clean - clean the current document in place, as --clean asks. */
void flm_reader_clean(const flm_reader *reader, flm_document *document);

/* flm_reader_digest - after the end: the SHA-256 in hex, to text [FLM_SHA256_BYTES]. */
flm_status flm_reader_digest(flm_reader *reader, char *text);

/* flm_reader_tally - after the end: counts of this reading. */
void flm_reader_tally(const flm_reader *reader, flm_prep_tally *tally);
void flm_reader_close(flm_reader **reader);

/* ---- prep_clean.c ---- */

/* flm_document_clean_owt - in place: runs of 3 or more newlines become 2, and white space (as of Python's str.strip) is
 * removed at both ends, which moves *text. It never grows. Source: data.md section 1. */
void flm_document_clean_owt(char **text, size_t *bytes);

/* flm_document_is_white - whether the text is nothing but white space, of ASCII or of Unicode. */
bool flm_document_is_white(const char *text, size_t bytes, bool unicode);

/* ---- prep_json.c ---- */

/* flm_document_parse_json - replace a document that is a line of JSON by the string `field` of its object. *text is
 * malloc'd; the document borrows it. Errors: FLM_E_FORMAT for a line that is not JSON, not an object or without this
 * string ("line at byte N: ..."); FLM_E_NOMEM. */
flm_status flm_document_parse_json(flm_document *document, const char *field, char **text);

#endif
