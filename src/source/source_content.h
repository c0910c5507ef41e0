/* source_content.h - what the bytes of a file are, where they are not what its name says: binary formats, other
 * encodings, JSON. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_SOURCE_CONTENT_H
#define FLM_SOURCE_CONTENT_H

#include "base/base_err.h"

#include <stdbool.h>
#include <stddef.h>

/* flm_content_format - the name of the format that a file with this head [bytes] has, with its article, if it is one
 * that is not text: "a Parquet file"; NULL otherwise. Compressions and archives that the module reads have none. */
const char *flm_content_format(const unsigned char *head, size_t bytes);

/* flm_content_zip_format - the same for a zip, by its first member: a document of an office program, ...; NULL for an
 * archive of files. */
const char *flm_content_zip_format(const unsigned char *head, size_t bytes);

/* flm_content_lfs_pointer - whether this is not the file but Git LFS's pointer to it. */
bool flm_content_lfs_pointer(const unsigned char *head, size_t bytes);

/* flm_content_check - fail if head [bytes], the beginning of a file or member, is not that of a text: it has the magic
 * number of another format, more than one NUL in 1000 bytes, or as in flm_content_check_share. where: for messages.
 * Errors: FLM_E_FORMAT. */
flm_status flm_content_check(const char *where, const unsigned char *head, size_t bytes);

/* flm_content_check_nuls - fail if more than one of 1000 of these bytes of a text is a NUL. Errors: FLM_E_FORMAT. */
flm_status flm_content_check_nuls(const char *where, const unsigned char *data, size_t bytes);

/* flm_content_check_share - fail if more than 30 %, and at least 8, of these bytes from the middle of a text are
 * invalid UTF-8 or control characters. Source of the bound: Perl's -B. Errors: FLM_E_FORMAT. */
flm_status flm_content_check_share(const char *where, const unsigned char *data, size_t bytes);

/* flm_content_json - what JSON a text with this head [bytes] is.
 * NONE: the first line does not begin with an object or array. LINES: it begins with an object, which ends in this line
 * or goes on behind the head. ARRAY: the same with an array. DOCUMENT: an object or array of several lines. */
typedef enum flm_content_json_kind {
    FLM_CONTENT_JSON_NONE,
    FLM_CONTENT_JSON_LINES,
    FLM_CONTENT_JSON_ARRAY,
    FLM_CONTENT_JSON_DOCUMENT
} flm_content_json_kind;
flm_content_json_kind flm_content_json(const unsigned char *head, size_t bytes);

/* flm_content_is_json_document - whether a text with this head [bytes] begins as one JSON document does and hardly
 * another text: with '{', a string and ':', or with '[' and '{', which are not a complete line. */
bool flm_content_is_json_document(const unsigned char *head, size_t bytes);

#endif
