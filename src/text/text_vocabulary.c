/* text_vocabulary.c - see text_vocabulary.h. SPDX-License-Identifier: Apache-2.0 */
#include "text/text_vocabulary.h"

#include <stdlib.h>

enum { IDS_MAX = 1 << 24 };

flm_status flm_token_map_create(size_t max, flm_token_map *map)
{
    flm_status rc = FLM_OK;

    map->entries = calloc(max + 1, sizeof *map->entries);
    if (!map->entries) FLM_FAIL(FLM_E_NOMEM, "no memory for %zu tokens", max);
    FLM_TRY(flm_table_reserve(&map->by_hash, max));
done:
    return rc;
}

void flm_token_map_free(flm_token_map *map)
{
    flm_table_free(&map->by_hash);
    free(map->entries);
    map->entries = NULL;
}

static uint64_t hash_of(const char *text, size_t bytes)
{
    uint64_t hash = FLM_TOKEN_HASH_BEGIN;

    for (size_t i = 0; i < bytes; i++) hash = flm_token_hash_add(hash, (unsigned char)text[i]);
    return hash;
}

flm_status flm_token_map_add(flm_token_map *map, const char *text, size_t bytes, int32_t id)
{
    const size_t index = map->by_hash.count;

    map->entries[index] = (flm_token_entry){text, (uint32_t)bytes, id};
    return flm_table_add(&map->by_hash, hash_of(text, bytes), (int32_t)index);
}

int32_t flm_token_map_find(const flm_token_map *map, const char *text, size_t bytes)
{
    return flm_token_map_find_hash(map, hash_of(text, bytes), text, bytes);
}

static flm_status vocabulary_grow(flm_text_vocabulary *v, size_t min)
{
    flm_status rc = FLM_OK;
    size_t capacity = v->capacity ? v->capacity : 1024;
    char **tokens;
    uint32_t *bytes;

    while (capacity < min) capacity *= 2;
    if (capacity == v->capacity) goto done;
    tokens = realloc(v->tokens, capacity * sizeof *tokens);
    if (!tokens) FLM_FAIL(FLM_E_NOMEM, "%s: no memory for %zu tokens", v->path, capacity);
    v->tokens = tokens;
    bytes = realloc(v->bytes, capacity * sizeof *bytes);
    if (!bytes) FLM_FAIL(FLM_E_NOMEM, "%s: no memory for %zu tokens", v->path, capacity);
    v->bytes = bytes;
    memset(tokens + v->capacity, 0, (capacity - v->capacity) * sizeof *tokens);
    v->capacity = capacity;
done:
    return rc;
}

flm_status flm_text_vocabulary_add(flm_text_vocabulary *v, int64_t id, const char *token, size_t bytes)
{
    flm_status rc = FLM_OK;

    if (id < 0 || id >= IDS_MAX)
        FLM_FAIL(FLM_E_FORMAT, "%s: the id %lld of \"%.64s\" is out of range 0..%d", v->path, (long long)id, token,
                 IDS_MAX - 1);
    FLM_TRY(vocabulary_grow(v, (size_t)id + 1));
    if (v->tokens[id]) FLM_FAIL(FLM_E_FORMAT, "%s: two tokens have the id %lld", v->path, (long long)id);
    v->tokens[id] = malloc(bytes + 1);
    if (!v->tokens[id]) FLM_FAIL(FLM_E_NOMEM, "%s: no memory for its tokens", v->path);
    memcpy(v->tokens[id], token, bytes);
    v->tokens[id][bytes] = '\0';
    v->bytes[id] = (uint32_t)bytes;
    if ((size_t)id >= v->count) v->count = (size_t)id + 1;
done:
    return rc;
}

flm_status flm_text_vocabulary_finish(flm_text_vocabulary *v)
{
    flm_status rc = FLM_OK;

    if (v->count == 0) FLM_FAIL(FLM_E_FORMAT, "%s: the vocabulary has no tokens", v->path);
    for (size_t id = 0; id < v->count; id++) /* first, so that one huge id cannot make the table huge */
        if (!v->tokens[id])
            FLM_FAIL(FLM_E_FORMAT, "%s: no token has the id %zu, but some have larger ids", v->path, id);
    FLM_TRY(flm_token_map_create(v->count, &v->by_text));
    for (size_t id = 0; id < v->count; id++) {
        if (flm_token_map_find(&v->by_text, v->tokens[id], v->bytes[id]) >= 0)
            FLM_FAIL(FLM_E_FORMAT, "%s: the token \"%.64s\" occurs twice", v->path, v->tokens[id]);
        FLM_TRY(flm_token_map_add(&v->by_text, v->tokens[id], v->bytes[id], (int32_t)id));
    }
done:
    return rc;
}

void flm_text_vocabulary_free(flm_text_vocabulary *v)
{
    for (size_t id = 0; id < v->count; id++) free(v->tokens[id]);
    free(v->tokens);
    free(v->bytes);
    flm_token_map_free(&v->by_text);
    *v = (flm_text_vocabulary){0};
}

flm_status flm_text_vocabulary_require(const flm_text_vocabulary *v, const char *name, const char *token, int32_t *id)
{
    flm_status rc = FLM_OK;
    int32_t found = flm_token_map_find(&v->by_text, token, strlen(token));

    if (found < 0) FLM_FAIL(FLM_E_FORMAT, "%s: not a vocabulary for %s: the token %s is missing", v->path, name, token);
    *id = found;
done:
    return rc;
}
