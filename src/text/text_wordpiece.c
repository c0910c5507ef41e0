/* text_wordpiece.c - see text_wordpiece.h. The hash of every prefix is made once a piece; the longest that is in the
 * table wins. SPDX-License-Identifier: Apache-2.0 */
#include "text/text_wordpiece.h"

flm_status text_wordpiece_create(const text_vocabulary *v, text_wordpiece *pieces)
{
    flm_status rc = FLM_OK;

    FLM_TRY(text_words_create(v->count, &pieces->first));
    FLM_TRY(text_words_create(v->count, &pieces->more));
    FLM_TRY(text_vocabulary_id(v, "bert-base-uncased", "[UNK]", &pieces->unknown));
    for (size_t id = 0; id < v->count; id++) {
        const char *token = v->tokens[id];
        size_t bytes = v->bytes[id];
        /* a word of a text is never "##...": # is a word by itself */
        if (bytes > 2 && token[0] == '#' && token[1] == '#')
            text_words_add(&pieces->more, token + 2, bytes - 2, (int32_t)id);
        else if (bytes > 0)
            text_words_add(&pieces->first, token, bytes, (int32_t)id);
        if (bytes > pieces->longest) pieces->longest = bytes;
    }
done:
    return rc;
}

void text_wordpiece_free(text_wordpiece *pieces)
{
    text_words_free(&pieces->first);
    text_words_free(&pieces->more);
}

/* The longest piece at the beginning of word; its bytes, 0: there is none. */
static size_t longest(const text_words *words, size_t max, const char *word, size_t bytes, int32_t *id)
{
    uint64_t hashes[TEXT_WORD_CHARS_MAX], hash = TEXT_HASH_BEGIN;
    size_t ends[TEXT_WORD_CHARS_MAX], n = 0;

    for (size_t at = 0; at < bytes && at < max && n < TEXT_WORD_CHARS_MAX;) {
        do hash = text_hash_add(hash, (unsigned char)word[at++]);
        while (at < bytes && ((unsigned char)word[at] & 0xc0) == 0x80);
        hashes[n] = hash;
        ends[n++] = at;
    }
    while (n-- > 0) {
        *id = text_words_find_hash(words, hashes[n], word, ends[n]);
        if (*id >= 0) return ends[n];
    }
    return 0;
}

flm_status text_wordpiece_word(const text_wordpiece *pieces, const char *word, size_t bytes, size_t chars, flm_ids *ids)
{
    flm_status rc = FLM_OK;
    size_t begin = ids->count;

    FLM_TRY(text_ids_reserve(ids, TEXT_WORD_CHARS_MAX));
    if (chars > TEXT_WORD_CHARS_MAX) bytes = 0;
    for (size_t at = 0, n; at < bytes; at += n) {
        n = longest(at ? &pieces->more : &pieces->first, pieces->longest, word + at, bytes - at, &ids->ids[ids->count]);
        if (n == 0) {
            ids->count = begin;
            break;
        }
        ids->count++;
    }
    if (ids->count == begin) ids->ids[ids->count++] = pieces->unknown;
done:
    return rc;
}
