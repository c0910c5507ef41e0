/* text_vocabulary.h - private to the text module: a vocabulary: tokens by id, and ids by token.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_TEXT_VOCABULARY_H
#define FLM_TEXT_VOCABULARY_H

#include "base/base_table.h"
#include "text/text_internal.h"

/* Tokens are hashed by 64-bit FNV-1a, byte by byte, so that one pass over a word gives the hash of every prefix. */
static const uint64_t FLM_TOKEN_HASH_BEGIN = 0xcbf29ce484222325u;

static inline uint64_t flm_token_hash_add(uint64_t hash, unsigned char byte) { return (hash ^ byte) * 0x100000001b3u; }

/* Ids >= 0 of strings, which it borrows: a hash table of indices into the entries. */
typedef struct flm_token_entry {
    const char *text;
    uint32_t bytes;
    int32_t id;
} flm_token_entry;
typedef struct flm_token_map {
    flm_table by_hash;
    flm_token_entry *entries;
} flm_token_map;

/* flm_token_map_create - for at most max strings. Errors: FLM_E_NOMEM. */
flm_status flm_token_map_create(size_t max, flm_token_map *map);
void flm_token_map_free(flm_token_map *map);

/* flm_token_map_add - add a string of fewer than 2^32 bytes that is absent. Errors: FLM_E_NOMEM. */
flm_status flm_token_map_add(flm_token_map *map, const char *text, size_t bytes, int32_t id);

/* flm_token_map_find - the id of a string, -1 if it is absent. find_hash: the same, given the hash of the string. */
int32_t flm_token_map_find(const flm_token_map *map, const char *text, size_t bytes);
static inline int32_t flm_token_map_find_hash(const flm_token_map *map, uint64_t hash, const char *text, size_t bytes)
{
    for (flm_table_cursor c = {0}; flm_table_next(&map->by_hash, hash, &c);) {
        const flm_token_entry *entry = &map->entries[c.value];
        if (entry->bytes == bytes && memcmp(entry->text, text, bytes) == 0) return entry->id;
    }
    return -1;
}

/* A vocabulary of `count` tokens with the ids 0..count-1. Zero it, set path (borrowed, for messages), add, finish. */
typedef struct flm_text_vocabulary {
    const char *path;
    char **tokens; /* [count], malloc'd and NUL-terminated; a token may contain NUL */
    uint32_t *bytes;
    size_t count, capacity;
    flm_token_map by_text;
} flm_text_vocabulary;

/* flm_text_vocabulary_add - add one token; ids may come in any order. Errors: FLM_E_FORMAT for an id that is not in
 * 0..2^24-1 or is taken; FLM_E_NOMEM. */
flm_status flm_text_vocabulary_add(flm_text_vocabulary *v, int64_t id, const char *token, size_t bytes);

/* flm_text_vocabulary_finish - check that ids have no gaps and tokens no duplicates, and fill by_text.
 * Errors: FLM_E_FORMAT, FLM_E_NOMEM. */
flm_status flm_text_vocabulary_finish(flm_text_vocabulary *v);
void flm_text_vocabulary_free(flm_text_vocabulary *v);

/* flm_text_vocabulary_require - the id of a token that the tokeniser `name` needs. Errors: FLM_E_FORMAT. */
flm_status flm_text_vocabulary_require(const flm_text_vocabulary *v, const char *name, const char *token, int32_t *id);

#endif
