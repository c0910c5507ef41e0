/* text_gpt2.c - GPT-2's byte-level BPE: pieces, merges, the cache, special tokens; decoding. The ids are those of
 * GPT2TokenizerFast. After the vocabulary comes one padding id, "[PAD]", unless the vocabulary has that token itself:
 * published runs add it (V = 50258); no text is ever encoded to it.
 * Source: data.md section 2; openai/gpt-2, src/encoder.py (bytes_to_unicode). SPDX-License-Identifier: Apache-2.0 */
#include "text/text_gpt2.h"
#include "base/base_sha256.h"
#include "text/text_cache.h"
#include "text/text_vocabulary.h"

#include <stdlib.h>

static const char MERGES_SHA256[] = "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5";
static const char VOCAB_SHA256[] = "196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783";
static const char END[] = "<|endoftext|>", PAD[] = "[PAD]";

/* The decoded bytes of token i are decoded[at[i] .. at[i + 1]]. */
typedef struct gpt2 {
    text_vocabulary vocabulary;
    text_specials specials;
    text_chars chars;
    text_bpe bpe;
    text_cache cache;
    char *decoded;
    size_t *at;
    int16_t byte_of[0x200]; /* the byte that a code point stands for, -1: none */
} gpt2;

/* bytes_to_unicode: a byte that prints stands for itself, the others for U+0100 on, in order. */
static uint32_t stand_in(int byte)
{
    int others = 0;

    for (int b = 0; b <= byte; b++) {
        bool prints = (b >= '!' && b <= '~') || (b >= 0xa1 && b <= 0xac) || (b >= 0xae && b <= 0xff);
        if (b == byte && prints) return (uint32_t)b;
        others += !prints;
    }
    return 0xff + (uint32_t)others;
}

static flm_status find_bytes(gpt2 *t)
{
    flm_status rc = FLM_OK;

    memset(t->byte_of, -1, sizeof t->byte_of);
    for (int byte = 0; byte < 256; byte++) {
        unsigned char token[4];
        uint32_t code = stand_in(byte);
        size_t bytes = text_utf8_put(code, token);
        t->byte_of[code] = (int16_t)byte;
        t->bpe.byte_ids[byte] = text_words_find(&t->vocabulary.by_text, (char *)token, bytes);
        if (t->bpe.byte_ids[byte] < 0)
            FLM_FAIL(FLM_E_FORMAT, "%s: not a vocabulary for gpt2: it has no token for the byte 0x%02x",
                     t->vocabulary.path, (unsigned)byte);
    }
done:
    return rc;
}

/* Source: tokenizers 0.21.2, pre_tokenizers/byte_level.rs (decode_chain): a token with a code point that stands for no
 * byte is taken as it is. */
static size_t decode_token(const gpt2 *t, const char *token, size_t bytes, char *out)
{
    size_t n = 0;

    for (size_t at = 0; at < bytes;) {
        uint32_t code;
        at += text_utf8_next((const unsigned char *)token + at, &code);
        if (code >= sizeof t->byte_of / sizeof t->byte_of[0] || t->byte_of[code] < 0) {
            memcpy(out, token, bytes);
            return bytes;
        }
        out[n++] = (char)t->byte_of[code];
    }
    return n;
}

static flm_status decode_vocabulary(gpt2 *t)
{
    flm_status rc = FLM_OK;
    size_t all = 0;

    for (size_t id = 0; id < t->vocabulary.count; id++) all += t->vocabulary.bytes[id];
    t->decoded = malloc(all + 1);
    t->at = malloc((t->vocabulary.count + 1) * sizeof *t->at);
    if (!t->decoded || !t->at) FLM_FAIL(FLM_E_NOMEM, "%s: no memory for its tokens", t->vocabulary.path);
    t->at[0] = 0;
    for (size_t id = 0; id < t->vocabulary.count; id++)
        t->at[id + 1] =
            t->at[id] + decode_token(t, t->vocabulary.tokens[id], t->vocabulary.bytes[id], t->decoded + t->at[id]);
done:
    return rc;
}

/* One merge, of two tokens that are there and make one that is there. */
static flm_status add_merge(gpt2 *t, const char *path, const char *left, size_t left_bytes, const char *right,
                            size_t right_bytes)
{
    flm_status rc = FLM_OK;
    const text_words *words = &t->vocabulary.by_text;
    char joined[512];
    int32_t a, b, made = -1;

    if (left_bytes > sizeof joined / 2 || right_bytes > sizeof joined / 2)
        FLM_FAIL(FLM_E_FORMAT, "%s: merge %zu has a token of over %zu bytes", path, t->bpe.ranks + 1,
                 sizeof joined / 2);
    memcpy(joined, left, left_bytes);
    memcpy(joined + left_bytes, right, right_bytes);
    a = text_words_find(words, left, left_bytes);
    b = text_words_find(words, right, right_bytes);
    if (a >= 0 && b >= 0) made = text_words_find(words, joined, left_bytes + right_bytes);
    if (made < 0)
        FLM_FAIL(FLM_E_MISMATCH, "%s: merge %zu, \"%.*s %.*s\", has tokens that %s lacks: they do not belong together",
                 path, t->bpe.ranks + 1, (int)left_bytes, left, (int)right_bytes, right, t->vocabulary.path);
    text_bpe_add(&t->bpe, a, b, made);
done:
    return rc;
}

/* merges.txt: "#version" first, then a pair a line. */
static flm_status read_merges(gpt2 *t, const char *path, const char *text, size_t bytes)
{
    flm_status rc = FLM_OK;
    const char *p = text, *end = text + bytes, *next;
    size_t lines = 1;

    if (text_utf8_valid(text, bytes) < bytes) FLM_FAIL(FLM_E_FORMAT, "%s: not UTF-8", path);
    for (size_t i = 0; i < bytes; i++) lines += text[i] == '\n';
    FLM_TRY(text_bpe_create(lines, &t->bpe));
    FLM_TRY(find_bytes(t));
    for (size_t line = 1; p < end; p = next, line++) {
        const char *stop = memchr(p, '\n', (size_t)(end - p)), *space;
        next = stop ? stop + 1 : end;
        if (!stop) stop = end;
        if (stop > p && stop[-1] == '\r') stop--;
        if (stop == p || (line == 1 && strncmp(p, "#version", 8) == 0)) continue;
        space = memchr(p, ' ', (size_t)(stop - p));
        if (!space || memchr(space + 1, ' ', (size_t)(stop - space - 1)))
            FLM_FAIL(FLM_E_FORMAT, "%s: not a list of merges: line %zu is not two tokens", path, line);
        FLM_TRY(add_merge(t, path, p, (size_t)(space - p), space + 1, (size_t)(stop - space - 1)));
    }
done:
    return rc;
}

/* Whether the ids follow from the merges: the bytes in order of their stand-ins' printing, the merges, the end. Then
 * the sum of the merges names the vocabulary. */
static bool ids_follow(const gpt2 *t)
{
    if (t->vocabulary.count != 256 + t->bpe.ranks + 1) return false;
    for (int32_t id = 0, other = 0; id < 256; id++) {
        static const int first[] = {'!', 0xa1, 0xae, 0}, last[] = {'~', 0xac, 0xff, -1};
        int32_t at = id, range = 0;
        for (; range < 3 && at > last[range] - first[range]; range++) at -= last[range] - first[range] + 1;
        if (range < 3 && t->bpe.byte_ids[first[range] + at] != id) return false;
        if (range == 3) {
            while (stand_in(other) == (uint32_t)other) other++;
            if (t->bpe.byte_ids[other++] != id) return false;
        }
    }
    for (size_t rank = 0; rank < t->bpe.ranks; rank++)
        if (t->bpe.made[rank] != 256 + (int32_t)rank) return false;
    return true;
}

/* tokenizer.json: merges are "a b" or ["a", "b"]. */
static flm_status read_json(gpt2 *t, const char *path, const char *data, size_t bytes)
{
    flm_status rc = FLM_OK;
    const json_t *model = NULL, *merges;
    json_t *root = NULL;

    FLM_TRY(text_json_load(path, data, bytes, &root));
    FLM_TRY(text_json_model(root, "BPE", &t->vocabulary, &t->specials, &model));
    merges = json_object_get(model, "merges");
    FLM_TRY(text_bpe_create(json_array_size(merges), &t->bpe));
    FLM_TRY(find_bytes(t));
    for (size_t i = 0; i < json_array_size(merges); i++) {
        const json_t *merge = json_array_get(merges, i);
        const char *line = json_string_value(merge), *space = line ? strchr(line, ' ') : NULL;
        const json_t *left = json_array_get(merge, 0), *right = json_array_get(merge, 1);
        if (space && !strchr(space + 1, ' '))
            FLM_TRY(add_merge(t, path, line, (size_t)(space - line), space + 1, strlen(space + 1)));
        else if (json_array_size(merge) == 2 && json_is_string(left) && json_is_string(right))
            FLM_TRY(add_merge(t, path, json_string_value(left), json_string_length(left), json_string_value(right),
                              json_string_length(right)));
        else
            FLM_FAIL(FLM_E_FORMAT, "%s: merge %zu is not two tokens", path, i + 1);
    }
done:
    json_decref(root);
    return rc;
}

/* vocab.json and merges.txt; the sum is that of the merges where the ids follow from them, else of both, merges
 * first. */
static flm_status read_pair(gpt2 *t, const char *merges_path, const char *vocab, size_t vocab_bytes, const char *merges,
                            size_t merges_bytes, char *sha256)
{
    flm_status rc = FLM_OK;
    json_t *root = NULL;
    flm_sha256 *sum = NULL;

    FLM_TRY(text_json_load(t->vocabulary.path, vocab, vocab_bytes, &root));
    FLM_TRY(text_json_vocabulary(root, &t->vocabulary));
    FLM_TRY(text_vocabulary_finish(&t->vocabulary));
    FLM_TRY(read_merges(t, merges_path, merges, merges_bytes));
    FLM_TRY(flm_sha256_begin(&sum));
    FLM_TRY(flm_sha256_add(sum, merges, merges_bytes));
    if (!ids_follow(t)) FLM_TRY(flm_sha256_add(sum, vocab, vocab_bytes));
    FLM_TRY(flm_sha256_end(&sum, sha256));
done:
    flm_sha256_destroy(&sum);
    json_decref(root);
    return rc;
}

static flm_status read_source(gpt2 *t, const text_source *source, char *sha256)
{
    flm_status rc = FLM_OK;
    char *vocab = NULL, *merges = NULL;
    size_t vocab_bytes = 0, merges_bytes = 0;

    t->vocabulary.path = source->vocab ? source->vocab : "gpt2/vocab.json";
    if (!source->vocab) {
        FLM_TRY(text_file_shipped("gpt2/vocab.json", VOCAB_SHA256, &vocab, &vocab_bytes));
        FLM_TRY(text_file_shipped("gpt2/merges.txt", MERGES_SHA256, &merges, &merges_bytes));
        FLM_TRY(read_pair(t, "gpt2/merges.txt", vocab, vocab_bytes, merges, merges_bytes, sha256));
    } else if (source->merges) {
        FLM_TRY(text_file_read(source->vocab, &vocab, &vocab_bytes));
        FLM_TRY(text_file_read(source->merges, &merges, &merges_bytes));
        FLM_TRY(read_pair(t, source->merges, vocab, vocab_bytes, merges, merges_bytes, sha256));
    } else {
        FLM_TRY(text_file_read(source->vocab, &vocab, &vocab_bytes));
        FLM_TRY(read_json(t, source->vocab, vocab, vocab_bytes));
        FLM_TRY(flm_sha256_of(vocab, vocab_bytes, sha256));
    }
done:
    free(vocab);
    free(merges);
    return rc;
}

static void gpt2_destroy(void *state)
{
    gpt2 *t = state;

    if (!t) return;
    text_vocabulary_free(&t->vocabulary);
    text_specials_free(&t->specials);
    text_chars_free(&t->chars);
    text_bpe_free(&t->bpe);
    text_cache_free(&t->cache);
    free(t->decoded);
    free(t->at);
    free(t);
}

static flm_status gpt2_create(const text_source *source, void **state, text_facts *facts)
{
    flm_status rc = FLM_OK;
    gpt2 *t = calloc(1, sizeof *t);
    int32_t end;
    bool listed = false;

    if (!t) FLM_FAIL(FLM_E_NOMEM, "no memory for the tokeniser gpt2");
    t->chars.make = text_unicode_gpt2;
    FLM_TRY(read_source(t, source, facts->sha256));
    FLM_TRY(text_vocabulary_id(&t->vocabulary, "gpt2", END, &end));
    for (size_t i = 0; i < t->specials.count; i++) listed = listed || t->specials.list[i].id == end;
    if (!listed) FLM_TRY(text_specials_add(&t->specials, END, sizeof END - 1, end));
    FLM_TRY(decode_vocabulary(t));
    FLM_TRY(text_cache_create(&t->cache));
    facts->begin_id = facts->end_id = end;
    facts->V = (int64_t)t->vocabulary.count + (text_words_find(&t->vocabulary.by_text, PAD, sizeof PAD - 1) < 0);
    t->vocabulary.path = NULL; /* the caller's string */
    *state = t;
    t = NULL;
done:
    gpt2_destroy(t);
    return rc;
}

/* The ids of a text without special tokens. */
static flm_status encode_plain(gpt2 *t, const char *text, size_t bytes, flm_ids *out)
{
    flm_status rc = FLM_OK;

    for (size_t at = 0, end; at < bytes; at = end) {
        const char *word = text + at;
        const int32_t *ids = NULL;
        size_t length, count = 0;
        uint32_t hash = 0;
        end = text_gpt2_piece(&t->chars, text, bytes, at);
        length = end - at;
        if (length <= TEXT_CACHE_KEY_MAX) {
            hash = text_cache_hash(word, length);
            ids = text_cache_find(&t->cache, hash, word, length, &count);
        }
        if (!ids) {
            FLM_TRY(text_bpe_word(&t->bpe, word, length, &ids, &count));
            if (length <= TEXT_CACHE_KEY_MAX) text_cache_add(&t->cache, hash, word, length, ids, count);
        }
        FLM_TRY(text_ids_push(out, ids, count));
    }
done:
    return rc;
}

static flm_status gpt2_encode(void *state, const char *text, size_t bytes, flm_ids *ids)
{
    flm_status rc = FLM_OK;
    gpt2 *t = state;

    if (bytes > INT32_MAX) FLM_FAIL(FLM_E_ARG, "a text of %zu bytes; gpt2 takes at most 2 GiB at once", bytes);
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

/* A token's text; the padding id has none in the vocabulary. */
static const char *token_text(const gpt2 *t, int32_t id, size_t *bytes)
{
    if ((size_t)id == t->vocabulary.count) return *bytes = sizeof PAD - 1, PAD;
    *bytes = t->at[id + 1] - t->at[id];
    return t->decoded + t->at[id];
}

static flm_status gpt2_decode(void *state, const int32_t *ids, size_t count, char **text, size_t *bytes)
{
    flm_status rc = FLM_OK;
    const gpt2 *t = state;
    size_t size = 0, length;
    char *out;

    for (size_t i = 0; i < count; i++) {
        token_text(t, ids[i], &length);
        if (__builtin_add_overflow(size, length, &size))
            FLM_FAIL(FLM_E_NOMEM, "no memory for the text of %zu ids", count);
    }
    out = size < SIZE_MAX ? malloc(size + 1) : NULL;
    if (!out) FLM_FAIL(FLM_E_NOMEM, "no memory for a text of %zu bytes", size);
    *text = out;
    *bytes = size;
    for (size_t i = 0; i < count; i++) {
        const char *token = token_text(t, ids[i], &length);
        memcpy(out, token, length);
        out += length;
    }
    *out = '\0';
done:
    return rc;
}

const text_kind text_gpt2 = {
    .name = "gpt2",
    .takes_merges = true,
    .takes_vocab = true,
    .create = gpt2_create,
    .destroy = gpt2_destroy,
    .encode = gpt2_encode,
    .decode = gpt2_decode,
};
