/* text_vocabulary.c - see text_vocabulary.h: open addressing with linear probes, at most half full.
 * SPDX-License-Identifier: Apache-2.0 */
#include "text/text_vocabulary.h"

#include <stdlib.h>

enum { IDS_MAX = 1 << 24 };

flm_status text_words_create(size_t max, text_words *words)
{
    flm_status rc = FLM_OK;
    size_t slots = 16;

    while (slots < 2 * max) slots *= 2;
    words->slots = calloc(slots, sizeof *words->slots);
    if (!words->slots) FLM_FAIL(FLM_E_NOMEM, "no memory for a table of %zu tokens", max);
    words->mask = slots - 1;
done:
    return rc;
}

void text_words_free(text_words *words)
{
    free(words->slots);
    *words = (text_words){NULL, 0};
}

static uint64_t hash_of(const char *text, size_t bytes)
{
    uint64_t hash = TEXT_HASH_BEGIN;

    for (size_t i = 0; i < bytes; i++) hash = text_hash_add(hash, (unsigned char)text[i]);
    return hash;
}

bool text_words_add(text_words *words, const char *text, size_t bytes, int32_t id)
{
    uint64_t hash = hash_of(text, bytes);
    size_t at = (size_t)(hash ^ hash >> 29) & words->mask;

    if (text_words_find_hash(words, hash, text, bytes) >= 0) return false;
    while (words->slots[at].text) at = (at + 1) & words->mask;
    words->slots[at] = (text_word){hash, text, (uint32_t)bytes, id};
    return true;
}

int32_t text_words_find(const text_words *words, const char *text, size_t bytes)
{
    return text_words_find_hash(words, hash_of(text, bytes), text, bytes);
}

static flm_status vocabulary_grow(text_vocabulary *v, size_t min)
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

flm_status text_vocabulary_put(text_vocabulary *v, int64_t id, const char *token, size_t bytes)
{
    flm_status rc = FLM_OK;

    if (id < 0 || id >= IDS_MAX)
        FLM_FAIL(FLM_E_FORMAT, "%s: the id %lld of \"%.64s\" is not in 0..%d", v->path, (long long)id, token,
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

flm_status text_vocabulary_finish(text_vocabulary *v)
{
    flm_status rc = FLM_OK;

    if (v->count == 0) FLM_FAIL(FLM_E_FORMAT, "%s: a vocabulary without tokens", v->path);
    for (size_t id = 0; id < v->count; id++) /* first: then the table is no larger than the file asks for */
        if (!v->tokens[id])
            FLM_FAIL(FLM_E_FORMAT, "%s: no token has the id %zu, though there are larger ids", v->path, id);
    FLM_TRY(text_words_create(v->count, &v->by_text));
    for (size_t id = 0; id < v->count; id++)
        if (!text_words_add(&v->by_text, v->tokens[id], v->bytes[id], (int32_t)id))
            FLM_FAIL(FLM_E_FORMAT, "%s: the token \"%.64s\" stands there twice", v->path, v->tokens[id]);
done:
    return rc;
}

void text_vocabulary_free(text_vocabulary *v)
{
    for (size_t id = 0; id < v->count; id++) free(v->tokens[id]);
    free(v->tokens);
    free(v->bytes);
    text_words_free(&v->by_text);
    *v = (text_vocabulary){0};
}

flm_status text_vocabulary_id(const text_vocabulary *v, const char *kind, const char *token, int32_t *id)
{
    flm_status rc = FLM_OK;
    int32_t found = text_words_find(&v->by_text, token, strlen(token));

    if (found < 0) FLM_FAIL(FLM_E_FORMAT, "%s: not a vocabulary for %s: it lacks the token %s", v->path, kind, token);
    *id = found;
done:
    return rc;
}
