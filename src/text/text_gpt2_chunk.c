/* text_gpt2_chunk.c - GPT-2's splitting pattern without a regex engine (text_gpt2.h). The alternatives are tried in the
 * order of the pattern; only white space, with its look-ahead, needs to backtrack.
 * Source: openai/gpt-2, src/encoder.py. SPDX-License-Identifier: Apache-2.0 */
#include "text/text_gpt2.h"

/* The class of the code point at offset at < bytes, and its length in bytes. */
static inline uint32_t class_at(flm_unicode_table *table, const unsigned char *text, size_t at, size_t *length)
{
    uint32_t code;

    *length = flm_utf8_next(text + at, &code);
    return flm_unicode_table_get(table, code);
}

/* The end of the run of one class that begins at offset at. */
static inline size_t run(flm_unicode_table *table, const unsigned char *text, size_t bytes, size_t at, uint32_t class)
{
    size_t length;

    while (at < bytes && class_at(table, text, at, &length) == class) at += length;
    return at;
}

/* The length in bytes of 's, 't, 're, 've, 'm, 'll or 'd at text, which begins with '; 0 if it is none of them. */
static size_t contraction(const unsigned char *text, size_t bytes)
{
    if (bytes < 2) return 0;
    if (text[1] == 's' || text[1] == 't' || text[1] == 'm' || text[1] == 'd') return 2;
    if (bytes < 3) return 0;
    return ((text[1] == 'r' || text[1] == 'v') && text[2] == 'e') || (text[1] == 'l' && text[2] == 'l') ? 3 : 0;
}

/* \s+(?!\S)|\s+: a run of white space; if other text follows, without its last one, which begins the next chunk. */
static size_t white_space(flm_unicode_table *table, const unsigned char *text, size_t bytes, size_t at)
{
    size_t begin = at, last = at, length;

    while (at < bytes && class_at(table, text, at, &length) == FLM_UNICODE_SPACE) {
        last = at;
        at += length;
    }
    return at == bytes || last == begin ? at : last;
}

size_t flm_text_gpt2_next_chunk(flm_unicode_table *table, const char *text, size_t bytes, size_t at)
{
    const unsigned char *p = (const unsigned char *)text;
    size_t length, next = at;
    uint32_t class;

    if (p[at] == '\'' && (length = contraction(p + at, bytes - at)) > 0) return at + length;
    if (p[at] == ' ' && at + 1 < bytes) next = at + 1;
    class = class_at(table, p, next, &length);
    if (class == FLM_UNICODE_SPACE) return white_space(table, p, bytes, at);
    return run(table, p, bytes, next + length, class);
}
