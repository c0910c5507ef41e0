/* text_gpt2.h - private to the text module: GPT-2's chunks and their merges. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_TEXT_GPT2_H
#define FLM_TEXT_GPT2_H

#include "base/base_table.h"
#include "text/text_unicode.h"

/* flm_text_gpt2_next_chunk - the end of the chunk that begins at offset at < bytes, in valid UTF-8. The table is made
 * by flm_unicode_gpt2_class. Chunks are the matches of the published pattern, which tests/unit/text/gpt2.c runs in
 * PCRE2 for comparison:
 * 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+ */
size_t flm_text_gpt2_next_chunk(flm_unicode_table *table, const char *text, size_t bytes, size_t at);

/* Byte-pair encoding: merges of pairs of ids by rank. Zero it first. */
typedef struct flm_bpe {
    int32_t byte_ids[256]; /* the id of each byte's own token; set by the caller */
    flm_table ranks_of;    /* ranks of the pairs that have a merge */
    int32_t *made;         /* [rank]: the id that the merge makes */
    size_t ranks;
    struct flm_bpe_symbol *symbols; /* scratch for one word of at most `capacity` bytes: symbols, heap, ids */
    uint64_t *heap;
    int32_t *ids;
    size_t capacity;
} flm_bpe;

/* flm_bpe_create - for at most max merges. Errors: FLM_E_NOMEM. */
flm_status flm_bpe_create(size_t max, flm_bpe *bpe);
void flm_bpe_free(flm_bpe *bpe);

/* flm_bpe_add_merge - add the merge of the next rank. A pair that is added again takes the later rank. Errors:
 * FLM_E_NOMEM. */
flm_status flm_bpe_add_merge(flm_bpe *bpe, int32_t left, int32_t right, int32_t made);

/* flm_bpe_encode_word - the ids of a word, valid until the next call. 0 < bytes < 2^31; time O(bytes log bytes).
 * Errors: FLM_E_NOMEM. */
flm_status flm_bpe_encode_word(flm_bpe *bpe, const char *word, size_t bytes, const int32_t **ids, size_t *count);

#endif
