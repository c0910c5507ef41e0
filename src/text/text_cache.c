/* text_cache.c - the cache of words (text_cache.h). SPDX-License-Identifier: Apache-2.0 */
#include "text/text_cache.h"

#include <stdlib.h>

flm_status flm_text_cache_create(flm_text_cache *cache)
{
    flm_status rc = FLM_OK;

    cache->slots = calloc(FLM_TEXT_CACHE_SLOTS, sizeof *cache->slots);
    cache->store = malloc(FLM_TEXT_CACHE_NUMBERS * sizeof *cache->store);
    if (!cache->slots || !cache->store) FLM_FAIL(FLM_E_NOMEM, "no memory for the tokeniser's cache of words");
done:
    return rc;
}

void flm_text_cache_free(flm_text_cache *cache)
{
    free(cache->slots);
    free(cache->store);
    *cache = (flm_text_cache){0};
}

void flm_text_cache_add(flm_text_cache *cache, uint32_t hash, const char *word, size_t bytes, const int32_t *ids,
                        size_t count)
{
    size_t needed = 1 + count + (bytes + sizeof *ids - 1) / sizeof *ids;
    size_t at = hash & (FLM_TEXT_CACHE_SLOTS - 1);
    int32_t *entry;

    if (cache->entries == FLM_TEXT_CACHE_ENTRIES || FLM_TEXT_CACHE_NUMBERS - cache->used < needed) {
        memset(cache->slots, 0, FLM_TEXT_CACHE_SLOTS * sizeof *cache->slots);
        cache->used = cache->entries = 0;
    }
    entry = cache->store + cache->used;
    entry[0] = (int32_t)(bytes | count << 8);
    memcpy(entry + 1, ids, count * sizeof *ids);
    memcpy(entry + 1 + count, word, bytes);
    while (cache->slots[at].at) at = (at + 1) & (FLM_TEXT_CACHE_SLOTS - 1);
    cache->slots[at] = (flm_text_cache_slot){hash, (uint32_t)cache->used + 1};
    cache->used += needed;
    cache->entries++;
}
