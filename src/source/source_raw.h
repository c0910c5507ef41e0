/* source_raw.h - the bytes of an input file, read in order; fails if the file changes meanwhile.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_SOURCE_RAW_H
#define FLM_SOURCE_RAW_H

#include "source/source.h"

typedef struct flm_raw_file flm_raw_file;

/* flm_raw_file_open - read from offset. want_digest: compute the SHA-256 of everything that is read. The file must
 * outlive the reading. Errors: FLM_E_IO; FLM_E_MISMATCH for a file that has changed; FLM_E_NOMEM. */
flm_status flm_raw_file_open(const flm_source_file *file, int64_t offset, bool want_digest, flm_raw_file **out);
void flm_raw_file_close(flm_raw_file **raw);

/* flm_raw_file_read - up to `bytes` further bytes; at least one, except at the end, where *got is 0. Errors: FLM_E_IO;
 * FLM_E_MISMATCH for a file that has changed. */
flm_status flm_raw_file_read(flm_raw_file *raw, void *buffer, size_t bytes, size_t *got);
int64_t flm_raw_file_position(const flm_raw_file *raw);

/* flm_raw_file_descriptor - to read elsewhere in the file, which does not change the position. */
int flm_raw_file_descriptor(const flm_raw_file *raw);

/* flm_raw_file_digest - read the rest, then write the SHA-256 in hex to text [FLM_SHA256_BYTES]. Errors: those of
 * flm_raw_file_read. */
flm_status flm_raw_file_digest(flm_raw_file *raw, char *text);

#endif
