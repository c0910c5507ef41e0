/* text_internal.h - private to the text room: what a tokeniser fills in, and the parts that several of them use: UTF-8,
 * files, special tokens. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_TEXT_INTERNAL_H
#define FLM_TEXT_INTERNAL_H

#include "text/text_tokenizer.h"

#include <stdbool.h>
#include <string.h>

/* Where the vocabulary comes from; NULL: the shipped one. */
typedef struct text_source {
    const char *vocab, *merges;
} text_source;

/* What create finds out. */
typedef struct text_facts {
    char sha256[65];
    int64_t V, begin_id, end_id;
} text_facts;

/* One tokeniser: a row of the table in text_tokenizer.c. `state` is what create made, NULL where it needs none. */
typedef struct text_kind {
    const char *name;
    bool takes_merges; /* else a source with merges is refused */
    bool takes_vocab;
    bool clean_up; /* flm_tokenizer_set_clean_up's preset */

    /* create - the vocabulary read and checked; facts are filled. */
    flm_status (*create)(const text_source *source, void **state, text_facts *facts);
    void (*destroy)(void *state);

    /* encode - append the ids of valid UTF-8, room for which is made by text_ids_reserve. */
    flm_status (*encode)(void *state, const char *text, size_t bytes, flm_ids *ids);

    /* decode - ids [count], all in 0..V-1, as bytes that need not be valid UTF-8; *text malloc'd, NUL-terminated. */
    flm_status (*decode)(void *state, const int32_t *ids, size_t count, char **text, size_t *bytes);
} text_kind;

extern const text_kind text_bytes, text_gpt2, text_bert;

/* text_ids_reserve - make room for `more` further ids. Errors: FLM_E_NOMEM. */
flm_status text_ids_reserve(flm_ids *ids, size_t more);

/* text_utf8_valid - how many bytes from the beginning are valid UTF-8. */
size_t text_utf8_valid(const char *text, size_t bytes);

/* text_utf8_next - the code point at p, where valid UTF-8 goes on; returns its bytes. */
static inline size_t text_utf8_next(const unsigned char *p, uint32_t *code)
{
    if (p[0] < 0x80) return *code = p[0], 1;
    if (p[0] < 0xe0) return *code = (p[0] & 0x1fu) << 6 | (p[1] & 0x3fu), 2;
    if (p[0] < 0xf0) return *code = (p[0] & 0xfu) << 12 | (p[1] & 0x3fu) << 6 | (p[2] & 0x3fu), 3;
    return *code = (p[0] & 7u) << 18 | (p[1] & 0x3fu) << 12 | (p[2] & 0x3fu) << 6 | (p[3] & 0x3fu), 4;
}

/* text_utf8_put - a code point to out [4]; returns its bytes. */
static inline size_t text_utf8_put(uint32_t code, unsigned char *out)
{
    size_t more = code < 0x80 ? 0 : code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    static const unsigned char lead[] = {0, 0xc0, 0xe0, 0xf0};

    out[0] = (unsigned char)(lead[more] | code >> 6 * more);
    for (size_t i = 1; i <= more; i++) out[i] = (unsigned char)(0x80 | (code >> 6 * (more - i) & 0x3f));
    return more + 1;
}

/* text_file_read - a whole file, malloc'd, a NUL after it. Errors: FLM_E_IO, FLM_E_FORMAT when it is larger than any
 * vocabulary (256 MiB), FLM_E_NOMEM. */
flm_status text_file_read(const char *path, char **data, size_t *bytes);

/* text_file_shipped - the same of a file that the suite ships, named below vocabularies/ and known by its sum: from
 * FLM_DATA_DIR where that is set, else from where it was installed, else from the source tree.
 * Errors: also FLM_E_CHECKSUM. */
flm_status text_file_shipped(const char *name, const char *sha256, char **data, size_t *bytes);

/* text_replace - in place, every `from` (from the left, not overlapping) becomes `to`, which is shorter. *bytes may
 * exclude a NUL; none is written. */
void text_replace(char *text, size_t *bytes, const char *from, const char *to);

/* text_clean_up - in place, text NUL-terminated, what the option of flm_tokenizer_set_clean_up does. */
void text_clean_up(char *text, size_t *bytes);

/* Special tokens, taken literally out of a text: the leftmost, of several there the longest. */
typedef struct text_special {
    char *text;
    size_t bytes;
    int32_t id;
} text_special;

typedef struct text_specials {
    text_special *list;
    size_t count;
    bool first[256]; /* the bytes that one of them begins with */
} text_specials;

/* text_specials_add - a copy of text [bytes > 0]. Errors: FLM_E_NOMEM. */
flm_status text_specials_add(text_specials *specials, const char *text, size_t bytes, int32_t id);
void text_specials_free(text_specials *specials);

/* text_specials_find - the first one in text; *at its place, `bytes` and NULL where there is none. */
const text_special *text_specials_find(const text_specials *specials, const char *text, size_t bytes, size_t *at);

#endif
