/* source_reader.h - the documents of one input, in order: the members that source_members.h gives, divided into lines,
 * blocks, files or the texts of lines of JSON. A document is held in memory as a whole, limited by --document-bytes.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_SOURCE_READER_H
#define FLM_SOURCE_READER_H

#include "source/source.h"

typedef struct flm_reader flm_reader;

typedef struct flm_document {
    char *text; /* valid until the next call */
    size_t bytes;
    int64_t offset;   /* where it begins in its member; in a plain file, an offset for flm_reader_open */
    int64_t position; /* bytes of the input file that have been read */
    int64_t replaced; /* sequences in a line of JSON that were replaced by U+FFFD */
} flm_document;

/* flm_reader_open - read an input from the beginning of a document at offset, which is 0 unless the file is plain.
 * want_digest: compute the SHA-256 of the file. rules and file must outlive the reader. Errors: FLM_E_IO;
 * FLM_E_MISMATCH for a file that has changed; FLM_E_NOMEM. */
flm_status flm_reader_open(const flm_source_rules *rules, const flm_source_file *file, int64_t offset, bool want_digest,
                           flm_reader **out);

/* flm_reader_next - the next document, as it is in the input, or *end after the last one; the file has then been read
 * to its end. Documents of only white space are left out, see flm_source_rules.keep_white. Errors: FLM_E_IO;
 * FLM_E_FORMAT for a document larger than --document-bytes, for a bad line of JSON with --on-bad-line fail, for a text
 * that turns out to be binary, and as in source_members.h; FLM_E_MISMATCH for a file that has changed; FLM_E_NOMEM. */
flm_status flm_reader_next(flm_reader *reader, flm_document *document, bool *end);

/* flm_reader_digest - after the end: the SHA-256 in hex, to text [FLM_SHA256_BYTES]. */
flm_status flm_reader_digest(flm_reader *reader, char *text);

/* flm_reader_tally - after the end: counts of this reading. */
const flm_source_tally *flm_reader_tally(const flm_reader *reader);

/* flm_reader_seconds - spent on reading and decompressing so far. */
double flm_reader_seconds(const flm_reader *reader);
void flm_reader_close(flm_reader **reader);

#endif
