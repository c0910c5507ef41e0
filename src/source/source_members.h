/* source_members.h - an input as a sequence of text members, whatever it is packed in; streaming, nothing goes to disk.
 *
 * The members are read through a stack of layers: layer 0 is the file, and each further one is a compression, an
 * archive or an encoding inside a member of the layer below. The first bytes of a member decide what it is, not its
 * name. Refused, with the names of file and members: data that is damaged, truncated or encrypted; more than --nesting
 * layers; more than --ratio bytes out of one byte of the file; a member that is named as an archive but is not one;
 * a member that is not text (source_content.h). What macOS adds to archives, and what was deleted from a zip, is
 * skipped before it is looked at. Memory: a few MiB a layer, and what the decompressor needs, at most 128 MiB for xz,
 * LZMA, lzip and zstd. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_SOURCE_MEMBERS_H
#define FLM_SOURCE_MEMBERS_H

#include "source/source.h"
#include "source/source_raw.h"

typedef struct flm_members flm_members;

/* flm_members_open - offset must be 0 unless the file is plain. rules and file must outlive the reading. Errors: those
 * of flm_raw_file_open. */
flm_status flm_members_open(const flm_source_rules *rules, const flm_source_file *file, int64_t offset,
                            bool want_digest, flm_members **out);
void flm_members_close(flm_members **members);

/* flm_members_next - skip the rest of the current member and go to the next one that is text; *jsonl: it has lines of
 * JSON. *end instead: the input has been read to its end. Errors: FLM_E_IO; FLM_E_FORMAT (see above); FLM_E_MISMATCH;
 * FLM_E_NOMEM. */
flm_status flm_members_next(flm_members *members, bool *jsonl, bool *end);

/* flm_members_read - further bytes of the member; at least one, except at its end, where *got is 0. Errors: as above.
 */
flm_status flm_members_read(flm_members *members, void *buffer, size_t bytes, size_t *got);

/* flm_members_where - "file: member: member", printable; valid until the next call. */
const char *flm_members_where(flm_members *members);

/* flm_members_raw_file - the file, for its position and digest. */
flm_raw_file *flm_members_raw_file(flm_members *members);

/* flm_members_tally - counts so far, which the reader of documents completes. */
flm_source_tally *flm_members_tally(flm_members *members);

#endif
