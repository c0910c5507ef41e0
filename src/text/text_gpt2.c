/* text_gpt2.c - GPT-2's byte-level BPE, with the ids of GPT2TokenizerFast. One padding id, "[PAD]", follows the
 * vocabulary unless the vocabulary has that token: published runs add it (V = 50258). No text is ever encoded to it.
 * Source: data.md section 2; openai/gpt-2, src/encoder.py (bytes_to_unicode). SPDX-License-Identifier: Apache-2.0 */
#include "text/text_gpt2.h"
#include "base/base_sha256.h"
#include "text/text_cache.h"
#include "text/text_json.h"

#include <stdlib.h>

static const flm_text_shipped merges_shipped = {"gpt2/merges.txt",
                                                "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5"};
static const flm_text_shipped vocab_shipped = {"gpt2/vocab.json",
                                               "196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783"};
static const char END[] = "<|endoftext|>", PAD[] = "[PAD]";

typedef struct gpt2 {
    flm_text_vocabulary vocabulary;
    flm_special_tokens specials;
    flm_unicode_table unicode;
    flm_bpe bpe;
    flm_text_cache cache;
    char *decoded; /* the bytes of token i are decoded[offsets[i] .. offsets[i + 1]) */
    size_t *offsets;
    int16_t byte_of[0x200]; /* [code point]: the byte that it represents in tokens, -1 if none */
} gpt2;

/* The code point that represents a byte in tokens: printable bytes represent themselves, the others U+0100, U+0101 ...
 * in order. Source: openai/gpt-2, src/encoder.py, bytes_to_unicode. */
static uint32_t byte_to_unicode(int byte)
{
    int others = 0;

    for (int b = 0; b <= byte; b++) {
        bool prints = (b >= '!' && b <= '~') || (b >= 0xa1 && b <= 0xac) || (b >= 0xae && b <= 0xff);
        if (b == byte && prints) return (uint32_t)b;
        others += !prints;
    }
    return 0xff + (uint32_t)others;
}

static flm_status find_byte_tokens(gpt2 *t)
{
    flm_status rc = FLM_OK;

    memset(t->byte_of, -1, sizeof t->byte_of);
    for (int byte = 0; byte < 256; byte++) {
        unsigned char token[4];
        uint32_t code = byte_to_unicode(byte);
        size_t bytes = flm_utf8_put(code, token);
        t->byte_of[code] = (int16_t)byte;
        t->bpe.byte_ids[byte] = flm_token_map_find(&t->vocabulary.by_text, (char *)token, bytes);
        if (t->bpe.byte_ids[byte] < 0)
            FLM_FAIL(FLM_E_FORMAT, "%s: not a vocabulary for gpt2: no token for the byte 0x%02x", t->vocabulary.path,
                     (unsigned)byte);
    }
done:
    return rc;
}

/* The bytes of a token. One with a code point that represents no byte is used as it is.
 * Source: tokenizers 0.21.2, pre_tokenizers/byte_level.rs (decode_chain). */
static size_t decode_token(const gpt2 *t, const char *token, size_t bytes, char *out)
{
    size_t n = 0;

    for (size_t at = 0; at < bytes;) {
        uint32_t code;
        at += flm_utf8_next((const unsigned char *)token + at, &code);
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
    t->offsets = malloc((t->vocabulary.count + 1) * sizeof *t->offsets);
    if (!t->decoded || !t->offsets) FLM_FAIL(FLM_E_NOMEM, "%s: no memory for its tokens", t->vocabulary.path);
    t->offsets[0] = 0;
    for (size_t id = 0; id < t->vocabulary.count; id++)
        t->offsets[id + 1] = t->offsets[id] + decode_token(t, t->vocabulary.tokens[id], t->vocabulary.bytes[id],
                                                           t->decoded + t->offsets[id]);
done:
    return rc;
}

/* One merge: both tokens and the token that they make must be in the vocabulary. */
static flm_status add_merge(gpt2 *t, const char *path, const char *left, size_t left_bytes, const char *right,
                            size_t right_bytes)
{
    flm_status rc = FLM_OK;
    const flm_token_map *map = &t->vocabulary.by_text;
    char joined[512];
    int32_t a, b, made = -1;

    if (left_bytes > sizeof joined / 2 || right_bytes > sizeof joined / 2)
        FLM_FAIL(FLM_E_FORMAT, "%s: merge %zu has a token of more than %zu bytes", path, t->bpe.ranks + 1,
                 sizeof joined / 2);
    memcpy(joined, left, left_bytes);
    memcpy(joined + left_bytes, right, right_bytes);
    a = flm_token_map_find(map, left, left_bytes);
    b = flm_token_map_find(map, right, right_bytes);
    if (a >= 0 && b >= 0) made = flm_token_map_find(map, joined, left_bytes + right_bytes);
    if (made < 0)
        FLM_FAIL(FLM_E_MISMATCH, "%s: merge %zu, \"%.*s %.*s\", uses tokens that are not in %s: the files do not match",
                 path, t->bpe.ranks + 1, (int)left_bytes, left, (int)right_bytes, right, t->vocabulary.path);
    FLM_TRY(flm_bpe_add_merge(&t->bpe, a, b, made));
done:
    return rc;
}

/* merges.txt: a line "#version", then one pair a line. */
static flm_status read_merges(gpt2 *t, const char *path, const char *text, size_t bytes)
{
    flm_status rc = FLM_OK;
    const char *p = text, *end = text + bytes;
    size_t lines = 1;

    FLM_TRY(flm_text_check_utf8(path, text, bytes));
    for (size_t i = 0; i < bytes; i++) lines += text[i] == '\n';
    FLM_TRY(flm_bpe_create(lines, &t->bpe));
    FLM_TRY(find_byte_tokens(t));
    for (size_t number = 1; p < end; number++) {
        size_t length;
        const char *line = flm_text_next_line(&p, end, &length), *stop = line + length, *space;
        if (length == 0 || (number == 1 && strncmp(line, "#version", 8) == 0)) continue;
        space = memchr(line, ' ', length);
        if (!space || memchr(space + 1, ' ', (size_t)(stop - space - 1)))
            FLM_FAIL(FLM_E_FORMAT, "%s: not a list of merges: line %zu is not two tokens", path, number);
        FLM_TRY(add_merge(t, path, line, (size_t)(space - line), space + 1, (size_t)(stop - space - 1)));
    }
done:
    return rc;
}

/* Whether the merges alone determine the ids: first the bytes (the printable ones, then the others), then the merges in
 * order, then "<|endoftext|>". If so, the digest of the merges identifies the vocabulary. */
static bool merges_determine_ids(const gpt2 *t)
{
    if (t->vocabulary.count != 256 + t->bpe.ranks + 1) return false;
    for (int32_t id = 0, other = 0; id < 256; id++) {
        static const int first[] = {'!', 0xa1, 0xae, 0}, last[] = {'~', 0xac, 0xff, -1};
        int32_t at = id, range = 0;
        for (; range < 3 && at > last[range] - first[range]; range++) at -= last[range] - first[range] + 1;
        if (range < 3 && t->bpe.byte_ids[first[range] + at] != id) return false;
        if (range == 3) {
            while (byte_to_unicode(other) == (uint32_t)other) other++;
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

    FLM_TRY(flm_text_json_load(path, data, bytes, &root));
    FLM_TRY(flm_text_json_read_model(root, "BPE", &t->vocabulary, &t->specials, &model));
    merges = json_object_get(model, "merges");
    FLM_TRY(flm_bpe_create(json_array_size(merges), &t->bpe));
    FLM_TRY(find_byte_tokens(t));
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

/* vocab.json and merges.txt. The digest is that of the merges if they determine the ids, else of both, merges first. */
static flm_status read_pair(gpt2 *t, const char *merges_path, const char *vocab, size_t vocab_bytes, const char *merges,
                            size_t merges_bytes, char *sha256)
{
    flm_status rc = FLM_OK;
    json_t *root = NULL;
    flm_sha256 *digest = NULL;

    FLM_TRY(flm_text_json_load(t->vocabulary.path, vocab, vocab_bytes, &root));
    FLM_TRY(flm_text_json_read_vocabulary(root, &t->vocabulary));
    FLM_TRY(flm_text_vocabulary_finish(&t->vocabulary));
    FLM_TRY(read_merges(t, merges_path, merges, merges_bytes));
    FLM_TRY(flm_sha256_begin(&digest));
    FLM_TRY(flm_sha256_add(digest, merges, merges_bytes));
    if (!merges_determine_ids(t)) FLM_TRY(flm_sha256_add(digest, vocab, vocab_bytes));
    FLM_TRY(flm_sha256_end(&digest, sha256));
done:
    flm_sha256_destroy(&digest);
    json_decref(root);
    return rc;
}

static flm_status read_files(gpt2 *t, const flm_tokenizer_files *files, char *sha256)
{
    flm_status rc = FLM_OK;
    char *vocab = NULL, *merges = NULL;
    size_t vocab_bytes = 0, merges_bytes = 0;

    t->vocabulary.path = files->vocab ? files->vocab : vocab_shipped.name;
    FLM_TRY(flm_text_read_vocabulary(files->vocab, &vocab_shipped, &vocab, &vocab_bytes));
    if (files->vocab && !files->merges) {
        FLM_TRY(read_json(t, files->vocab, vocab, vocab_bytes));
        FLM_TRY(flm_sha256_digest(vocab, vocab_bytes, sha256));
        goto done;
    }
    FLM_TRY(flm_text_read_vocabulary(files->merges, &merges_shipped, &merges, &merges_bytes));
    FLM_TRY(read_pair(t, files->merges ? files->merges : merges_shipped.name, vocab, vocab_bytes, merges, merges_bytes,
                      sha256));
done:
    free(vocab);
    free(merges);
    return rc;
}

static void gpt2_destroy(void *state)
{
    gpt2 *t = state;

    if (!t) return;
    flm_text_vocabulary_free(&t->vocabulary);
    flm_special_tokens_free(&t->specials);
    flm_unicode_table_free(&t->unicode);
    flm_bpe_free(&t->bpe);
    flm_text_cache_free(&t->cache);
    free(t->decoded);
    free(t->offsets);
    free(t);
}

static flm_status gpt2_create(const flm_tokenizer_files *files, void **state, flm_tokenizer_info *info)
{
    flm_status rc = FLM_OK;
    gpt2 *t = calloc(1, sizeof *t);
    int32_t end;
    bool listed = false;

    if (!t) FLM_FAIL(FLM_E_NOMEM, "no memory for the tokeniser gpt2");
    t->unicode.make = flm_unicode_gpt2_class;
    FLM_TRY(read_files(t, files, info->sha256));
    FLM_TRY(flm_text_vocabulary_require(&t->vocabulary, "gpt2", END, &end));
    for (size_t i = 0; i < t->specials.count; i++) listed = listed || t->specials.list[i].id == end;
    if (!listed) FLM_TRY(flm_special_tokens_add(&t->specials, END, sizeof END - 1, end));
    FLM_TRY(decode_vocabulary(t));
    FLM_TRY(flm_text_cache_create(&t->cache));
    info->begin_id = info->end_id = end;
    info->V = (int64_t)t->vocabulary.count + (flm_token_map_find(&t->vocabulary.by_text, PAD, sizeof PAD - 1) < 0);
    t->vocabulary.path = NULL; /* it is the caller's string */
    *state = t;
    t = NULL;
done:
    gpt2_destroy(t);
    return rc;
}

/* The ids of a chunk; see flm_text_encode_word. */
static flm_status encode_chunk(void *state, const char *chunk, size_t bytes, const int32_t **ids, size_t *count)
{
    return flm_bpe_encode_word(&((gpt2 *)state)->bpe, chunk, bytes, ids, count);
}

/* The ids of a text without special tokens. */
static flm_status encode_plain(void *state, const char *text, size_t bytes, flm_ids *ids)
{
    flm_status rc = FLM_OK;
    gpt2 *t = state;

    for (size_t at = 0, end; at < bytes; at = end) {
        end = flm_text_gpt2_next_chunk(&t->unicode, text, bytes, at);
        FLM_TRY(flm_text_cache_encode(&t->cache, encode_chunk, t, text + at, end - at, ids));
    }
done:
    return rc;
}

static flm_status gpt2_encode(void *state, const char *text, size_t bytes, flm_ids *ids)
{
    flm_status rc = FLM_OK;

    if (bytes > INT32_MAX)
        FLM_FAIL(FLM_E_ARG, "gpt2 encodes at most %d bytes of text at once; this text has %zu", INT32_MAX, bytes);
    FLM_TRY(flm_special_tokens_encode(&((gpt2 *)state)->specials, encode_plain, state, text, bytes, ids));
done:
    return rc;
}

/* A token's text; the padding id is not in the vocabulary. */
static const char *token_text(const gpt2 *t, int32_t id, size_t *bytes)
{
    if ((size_t)id == t->vocabulary.count) return *bytes = sizeof PAD - 1, PAD;
    *bytes = t->offsets[id + 1] - t->offsets[id];
    return t->decoded + t->offsets[id];
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

const flm_tokenizer_ops flm_tokenizer_gpt2 = {
    .name = "gpt2",
    .takes_merges = true,
    .takes_vocab = true,
    .create = gpt2_create,
    .destroy = gpt2_destroy,
    .encode = gpt2_encode,
    .decode = gpt2_decode,
};
