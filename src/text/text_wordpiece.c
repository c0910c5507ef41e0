/* text_wordpiece.c - word pieces by longest match (text_wordpiece.h). For each piece the hashes of all prefixes are
 * computed once, and the longest prefix in the table is taken. SPDX-License-Identifier: Apache-2.0 */
#include "text/text_wordpiece.h"

flm_status flm_wordpiece_create(const flm_text_vocabulary *v, flm_wordpiece *pieces)
{
    flm_status rc = FLM_OK;

    FLM_TRY(flm_token_map_create(v->count, &pieces->first));
    FLM_TRY(flm_token_map_create(v->count, &pieces->more));
    FLM_TRY(flm_text_vocabulary_require(v, "bert-base-uncased", "[UNK]", &pieces->unknown));
    for (size_t id = 0; id < v->count; id++) {
        const char *token = v->tokens[id];
        size_t bytes = v->bytes[id];
        /* no word of a text begins with ##, as # is punctuation and so a word by itself */
        if (bytes > 2 && token[0] == '#' && token[1] == '#')
            FLM_TRY(flm_token_map_add(&pieces->more, token + 2, bytes - 2, (int32_t)id));
        else if (bytes > 0)
            FLM_TRY(flm_token_map_add(&pieces->first, token, bytes, (int32_t)id));
        if (bytes > pieces->longest) pieces->longest = bytes;
    }
done:
    return rc;
}

void flm_wordpiece_free(flm_wordpiece *pieces)
{
    flm_token_map_free(&pieces->first);
    flm_token_map_free(&pieces->more);
}

/* The length in bytes of the longest piece at the beginning of word; 0 if there is none. */
static size_t longest(const flm_token_map *map, size_t max, const char *word, size_t bytes, int32_t *id)
{
    uint64_t hashes[FLM_WORDPIECE_CHARS_MAX], hash = FLM_TOKEN_HASH_BEGIN;
    size_t ends[FLM_WORDPIECE_CHARS_MAX], n = 0;

    for (size_t at = 0; at < bytes && at < max && n < FLM_WORDPIECE_CHARS_MAX;) {
        do hash = flm_token_hash_add(hash, (unsigned char)word[at++]);
        while (at < bytes && ((unsigned char)word[at] & 0xc0) == 0x80);
        hashes[n] = hash;
        ends[n++] = at;
    }
    while (n-- > 0) {
        *id = flm_token_map_find_hash(map, hashes[n], word, ends[n]);
        if (*id >= 0) return ends[n];
    }
    return 0;
}

flm_status flm_wordpiece_encode_word(const flm_wordpiece *pieces, const char *word, size_t bytes, size_t chars,
                                     flm_ids *ids)
{
    flm_status rc = FLM_OK;
    size_t begin = ids->count;

    FLM_TRY(flm_ids_reserve(ids, FLM_WORDPIECE_CHARS_MAX));
    if (chars > FLM_WORDPIECE_CHARS_MAX) bytes = 0;
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
