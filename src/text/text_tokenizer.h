/* text_tokenizer.h - text to token ids and back. One interface; `bytes` is the tokeniser of this release.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_TEXT_TOKENIZER_H
#define FLM_TEXT_TOKENIZER_H

#include "base/base_status.h"

#include <stddef.h>
#include <stdint.h>

typedef struct flm_tokenizer flm_tokenizer;

/* flm_tokenizer_create - by name: "bytes". Errors: FLM_E_ARG naming what is known. */
flm_status flm_tokenizer_create(const char *name, flm_tokenizer **out);
void flm_tokenizer_destroy(flm_tokenizer **tokenizer);

const char *flm_tokenizer_name(const flm_tokenizer *tokenizer);
const char *flm_tokenizer_sha256(const flm_tokenizer *tokenizer); /* of the vocabulary, lower-case hex */
int64_t flm_tokenizer_size(const flm_tokenizer *tokenizer);       /* V */
int64_t flm_tokenizer_begin_id(const flm_tokenizer *tokenizer);
int64_t flm_tokenizer_end_id(const flm_tokenizer *tokenizer);

/* A growing list of ids; the caller zeroes it first and frees ids at the end. */
typedef struct flm_ids { int32_t *ids; size_t count, capacity; } flm_ids;

/* flm_tokenizer_encode - append the ids of text [bytes], begin and end ids not added. Invalid UTF-8 is replaced by
 * U+FFFD first; *replaced gains the number of replacements (NULL: not wanted). Errors: FLM_E_NOMEM. */
flm_status flm_tokenizer_encode(flm_tokenizer *tokenizer, const char *text, size_t bytes, flm_ids *ids,
                                int64_t *replaced);

/* flm_tokenizer_decode - ids [count] as UTF-8 text, malloc'd and NUL-terminated (*bytes without it); special tokens
 * are kept as text ("<|end|>" for the bytes tokeniser's 256). Bytes that are not UTF-8 become U+FFFD.
 * Errors: FLM_E_NOMEM, FLM_E_ARG for an id outside 0..V-1. */
flm_status flm_tokenizer_decode(flm_tokenizer *tokenizer, const int32_t *ids, size_t count, char **text,
                                size_t *bytes);

/* flm_utf8_repair - copy text with every invalid sequence replaced by U+FFFD as WHATWG says (maximal subparts);
 * *out malloc'd. *replaced gains their number. Errors: FLM_E_NOMEM. */
flm_status flm_utf8_repair(const char *text, size_t bytes, char **out, size_t *out_bytes, int64_t *replaced);

#endif
