/* text_vocabulary.h - private to the text room: tokens by id and ids by token, and Hugging Face's tokenizer.json.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_TEXT_VOCABULARY_H
#define FLM_TEXT_VOCABULARY_H

#include "text/text_internal.h"

#include <jansson.h>

/* Hashing of tokens: FNV-1a of 64 bits, so that the sum of every prefix is at hand on the way. */
static const uint64_t TEXT_HASH_BEGIN = 0xcbf29ce484222325u;

static inline uint64_t text_hash_add(uint64_t hash, unsigned char byte) { return (hash ^ byte) * 0x100000001b3u; }

/* text_words - strings to numbers >= 0. The strings belong to others. */
typedef struct text_word {
    uint64_t hash;
    const char *text;
    uint32_t bytes;
    int32_t id;
} text_word;
typedef struct text_words {
    text_word *slots;
    size_t mask;
} text_words;

/* text_words_create - for at most `most` strings. Errors: FLM_E_NOMEM. */
flm_status text_words_create(size_t max, text_words *words);
void text_words_free(text_words *words);

/* text_words_add - returns false, and changes nothing, when the string is there. bytes < 2^32. */
bool text_words_add(text_words *words, const char *text, size_t bytes, int32_t id);

/* text_words_find - the number, -1: not there. The second form takes the hash of the string. */
int32_t text_words_find(const text_words *words, const char *text, size_t bytes);
static inline int32_t text_words_find_hash(const text_words *words, uint64_t hash, const char *text, size_t bytes)
{
    size_t at = (size_t)(hash ^ hash >> 29) & words->mask;

    for (; words->slots[at].text; at = (at + 1) & words->mask) {
        const text_word *w = &words->slots[at];
        if (w->hash == hash && w->bytes == bytes && memcmp(w->text, text, bytes) == 0) return w->id;
    }
    return -1;
}

/* A vocabulary: `count` tokens, ids 0..count-1. Its file is named in every refusal. */
typedef struct text_vocabulary {
    const char *path;
    char **tokens; /* malloc'd, NUL-terminated, may hold NUL */
    uint32_t *bytes;
    size_t count, capacity;
    text_words by_text;
} text_vocabulary;

/* text_vocabulary_put - one token; ids come in any order. Errors: FLM_E_FORMAT for an id out of 0..2^24 or taken,
 * FLM_E_NOMEM. */
flm_status text_vocabulary_put(text_vocabulary *v, int64_t id, const char *token, size_t bytes);

/* text_vocabulary_finish - no gaps, no token twice; from here on by_text works. Errors: FLM_E_FORMAT, FLM_E_NOMEM. */
flm_status text_vocabulary_finish(text_vocabulary *v);
void text_vocabulary_free(text_vocabulary *v);

/* text_vocabulary_id - the token's id. Errors: FLM_E_FORMAT, naming the kind that needs the token. */
flm_status text_vocabulary_id(const text_vocabulary *v, const char *kind, const char *token, int32_t *id);

/* text_json_load - the object that a file holds; json_decref. Errors: FLM_E_FORMAT with the place. */
flm_status text_json_load(const char *path, const char *data, size_t bytes, json_t **root);

/* text_json_vocabulary - put every pair of an object {"token": id}. Errors: FLM_E_FORMAT, FLM_E_NOMEM. */
flm_status text_json_vocabulary(const json_t *object, text_vocabulary *v);

/* text_json_model - tokenizer.json's model of the kind "BPE" or "WordPiece": its tokens and the added ones to v, which
 * is finished, the added ones also to specials; *model is borrowed from root. Errors: FLM_E_FORMAT,
 * FLM_E_UNSUPPORTED for added tokens that strip or want whole words and for settings that are not GPT-2's or BERT's. */
flm_status text_json_model(const json_t *root, const char *kind, text_vocabulary *v, text_specials *specials,
                           const json_t **model);

#endif
