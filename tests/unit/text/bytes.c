/* bytes.c - the tokeniser of bytes, the table of tokenisers, and the repair of invalid UTF-8.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/base_sha256.h"
#include "tests/tap.h"
#include "text/text_tokenizer.h"
#include "text/text_utf8.h"

#include <stdlib.h>
#include <string.h>

#define R "\xef\xbf\xbd"

/* Expected: what the UTF-8 decoder of WHATWG Encoding gives, and its number of replacements. */
static const struct repair_case {
    const char *name, *text, *want;
    int count;
} cases[] = {
    {"nothing", "", "", 0},
    {"ASCII of 17 letters", "abcdefghijklmnopq", "abcdefghijklmnopq", 0},
    {"two, three and four bytes", "\xc2\xa2\xe2\x82\xac\xf0\x9f\x98\x80", "\xc2\xa2\xe2\x82\xac\xf0\x9f\x98\x80", 0},
    {"the ends of the ranges", "\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xf0\x90\x80\x80\xf4\x8f\xbf\xbf",
     "\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xf0\x90\x80\x80\xf4\x8f\xbf\xbf", 0},
    {"U+FFFD itself", R, R, 0},
    {"a lone continuation",
     "a\x80"
     "b",
     "a" R "b", 1},
    {"overlong /", "\xc0\xaf", R R, 2},
    {"overlong in three", "\xe0\x80\xaf", R R R, 3},
    {"overlong in four", "\xf0\x8f\xbf\xbf", R R R R, 4},
    {"a surrogate", "\xed\xa0\x80", R R R, 3},
    {"above U+10FFFF", "\xf4\x90\x80\x80", R R R R, 4},
    {"bytes that never occur", "\xfe\xff\xf5\xf8", R R R R, 4},
    {"cut at the end", "a\xe2\x82", "a" R, 1},
    {"cut four at the end", "\xf0\x9f\x98", R, 1},
    {"cut by a letter", "\xf0\x9f\x98z", R "z", 1},
    {"cut by a lead", "\xe2\x82\xe2\x82\xac", R "\xe2\x82\xac", 1},
    {"Unicode's table 3-8",
     "\xc0\xaf\xe0\x80\xbf\xf0\x81\x82"
     "A",
     R R R R R R R R "A", 8},
    {"Unicode's table 3-11",
     "\xe1\x80\xe2\xf0\x91\x92\xf1\xbf"
     "A",
     R R R R "A", 4},
};

static void test_repair(void)
{
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *out = NULL;
        size_t bytes = 0;
        int64_t count = 0;
        flm_status rc = flm_utf8_repair(cases[i].text, strlen(cases[i].text), &out, &bytes, &count);
        tap_ok(rc == FLM_OK && bytes == strlen(cases[i].want) && memcmp(out, cases[i].want, bytes + 1) == 0 &&
                   count == cases[i].count,
               "%s: %lld replaced", cases[i].name, (long long)count);
        free(out);
    }
}

static void test_codec(flm_tokenizer *t)
{
    static const char text[] = "na\xc3\xafve\0z\xff";
    static const int32_t want[] = {'n', 'a', 0xc3, 0xaf, 'v', 'e', 0, 'z', 0xef, 0xbf, 0xbd};
    static const int32_t marked[] = {256, 'h', 'i', 256}, cut[] = {0xe2, 0x82, 'x'}, bad[] = {1, 257},
                         negative[] = {-1};
    flm_ids ids = {NULL, 0, 0};
    int64_t replaced = 5;
    char *back = NULL;
    size_t bytes = 0;

    tap_ok(flm_tokenizer_encode(t, text, sizeof text - 1, &ids, &replaced) == FLM_OK && ids.count == 11 &&
               memcmp(ids.ids, want, sizeof want) == 0 && replaced == 6,
           "ids are bytes, the invalid one replaced and counted");
    tap_ok(flm_tokenizer_encode(t, "!", 1, &ids, NULL) == FLM_OK && ids.count == 12 && ids.ids[11] == '!' &&
               ids.ids[0] == 'n',
           "ids are appended");
    tap_ok(flm_tokenizer_encode(t, "", 0, &ids, &replaced) == FLM_OK && ids.count == 12, "an empty text has no ids");
    tap_ok(flm_tokenizer_decode(t, ids.ids, 8, &back, &bytes) == FLM_OK && bytes == 8 && memcmp(back, text, 8) == 0 &&
               back[8] == '\0',
           "decoding returns the text, NUL included");
    free(back);
    tap_ok(flm_tokenizer_decode(t, marked, 4, &back, &bytes) == FLM_OK && strcmp(back, "<|end|>hi<|end|>") == 0 &&
               bytes == 16,
           "begin and end are decoded to text");
    free(back);
    tap_ok(flm_tokenizer_decode(t, cut, 3, &back, &bytes) == FLM_OK && strcmp(back, R "x") == 0,
           "ids that are not UTF-8 become U+FFFD");
    free(back);
    back = NULL;
    tap_ok(flm_tokenizer_decode(t, bad, 2, &back, &bytes) == FLM_E_ARG && !back && strstr(flm_err_message(), "257"),
           "the id V is refused: %s", flm_err_message());
    tap_ok(flm_tokenizer_decode(t, negative, 1, &back, &bytes) == FLM_E_ARG && !back, "a negative id is refused");
    free(ids.ids);
}

/* A long text in parts, so that the list of ids grows often. */
static void test_round_trip(flm_tokenizer *t)
{
    enum { N = 100003 };
    char *text = malloc(N), *back = NULL;
    flm_ids ids = {NULL, 0, 0};
    size_t bytes = 0;
    int good = text != NULL;

    for (int i = 0; good && i < N; i++) text[i] = (char)(i * 7 % 128);
    for (int at = 0, n = 1; good && at < N; at += n, n = n * 3 % 1009 + 1) {
        if (n > N - at) n = N - at;
        good = flm_tokenizer_encode(t, text + at, (size_t)n, &ids, NULL) == FLM_OK;
    }
    good = good && ids.count == N && flm_tokenizer_decode(t, ids.ids, ids.count, &back, &bytes) == FLM_OK;
    tap_ok(good && bytes == N && memcmp(text, back, N) == 0, "%d bytes in parts survive a round trip", N);
    free(ids.ids);
    free(back);
    free(text);
}

int main(void)
{
    flm_tokenizer *t = NULL, *none = NULL;
    char digest[FLM_SHA256_BYTES];

    tap_ok(flm_sha256_digest("abc", 3, digest) == FLM_OK &&
               strcmp(digest, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad") == 0,
           "SHA-256 of FIPS 180-4's example");
    test_repair();
    tap_ok(flm_tokenizer_create("no-such", &none) == FLM_E_ARG && !none && strstr(flm_err_message(), "bytes"),
           "an unknown name is refused: %s", flm_err_message());
    tap_ok(flm_tokenizer_create("bytes", &t) == FLM_OK, "bytes");
    tap_ok(strcmp(flm_tokenizer_name(t), "bytes") == 0 && flm_tokenizer_size(t) == 257 &&
               flm_tokenizer_begin_id(t) == 256 && flm_tokenizer_end_id(t) == 256,
           "257 ids, of which the last is begin and end");
    flm_sha256_digest("bytes", 5, digest);
    tap_ok(strcmp(flm_tokenizer_sha256(t), digest) == 0, "the digest of its name: %s", digest);
    test_codec(t);
    test_round_trip(t);
    flm_tokenizer_destroy(&t);
    flm_tokenizer_destroy(&t);
    tap_ok(!t, "destroyed");
    return tap_end();
}
