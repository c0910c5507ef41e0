/* bert.c - BERT's tokeniser: published ids and texts, chunks that are independent of each other, invalid vocabulary
 * files. SPDX-License-Identifier: Apache-2.0 */
#include "base/base_philox.h"
#include "tests/text_pairs.h"

#include <unistd.h>

static uint64_t key;
static uint32_t drawn;

static uint32_t draw(uint32_t below) { return flm_philox4x32(key, drawn++, 0, 0, 0).v[0] % below; }

/* A text that is split at a space has the ids of its two parts, so chunks are independent of each other. */
static void test_parts(flm_tokenizer *t)
{
    enum { TEXTS = 2000, BYTES_MAX = 300 };
    int same = 0;

    for (int i = 0; i < TEXTS; i++) {
        char text[BYTES_MAX];
        size_t bytes = 2 + draw(BYTES_MAX - 2), at = draw((uint32_t)bytes);
        flm_ids whole = {NULL, 0, 0}, parts = {NULL, 0, 0};
        for (size_t k = 0; k < bytes; k++) text[k] = (char)draw(i % 2 ? 256 : 128);
        text[at] = ' ';
        same += flm_tokenizer_encode(t, text, at, &parts, NULL) == FLM_OK &&
                flm_tokenizer_encode(t, text + at, bytes - at, &parts, NULL) == FLM_OK &&
                flm_tokenizer_encode(t, text, bytes, &whole, NULL) == FLM_OK && whole.count == parts.count &&
                (whole.count == 0 || memcmp(whole.ids, parts.ids, whole.count * sizeof *whole.ids) == 0);
        free(whole.ids);
        free(parts.ids);
    }
    tap_ok(same == TEXTS, "%d of %d random texts have the ids of their parts", same, TEXTS);
}

/* Many marks that are reordered, and a word of a million letters. */
static void test_long(flm_tokenizer *t)
{
    enum { MARKS = 200000 };
    static const char two[] = "\xe3\x80\xae\xe3\x80\xaa\xe1\xae\xaa"; /* U+302E, U+302A, U+1BAA */
    char *text = malloc(9 * MARKS);
    flm_ids ids = {NULL, 0, 0};

    if (!text) abort();
    for (int i = 0; i < MARKS; i++) memcpy(text + (size_t)i * 9, two, 9);
    tap_ok(flm_tokenizer_encode(t, text, 9 * MARKS, &ids, NULL) == FLM_OK && ids.count == 1 && ids.ids[0] == 100,
           "%d marks are one unknown word", 3 * MARKS);
    memset(text, 'q', 1000003);
    tap_ok(flm_tokenizer_encode(t, text, 1000003, &ids, NULL) == FLM_OK && ids.count == 2 && ids.ids[1] == 100,
           "so is a word of 1000003 letters");
    free(ids.ids);
    free(text);
}

static void test_other_vocabulary(void)
{
    static const char lines[] = "[PAD]\r\n[UNK]\r\n[CLS]\r\n[SEP]\r\n[MASK]\r\nab\r\n##c";
    static const char json[] =
        "{\"model\": {\"type\": \"WordPiece\", \"unk_token\": \"[UNK]\", \"vocab\": {\"[UNK]\": 0, \"[CLS]\": 1, "
        "\"[SEP]\": 2, \"ab\": 3, \"##c\": 4}}, \"added_tokens\": [{\"id\": 2, \"content\": \"[SEP]\", \"special\": "
        "true}], \"normalizer\": {\"type\": \"BertNormalizer\", \"lowercase\": true, \"strip_accents\": null}, "
        "\"pre_tokenizer\": {\"type\": \"BertPreTokenizer\"}, \"decoder\": {\"type\": \"WordPiece\"}}";
    flm_tokenizer *t = NULL;
    flm_ids ids = {NULL, 0, 0};

    pairs_write("bert-lines.txt", lines, sizeof lines - 1);
    pairs_write("bert-one.json", json, sizeof json - 1);
    pairs_write("bert-wrong.txt", "[PAD]\n[UNK]\n[CLS]\nab\n", 21);
    pairs_write("bert-twice.txt", "[PAD]\n[UNK]\n[CLS]\nab\nab\n", 24);
    pairs_write("bert-bytes.txt", "[UNK]\n\xff\n", 8);
    pairs_write("bert-none.txt", "", 0);
    tap_ok(flm_tokenizer_create_from("bert-base-uncased", "bert-lines.txt", NULL, &t) == FLM_OK &&
               flm_tokenizer_size(t) == 7 && flm_tokenizer_begin_id(t) == 2,
           "a custom vocabulary: %s", flm_err_message());
    tap_ok(t && flm_tokenizer_encode(t, "ABC abx[SEP]", 12, &ids, NULL) == FLM_OK && ids.count == 4 &&
               ids.ids[0] == 5 && ids.ids[1] == 6 && ids.ids[2] == 1 && ids.ids[3] == 3,
           "its ids");
    flm_tokenizer_destroy(&t);
    ids.count = 0;
    tap_ok(flm_tokenizer_create_from("bert-base-uncased", "bert-one.json", NULL, &t) == FLM_OK &&
               flm_tokenizer_encode(t, "ABC abx[SEP]", 12, &ids, NULL) == FLM_OK && ids.count == 4 && ids.ids[0] == 3 &&
               ids.ids[1] == 4 && ids.ids[2] == 0 && ids.ids[3] == 2,
           "as a tokenizer.json: %s", flm_err_message());
    flm_tokenizer_destroy(&t);
    free(ids.ids);
    pairs_refused("bert-base-uncased", "bert-wrong.txt", NULL, FLM_E_FORMAT, "[SEP]", "a vocabulary without [SEP]");
    pairs_refused("bert-base-uncased", "bert-twice.txt", NULL, FLM_E_FORMAT, "twice", "a token twice");
    pairs_refused("bert-base-uncased", "bert-bytes.txt", NULL, FLM_E_FORMAT, "UTF-8", "invalid UTF-8");
    pairs_refused("bert-base-uncased", "bert-none.txt", NULL, FLM_E_FORMAT, "bert-none.txt", "an empty file");
    pairs_refused("bert-base-uncased", NULL, "x", FLM_E_ARG, "merges", "a file of merges");
    pairs_refused("bytes", "x", NULL, FLM_E_ARG, "vocabulary", "a vocabulary for bytes");
    for (const char *const *p = (const char *const[]){"bert-lines.txt", "bert-one.json", "bert-wrong.txt",
                                                      "bert-twice.txt", "bert-bytes.txt", "bert-none.txt", NULL};
         *p; p++)
        unlink(*p);
}

int main(void)
{
    flm_tokenizer *t = NULL;
    const flm_ids none = {NULL, 0, 0};

    key = flm_philox_stream(2, FLM_RANDOM_INIT, 0, 0);
    test_other_vocabulary();
    if (!tap_ok(flm_tokenizer_create("bert-base-uncased", &t) == FLM_OK, "bert-base-uncased: %s", flm_err_message()))
        return tap_end();
    tap_ok(flm_tokenizer_size(t) == 30522 && flm_tokenizer_begin_id(t) == 101 && flm_tokenizer_end_id(t) == 102,
           "30522 ids");
    tap_ok(strncmp(flm_tokenizer_sha256(t), "07eced37", 8) == 0, "the digest of its vocabulary: %s",
           flm_tokenizer_sha256(t));
    tap_ok(pairs_decodes(t, &none, "", 0), "no ids give no text");
    pairs_test(t, "pairs-bert.tsv", true);
    test_parts(t);
    test_long(t);
    flm_tokenizer_destroy(&t);
    return tap_end();
}
