/* text_bert.c - BERT's uncased WordPiece: cleaning, words, the cache, special tokens; decoding. The ids are those of
 * BertTokenizer, the slow class. What it does to a whole text one step after the other (lower case, control characters
 * out, blanks around ideographs, NFC, words, NFD, accents out, punctuation) is done here a code point at a time: NFD
 * after NFC is NFD, and no step looks across a blank, an ideograph or an ASCII punctuation.
 * Source: data.md section 2; transformers 4.49.0, models/bert/tokenization_bert.py. SPDX-License-Identifier: Apache-2.0
 */
#include "base/base_sha256.h"
#include "text/text_cache.h"
#include "text/text_unicode.h"
#include "text/text_wordpiece.h"

#include <stdlib.h>

static const char VOCAB_SHA256[] = "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3";
static const char *const specials[] = {"[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]"};

/* Letters, digits and all that is not ASCII make chunks, control characters too, which vanish from words. */
enum { BYTE_CHUNK, BYTE_BLANK, BYTE_PUNCTUATION };

typedef struct bert {
    text_vocabulary vocabulary;
    text_specials specials;
    text_chars chars;
    text_wordpiece pieces;
    text_cache cache;
    unsigned char byte_kind[256];
    int32_t punctuation[128]; /* ids of ASCII's */
    flm_ids chunk;            /* of the chunk that is not in the cache */

    /* The word under way; beyond 100 characters they are only counted. */
    char word[TEXT_WORD_BYTES_MAX];
    size_t bytes, length;

    /* Marks of a combining class other than 0, which NFD orders: parts as of text_unicode_decompose. */
    uint32_t *marks, *sorted;
    size_t marked, marks_room;
} bert;

static flm_status word_end(bert *t)
{
    flm_status rc = FLM_OK;

    if (t->length > 0) FLM_TRY(text_wordpiece_word(&t->pieces, t->word, t->bytes, t->length, &t->chunk));
    t->bytes = t->length = 0;
done:
    return rc;
}

static inline void word_add(bert *t, uint32_t code)
{
    if (t->length++ < TEXT_WORD_CHARS_MAX) t->bytes += text_utf8_put(code, (unsigned char *)t->word + t->bytes);
}

static flm_status word_alone(bert *t, uint32_t code)
{
    flm_status rc = FLM_OK;

    FLM_TRY(word_end(t));
    word_add(t, code);
    FLM_TRY(word_end(t));
done:
    return rc;
}

/* The marks that wait, in NFD's order, stable; accents among them were left out, which changes nothing for others. */
static void marks_end(bert *t)
{
    size_t begin[257] = {0};

    if (t->marked == 0) return;
    for (size_t i = 0; i < t->marked; i++) begin[(t->marks[i] & 0xff) + 1]++;
    for (size_t i = 1; i < 257; i++) begin[i] += begin[i - 1];
    for (size_t i = 0; i < t->marked; i++) t->sorted[begin[t->marks[i] & 0xff]++] = t->marks[i];
    for (size_t i = 0; i < t->marked; i++) word_add(t, t->sorted[i] >> 11);
    t->marked = 0;
}

static flm_status mark_add(bert *t, uint32_t part)
{
    flm_status rc = FLM_OK;

    if (t->marked == t->marks_room) {
        size_t room = t->marks_room ? 2 * t->marks_room : 64;
        uint32_t *marks = realloc(t->marks, room * sizeof *marks), *sorted;
        if (!marks) FLM_FAIL(FLM_E_NOMEM, "no memory for %zu marks", room);
        t->marks = marks;
        sorted = realloc(t->sorted, room * sizeof *sorted);
        if (!sorted) FLM_FAIL(FLM_E_NOMEM, "no memory for %zu marks", room);
        t->sorted = sorted;
        t->marks_room = room;
    }
    t->marks[t->marked++] = part;
done:
    return rc;
}

static flm_status several(bert *t, uint32_t code)
{
    flm_status rc = FLM_OK;
    uint32_t parts[8];
    size_t n = text_unicode_decompose(code, parts);

    for (size_t i = 0; i < n; i++) {
        uint32_t kind = parts[i] >> 8 & 7;
        if (kind == TEXT_MARK) continue;
        if ((parts[i] & 0xff) != 0) {
            FLM_TRY(mark_add(t, parts[i]));
            continue;
        }
        marks_end(t);
        if (kind == TEXT_PUNCTUATION)
            FLM_TRY(word_alone(t, parts[i] >> 11));
        else if (kind == TEXT_WORD)
            word_add(t, parts[i] >> 11);
    }
done:
    return rc;
}

/* The ids of a stretch without ASCII blanks and punctuation to t->chunk. */
static flm_status encode_chunk(bert *t, const unsigned char *text, size_t bytes)
{
    flm_status rc = FLM_OK;

    t->chunk.count = t->bytes = t->length = t->marked = 0;
    for (size_t at = 0; at < bytes;) {
        uint32_t code, what, kind;
        at += text_utf8_next(text + at, &code);
        what = text_chars_get(&t->chars, code);
        kind = what & 7;
        if (kind == TEXT_DROPPED || kind == TEXT_MARK) continue;
        if (kind != TEXT_SEVERAL) marks_end(t);
        switch (kind) {
        case TEXT_WORD: word_add(t, what >> 3); break;
        case TEXT_SEVERAL: FLM_TRY(several(t, code)); break;
        case TEXT_PUNCTUATION:
        case TEXT_IDEOGRAPH: FLM_TRY(word_alone(t, what >> 3)); break;
        case TEXT_BLANK: FLM_TRY(word_end(t)); break;
        default: break; /* TEXT_MARK_BASE */
        }
    }
    marks_end(t);
    FLM_TRY(word_end(t));
done:
    return rc;
}

static flm_status encode_cached(bert *t, const char *text, size_t bytes, flm_ids *ids)
{
    flm_status rc = FLM_OK;
    const int32_t *known = NULL;
    size_t count = 0;
    uint32_t hash = 0;

    if (bytes <= TEXT_CACHE_KEY_MAX) {
        hash = text_cache_hash(text, bytes);
        known = text_cache_find(&t->cache, hash, text, bytes, &count);
    }
    if (!known) {
        FLM_TRY(encode_chunk(t, (const unsigned char *)text, bytes));
        known = t->chunk.ids;
        count = t->chunk.count;
        if (bytes <= TEXT_CACHE_KEY_MAX) text_cache_add(&t->cache, hash, text, bytes, known, count);
    }
    FLM_TRY(text_ids_push(ids, known, count));
done:
    return rc;
}

/* The ids of a text without special tokens. */
static flm_status encode_plain(bert *t, const char *text, size_t bytes, flm_ids *ids)
{
    flm_status rc = FLM_OK;

    for (size_t at = 0, end; at < bytes; at = end) {
        unsigned char byte = (unsigned char)text[at];
        end = at + 1;
        if (t->byte_kind[byte] == BYTE_BLANK) continue;
        if (t->byte_kind[byte] == BYTE_PUNCTUATION) {
            FLM_TRY(text_ids_push(ids, &t->punctuation[byte], 1));
            continue;
        }
        while (end < bytes && t->byte_kind[(unsigned char)text[end]] == BYTE_CHUNK) end++;
        FLM_TRY(encode_cached(t, text + at, end - at, ids));
    }
done:
    return rc;
}

static flm_status bert_encode(void *state, const char *text, size_t bytes, flm_ids *ids)
{
    flm_status rc = FLM_OK;
    bert *t = state;

    while (bytes > 0) {
        size_t at;
        const text_special *special = text_specials_find(&t->specials, text, bytes, &at);
        FLM_TRY(encode_plain(t, text, at, ids));
        if (!special) break;
        FLM_TRY(text_ids_push(ids, &special->id, 1));
        text += at + special->bytes;
        bytes -= at + special->bytes;
    }
done:
    return rc;
}

/* vocab.txt: a token a line, the line's number its id. */
static flm_status read_lines(text_vocabulary *v, const char *text, size_t bytes)
{
    flm_status rc = FLM_OK;
    const char *p = text, *end = text + bytes, *next;

    if (text_utf8_valid(text, bytes) < bytes) FLM_FAIL(FLM_E_FORMAT, "%s: not UTF-8", v->path);
    for (int64_t id = 0; p < end; p = next, id++) {
        const char *stop = memchr(p, '\n', (size_t)(end - p));
        next = stop ? stop + 1 : end;
        if (!stop) stop = end;
        if (stop > p && stop[-1] == '\r') stop--;
        FLM_TRY(text_vocabulary_put(v, id, p, (size_t)(stop - p)));
    }
    FLM_TRY(text_vocabulary_finish(v));
done:
    return rc;
}

static bool is_json(const char *path)
{
    size_t length = strlen(path);

    return length > 5 && strcmp(path + length - 5, ".json") == 0;
}

static flm_status read_source(bert *t, const text_source *source, char *sha256)
{
    flm_status rc = FLM_OK;
    char *data = NULL;
    size_t bytes = 0;
    json_t *root = NULL;
    const json_t *model;

    t->vocabulary.path = source->vocab ? source->vocab : "bert-base-uncased/vocab.txt";
    if (source->vocab)
        FLM_TRY(text_file_read(source->vocab, &data, &bytes));
    else
        FLM_TRY(text_file_shipped("bert-base-uncased/vocab.txt", VOCAB_SHA256, &data, &bytes));
    FLM_TRY(flm_sha256_of(data, bytes, sha256));
    if (source->vocab && is_json(source->vocab)) {
        FLM_TRY(text_json_load(source->vocab, data, bytes, &root));
        FLM_TRY(text_json_model(root, "WordPiece", &t->vocabulary, &t->specials, &model));
    } else {
        FLM_TRY(read_lines(&t->vocabulary, data, bytes));
        for (size_t i = 0; i < sizeof specials / sizeof specials[0]; i++) {
            int32_t id = -1;
            FLM_TRY(text_vocabulary_id(&t->vocabulary, "bert-base-uncased", specials[i], &id));
            FLM_TRY(text_specials_add(&t->specials, specials[i], strlen(specials[i]), id));
        }
    }
done:
    json_decref(root);
    free(data);
    return rc;
}

/* What each byte does, by the table of its code point; ids of ASCII's punctuation. */
static flm_status find_bytes(bert *t)
{
    flm_status rc = FLM_OK;

    for (uint32_t byte = 0; byte < 128; byte++) {
        uint32_t kind = text_chars_get(&t->chars, byte) & 7;
        if (kind == TEXT_BLANK) t->byte_kind[byte] = BYTE_BLANK;
        if (kind != TEXT_PUNCTUATION) continue;
        t->byte_kind[byte] = BYTE_PUNCTUATION;
        t->chunk.count = 0;
        FLM_TRY(text_wordpiece_word(&t->pieces, (char[]){(char)byte}, 1, 1, &t->chunk));
        t->punctuation[byte] = t->chunk.ids[0];
    }
done:
    return rc;
}

static void bert_destroy(void *state)
{
    bert *t = state;

    if (!t) return;
    text_vocabulary_free(&t->vocabulary);
    text_specials_free(&t->specials);
    text_chars_free(&t->chars);
    text_wordpiece_free(&t->pieces);
    text_cache_free(&t->cache);
    free(t->chunk.ids);
    free(t->marks);
    free(t->sorted);
    free(t);
}

static flm_status bert_create(const text_source *source, void **state, text_facts *facts)
{
    flm_status rc = FLM_OK;
    bert *t = calloc(1, sizeof *t);
    int32_t begin, end;

    if (!t) FLM_FAIL(FLM_E_NOMEM, "no memory for the tokeniser bert-base-uncased");
    t->chars.make = text_unicode_bert;
    FLM_TRY(read_source(t, source, facts->sha256));
    FLM_TRY(text_vocabulary_id(&t->vocabulary, "bert-base-uncased", "[CLS]", &begin));
    FLM_TRY(text_vocabulary_id(&t->vocabulary, "bert-base-uncased", "[SEP]", &end));
    FLM_TRY(text_wordpiece_create(&t->vocabulary, &t->pieces));
    FLM_TRY(find_bytes(t));
    FLM_TRY(text_cache_create(&t->cache));
    facts->begin_id = begin;
    facts->end_id = end;
    facts->V = (int64_t)t->vocabulary.count;
    t->vocabulary.path = NULL; /* the caller's string */
    *state = t;
    t = NULL;
done:
    bert_destroy(t);
    return rc;
}

/* Source: transformers 4.49.0, BertTokenizer.convert_tokens_to_string: tokens with blanks between, " ##" gone. */
static flm_status bert_decode(void *state, const int32_t *ids, size_t count, char **text, size_t *bytes)
{
    flm_status rc = FLM_OK;
    const text_vocabulary *v = &((const bert *)state)->vocabulary;
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

const text_kind text_bert = {
    .name = "bert-base-uncased",
    .takes_vocab = true,
    .clean_up = true,
    .create = bert_create,
    .destroy = bert_destroy,
    .encode = bert_encode,
    .decode = bert_decode,
};
