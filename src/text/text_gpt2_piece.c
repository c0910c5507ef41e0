/* text_gpt2_piece.c - GPT-2's splitting pattern by hand; see text_gpt2.h. The alternatives are tried in the pattern's
 * order; none of them goes back but the white space with its look-ahead.
 * Source: openai/gpt-2, src/encoder.py. SPDX-License-Identifier: Apache-2.0 */
#include "text/text_gpt2.h"

/* The class of the code point at `at` < bytes, and its bytes. */
static inline uint32_t class_at(text_chars *chars, const unsigned char *text, size_t at, size_t *length)
{
    uint32_t code;

    *length = text_utf8_next(text + at, &code);
    return text_chars_get(chars, code);
}

/* The end of the run of one class from `at` on. */
static inline size_t run(text_chars *chars, const unsigned char *text, size_t bytes, size_t at, uint32_t class)
{
    size_t length;

    while (at < bytes && class_at(chars, text, at, &length) == class) at += length;
    return at;
}

/* 's, 't, 're, 've, 'm, 'll, 'd: the bytes of the one at text, 0: none. */
static size_t contraction(const unsigned char *text, size_t bytes)
{
    if (bytes < 2) return 0;
    if (text[1] == 's' || text[1] == 't' || text[1] == 'm' || text[1] == 'd') return 2;
    if (bytes < 3) return 0;
    return ((text[1] == 'r' || text[1] == 'v') && text[2] == 'e') || (text[1] == 'l' && text[2] == 'l') ? 3 : 0;
}

/* \s+(?!\S)|\s+: white space up to the last of it before something else, which gets that last one. */
static size_t white_space(text_chars *chars, const unsigned char *text, size_t bytes, size_t at)
{
    size_t begin = at, last = at, length;

    while (at < bytes && class_at(chars, text, at, &length) == TEXT_SPACE) {
        last = at;
        at += length;
    }
    return at == bytes || last == begin ? at : last;
}

size_t text_gpt2_piece(text_chars *chars, const char *text, size_t bytes, size_t at)
{
    const unsigned char *p = (const unsigned char *)text;
    size_t length, next = at;
    uint32_t class;

    if (p[at] == '\'' && (length = contraction(p + at, bytes - at)) > 0) return at + length;
    if (p[at] == ' ' && at + 1 < bytes) next = at + 1;
    class = class_at(chars, p, next, &length);
    if (class == TEXT_SPACE) return white_space(chars, p, bytes, at);
    return run(chars, p, bytes, next + length, class);
}
