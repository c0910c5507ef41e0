/* source_container.h - kinds of compressions, archives and encodings, detected from the first bytes. Sources: RFC 1952
 * (gzip), the .xz file format 1.2.0, RFC 8878 (zstd), the LZ4 frame format 1.6, POSIX ustar, APPNOTE (zip).
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_SOURCE_CONTAINER_H
#define FLM_SOURCE_CONTAINER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FLM_CONTAINER_HEAD_BYTES = 8192 }; /* of a file or member, that are examined */

typedef enum flm_container {
    FLM_CONTAINER_NONE,
    FLM_CONTAINER_UTF16LE, /* encodings, with a byte order mark */
    FLM_CONTAINER_UTF16BE,
    FLM_CONTAINER_UTF32LE,
    FLM_CONTAINER_UTF32BE,
    FLM_CONTAINER_GZIP, /* compressions */
    FLM_CONTAINER_XZ,
    FLM_CONTAINER_ZSTD,
    FLM_CONTAINER_BZIP2,
    FLM_CONTAINER_LZ4,
    FLM_CONTAINER_COMPRESS, /* of Unix: .Z */
    FLM_CONTAINER_LZMA,
    FLM_CONTAINER_LZIP,
    FLM_CONTAINER_TAR, /* archives */
    FLM_CONTAINER_ZIP
} flm_container;

static inline bool flm_container_is_encoding(flm_container c)
{
    return c >= FLM_CONTAINER_UTF16LE && c <= FLM_CONTAINER_UTF32BE;
}
static inline bool flm_container_is_compression(flm_container c)
{
    return c >= FLM_CONTAINER_GZIP && c < FLM_CONTAINER_TAR;
}
static inline bool flm_container_is_archive(flm_container c) { return c >= FLM_CONTAINER_TAR; }

/* flm_container_detect - from the first bytes. flm_container_of_name - what a name promises, in upper or lower case.
 * flm_container_name - "gzip", ... */
flm_container flm_container_detect(const unsigned char *head, size_t bytes);
flm_container flm_container_of_name(const char *name);
const char *flm_container_name(flm_container container);

/* flm_container_identify - the container of a file or member from its first bytes and its name. An empty tar consists
 * of zeros, so only its name identifies it; a file of no bytes named as compressed is an empty text.
 * *misnamed: the name promises a compression or archive, and the bytes are none. */
flm_container flm_container_identify(const char *name, const unsigned char *head, size_t bytes, bool *misnamed);

/* flm_container_inner_name - the name of compressed content, to out [bytes]: without .gz; with .tar for .tgz. */
void flm_container_inner_name(const char *name, char *out, size_t bytes);

/* flm_container_name_ends_in - whether a name has this ending, in upper or lower case. */
bool flm_container_name_ends_in(const char *name, const char *ending);

/* flm_container_name_is_lines - whether a name is one of lines of JSON: .jsonl, .ndjson, .jsonlines, .jl. */
bool flm_container_name_is_lines(const char *name);

/* flm_container_memory - the memory in bytes that an xz, LZMA or lzip declares to need for decompression; 0 for other
 * kinds. zstd's library has a limit of its own, 128 MiB. */
uint64_t flm_container_memory(flm_container container, const unsigned char *head, size_t bytes);

#endif
