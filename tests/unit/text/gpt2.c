/* gpt2.c - GPT-2's tokeniser: published ids, the splitter compared with the published pattern in PCRE2, round trips,
 * long words, and invalid vocabulary files. SPDX-License-Identifier: Apache-2.0 */
#include "base/base_philox.h"
#include "tests/text_pairs.h"
#include "text/text_gpt2.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <sys/stat.h>
#include <unistd.h>

/* \s is spelled out, because PCRE2's includes U+180E, which Unicode 6.3 removed from White_Space and Oniguruma omits.
 */
#define WHITE \
    "\\x{9}-\\x{d}\\x{20}\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}"
static const char PATTERN[] =
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^" WHITE "\\p{L}\\p{N}]+|[" WHITE "]+(?![^" WHITE "])|[" WHITE "]+";

static uint64_t key;
static uint32_t drawn;

static uint32_t draw(uint32_t below) { return flm_philox4x32(key, drawn++, 0, 0, 0).v[0] % below; }

static pcre2_code *compile(const char *pattern)
{
    int error;
    PCRE2_SIZE at;

    return pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, PCRE2_UTF | PCRE2_UCP, &error, &at, NULL);
}

static int matches(pcre2_code *code, pcre2_match_data *match, const char *text, size_t bytes, size_t at, size_t *end)
{
    int rc = pcre2_match(code, (PCRE2_SPTR)text, bytes, at, PCRE2_ANCHORED, match, NULL);

    if (rc > 0) *end = pcre2_get_ovector_pointer(match)[1];
    return rc > 0;
}

/* The class of every code point; usable[] is 0 for those in which the two versions of Unicode differ. */
static void test_classes(flm_unicode_table *table, unsigned char *usable)
{
    static const char *const patterns[] = {"[^" WHITE "\\p{L}\\p{N}]", "\\p{L}", "\\p{N}", "[" WHITE "]"};
    pcre2_code *codes[4];
    pcre2_match_data *match = pcre2_match_data_create(1, NULL);
    int differ = 0, wrong = 0;

    for (int i = 0; i < 4; i++) codes[i] = compile(patterns[i]);
    for (uint32_t code = 0; code < 0x110000; code++) {
        char text[4];
        size_t end, bytes = flm_utf8_put(code, (unsigned char *)text);
        if (code >= 0xd800 && code < 0xe000) continue;
        usable[code] = matches(codes[flm_unicode_table_get(table, code)], match, text, bytes, 0, &end) != 0;
        if (usable[code]) continue;
        differ++;
        wrong += !matches(codes[FLM_UNICODE_OTHER], match, text, bytes, 0, &end) &&
                 flm_unicode_table_get(table, code) != FLM_UNICODE_OTHER;
    }
    for (int i = 0; i < 4; i++) pcre2_code_free(codes[i]);
    pcre2_match_data_free(match);
    tap_ok(wrong == 0 && differ < 20000,
           "classes of all code points: %d are assigned in one version only, %d are wrong", differ, wrong);
}

static uint32_t draw_code(const unsigned char *usable)
{
    static const uint32_t edge[] = {' ', ' ',  ' ',   '\'',   '\'', 's',  't',    'r',    'e',    'v',
                                    'm', 'l',  'd',   '\n',   '\t', 0xa0, 0x2003, 0x3000, 0x180e, 0x200b,
                                    '1', 0xb2, 0x300, 0x2019, 'S',  '!',  0,      0x1f600};
    uint32_t code;

    switch (draw(4)) {
    case 0: code = draw(128); break;
    case 1: code = draw(8) ? draw(0x3100) : draw(0x110000); break;
    default: code = edge[draw(sizeof edge / sizeof edge[0])];
    }
    return usable[code] ? code : 'x';
}

/* The chunks of random texts, one by one. */
static void test_chunks(flm_unicode_table *table, const unsigned char *usable)
{
    enum { TEXTS = 20000 };
    pcre2_code *pattern = compile(PATTERN);
    pcre2_match_data *match = pcre2_match_data_create(1, NULL);
    int same = 0;
    long chunks = 0;

    tap_ok(pattern && pcre2_jit_compile(pattern, PCRE2_JIT_COMPLETE) <= 0, "the pattern compiles");
    for (int i = 0; i < TEXTS; i++) {
        char text[4 * 32];
        size_t bytes = 0, at = 0, end = 0;
        for (uint32_t n = draw(32); n > 0; n--) bytes += flm_utf8_put(draw_code(usable), (unsigned char *)text + bytes);
        for (; at < bytes && matches(pattern, match, text, bytes, at, &end); at = end, chunks++)
            if (flm_text_gpt2_next_chunk(table, text, bytes, at) != end) break;
        same += at == bytes;
    }
    tap_ok(same == TEXTS, "%d of %d texts (%ld chunks) are split as by PCRE2", same, TEXTS, chunks);
    pcre2_code_free(pattern);
    pcre2_match_data_free(match);
}

static void test_splitter(void)
{
    flm_unicode_table *table = calloc(1, sizeof *table);
    unsigned char *usable = calloc(0x110000, 1);

    if (!table || !usable) abort();
    table->make = flm_unicode_gpt2_class;
    test_classes(table, usable);
    test_chunks(table, usable);
    flm_unicode_table_free(table);
    free(table);
    free(usable);
}

static void test_round_trips(flm_tokenizer *t)
{
    int same = 0;

    for (int i = 0; i < 2000; i++) {
        char text[400], *repaired = NULL;
        size_t bytes = draw(sizeof text), n = 0;
        flm_ids ids = {NULL, 0, 0};
        for (size_t k = 0; k < bytes; k++) text[k] = (char)draw(i % 2 ? 256 : 128);
        same += flm_utf8_repair(text, bytes, &repaired, &n, NULL) == FLM_OK &&
                flm_tokenizer_encode(t, text, bytes, &ids, NULL) == FLM_OK && pairs_decodes(t, &ids, repaired, n);
        free(repaired);
        free(ids.ids);
    }
    tap_ok(same == 2000, "%d of 2000 random texts survive a round trip, with invalid UTF-8 replaced", same);
}

/* Words of a million letters, for which quadratic merging would take hours. */
static void test_long_words(flm_tokenizer *t)
{
    enum { N = 1000003 };
    char *text = malloc(N);
    flm_ids ids = {NULL, 0, 0};

    if (!text) abort();
    memset(text, '=', N);
    tap_ok(flm_tokenizer_encode(t, text, N, &ids, NULL) == FLM_OK && pairs_decodes(t, &ids, text, N), "%d equals signs",
           N);
    for (int i = 0; i < N; i++) text[i] = (char)('a' + draw(26));
    ids.count = 0;
    tap_ok(flm_tokenizer_encode(t, text, N, &ids, NULL) == FLM_OK && pairs_decodes(t, &ids, text, N),
           "a word of %d letters: %zu ids", N, ids.count);
    free(ids.ids);
    free(text);
}

/* A vocabulary of 256 bytes, <|endoftext|> and "ab": as GPT-2's pair of files and as a tokenizer.json. */
static char *small_vocabulary(void)
{
    char *text = malloc(1 << 14);
    int n = 0;

    if (!text) abort();
    n += sprintf(text, "{");
    for (int byte = 0, other = 0; byte < 256; byte++) {
        unsigned char token[5] = "";
        bool prints = (byte >= '!' && byte <= '~') || (byte >= 0xa1 && byte != 0xad);
        token[flm_utf8_put(prints ? (uint32_t)byte : 0x100u + (uint32_t)other++, token)] = '\0';
        n += sprintf(text + n, "\"%s%s\": %d, ", byte == '"' || byte == '\\' ? "\\" : "", (char *)token, byte);
    }
    sprintf(text + n, "\"ab\": 256, \"<|endoftext|>\": 257}");
    return text;
}

static void test_other_vocabulary(void)
{
    static const char *const settings[] = {"\"add_prefix_space\": false", "\"add_prefix_space\": true"};
    char *vocab = small_vocabulary(), *json = malloc(1 << 15);
    flm_tokenizer *pair = NULL, *one = NULL;
    flm_ids ids = {NULL, 0, 0};

    if (!json) abort();
    pairs_write("gpt2-small.json", vocab, strlen(vocab));
    pairs_write("gpt2-merges.txt", "#version: 0.2\na b\n", 18);
    pairs_write("gpt2-wrong.txt", "#version: 0.2\na c\n", 18);
    pairs_write("gpt2-lines.txt", "[PAD]\n[UNK]\n", 12);
    for (int i = 0; i < 2; i++) {
        sprintf(
            json,
            "{\"model\": {\"type\": \"BPE\", \"vocab\": %s, \"merges\": [[\"a\", \"b\"]]}, \"added_tokens\": [{\"id\": "
            "257, "
            "\"content\": \"<|endoftext|>\", \"special\": true}], \"pre_tokenizer\": {\"type\": \"ByteLevel\", %s}, "
            "\"decoder\": {\"type\": \"ByteLevel\"}}",
            vocab, settings[i]);
        pairs_write(i ? "gpt2-prefix.json" : "gpt2-one.json", json, strlen(json));
    }
    tap_ok(flm_tokenizer_create_from("gpt2", "gpt2-small.json", "gpt2-merges.txt", &pair) == FLM_OK &&
               flm_tokenizer_size(pair) == 259 && flm_tokenizer_end_id(pair) == 257,
           "a custom vocabulary, and the padding id: %s", flm_err_message());
    tap_ok(flm_tokenizer_create_from("gpt2", "gpt2-one.json", "", &one) == FLM_OK && flm_tokenizer_size(one) == 259,
           "as a tokenizer.json: %s", flm_err_message());
    for (int i = 0; i < 2 && pair && one; i++) {
        ids.count = 0;
        tap_ok(flm_tokenizer_encode(i ? one : pair, "abb<|endoftext|>\n", 17, &ids, NULL) == FLM_OK && ids.count == 4 &&
                   ids.ids[0] == 256 && ids.ids[1] == 'b' && ids.ids[2] == 257 && ids.ids[3] == '\n',
               "its ids");
    }
    pairs_refused("gpt2", "gpt2-small.json", "gpt2-wrong.txt", FLM_E_MISMATCH, "gpt2-wrong.txt",
                  "merges of another vocabulary");
    pairs_refused("gpt2", "gpt2-lines.txt", "gpt2-merges.txt", FLM_E_FORMAT, "gpt2-lines.txt", "a vocab.txt");
    pairs_refused("gpt2", "gpt2-small.json", "gpt2-small.json", FLM_E_FORMAT, "gpt2-small.json", "JSON as merges");
    pairs_refused("gpt2", "gpt2-small.json", NULL, FLM_E_FORMAT, "tokenizer.json", "a vocabulary without merges");
    pairs_refused("gpt2", "gpt2-prefix.json", NULL, FLM_E_FORMAT, "add_prefix_space", "another pre-tokeniser");
    pairs_refused("gpt2", NULL, "gpt2-merges.txt", FLM_E_ARG, "merges", "merges without a vocabulary");
    pairs_refused("gpt2", "no-such.json", NULL, FLM_E_MISSING, "no-such.json", "a missing file");
    flm_tokenizer_destroy(&pair);
    flm_tokenizer_destroy(&one);
    free(ids.ids);
    free(vocab);
    free(json);
    for (const char *const *p = (const char *const[]){"gpt2-small.json", "gpt2-merges.txt", "gpt2-wrong.txt",
                                                      "gpt2-lines.txt", "gpt2-one.json", "gpt2-prefix.json", NULL};
         *p; p++)
        unlink(*p);
}

static void test_shipped(void)
{
    setenv("FLM_DATA_DIR", "no-such-folder", 1);
    pairs_refused("gpt2", NULL, NULL, FLM_E_MISSING, "no-such-folder", "a folder without vocabularies");
    if (mkdir("gpt2-data", 0755) || mkdir("gpt2-data/vocabularies", 0755) || mkdir("gpt2-data/vocabularies/gpt2", 0755))
        abort();
    pairs_write("gpt2-data/vocabularies/gpt2/vocab.json", "{}", 2);
    setenv("FLM_DATA_DIR", "gpt2-data", 1);
    pairs_refused("gpt2", NULL, NULL, FLM_E_CHECKSUM, "gpt2/vocab.json", "a changed copy of a shipped file");
    unlink("gpt2-data/vocabularies/gpt2/vocab.json");
    rmdir("gpt2-data/vocabularies/gpt2");
    rmdir("gpt2-data/vocabularies");
    rmdir("gpt2-data");
    unsetenv("FLM_DATA_DIR");
}

int main(void)
{
    static const int32_t padding[] = {50257, 50256, 0};
    const flm_ids three = {(int32_t *)(void *)(uintptr_t)padding, 3, 3};
    flm_tokenizer *t = NULL;

    key = flm_philox_stream(1, FLM_RANDOM_INIT, 0, 0);
    test_splitter();
    test_shipped();
    test_other_vocabulary();
    if (!tap_ok(flm_tokenizer_create("gpt2", &t) == FLM_OK, "gpt2: %s", flm_err_message())) return tap_end();
    tap_ok(flm_tokenizer_size(t) == 50258 && flm_tokenizer_begin_id(t) == 50256 && flm_tokenizer_end_id(t) == 50256,
           "50257 ids and one for padding");
    tap_ok(strncmp(flm_tokenizer_sha256(t), "1ce16647", 8) == 0, "the digest of its merges: %s",
           flm_tokenizer_sha256(t));
    tap_ok(pairs_decodes(t, &three, "[PAD]<|endoftext|>!", 19), "special tokens are kept as text");
    pairs_test(t, "pairs-gpt2.tsv", false);
    test_round_trips(t);
    test_long_words(t);
    flm_tokenizer_destroy(&t);
    return tap_end();
}
