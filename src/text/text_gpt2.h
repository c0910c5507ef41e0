/* text_gpt2.h - private to the text room: GPT-2's pieces and their merges. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_TEXT_GPT2_H
#define FLM_TEXT_GPT2_H

#include "text/text_unicode.h"

/* text_gpt2_piece - where the piece that begins at `at` < bytes ends, in valid UTF-8. chars is of text_unicode_gpt2.
 * The same as the published pattern, which tests/unit/text/gpt2.c runs in PCRE2 beside it:
 * 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+ */
size_t text_gpt2_piece(text_chars *chars, const char *text, size_t bytes, size_t at);

/* Merges of pairs of ids by rank. Zero it first. */
typedef struct text_bpe {
    int32_t byte_ids[256];  /* the tokens that words begin as */
    struct bpe_pair *pairs; /* a hash table; a pair of 0, 0 with rank -1 is free */
    size_t mask;
    int32_t *made; /* [rank]: the id that the merge makes */
    size_t ranks, max_ranks;
    struct bpe_symbol *symbols; /* scratch of one word */
    uint64_t *heap;
    int32_t *ids;
    size_t room;
} text_bpe;

/* text_bpe_create - room for `most` merges. Errors: FLM_E_NOMEM. */
flm_status text_bpe_create(size_t max, text_bpe *bpe);
void text_bpe_free(text_bpe *bpe);

/* text_bpe_add - the next merge, of which there are at most `most`; the same pair again takes the later rank. */
void text_bpe_add(text_bpe *bpe, int32_t left, int32_t right, int32_t made);

/* text_bpe_word - the ids of a word, valid until the next call. 0 < bytes < 2^31. Time bytes log bytes.
 * Errors: FLM_E_NOMEM. */
flm_status text_bpe_word(text_bpe *bpe, const char *word, size_t bytes, const int32_t **ids, size_t *count);

#endif
