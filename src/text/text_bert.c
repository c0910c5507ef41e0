/* text_bert.c - BERT's uncased WordPiece, with the ids of BertTokenizer, the slow class. That class takes the whole
 * text through one step after the other: lower case, control characters removed, spaces around ideographs, NFC, words,
 * NFD, accents removed, punctuation. Here every step is done for one code point at a time, which gives the same: NFD
 * after NFC is NFD, and no step looks across a space, an ideograph or ASCII punctuation. Source: data.md section 2;
 * transformers 4.49.0, models/bert/tokenization_bert.py. SPDX-License-Identifier: Apache-2.0
 */
#include "base/base_sha256.h"
#include "text/text_cache.h"
#include "text/text_json.h"
#include "text/text_unicode.h"
#include "text/text_wordpiece.h"

#include <stdlib.h>

static const flm_text_shipped vocab_shipped = {"bert-base-uncased/vocab.txt",
                                               "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3"};
static const char *const specials[] = {"[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]"};

/* What a byte is. A chunk is a run of letters, digits, non-ASCII bytes and control characters, which are dropped from
 * words later; it is the unit of the cache. */
enum { BYTE_CHUNK, BYTE_SPACE, BYTE_PUNCTUATION };

typedef struct bert {
    flm_text_vocabulary vocabulary;
    flm_special_tokens specials;
    flm_unicode_table unicode;
    flm_wordpiece pieces;
    flm_text_cache cache;
    unsigned char byte_kind[256];
    int32_t punctuation[128]; /* ids of ASCII punctuation */
    flm_ids chunk;            /* ids of the chunk being encoded */

    /* The current word. Of code points beyond the limit only the number is kept. */
    char word[FLM_WORDPIECE_BYTES_MAX];
    size_t bytes, length;

    /* Pending marks of a combining class other than 0, which NFD reorders: parts as of flm_unicode_decompose. */
    uint32_t *marks, *sorted;
    size_t marks_count, marks_capacity;
} bert;

static flm_status end_word(bert *t)
{
    flm_status rc = FLM_OK;

    if (t->length > 0) FLM_TRY(flm_wordpiece_encode_word(&t->pieces, t->word, t->bytes, t->length, &t->chunk));
    t->bytes = t->length = 0;
done:
    return rc;
}

static inline void add_to_word(bert *t, uint32_t code)
{
    if (t->length++ < FLM_WORDPIECE_CHARS_MAX) t->bytes += flm_utf8_put(code, (unsigned char *)t->word + t->bytes);
}

/* A code point that is a word by itself. */
static flm_status add_single(bert *t, uint32_t code)
{
    flm_status rc = FLM_OK;

    FLM_TRY(end_word(t));
    add_to_word(t, code);
    FLM_TRY(end_word(t));
done:
    return rc;
}

/* Add the pending marks in the order of NFD: by combining class, stable. Removed accents are not among them, which does
 * not change the order of the others. */
static void flush_marks(bert *t)
{
    size_t begin[257] = {0};

    if (t->marks_count == 0) return;
    for (size_t i = 0; i < t->marks_count; i++) begin[(t->marks[i] & 0xff) + 1]++;
    for (size_t i = 1; i < 257; i++) begin[i] += begin[i - 1];
    for (size_t i = 0; i < t->marks_count; i++) t->sorted[begin[t->marks[i] & 0xff]++] = t->marks[i];
    for (size_t i = 0; i < t->marks_count; i++) add_to_word(t, t->sorted[i] >> 11);
    t->marks_count = 0;
}

static flm_status add_mark(bert *t, uint32_t part)
{
    flm_status rc = FLM_OK;

    if (t->marks_count == t->marks_capacity) {
        size_t capacity = t->marks_capacity ? 2 * t->marks_capacity : 64;
        uint32_t *marks = realloc(t->marks, capacity * sizeof *marks), *sorted;
        if (!marks) FLM_FAIL(FLM_E_NOMEM, "no memory for %zu combining marks", capacity);
        t->marks = marks;
        sorted = realloc(t->sorted, capacity * sizeof *sorted);
        if (!sorted) FLM_FAIL(FLM_E_NOMEM, "no memory for %zu combining marks", capacity);
        t->sorted = sorted;
        t->marks_capacity = capacity;
    }
    t->marks[t->marks_count++] = part;
done:
    return rc;
}

/* A code point that decomposes into several or takes part in reordering. */
static flm_status add_decomposed(bert *t, uint32_t code)
{
    flm_status rc = FLM_OK;
    uint32_t parts[8];
    size_t n = flm_unicode_decompose(code, parts);

    for (size_t i = 0; i < n; i++) {
        uint32_t kind = parts[i] >> 8 & 7;
        if (kind == FLM_BERT_MARK) continue;
        if ((parts[i] & 0xff) != 0) {
            FLM_TRY(add_mark(t, parts[i]));
            continue;
        }
        flush_marks(t);
        if (kind == FLM_BERT_PUNCTUATION)
            FLM_TRY(add_single(t, parts[i] >> 11));
        else if (kind == FLM_BERT_WORD)
            add_to_word(t, parts[i] >> 11);
    }
done:
    return rc;
}

/* The ids of a chunk; see flm_text_encode_word. */
static flm_status encode_chunk(void *state, const char *chunk, size_t bytes, const int32_t **ids, size_t *count)
{
    flm_status rc = FLM_OK;
    bert *t = state;
    const unsigned char *text = (const unsigned char *)chunk;

    t->chunk.count = t->bytes = t->length = t->marks_count = 0;
    for (size_t at = 0; at < bytes;) {
        uint32_t code, what, kind;
        at += flm_utf8_next(text + at, &code);
        what = flm_unicode_table_get(&t->unicode, code);
        kind = what & 7;
        if (kind == FLM_BERT_DROPPED || kind == FLM_BERT_MARK) continue;
        if (kind != FLM_BERT_SEVERAL) flush_marks(t);
        switch (kind) {
        case FLM_BERT_WORD: add_to_word(t, what >> 3); break;
        case FLM_BERT_SEVERAL: FLM_TRY(add_decomposed(t, code)); break;
        case FLM_BERT_PUNCTUATION:
        case FLM_BERT_IDEOGRAPH: FLM_TRY(add_single(t, what >> 3)); break;
        case FLM_BERT_SPACE: FLM_TRY(end_word(t)); break;
        default: break; /* FLM_BERT_MARK_BASE */
        }
    }
    flush_marks(t);
    FLM_TRY(end_word(t));
    *ids = t->chunk.ids;
    *count = t->chunk.count;
done:
    return rc;
}

/* The ids of a text without special tokens. */
static flm_status encode_plain(void *state, const char *text, size_t bytes, flm_ids *ids)
{
    flm_status rc = FLM_OK;
    bert *t = state;

    for (size_t at = 0, end; at < bytes; at = end) {
        unsigned char byte = (unsigned char)text[at];
        end = at + 1;
        if (t->byte_kind[byte] == BYTE_SPACE) continue;
        if (t->byte_kind[byte] == BYTE_PUNCTUATION) {
            FLM_TRY(flm_ids_push(ids, &t->punctuation[byte], 1));
            continue;
        }
        while (end < bytes && t->byte_kind[(unsigned char)text[end]] == BYTE_CHUNK) end++;
        FLM_TRY(flm_text_cache_encode(&t->cache, encode_chunk, t, text + at, end - at, ids));
    }
done:
    return rc;
}

static flm_status bert_encode(void *state, const char *text, size_t bytes, flm_ids *ids)
{
    return flm_special_tokens_encode(&((bert *)state)->specials, encode_plain, state, text, bytes, ids);
}

/* vocab.txt: one token a line; the ids are the line numbers, from 0. */
static flm_status read_lines(flm_text_vocabulary *v, const char *text, size_t bytes)
{
    flm_status rc = FLM_OK;
    const char *p = text, *end = text + bytes;

    FLM_TRY(flm_text_check_utf8(v->path, text, bytes));
    for (int64_t id = 0; p < end; id++) {
        size_t length;
        const char *token = flm_text_next_line(&p, end, &length);
        FLM_TRY(flm_text_vocabulary_add(v, id, token, length));
    }
    FLM_TRY(flm_text_vocabulary_finish(v));
done:
    return rc;
}

static bool is_json(const char *path)
{
    size_t length = strlen(path);

    return length > 5 && strcmp(path + length - 5, ".json") == 0;
}

static flm_status read_files(bert *t, const flm_tokenizer_files *files, char *sha256)
{
    flm_status rc = FLM_OK;
    char *data = NULL;
    size_t bytes = 0;
    json_t *root = NULL;
    const json_t *model;

    t->vocabulary.path = files->vocab ? files->vocab : vocab_shipped.name;
    FLM_TRY(flm_text_read_vocabulary(files->vocab, &vocab_shipped, &data, &bytes));
    FLM_TRY(flm_sha256_digest(data, bytes, sha256));
    if (files->vocab && is_json(files->vocab)) {
        FLM_TRY(flm_text_json_load(files->vocab, data, bytes, &root));
        FLM_TRY(flm_text_json_read_model(root, "WordPiece", &t->vocabulary, &t->specials, &model));
    } else {
        FLM_TRY(read_lines(&t->vocabulary, data, bytes));
        for (size_t i = 0; i < sizeof specials / sizeof specials[0]; i++) {
            int32_t id = -1;
            FLM_TRY(flm_text_vocabulary_require(&t->vocabulary, "bert-base-uncased", specials[i], &id));
            FLM_TRY(flm_special_tokens_add(&t->specials, specials[i], strlen(specials[i]), id));
        }
    }
done:
    json_decref(root);
    free(data);
    return rc;
}

/* Classify the bytes by their code points, and find the ids of ASCII punctuation. */
static flm_status classify_bytes(bert *t)
{
    flm_status rc = FLM_OK;

    for (uint32_t byte = 0; byte < 128; byte++) {
        uint32_t kind = flm_unicode_table_get(&t->unicode, byte) & 7;
        if (kind == FLM_BERT_SPACE) t->byte_kind[byte] = BYTE_SPACE;
        if (kind != FLM_BERT_PUNCTUATION) continue;
        t->byte_kind[byte] = BYTE_PUNCTUATION;
        t->chunk.count = 0;
        FLM_TRY(flm_wordpiece_encode_word(&t->pieces, (char[]){(char)byte}, 1, 1, &t->chunk));
        t->punctuation[byte] = t->chunk.ids[0];
    }
done:
    return rc;
}

static void bert_destroy(void *state)
{
    bert *t = state;

    if (!t) return;
    flm_text_vocabulary_free(&t->vocabulary);
    flm_special_tokens_free(&t->specials);
    flm_unicode_table_free(&t->unicode);
    flm_wordpiece_free(&t->pieces);
    flm_text_cache_free(&t->cache);
    free(t->chunk.ids);
    free(t->marks);
    free(t->sorted);
    free(t);
}

static flm_status bert_create(const flm_tokenizer_files *files, void **state, flm_tokenizer_info *info)
{
    flm_status rc = FLM_OK;
    bert *t = calloc(1, sizeof *t);
    int32_t begin, end;

    if (!t) FLM_FAIL(FLM_E_NOMEM, "no memory for the tokeniser bert-base-uncased");
    t->unicode.make = flm_unicode_bert_class;
    FLM_TRY(read_files(t, files, info->sha256));
    FLM_TRY(flm_text_vocabulary_require(&t->vocabulary, "bert-base-uncased", "[CLS]", &begin));
    FLM_TRY(flm_text_vocabulary_require(&t->vocabulary, "bert-base-uncased", "[SEP]", &end));
    FLM_TRY(flm_wordpiece_create(&t->vocabulary, &t->pieces));
    FLM_TRY(classify_bytes(t));
    FLM_TRY(flm_text_cache_create(&t->cache));
    info->begin_id = begin;
    info->end_id = end;
    info->V = (int64_t)t->vocabulary.count;
    t->vocabulary.path = NULL; /* it is the caller's string */
    *state = t;
    t = NULL;
done:
    bert_destroy(t);
    return rc;
}

/* Source: transformers 4.49.0, BertTokenizer.convert_tokens_to_string: tokens joined by
 * spaces, " ##" removed. */
static flm_status bert_decode(void *state, const int32_t *ids, size_t count, char **text, size_t *bytes)
{
    flm_status rc = FLM_OK;
    const flm_text_vocabulary *v = &((const bert *)state)->vocabulary;
    size_t size = 0;
    char *out, *p;

    for (size_t i = 0; i < count; i++)
        if (__builtin_add_overflow(size, (size_t)v->bytes[ids[i]] + 1, &size))
            FLM_FAIL(FLM_E_NOMEM, "no memory for the text of %zu ids", count);
    p = out = malloc(size + 1);
    if (!out) FLM_FAIL(FLM_E_NOMEM, "no memory for a text of %zu bytes", size);
    for (size_t i = 0; i < count; i++) {
        const char *token = v->tokens[ids[i]];
        size_t n = v->bytes[ids[i]];
        if (i > 0 && n >= 2 && token[0] == '#' && token[1] == '#') {
            token += 2;
            n -= 2;
        } else if (i > 0) {
            *p++ = ' ';
        }
        memcpy(p, token, n);
        p += n;
    }
    *p = '\0';
    *text = out;
    *bytes = (size_t)(p - out);
done:
    return rc;
}

const flm_tokenizer_ops flm_tokenizer_bert = {
    .name = "bert-base-uncased",
    .takes_vocab = true,
    .clean_up = true,
    .create = bert_create,
    .destroy = bert_destroy,
    .encode = bert_encode,
    .decode = bert_decode,
};
