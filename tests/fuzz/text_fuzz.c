/* text_fuzz.c - mutated texts and vocabularies: always ids in range that decode to a text, or one error that names the
 * file, and never a crash.
 *
 * text_fuzz.t [SECONDS [SEED]] (default: 2 seconds, seed 1): mutations of the texts of tests/unit/text/pairs-gpt2.tsv
 * through all three tokenisers and the detokeniser, at least 1024; mutations of small vocabularies of every kind. The
 * seed determines them all. Run it in a sanitizer build to detect more. SPDX-License-Identifier:
 * Apache-2.0 */
#include "base/base_philox.h"
#include "tests/text_pairs.h"
#include "text/text_lm1b.h"
#include "text/text_utf8.h"

#include <time.h>
#include <unistd.h>

enum { SEEDS_MAX = 256, TEXT_MAX = 1 << 14, FILE_MAX = 1 << 15 };

static const char *const fragments[] = {" ",
                                        "\n",
                                        "[SEP]",
                                        "<|endoftext|>",
                                        "\xef\xbf\xbd",
                                        "\xcc\x81",
                                        "\xe3\x80\xae",
                                        "\xe2\x80\x8d",
                                        "\xf0\x9f\x91\xa8",
                                        "'s",
                                        "\xff",
                                        "\xe2\x82",
                                        "\"",
                                        "( ",
                                        " )",
                                        " . ",
                                        "\xed\xa0\x80",
                                        "##",
                                        "{",
                                        "}",
                                        ":",
                                        ",",
                                        "\\u0000",
                                        "-1",
                                        "256",
                                        "1e9",
                                        "null",
                                        "[]",
                                        "\t",
                                        "\r",
                                        "99999999999"};

typedef struct seed {
    char *text;
    size_t bytes;
} seed;

static seed texts[SEEDS_MAX], files[4];
static size_t text_count;
static uint64_t key, drawn;

static uint32_t draw(size_t below)
{
    uint64_t n = drawn++;
    return (uint32_t)(flm_philox4x32(key, (uint32_t)n, (uint32_t)(n >> 32), 0, 0).v[0] % below);
}

/* Make a copy of a seed with up to seven changes; returns its bytes. */
static size_t mutate(const seed *s, char *text, size_t max)
{
    size_t bytes = s->bytes < max ? s->bytes : max;

    memcpy(text, s->text, bytes);
    for (uint32_t n = draw(8); n > 0; n--) {
        size_t at = bytes ? draw(bytes) : 0, length;
        const char *fragment = fragments[draw(sizeof fragments / sizeof fragments[0])], *from = fragment;
        switch (draw(5)) {
        case 0: /* change a byte */
            if (bytes) text[at] = (char)draw(256);
            continue;
        case 1: /* remove a part */
            length = draw(bytes - at + 1);
            memmove(text + at, text + at + length, bytes - at - length);
            bytes -= length;
            continue;
        case 2: /* insert the beginning of a text */
            from = texts[draw(text_count)].text;
            length = draw(strlen(from) + 1);
            break;
        case 3: /* append a fragment many times */
            for (length = draw(200) * strlen(fragment); length > 0 && bytes + length <= max;
                 length -= strlen(fragment)) {
                memcpy(text + bytes, fragment, strlen(fragment));
                bytes += strlen(fragment);
            }
            continue;
        default: length = strlen(fragment);
        }
        if (bytes + length > max) continue;
        memmove(text + at + length, text + at, bytes - at);
        memcpy(text + at, from, length);
        bytes += length;
    }
    return bytes;
}

/* Whether all ids are in range and, for a lossless tokeniser, decode to the repaired text. */
static int sound_text(flm_tokenizer *t, const char *text, size_t bytes, int lossless)
{
    flm_ids ids = {NULL, 0, 0};
    char *repaired = NULL, *back = NULL;
    size_t n = 0, m = 0;
    int sound = flm_tokenizer_encode(t, text, bytes, &ids, NULL) == FLM_OK;

    for (size_t i = 0; i < ids.count; i++) sound = sound && ids.ids[i] >= 0 && ids.ids[i] < flm_tokenizer_size(t);
    sound = sound && flm_tokenizer_decode(t, ids.ids, ids.count, &back, &m) == FLM_OK &&
            flm_utf8_repair(text, bytes, &repaired, &n, NULL) == FLM_OK;
    if (lossless) sound = sound && n == m && memcmp(repaired, back, n) == 0;
    free(repaired);
    free(back);
    free(ids.ids);
    return sound;
}

static int fuzz_text(flm_tokenizer *const *all)
{
    char text[TEXT_MAX];
    size_t bytes = mutate(&texts[draw(text_count)], text, sizeof text), before = bytes;
    int sound =
        sound_text(all[0], text, bytes, 1) && sound_text(all[1], text, bytes, 0) && sound_text(all[2], text, bytes, 1);

    flm_text_lm1b_detokenize(text, &bytes);
    return sound && bytes <= before;
}

/* Files: 0 and 1 are GPT-2's pair, 2 its tokenizer.json, 3 a vocab.txt for BERT. Counts the accepted ones in *good. */
static int fuzz_file(long *good)
{
    static const char *const names[] = {"fuzz-vocab.json", "fuzz-merges.txt", "fuzz-tokenizer.json", "fuzz-vocab.txt"};
    char text[FILE_MAX];
    uint32_t which = draw(4);
    flm_tokenizer *t = NULL;
    flm_status rc;
    int sound;

    pairs_write(names[which], text, mutate(&files[which], text, sizeof text));
    rc = flm_tokenizer_create_from(which == 3 ? "bert-base-uncased" : "gpt2", names[which < 2 ? 0 : which],
                                   which < 2 ? names[1] : NULL, &t);
    if (rc == FLM_OK)
        sound = sound_text(t, "abc ab\xc3\xa9 <|endoftext|> [SEP] x", 29, 0);
    else
        sound = rc == FLM_E_UNSUPPORTED || rc == FLM_E_MISMATCH || (rc == FLM_E_FORMAT && flm_err_message()[0]);
    if (!sound) printf("# %s: %d %s\n", names[which], rc, flm_err_message());
    *good += rc == FLM_OK;
    flm_tokenizer_destroy(&t);
    pairs_write(names[which], files[which].text, files[which].bytes);
    return sound;
}

static void keep(seed *s, const char *text, size_t bytes)
{
    s->text = malloc(bytes + 1);
    if (!s->text) abort();
    memcpy(s->text, text, bytes);
    s->text[bytes] = '\0';
    s->bytes = bytes;
}

static void read_texts(void)
{
    FILE *file = pairs_open("pairs-gpt2.tsv");
    char *line = NULL;
    size_t capacity = 0;
    text_pair pair = {0};

    while (file && text_count < SEEDS_MAX && pairs_next(file, &line, &capacity, &pair))
        keep(&texts[text_count++], pair.text, pair.bytes);
    free(line);
    free(pair.ids.ids);
    if (file) fclose(file);
}

/* Small vocabularies of every kind. */
static void make_files(void)
{
    static const char lines[] = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nab\n##c\n##\xc3\xa9\nx\n!\n";
    static const char merges[] = "#version: 0.2\na b\nab c\n";
    char *vocab = malloc(FILE_MAX), *json = malloc(FILE_MAX);
    int n = 0;

    if (!vocab || !json) abort();
    n += sprintf(vocab, "{");
    for (int byte = 0, other = 0; byte < 256; byte++) {
        bool prints = (byte >= '!' && byte <= '~') || (byte >= 0xa1 && byte != 0xad);
        n += sprintf(vocab + n, "\"\\u%04x\": %d, ", prints ? byte : 0x100 + other, byte);
        other += !prints;
    }
    sprintf(vocab + n, "\"ab\": 256, \"abc\": 257, \"<|endoftext|>\": 258}");
    sprintf(json,
            "{\"added_tokens\": [{\"id\": 258, \"content\": \"<|endoftext|>\", \"special\": true, \"lstrip\": false}, "
            "{\"id\": 259, \"content\": \"<x>\"}], \"normalizer\": null, \"pre_tokenizer\": {\"type\": \"ByteLevel\", "
            "\"add_prefix_space\": false}, \"decoder\": {\"type\": \"ByteLevel\"}, \"model\": {\"type\": \"BPE\", "
            "\"dropout\": null, \"vocab\": %s, \"merges\": [\"a b\", [\"ab\", \"c\"]]}}",
            vocab);
    keep(&files[0], vocab, strlen(vocab));
    keep(&files[1], merges, sizeof merges - 1);
    keep(&files[2], json, strlen(json));
    keep(&files[3], lines, sizeof lines - 1);
    pairs_write("fuzz-vocab.json", vocab, strlen(vocab));
    pairs_write("fuzz-merges.txt", merges, sizeof merges - 1);
    free(vocab);
    free(json);
}

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

int main(int argc, char **argv)
{
    static const char *const names[] = {"gpt2", "bert-base-uncased", "bytes"};
    double begin = now(), seconds = argc > 1 ? atof(argv[1]) : 2;
    char folder[] = "text-fuzz.XXXXXX";
    flm_tokenizer *all[3] = {NULL, NULL, NULL};
    long count = 0, unsound = 0, good = 0, made = 0;
    int ready = 1;

    key = flm_philox_stream(argc > 2 ? strtoull(argv[2], NULL, 10) : 1, FLM_RANDOM_INIT, 0, 0);
    read_texts();
    for (int i = 0; i < 3; i++) ready = ready && flm_tokenizer_create(names[i], &all[i]) == FLM_OK;
    ready = ready && text_count > 60 && mkdtemp(folder) && chdir(folder) == 0;
    if (!tap_ok(ready, "seeds, tokenisers and a folder: %s", flm_err_message())) return tap_end();
    make_files();
    for (; unsound == 0 && (count < 1024 || now() - begin < seconds); count++) {
        if (!fuzz_text(all) && unsound++ == 0) printf("# text %ld: %s\n", count, flm_err_message());
        if (count % 16 == 0 && made++ >= 0 && !fuzz_file(&good) && unsound++ == 0) printf("# file of %ld\n", count);
    }
    tap_ok(unsound == 0, "%ld texts and %ld files, %ld failures", count, made, unsound);
    tap_ok(good > 0 && good < made, "%ld of the files were accepted, the others refused", good);
    for (int i = 0; i < 3; i++) flm_tokenizer_destroy(&all[i]);
    for (size_t i = 0; i < text_count; i++) free(texts[i].text);
    for (int i = 0; i < 4; i++) free(files[i].text);
    for (const char *const *p =
             (const char *const[]){"fuzz-vocab.json", "fuzz-merges.txt", "fuzz-tokenizer.json", "fuzz-vocab.txt", NULL};
         *p; p++)
        unlink(*p);
    if (chdir("..") != 0 || rmdir(folder) != 0) printf("# %s was not removed\n", folder);
    return tap_end();
}
