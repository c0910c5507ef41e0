/* jsonl_fuzz.c - mutated lines of JSON: always documents or one error that names the line, never a crash.
 *
 * jsonl_fuzz.t [SECONDS [SEED [FILE...]]]: mutations of valid files with every --on-bad-line and --clean; the seed
 * determines them all. Run it in a sanitizer build to detect more. SPDX-License-Identifier: Apache-2.0 */
#include "tests/fuzz/prep_fuzz.h"

#include <string.h>

static const char *const fragments[] = {"{",
                                        "}",
                                        "[",
                                        "]",
                                        "\"",
                                        ":",
                                        ",",
                                        "\\",
                                        "\\u0000",
                                        "\\ud83d",
                                        "\\ude00",
                                        "null",
                                        "1e999",
                                        "NaN",
                                        "-Infinity",
                                        "\\ud800",
                                        "\xc2\xa0",
                                        "-",
                                        "\n",
                                        "\r\n",
                                        "\"text\"",
                                        "\xff\xfe",
                                        "\xed\xa0\x80",
                                        "\xef\xbb\xbf",
                                        "99999999999999999999",
                                        "[[[[[[[[",
                                        " , ",
                                        " ' ",
                                        NULL};

static const char *const seeds[] = {
    "{\"text\": \"one\"}\n{\"text\": \"two\", \"id\": 7}\n",
    "{\"id\": [1, 2.5e3, {\"a\": null}], \"text\": \"\\u00e9\\ud83d\\ude00 \\\" \\\\ \\n\\n\\n\\n "
    "end\"}\r\n\r\n{\"text\":\"\"}",
    "{\"text\": \"He said : \\\" I 'm not sure ; maybe . \\\" , $ 5 ( or \xc2\xa3 3 ) http : / / x\"}\n",
    "{\"meta\": {\"text\": \"no\"}, \"text\": \"yes \xf0\x9f\x98\x80 \xc3\xa9\"}\n{}\n[]\n\"text\"\n{\"text\": 1}\n",
};

static void vary(fuzz *f)
{
    f->job.source.documents = (int)fuzz_draw(f, 3);
    f->job.clean = (int)fuzz_draw(f, 3);
    f->job.source.allow_binary = fuzz_draw(f, 2);
    f->job.source.keep_mark = fuzz_draw(f, 2);
    f->job.source.keep_white = fuzz_draw(f, 2);
    f->job.source.on_bad_line = (int)fuzz_draw(f, 2);
    f->job.source.format = fuzz_draw(f, 16) ? FLM_SOURCE_FORMAT_JSONL : FLM_SOURCE_FORMAT_TEXT;
}

int main(int argc, char **argv)
{
    static fuzz f;

    fuzz_begin(&f, "jsonl-fuzz", argc, argv);
    f.fragments = fragments;
    for (size_t i = 0; i < sizeof seeds / sizeof seeds[0]; i++) fuzz_add_seed(&f, seeds[i], strlen(seeds[i]));
    fuzz_run(&f, vary);
    return fuzz_end(&f);
}
