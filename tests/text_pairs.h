/* text_pairs.h - for tests: the pairs written by tests/text/pairs.py, and temporary files.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_TESTS_TEXT_PAIRS_H
#define FLM_TESTS_TEXT_PAIRS_H

#include "tests/tap.h"
#include "text/text_tokenizer.h"

#include <stdlib.h>
#include <string.h>

/* One line: a text, its ids, the ids decoded with the default of the class and with the other setting of clean-up. */
typedef struct text_pair {
    char *text, *back, *other;
    size_t bytes, back_bytes, other_bytes;
    flm_ids ids;
} text_pair;

/* Open the file `name` of tests/unit/text; NULL if it does not exist. */
static inline FILE *pairs_open(const char *name)
{
    const char *top = getenv("abs_top_srcdir");
    char path[4096];

    snprintf(path, sizeof path, "%s/tests/unit/text/%s", top ? top : ".", name);
    return fopen(path, "rb");
}

static inline unsigned pairs_digit(char c) { return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10); }

/* Convert hex digits in place; returns the number of bytes. */
static inline size_t pairs_unhex(char *hex)
{
    size_t n = 0;

    for (; hex[2 * n] && hex[2 * n + 1]; n++)
        hex[n] = (char)(pairs_digit(hex[2 * n]) << 4 | pairs_digit(hex[2 * n + 1]));
    hex[n] = '\0';
    return n;
}

/* One of the two decodings; "=" means the text before it. */
static inline size_t pairs_field(char **field, char *before, size_t bytes)
{
    if (strcmp(*field, "=") != 0) return pairs_unhex(*field);
    *field = before;
    return bytes;
}

/* The next pair, whose strings are in *line (free it after the last); 0 at the end. */
static inline int pairs_next(FILE *file, char **line, size_t *capacity, text_pair *pair)
{
    ssize_t length = getline(line, capacity, file);
    char *field[4] = {*line, NULL, NULL, NULL}, *p;

    if (length <= 0) return 0;
    if ((*line)[length - 1] == '\n') (*line)[length - 1] = '\0';
    for (int i = 1; i < 4; i++) {
        field[i] = strchr(field[i - 1], '\t');
        if (!field[i]) return 0;
        *field[i]++ = '\0';
    }
    pair->ids.count = 0;
    for (p = strtok(field[1], " "); p; p = strtok(NULL, " ")) {
        if (pair->ids.count == pair->ids.capacity) {
            pair->ids.capacity = 2 * pair->ids.capacity + 64;
            pair->ids.ids = realloc(pair->ids.ids, pair->ids.capacity * sizeof *pair->ids.ids);
            if (!pair->ids.ids) abort();
        }
        pair->ids.ids[pair->ids.count++] = atoi(p);
    }
    pair->text = field[0], pair->bytes = pairs_unhex(field[0]);
    pair->back_bytes = pairs_field(&field[2], pair->text, pair->bytes);
    pair->back = field[2];
    pair->other_bytes = pairs_field(&field[3], pair->back, pair->back_bytes);
    pair->other = field[3];
    return 1;
}

/* Whether the ids decode to text [bytes]. */
static inline int pairs_decodes(flm_tokenizer *t, const flm_ids *ids, const char *text, size_t bytes)
{
    char *back = NULL;
    size_t n = 0;
    int same = flm_tokenizer_decode(t, ids->ids, ids->count, &back, &n) == FLM_OK && n == bytes &&
               memcmp(back, text, bytes) == 0 && back[bytes] == '\0';

    free(back);
    return same;
}

/* All pairs of a file, encoded twice: the second time words come from the cache. */
static inline void pairs_test(flm_tokenizer *t, const char *name, bool clean_up)
{
    FILE *file = pairs_open(name);
    char *line = NULL;
    size_t capacity = 0;
    text_pair pair = {0};
    flm_ids ids = {NULL, 0, 0};
    int count = 0, encoded = 0, again = 0, decoded = 0, other = 0;

    tap_ok(file != NULL, "%s opens", name);
    while (file && pairs_next(file, &line, &capacity, &pair)) {
        for (int pass = 0; pass < 2; pass++) {
            int same;
            ids.count = 0;
            same = flm_tokenizer_encode(t, pair.text, pair.bytes, &ids, NULL) == FLM_OK &&
                   ids.count == pair.ids.count &&
                   (ids.count == 0 || memcmp(ids.ids, pair.ids.ids, ids.count * sizeof *ids.ids) == 0);
            *(pass ? &again : &encoded) += same;
            if (!same) printf("# line %d differs\n", count + 1);
        }
        decoded += pairs_decodes(t, &pair.ids, pair.back, pair.back_bytes);
        flm_tokenizer_set_clean_up(t, !clean_up);
        other += pairs_decodes(t, &pair.ids, pair.other, pair.other_bytes);
        flm_tokenizer_set_clean_up(t, clean_up);
        count++;
    }
    tap_ok(count > 60, "%d texts", count);
    tap_ok(encoded == count, "%d of them have the published ids", encoded);
    tap_ok(again == count, "%d of them again, from the cache", again);
    tap_ok(decoded == count && other == count, "%d decode as published, and %d with the other clean-up", decoded,
           other);
    free(ids.ids);
    free(pair.ids.ids);
    free(line);
    if (file) fclose(file);
}

/* Write a file in the working folder. */
static inline void pairs_write(const char *path, const char *text, size_t bytes)
{
    FILE *file = fopen(path, "wb");

    if (!file || fwrite(text, 1, bytes, file) != bytes || fclose(file) != 0) abort();
}

/* Files from which no tokeniser must be created: check the status and the words of the message. */
static inline void pairs_refused(const char *name, const char *vocab, const char *merges, flm_status want,
                                 const char *words, const char *what)
{
    flm_tokenizer *t = NULL;
    flm_status rc = flm_tokenizer_create_from(name, vocab, merges, &t);

    tap_ok(rc == want && !t && strstr(flm_err_message(), words), "%s is refused: %s", what, flm_err_message());
    flm_tokenizer_destroy(&t);
}

#endif
