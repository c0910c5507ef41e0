/* source_layer.h - private to the module: one layer of compression, archive or encoding, as a sequence of members.
 * Memory: a few MiB a layer, and what the decompressor needs. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_SOURCE_LAYER_H
#define FLM_SOURCE_LAYER_H

#include "base/base_err.h"
#include "source/source_container.h"

typedef struct flm_layer flm_layer;

/* Gives a layer its input: up to `bytes` into buffer; *got is 0 at the end. */
typedef flm_status flm_layer_pull(void *from, void *buffer, size_t bytes, size_t *got);

/* flm_layer_open - a decompressor, decoder or archive reader over pull(from). Errors: FLM_E_UNSUPPORTED where
 * libarchive was built without it; FLM_E_NOMEM. */
flm_status flm_layer_open(flm_container container, flm_layer_pull *pull, void *from, flm_layer **out);
void flm_layer_close(flm_layer **layer);

typedef struct flm_layer_entry { /* a member of a layer */
    const char *name;            /* NULL for what a compression contains */
    bool regular, encrypted;
    int64_t begin, end; /* of an archive: its header begins at or after `begin`, and ends before or at `end` */
} flm_layer_entry;

/* flm_layer_next - the next member, or *end where the layer has been read to its end and is complete.
 * flm_layer_read - bytes of the member. flm_layer_skip - skip the rest of the member, without decoding it where the
 * archive says where it ends. where: for messages. Errors: FLM_E_FORMAT; those of pull. */
flm_status flm_layer_next(flm_layer *layer, const char *where, flm_layer_entry *entry, bool *end);
flm_status flm_layer_read(flm_layer *layer, const char *where, void *buffer, size_t bytes, size_t *got);
flm_status flm_layer_skip(flm_layer *layer, const char *where);

/* flm_layer_filters - how many compressions, beyond the first, libarchive removed by itself. */
int flm_layer_filters(const flm_layer *layer);

/* flm_layer_deleted_known - for a zip: the caller knows which of its members are deleted, so that more members than the
 * directory lists are no error. */
void flm_layer_deleted_known(flm_layer *layer);

/* ---- source_gzip.c: the gzip layer, by zlib ---- */

typedef struct flm_gzip flm_gzip;
flm_status flm_gzip_open(flm_layer_pull *pull, void *from, flm_gzip **out);
void flm_gzip_close(flm_gzip **gzip);
flm_status flm_gzip_read(flm_gzip *gzip, const char *where, void *buffer, size_t bytes, size_t *got);

/* ---- source_decode.c: UTF-16 and UTF-32 to UTF-8 ---- */

typedef struct flm_decode flm_decode;

/* flm_decode_open - the byte order mark is removed. What is not a character (half of a surrogate pair, a number above
 * U+10FFFF, an incomplete unit at the end) becomes a byte FF, which is invalid in UTF-8, so that it is replaced and
 * counted like other invalid sequences. Errors: FLM_E_NOMEM. */
flm_status flm_decode_open(flm_container encoding, flm_layer_pull *pull, void *from, flm_decode **out);
void flm_decode_close(flm_decode **decode);
flm_status flm_decode_read(flm_decode *decode, void *buffer, size_t bytes, size_t *got);

#endif
