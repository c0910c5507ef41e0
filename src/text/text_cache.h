/* text_cache.h - private to the text room: the ids of words met before. Bounded: when it is full it is emptied, which
 * costs the frequent words one new computation each. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_TEXT_CACHE_H
#define FLM_TEXT_CACHE_H

#include "text/text_internal.h"

enum {
    TEXT_CACHE_KEY_MAX = 48,       /* longer words hardly come again */
    TEXT_CACHE_SLOTS = 1 << 18,    /* 2 MiB */
    TEXT_CACHE_NUMBERS = 4 << 20,  /* 16 MiB */
    TEXT_CACHE_ENTRIES = 160 << 10 /* of the slots: probes stay short */
};

/* An entry lies at store[slot.at - 1]: bytes of the word | count << 8, the ids, the word. */
typedef struct text_cache_slot {
    uint32_t hash, at;
} text_cache_slot;
typedef struct text_cache {
    text_cache_slot *slots;
    int32_t *store;
    size_t used, entries;
} text_cache;

/* text_cache_create - Errors: FLM_E_NOMEM. */
flm_status text_cache_create(text_cache *cache);
void text_cache_free(text_cache *cache);

/* text_cache_hash - of a word of at most TEXT_CACHE_KEY_MAX bytes, 1 at least. */
static inline uint32_t text_cache_hash(const char *word, size_t bytes)
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

/* text_cache_find - the ids of a word, NULL: not there. Valid until the next add. */
static inline const int32_t *text_cache_find(const text_cache *cache, uint32_t hash, const char *word, size_t bytes,
                                             size_t *count)
{
    for (size_t i = hash & (TEXT_CACHE_SLOTS - 1); cache->slots[i].at; i = (i + 1) & (TEXT_CACHE_SLOTS - 1)) {
        const int32_t *entry = cache->store + cache->slots[i].at - 1;
        if (cache->slots[i].hash != hash || ((uint32_t)entry[0] & 0xff) != bytes) continue;
        *count = (uint32_t)entry[0] >> 8;
        if (memcmp(entry + 1 + *count, word, bytes) == 0) return entry + 1;
    }
    return NULL;
}

/* text_cache_add - a word that is not there; count < 2^16. */
void text_cache_add(text_cache *cache, uint32_t hash, const char *word, size_t bytes, const int32_t *ids, size_t count);

/* text_ids_push - append a few ids. Errors: FLM_E_NOMEM. */
static inline flm_status text_ids_push(flm_ids *ids, const int32_t *more, size_t count)
{
    flm_status rc = FLM_OK;

    if (ids->capacity - ids->count < count) FLM_TRY(text_ids_reserve(ids, count));
    for (size_t i = 0; i < count; i++) ids->ids[ids->count + i] = more[i];
    ids->count += count;
done:
    return rc;
}

#endif
