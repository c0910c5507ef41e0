/* text_unicode.h - private to the text room: what the tokenisers must know of a code point, as the Unicode tables of
 * the published tools have it, whatever version utf8proc has: docs/tokenisers.md, section 3.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_TEXT_UNICODE_H
#define FLM_TEXT_UNICODE_H

#include "text/text_internal.h"

/* One number a code point, made when first asked for, 256 at a time. */
typedef struct text_chars {
    uint32_t (*make)(uint32_t code);
    uint32_t *pages[0x1100];
} text_chars;

/* text_chars_page - make the page of a code point; its number. Without memory the number alone is made. */
uint32_t text_chars_page(text_chars *chars, uint32_t code);
void text_chars_free(text_chars *chars);

static inline uint32_t text_chars_get(text_chars *chars, uint32_t code)
{
    const uint32_t *page = chars->pages[code >> 8];

    return page ? page[code & 0xff] : text_chars_page(chars, code);
}

/* text_unicode_gpt2 - a code point's class in GPT-2's pattern: \p{L}, \p{N}, \s or none, as Oniguruma in tokenizers
 * 0.21.2 has them (Unicode 16). */
enum { TEXT_OTHER, TEXT_LETTER, TEXT_NUMBER, TEXT_SPACE };
uint32_t text_unicode_gpt2(uint32_t code);

/* text_unicode_word - whether Python 3.11's \w takes it: letters, numbers, the low line. */
bool text_unicode_word(uint32_t code);

/* text_unicode_bert - a code point as BERT's cleaning leaves it, by Python 3.11's tables (Unicode 14): the kind in the
 * low 3 bits; above them, for TEXT_WORD, TEXT_PUNCTUATION and TEXT_IDEOGRAPH, the code point that it becomes. */
enum {
    TEXT_DROPPED,     /* control, unassigned, private: gone before words are made */
    TEXT_BLANK,       /* ends a word */
    TEXT_MARK,        /* an accent: gone; begins nothing, and holds up no reordering */
    TEXT_MARK_BASE,   /* an accent that other marks are not moved across */
    TEXT_WORD,        /* part of a word */
    TEXT_PUNCTUATION, /* a word of its own */
    TEXT_IDEOGRAPH,   /* a word of its own */
    TEXT_SEVERAL      /* decomposes into several, or is moved: ask text_unicode_decompose */
};
uint32_t text_unicode_bert(uint32_t code);

/* text_unicode_decompose - lower case, then NFD of one code point; the number of parts, at most 8. Each has its
 * combining class in the low 8 bits, its kind among MARK, MARK_BASE, WORD and PUNCTUATION in the next 3, the code point
 * above them. */
size_t text_unicode_decompose(uint32_t code, uint32_t parts[8]);

#endif
