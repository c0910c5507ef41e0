/* json_fuzz.c - damaged JSON: the texts that flm_score reads, and GPT-2's config.json. Reading must succeed or return
 * one error, and not crash.
 *
 * json_fuzz.t [ITERATIONS [SEED]]: valid files are mutated; a seed always gives the same mutations.
 * SPDX-License-Identifier: Apache-2.0 */
#include "convert/convert.h"
#include "score/score_texts.h"
#include "source/source_json.h"
#include "tests/fuzz/external_fuzz.h"
#include "text/text_utf8.h"

#include <fcntl.h>
#include <jansson.h>
#include <sys/stat.h>

enum { BYTES_MAX = 1 << 15, CONFIG_EVERY = 4 };

static const char *const words[] = {
    "\"text\"", "{}",       "[]", "null", "\n",       "\\u0000",          "\\ud800", "\"",
    "1e999",    "-1",       "0",  "24",   "97",       "{\"text\":",       "true",    "9223372036854775808",
    "1048576",  "16777216", ",",  "\xff", "[[[[[[[[", "\"n_layer\": 4096"};
enum { WORDS = sizeof words / sizeof words[0] };

static unsigned char lines[BYTES_MAX], config[BYTES_MAX], bad[2 * BYTES_MAX];

static size_t read_file(const char *top, const char *name, unsigned char *data)
{
    char path[4200];
    snprintf(path, sizeof path, "%.4000s/tests/score/golden/%s", top, name);
    FILE *in = fopen(path, "r");
    const size_t n = in ? fread(data, 1, BYTES_MAX, in) : 0;
    if (in) fclose(in);
    return n;
}

/* Texts are in order, and valid UTF-8, or the error names the file. */
static int lines_sound(const char *path, int *read)
{
    const flm_source_rules rules = {.field = "text",
                                    .members = "",
                                    .on_bad_line = FLM_SOURCE_BAD_LINE_FAIL,
                                    .document_bytes = BYTES_MAX * 2,
                                    .ratio = 20,
                                    .nesting = 4,
                                    .keep_white = true};
    flm_score_texts texts = {0};
    const flm_status rc = flm_score_texts_read(path, &rules, &texts);
    int sound = rc == FLM_OK || (rc == FLM_E_FORMAT && strncmp(flm_err_message(), path, strlen(path)) == 0);
    *read = rc == FLM_OK;
    for (int64_t i = 0; rc == FLM_OK && i < texts.count; i++) {
        const size_t bytes = (size_t)(texts.starts[i + 1] - texts.starts[i]);
        sound = sound && texts.starts[i] <= texts.starts[i + 1];
        sound = sound && flm_utf8_valid(texts.data + texts.starts[i], bytes) == bytes;
    }
    sound = sound && (rc != FLM_OK || texts.count > 0);
    flm_score_texts_free(&texts);
    return sound;
}

/* A text that Jansson finds in a line is found in it, and is the same; Python reads more than Jansson does. */
static int same_as_jansson(const unsigned char *data, size_t bytes, long *compared)
{
    const unsigned char *end = memchr(data, '\n', bytes);
    const size_t line = end ? (size_t)(end - data) : bytes;
    json_t *root = json_loadb((const char *)data, line, JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, NULL);
    const json_t *value = json_object_get(root, "text");
    char *text = NULL;
    size_t text_bytes = 0;
    int64_t replaced = 0;
    int same = 1;

    if (json_is_string(value)) {
        const flm_status rc = flm_json_line_read((const char *)data, line, "text", &text, &text_bytes, &replaced);
        same = rc == FLM_OK && replaced == 0 && text_bytes == json_string_length(value) &&
               memcmp(text, json_string_value(value), text_bytes) == 0;
        ++*compared;
    }
    free(text);
    json_decref(root);
    return same;
}

static const char samples[] =
    "{\n \"generative_ppl\": 12.5, \"n\": [1, [\"x\"]],\n \"generated_seqs\": [\"one\", \"t\\u0077o \\\"\","
    "\n  \"\", \"caf\\u00e9 \\ud83d\\ude00\"] , \"text\": {\"generated_seqs\": []}}\n";

typedef struct list_check {
    const json_t *list;
    size_t count;
    int same;
} list_check;

static flm_status check_string(void *context, const char *text, size_t bytes)
{
    list_check *c = context;
    const json_t *value = json_array_get(c->list, c->count++);
    c->same = c->same && flm_utf8_valid(text, bytes) == bytes &&
              (!value || (json_string_length(value) == bytes && memcmp(json_string_value(value), text, bytes) == 0));
    return FLM_OK;
}

/* A list of texts that Jansson finds in a damaged document is found, and is the same. */
static int same_list(size_t *compared)
{
    size_t n = sizeof samples - 1;
    list_check c = {.same = 1};
    int64_t replaced = 0;
    bool found = false, strings = true;
    memcpy(bad, samples, n);
    for (uint32_t k = 1 + fuzz_draw(3); k > 0; k--) n = fuzz_mutate(bad, n, words, WORDS);
    json_t *root = json_loadb((const char *)bad, n, JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, NULL);
    c.list = json_object_get(root, "generated_seqs");
    for (size_t i = 0; i < json_array_size(c.list); i++) strings = strings && json_is_string(json_array_get(c.list, i));
    const int wanted = json_is_array(c.list) && strings;
    const flm_status rc =
        flm_json_list_read((const char *)bad, n, "generated_seqs", check_string, &c, &replaced, &found);
    if (rc != FLM_OK || (wanted && (!found || c.count != json_array_size(c.list)))) c.same = 0;
    *compared += (size_t)wanted;
    json_decref(root);
    return c.same;
}

static int config_sound(const char *folder, const char *out, int *converted)
{
    const flm_status rc = flm_convert_gpt2(folder, out);
    *converted = rc == FLM_OK;
    return rc == FLM_OK ||
           ((rc == FLM_E_FORMAT || rc == FLM_E_MISMATCH) && strncmp(flm_err_message(), folder, strlen(folder)) == 0);
}

int main(int argc, char **argv)
{
    const char *top = getenv("abs_top_srcdir");
    long iterations = argc > 1 ? atol(argv[1]) : 4000, unsound = 0, read = 0, converted = 0, done = 0, compared = 0,
         differ = 0;
    char folder[] = "json-fuzz.XXXXXX", path[3][64], target[4200];
    int went;
    size_t lists = 0;

    if (!top) return tap_skip_all("run me with make check");
    fuzz_key = flm_philox_stream(argc > 2 ? strtoull(argv[2], NULL, 10) : 1, FLM_RANDOM_INIT, 0, 0);
    const size_t lines_bytes = read_file(top, "texts.jsonl", lines),
                 config_bytes = read_file(top, "config.json", config);
    if (!mkdtemp(folder)) return tap_skip_all("no directory for files");
    snprintf(path[0], sizeof path[0], "%s/texts.jsonl", folder);
    snprintf(path[1], sizeof path[1], "%s/config.json", folder);
    snprintf(path[2], sizeof path[2], "%s/model.safetensors", folder);
    snprintf(target, sizeof target, "%.4000s/tests/score/golden/model.safetensors", top);
    const int ready = symlink(target, path[2]) == 0 && fuzz_put(path[0], lines, lines_bytes) &&
                      fuzz_put(path[1], config, config_bytes);
    tap_ok(ready && lines_sound(path[0], &went) && went, "valid lines: %s", flm_err_message());
    const int out = dup(1), nowhere = open("/dev/null", O_WRONLY); /* the output of converting is not TAP */
    fflush(stdout);
    dup2(nowhere, 1);
    char made[80];
    snprintf(made, sizeof made, "%s/out.h5", folder);
    const int good = ready && config_sound(folder, made, &went) && went;
    unlink(made);
    for (long i = 0; ready && i < iterations; i++, done++) {
        const int of_config = i % CONFIG_EVERY == 0;
        size_t n = of_config ? config_bytes : lines_bytes;
        memcpy(bad, of_config ? config : lines, n);
        for (uint32_t k = 1 + fuzz_draw(3); k > 0; k--) n = fuzz_mutate(bad, n, words, WORDS);
        if (!fuzz_put(path[of_config], bad, n)) break;
        if (!of_config) differ += !same_as_jansson(bad, n, &compared);
        differ += !same_list(&lists);
        if (!(of_config ? config_sound(folder, made, &went) : lines_sound(path[0], &went)) && unsound++ == 0)
            fprintf(stderr, "# iteration %ld: %s\n", i, flm_err_message());
        *(of_config ? &converted : &read) += went;
        unlink(made);
    }
    fflush(stdout);
    dup2(out, 1);
    close(out);
    close(nowhere);
    tap_ok(good, "valid settings");
    tap_ok(done == iterations && unsound == 0,
           "%ld damaged files, %ld neither read nor refused with a documented error", done, unsound);
    tap_ok(read > 0 && read < iterations, "%ld are still valid texts", read);
    tap_ok(differ == 0 && compared > 0 && lists > 0,
           "%ld lines and %zu documents that Jansson reads, %ld read differently", compared, lists, differ);
    tap_ok(converted > 0 && converted < iterations / CONFIG_EVERY, "%ld are still valid settings of a GPT-2",
           converted);
    for (int k = 0; k < 3; k++) unlink(path[k]);
    rmdir(folder);
    return tap_end();
}
