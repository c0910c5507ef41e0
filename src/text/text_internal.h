/* text_internal.h - private to the text module: the interface that a tokeniser implements, and what several of them
 * use: vocabulary files, lines, edits of text, special tokens. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_TEXT_INTERNAL_H
#define FLM_TEXT_INTERNAL_H

#include "text/text_tokenizer.h"
#include "text/text_utf8.h"

#include <stdbool.h>
#include <string.h>

/* Paths of the vocabulary files; NULL: the shipped ones. */
typedef struct flm_tokenizer_files {
    const char *vocab, *merges;
} flm_tokenizer_files;

/* What create learns from the vocabulary. */
typedef struct flm_tokenizer_info {
    char sha256[65];
    int64_t V, begin_id, end_id;
} flm_tokenizer_info;

/* One tokeniser: a row of the table in text_tokenizer.c. `state` is what create returned, NULL if it needs none. */
typedef struct flm_tokenizer_ops {
    const char *name;
    bool takes_vocab, takes_merges; /* whether it accepts files of these kinds */
    bool clean_up;                  /* the default of flm_tokenizer_set_clean_up */

    /* create - read and check the vocabulary, fill info. */
    flm_status (*create)(const flm_tokenizer_files *files, void **state, flm_tokenizer_info *info);
    void (*destroy)(void *state);

    /* encode - append the ids of valid UTF-8. */
    flm_status (*encode)(void *state, const char *text, size_t bytes, flm_ids *ids);

    /* decode - ids [count], all in 0..V-1, to bytes that need not be valid UTF-8; *text malloc'd, NUL-terminated. */
    flm_status (*decode)(void *state, const int32_t *ids, size_t count, char **text, size_t *bytes);
} flm_tokenizer_ops;

extern const flm_tokenizer_ops flm_tokenizer_bytes, flm_tokenizer_gpt2, flm_tokenizer_bert;

/* flm_ids_reserve - make space for `more` further ids. Errors: FLM_E_NOMEM. */
flm_status flm_ids_reserve(flm_ids *ids, size_t more);

/* flm_ids_push - append a few ids. Errors: FLM_E_NOMEM. */
static inline flm_status flm_ids_push(flm_ids *ids, const int32_t *more, size_t count)
{
    flm_status rc = FLM_OK;

    if (ids->capacity - ids->count < count) FLM_TRY(flm_ids_reserve(ids, count));
    for (size_t i = 0; i < count; i++) ids->ids[ids->count + i] = more[i];
    ids->count += count;
done:
    return rc;
}

/* ---- text_files.c ---- */

/* A file that the suite ships, named relative to vocabularies/. */
typedef struct flm_text_shipped {
    const char *name, *sha256;
} flm_text_shipped;

/* flm_text_read_vocabulary - read the whole file at path or, where path is NULL, the shipped file: from FLM_DATA_DIR if
 * that is set, else from beside the program, else from where it was installed, else from the source tree. *data is
 * malloc'd, with a NUL after it. Errors: FLM_E_IO; FLM_E_FORMAT above 256 MiB; FLM_E_CHECKSUM for a shipped file that
 * was changed; FLM_E_NOMEM. */
flm_status flm_text_read_vocabulary(const char *path, const flm_text_shipped *shipped, char **data, size_t *bytes);

/* flm_text_check_utf8 - Errors: FLM_E_FORMAT, naming the file at path, for text that is not UTF-8. */
flm_status flm_text_check_utf8(const char *path, const char *text, size_t bytes);

/* flm_text_next_line - the line at *p < end, without its LF or CR LF; *p moves behind it. Returns the line. */
const char *flm_text_next_line(const char **p, const char *end, size_t *length);

/* ---- text_special.c ---- */

/* flm_text_replace - in place, from the left, replace every `from` by `to`, which is shorter. *bytes may exclude a NUL;
 * none is written. */
void flm_text_replace(char *text, size_t *bytes, const char *from, const char *to);

/* flm_text_clean_up - in place, on a NUL-terminated text, what flm_tokenizer_set_clean_up describes. */
void flm_text_clean_up(char *text, size_t *bytes);

/* Special tokens, which are recognised literally in a text: the leftmost, and of several at one offset the longest. */
typedef struct flm_special_token {
    char *text;
    size_t bytes;
    int32_t id;
} flm_special_token;

typedef struct flm_special_tokens {
    flm_special_token *list;
    size_t count;
    bool first[256]; /* the bytes that begin one of them */
} flm_special_tokens;

/* flm_special_tokens_add - add a copy of text [bytes > 0]. Errors: FLM_E_NOMEM. */
flm_status flm_special_tokens_add(flm_special_tokens *specials, const char *text, size_t bytes, int32_t id);
void flm_special_tokens_free(flm_special_tokens *specials);

/* flm_special_tokens_encode - append the ids of a text: of special tokens their own, of the text between them those
 * that plain(state, ...) appends. Errors: FLM_E_NOMEM; those of plain. */
flm_status flm_special_tokens_encode(const flm_special_tokens *specials,
                                     flm_status (*plain)(void *state, const char *text, size_t bytes, flm_ids *ids),
                                     void *state, const char *text, size_t bytes, flm_ids *ids);

#endif
