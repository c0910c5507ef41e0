/* text_lm1b.c - LM1B's detokeniser (text_lm1b.h). No rule makes the text longer, so each works in place from the left.
 * SPDX-License-Identifier: Apache-2.0 */
#include "text/text_lm1b.h"

#include "text/text_internal.h"
#include "text/text_unicode.h"

/* The end of the run of Python's \w (letters, numbers, _) that begins at offset at. */
static size_t word_end(const char *text, size_t bytes, size_t at)
{
    while (at < bytes) {
        const unsigned char *p = (const unsigned char *)text + at;
        size_t left = bytes - at, n = 1;
        uint32_t code = *p;
        if (code >= 0x80) {
            if (flm_utf8_valid(text + at, left < 4 ? left : 4) == 0) break;
            n = flm_utf8_next(p, &code);
        }
        if (!flm_unicode_is_word(code)) break;
        at += n;
    }
    return at;
}

static size_t put(char *text, size_t to, size_t from, size_t bytes)
{
    if (to != from) memmove(text + to, text + from, bytes);
    return to + bytes;
}

static bool here(const char *text, size_t bytes, size_t at, const char *what)
{
    size_t n = strlen(what);

    return bytes - at >= n && memcmp(text + at, what, n) == 0;
}

/* " '(\w+)" -> "'\1" */
static void join_apostrophes(char *text, size_t *bytes)
{
    size_t in = 0, out = 0, end;

    while (in < *bytes) {
        if (here(text, *bytes, in, " '") && (end = word_end(text, *bytes, in + 2)) > in + 2) {
            out = put(text, out, in + 1, end - in - 1);
            in = end;
        } else {
            text[out++] = text[in++];
        }
    }
    *bytes = out;
}

/* " (\w+) \. " -> " \1. " */
static void join_stops(char *text, size_t *bytes)
{
    size_t in = 0, out = 0, end;

    while (in < *bytes) {
        if (text[in] == ' ' && (end = word_end(text, *bytes, in + 1)) > in + 1 && here(text, *bytes, end, " . ")) {
            out = put(text, out, in, end - in);
            text[out++] = '.';
            text[out++] = ' ';
            in = end + 3;
        } else {
            text[out++] = text[in++];
        }
    }
    *bytes = out;
}

/* " X$" -> "X", where $ matches at the end and before a final newline. With `word`, only after " \w+". */
static void join_last(char *text, size_t *bytes, char mark, bool word)
{
    size_t end = *bytes, begin;

    if (end > 0 && text[end - 1] == '\n') end--;
    if (end < 2 || text[end - 1] != mark || text[end - 2] != ' ') return;
    if (word) {
        for (begin = end - 2; begin > 0 && text[begin - 1] != ' '; begin--) continue;
        if (begin == 0 || begin == end - 2 || word_end(text, end - 2, begin) != end - 2) return;
    }
    memmove(text + end - 2, text + end - 1, *bytes - end + 1);
    --*bytes;
}

/* "X ([^XY]+) Y" -> "X\1Y": remove the inner spaces of a pair that contains no other of its kind. */
static void join_pairs(char *text, size_t *bytes, char open, char close)
{
    size_t in = 0, out = 0, end;

    while (in < *bytes) {
        if (text[in] == open && in + 1 < *bytes && text[in + 1] == ' ') {
            for (end = in + 2; end < *bytes && text[end] != open && text[end] != close; end++) continue;
            if (end < *bytes && text[end] == close && end > in + 3 && text[end - 1] == ' ') {
                text[out++] = open;
                out = put(text, out, in + 2, end - in - 3);
                text[out++] = close;
                in = end + 1;
                continue;
            }
        }
        text[out++] = text[in++];
    }
    *bytes = out;
}

void flm_text_lm1b_detokenize(char *text, size_t *bytes)
{
    flm_text_replace(text, bytes, "http : / / ", "http://");
    flm_text_replace(text, bytes, "https : / / ", "https://");
    join_apostrophes(text, bytes);
    join_stops(text, bytes);
    join_last(text, bytes, '.', true);
    flm_text_replace(text, bytes, " ? ", "? ");
    join_last(text, bytes, '?', false);
    flm_text_replace(text, bytes, " ! ", "! ");
    join_last(text, bytes, '!', false);
    flm_text_replace(text, bytes, " , ", ", ");
    flm_text_replace(text, bytes, " : ", ": ");
    flm_text_replace(text, bytes, " ; ", "; ");
    flm_text_replace(text, bytes, " / ", "/");
    join_pairs(text, bytes, '"', '"');
    join_pairs(text, bytes, '\'', '\'');
    join_pairs(text, bytes, '(', ')');
    join_pairs(text, bytes, '[', ']');
    flm_text_replace(text, bytes, "$ ", "$");
    flm_text_replace(text, bytes, "\xc2\xa3 ", "\xc2\xa3");
}
