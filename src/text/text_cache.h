/* text_cache.h - private to the text module: a cache from words to their ids. Its size is bounded: when it is full it
 * is emptied, after which each frequent word is encoded once more. It is a hash table of its own, not base_table.h: a
 * slot takes 8 bytes instead of 16, and the word that it is compared with lies beside its ids, so that a word that is
 * known costs two cache misses. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_TEXT_CACHE_H
#define FLM_TEXT_CACHE_H

#include "text/text_internal.h"

enum {
    FLM_TEXT_CACHE_KEY_MAX = 48,       /* bytes; longer words rarely repeat */
    FLM_TEXT_CACHE_SLOTS = 1 << 18,    /* 2 MiB */
    FLM_TEXT_CACHE_NUMBERS = 4 << 20,  /* 16 MiB */
    FLM_TEXT_CACHE_ENTRIES = 160 << 10 /* filled slots at most, so that probe sequences stay short */
};

/* An entry lies at store[slot.at - 1]: (bytes of the word | count << 8), the ids, the word. at = 0: a free slot. */
typedef struct flm_text_cache_slot {
    uint32_t hash, at;
} flm_text_cache_slot;
typedef struct flm_text_cache {
    flm_text_cache_slot *slots;
    int32_t *store;
    size_t used, entries;
} flm_text_cache;

/* flm_text_cache_create - Errors: FLM_E_NOMEM. */
flm_status flm_text_cache_create(flm_text_cache *cache);
void flm_text_cache_free(flm_text_cache *cache);

/* flm_text_cache_hash - the hash of a word of 1 to FLM_TEXT_CACHE_KEY_MAX bytes. */
static inline uint32_t flm_text_cache_hash(const char *word, size_t bytes)
{
    uint64_t hash = bytes * 0x9e3779b97f4a7c15u, part;

    for (; bytes >= 8; word += 8, bytes -= 8) {
        memcpy(&part, word, 8);
        hash = (hash ^ part) * 0xff51afd7ed558ccdu;
        hash ^= hash >> 32;
    }
    part = 0;
    for (size_t i = 0; i < bytes; i++) part = part << 8 | (unsigned char)word[i];
    hash = (hash ^ part) * 0xc4ceb9fe1a85ec53u;
    return (uint32_t)(hash >> 32) ^ (uint32_t)hash;
}

/* flm_text_cache_find - the ids of a word, NULL if it is absent. Valid until the next add. */
static inline const int32_t *flm_text_cache_find(const flm_text_cache *cache, uint32_t hash, const char *word,
                                                 size_t bytes, size_t *count)
{
    for (size_t i = hash & (FLM_TEXT_CACHE_SLOTS - 1); cache->slots[i].at; i = (i + 1) & (FLM_TEXT_CACHE_SLOTS - 1)) {
        const int32_t *entry = cache->store + cache->slots[i].at - 1;
        if (cache->slots[i].hash != hash || ((uint32_t)entry[0] & 0xff) != bytes) continue;
        *count = (uint32_t)entry[0] >> 8;
        if (memcmp(entry + 1 + *count, word, bytes) == 0) return entry + 1;
    }
    return NULL;
}

/* flm_text_cache_add - add a word that is absent; count < 2^16. */
void flm_text_cache_add(flm_text_cache *cache, uint32_t hash, const char *word, size_t bytes, const int32_t *ids,
                        size_t count);

/* The ids of a word [bytes > 0], valid until the next call. */
typedef flm_status flm_text_encode_word(void *state, const char *word, size_t bytes, const int32_t **ids,
                                        size_t *count);

/* flm_text_cache_encode - append the ids of a word: from the cache, else by encode_word. Errors: FLM_E_NOMEM; those of
 * encode_word. */
static inline flm_status flm_text_cache_encode(flm_text_cache *cache, flm_text_encode_word *encode_word, void *state,
                                               const char *word, size_t bytes, flm_ids *ids)
{
    flm_status rc = FLM_OK;
    const bool cached = bytes <= FLM_TEXT_CACHE_KEY_MAX;
    const uint32_t hash = cached ? flm_text_cache_hash(word, bytes) : 0;
    size_t count = 0;
    const int32_t *known = cached ? flm_text_cache_find(cache, hash, word, bytes, &count) : NULL;

    if (!known) {
        FLM_TRY(encode_word(state, word, bytes, &known, &count));
        if (cached) flm_text_cache_add(cache, hash, word, bytes, known, count);
    }
    FLM_TRY(flm_ids_push(ids, known, count));
done:
    return rc;
}

#endif
