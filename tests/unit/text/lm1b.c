/* lm1b.c - LM1B's detokeniser on pairs made with the published rules: data.md section 3, detokenize-lm1b.tsv.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/text_pairs.h"
#include "text/text_lm1b.h"

/* What the pairs do not have: ends before a newline, single spaces, invalid UTF-8, the words of Python's \w. */
static const char *const more[][2] = {
    {"end .\n", "end .\n"},
    {"the end .\n", "the end.\n"},
    {"really ?\n", "really?\n"},
    {"x ! \n", "x! \n"},
    {" ", " "},
    {" .", " ."},
    {"a \xff . b", "a \xff . b"},
    {"a \xe2\x82 . b", "a \xe2\x82 . b"},
    {"a '\xc3\xa9 b", "a'\xc3\xa9 b"},
    {"a 'e\xcc\x81 . b", "a'e\xcc\x81 . b"},
    {"a \xc2\xb2 . b", "a \xc2\xb2. b"},
    {"\"  \" x \" y \"", "\"  \"x\" y \""},
    {"( ( a ) )", "( (a) )"},
};

static int detokenizes(const char *text, const char *want)
{
    char copy[1024];
    size_t bytes = strlen(text);

    if (bytes >= sizeof copy) return 0;
    memcpy(copy, text, bytes);
    flm_text_lm1b_detokenize(copy, &bytes);
    return bytes == strlen(want) && memcmp(copy, want, bytes) == 0;
}

/* In the pairs "\\t" is a tab. */
static void untab(char *text)
{
    for (char *p = strstr(text, "\\t"); p; p = strstr(p, "\\t")) {
        *p++ = '\t';
        memmove(p, p + 1, strlen(p));
    }
}

int main(void)
{
    FILE *file = pairs_open("detokenize-lm1b.tsv");
    char *line = NULL;
    size_t capacity = 0;
    int count = 0;

    tap_ok(file != NULL, "the file of pairs opens");
    while (file && getline(&line, &capacity, file) > 0) {
        char *want = strchr(line, '\t');
        line[strcspn(line, "\n")] = '\0';
        if (!want) continue;
        *want++ = '\0';
        untab(line);
        untab(want);
        tap_ok(detokenizes(line, want), "\"%s\"", want);
        count++;
    }
    tap_ok(count == 36, "%d pairs", count);
    for (size_t i = 0; i < sizeof more / sizeof more[0]; i++)
        tap_ok(detokenizes(more[i][0], more[i][1]), "further case %zu", i);
    free(line);
    if (file) fclose(file);
    return tap_end();
}
