/* text_internal.h - private to the text room: what a tokeniser fills in. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_TEXT_INTERNAL_H
#define FLM_TEXT_INTERNAL_H

#include "text/text_tokenizer.h"

/* One tokeniser: a row of the table in text_tokenizer.c. `state` is what create made, NULL where it needs none. */
typedef struct text_kind {
    const char *name;
    int64_t V, begin_id, end_id;

    /* create - the vocabulary read and checked; its SHA-256 to sha256 [65]. */
    flm_status (*create)(void **state, char *sha256);
    void (*destroy)(void *state);

    /* encode - append the ids of valid UTF-8, room for which is made by text_ids_reserve. */
    flm_status (*encode)(void *state, const char *text, size_t bytes, flm_ids *ids);

    /* decode - ids [count], all in 0..V-1, as bytes that need not be valid UTF-8; *text malloc'd. */
    flm_status (*decode)(void *state, const int32_t *ids, size_t count, char **text, size_t *bytes);
} text_kind;

extern const text_kind text_bytes;

/* text_ids_reserve - make room for `more` further ids. Errors: FLM_E_NOMEM. */
flm_status text_ids_reserve(flm_ids *ids, size_t more);

/* text_utf8_valid - how many bytes from the beginning are valid UTF-8. */
size_t text_utf8_valid(const char *text, size_t bytes);

#endif
