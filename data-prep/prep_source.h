/* prep_source.h - an input as a sequence of text members, whatever it is packed in; streaming, nothing goes to disk.
 *
 * A source is a stack of layers: layer 0 is the file, and each further one is a compression (gz, xz, zst, bz2) or an
 * archive (tar, zip) inside a member of the layer below. The first bytes of a member decide what it is, not its name.
 * Refused, with the names of file and members: data that is damaged, truncated or encrypted; more than --nesting
 * layers; more than --ratio bytes out of one byte of the file; a member that is named as an archive but is not one.
 * Memory: a few MiB a layer, and what the decompressor needs, at most 128 MiB for xz and zst. SPDX-License-Identifier:
 * Apache-2.0 */
#ifndef FLM_PREP_SOURCE_H
#define FLM_PREP_SOURCE_H

#include "prep.h"

/* ---- prep_container.c: kinds of compressions and archives ---- */

enum { FLM_CONTAINER_HEAD_BYTES = 1024 }; /* that flm_container_detect examines */

typedef enum flm_container { /* archives from FLM_CONTAINER_TAR on */
                             FLM_CONTAINER_NONE,
                             FLM_CONTAINER_GZIP,
                             FLM_CONTAINER_XZ,
                             FLM_CONTAINER_ZSTD,
                             FLM_CONTAINER_BZIP2,
                             FLM_CONTAINER_TAR,
                             FLM_CONTAINER_ZIP
} flm_container;

/* flm_container_detect - from the first bytes. flm_container_name - "gzip", ... */
flm_container flm_container_detect(const unsigned char *head, size_t bytes);
const char *flm_container_name(flm_container container);

/* flm_container_identify - the container of a file or member from its first bytes and its name. An empty tar consists
 * of zeros, so only its name identifies it. where: for messages. Errors: FLM_E_FORMAT where the name promises a
 * container and the bytes are none. */
flm_status flm_container_identify(const char *name, const char *where, const unsigned char *head, size_t bytes,
                                  flm_container *container);

/* flm_container_inner_name - the name of compressed content, to out [bytes]: without .gz; with .tar for .tgz. */
void flm_container_inner_name(const char *name, char *out, size_t bytes);

/* flm_container_memory - the memory in bytes that an xz declares to need for decompression; 0 for other kinds. zstd's
 * library has a limit of its own, 128 MiB. */
uint64_t flm_container_memory(flm_container container, const unsigned char *head, size_t bytes);

/* ---- prep_raw.c: the file ---- */

typedef struct flm_raw_file flm_raw_file;

/* flm_raw_file_open - read from offset. want_digest: compute the SHA-256 of everything that is read.
 * Errors: FLM_E_IO; FLM_E_MISMATCH for a file that has changed; FLM_E_NOMEM. */
flm_status flm_raw_file_open(const flm_prep_input *input, int64_t offset, bool want_digest, flm_raw_file **out);
void flm_raw_file_close(flm_raw_file **raw);

/* flm_raw_file_read - up to `bytes` further bytes; at least one, except at the end, where *got is 0. Errors: FLM_E_IO;
 * FLM_E_MISMATCH for a file that has changed. */
flm_status flm_raw_file_read(flm_raw_file *raw, void *buffer, size_t bytes, size_t *got);
int64_t flm_raw_file_position(const flm_raw_file *raw);

/* flm_raw_file_digest - read the rest, then write the SHA-256 in hex to text [FLM_SHA256_BYTES]. Errors: those of
 * flm_raw_file_read. */
flm_status flm_raw_file_digest(flm_raw_file *raw, char *text);

/* ---- prep_source.c ---- */

typedef struct flm_source flm_source;

/* flm_source_open - offset must be 0 unless the file is plain. Errors: those of flm_raw_file_open. */
flm_status flm_source_open(const flm_prep_job *job, const flm_prep_input *input, int64_t offset, bool want_digest,
                           flm_source **out);
void flm_source_close(flm_source **source);

/* flm_source_next - skip the rest of the current member and go to the next one that is text; *jsonl: it has lines of
 * JSON. *end instead: the input has been read to its end. Errors: FLM_E_IO; FLM_E_FORMAT (see above); FLM_E_MISMATCH;
 * FLM_E_NOMEM. */
flm_status flm_source_next(flm_source *source, bool *jsonl, bool *end);

/* flm_source_read - further bytes of the member; at least one, except at its end, where *got is 0. Errors: as above. */
flm_status flm_source_read(flm_source *source, void *buffer, size_t bytes, size_t *got);

/* flm_source_where - "file: member: member", printable; valid until the next call. */
const char *flm_source_where(flm_source *source);

/* flm_source_raw_file - the file, for its position and digest. */
flm_raw_file *flm_source_raw_file(flm_source *source);

/* flm_source_tally - counts of members so far. */
const flm_prep_tally *flm_source_tally(const flm_source *source);

/* flm_source_name_ends_in - whether a name has this ending, in upper or lower case. */
bool flm_source_name_ends_in(const char *name, const char *ending);

/* ---- prep_layer.c: one layer, used by prep_source.c ---- */

typedef struct flm_layer flm_layer;

/* Gives a layer its input: up to `bytes` into buffer; *got is 0 at the end. */
typedef flm_status flm_layer_pull(void *from, void *buffer, size_t bytes, size_t *got);

/* flm_layer_open - a decompressor or archive reader over pull(from). Errors: FLM_E_UNSUPPORTED where libarchive was
 * built without it; FLM_E_NOMEM. */
flm_status flm_layer_open(flm_container container, flm_layer_pull *pull, void *from, flm_layer **out);
void flm_layer_close(flm_layer **layer);

typedef struct flm_layer_entry { /* a member of a layer */
    const char *name;            /* NULL for what a compression contains */
    bool regular, encrypted;
} flm_layer_entry;

/* flm_layer_next - the next member, or *end where the layer has been read to its end and is complete.
 * flm_layer_read - bytes of the member. where: for messages. Errors: FLM_E_FORMAT; those of pull. */
flm_status flm_layer_next(flm_layer *layer, const char *where, flm_layer_entry *entry, bool *end);
flm_status flm_layer_read(flm_layer *layer, const char *where, void *buffer, size_t bytes, size_t *got);

/* flm_layer_filters - how many compressions, beyond the first, libarchive removed by itself. */
int flm_layer_filters(const flm_layer *layer);

/* ---- prep_gzip.c: the gzip layer, by zlib ---- */

typedef struct flm_gzip flm_gzip;
flm_status flm_gzip_open(flm_layer_pull *pull, void *from, flm_gzip **out);
void flm_gzip_close(flm_gzip **gzip);
flm_status flm_gzip_read(flm_gzip *gzip, const char *where, void *buffer, size_t bytes, size_t *got);

#endif
