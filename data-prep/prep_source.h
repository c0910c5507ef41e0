/* prep_source.h - an input as a sequence of text members, whatever it is packed in; streaming, nothing goes to disk.
 *
 * Owns a stack of layers: layer 0 is the file, every further one a compression (gz, xz, zst, bz2) or an archive (tar,
 * zip) inside a member of the one below. What a member is shows in its first bytes, not in its name. Refuses, naming
 * file and members: data that is damaged, cut off or encrypted, more than --nesting layers, more than --ratio bytes out
 * of one byte of the file, and a member that is named as an archive and is none. Memory: a few MiB a layer and what
 * the decompressor needs, at most 128 MiB for xz and zst. SPDX-License-Identifier: Apache-2.0 */
#ifndef PREP_SOURCE_H
#define PREP_SOURCE_H

#include "prep.h"

/* ---- prep_kind.c: what bytes are ---- */

enum { PREP_HEAD_BYTES = 1024 }; /* that prep_kind_of looks at */

typedef enum prep_kind { PREP_PLAIN, PREP_GZIP, PREP_XZ, PREP_ZSTD, PREP_BZIP2, PREP_TAR, PREP_ZIP } prep_kind;

/* prep_kind_of - from the first bytes. prep_kind_named - from the name's ending. prep_kind_name - "gzip". */
prep_kind prep_kind_of(const unsigned char *head, size_t bytes);
prep_kind prep_kind_named(const char *name);
const char *prep_kind_name(prep_kind kind);

/* prep_kind_tar_empty - a tar that holds nothing is zeros, which only its name tells from other zeros. */
bool prep_kind_tar_empty(const unsigned char *head, size_t bytes);

/* prep_kind_inner_name - the name of what is compressed: without .gz, with .tar for .tgz; to out [bytes]. */
void prep_kind_inner_name(const char *name, char *out, size_t bytes);

/* prep_kind_memory - an xz's own word, in its head, for how much a decompressor must remember; 0: none. zstd's library
 * has a limit of its own, 128 MiB. */
uint64_t prep_kind_memory(prep_kind kind, const unsigned char *head, size_t bytes);

/* prep_ends_in - whether the name has this ending, in any case. */
bool prep_ends_in(const char *name, const char *ending);

/* ---- prep_raw.c: the file ---- */

typedef struct prep_raw prep_raw;

/* prep_raw_open - from offset; sum_wanted: a SHA-256 sum of all that is read.
 * Errors: FLM_E_IO, FLM_E_MISMATCH (the file has changed), FLM_E_NOMEM. */
flm_status prep_raw_open(const prep_input *input, int64_t offset, bool sum_wanted, prep_raw **out);
void prep_raw_close(prep_raw **raw);

/* prep_raw_read - up to `bytes` further ones, at least one but at the end: *got is 0. Errors: FLM_E_IO,
 * FLM_E_MISMATCH (changed, or another size than it had). */
flm_status prep_raw_read(prep_raw *raw, void *buffer, size_t bytes, size_t *got);
int64_t prep_raw_position(const prep_raw *raw);

/* prep_raw_sum - what is left is read, then the sum to text [65]. Errors: those of prep_raw_read. */
flm_status prep_raw_sum(prep_raw *raw, char *text);

/* ---- prep_source.c ---- */

typedef struct prep_source prep_source;

/* prep_source_open - offset: of a plain file alone. Errors: those of prep_raw_open. */
flm_status prep_source_open(const prep_job *job, const prep_input *input, int64_t offset, bool sum_wanted,
                            prep_source **out);
void prep_source_close(prep_source **source);

/* prep_source_next - what is left of the member at hand is passed over; the next one that is text: *jsonl, lines of
 * JSON. *end instead: the input has been read to its end. Errors: FLM_E_IO, FLM_E_FORMAT (see above), FLM_E_MISMATCH,
 * FLM_E_NOMEM. */
flm_status prep_source_next(prep_source *source, bool *jsonl, bool *end);

/* prep_source_read - further bytes of the member, at least one but at its end: *got is 0. Errors: as above. */
flm_status prep_source_read(prep_source *source, void *buffer, size_t bytes, size_t *got);

/* prep_source_where - "file: member: member", printable; until the next call. */
const char *prep_source_where(prep_source *source);

/* prep_source_raw - for its position and sum. */
prep_raw *prep_source_raw(prep_source *source);

/* prep_source_tally - members so far. */
const prep_tally *prep_source_tally(const prep_source *source);

/* ---- prep_layer.c: one layer, used by prep_source.c ---- */

typedef struct prep_layer prep_layer;

/* Where a layer's bytes come from: up to `bytes` into buffer, *got 0 at the end. */
typedef flm_status prep_pull(void *from, void *buffer, size_t bytes, size_t *got);

/* prep_layer_open - a decompressor or archive reader of this kind, over pull(from). *filters: compressions in it.
 * Errors: FLM_E_UNSUPPORTED (libarchive was built without), FLM_E_NOMEM. */
flm_status prep_layer_open(prep_kind kind, prep_pull *pull, void *from, prep_layer **out);
void prep_layer_close(prep_layer **layer);

typedef struct prep_entry { /* a member of a layer */
    const char *name;       /* NULL: has none, as what is compressed has */
    bool regular, encrypted;
} prep_entry;

/* prep_layer_next - the next member; *end: the layer was read to its end, and it is whole. prep_layer_read - of it.
 * where: for messages. Errors: FLM_E_FORMAT; pull's. */
flm_status prep_layer_next(prep_layer *layer, const char *where, prep_entry *entry, bool *end);
flm_status prep_layer_read(prep_layer *layer, const char *where, void *buffer, size_t bytes, size_t *got);

/* prep_layer_filters - compressions one inside the other that libarchive took off by itself, beyond one. */
int prep_layer_filters(const prep_layer *layer);

/* ---- prep_gzip.c: the gzip layer, by zlib ---- */

typedef struct prep_gzip prep_gzip;
flm_status prep_gzip_open(prep_pull *pull, void *from, prep_gzip **out);
void prep_gzip_close(prep_gzip **gzip);
flm_status prep_gzip_read(prep_gzip *gzip, const char *where, void *buffer, size_t bytes, size_t *got);

#endif
