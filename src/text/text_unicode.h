/* text_unicode.h - private to the text module: properties of code points that the tokenisers use. They are those of
 * the Unicode tables in the published tools, whatever the version of utf8proc: docs/tokenisers.md, section 3.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_TEXT_UNICODE_H
#define FLM_TEXT_UNICODE_H

#include "text/text_internal.h"

/* One number for each code point, computed by `make` in pages of 256 when first used. */
typedef struct flm_unicode_table {
    uint32_t (*make)(uint32_t code);
    uint32_t *pages[0x1100];
} flm_unicode_table;

/* flm_unicode_table_make_page - fill the page of a code point and return its number. Without memory for the page the
 * number alone is computed. */
uint32_t flm_unicode_table_make_page(flm_unicode_table *table, uint32_t code);
void flm_unicode_table_free(flm_unicode_table *table);

static inline uint32_t flm_unicode_table_get(flm_unicode_table *table, uint32_t code)
{
    const uint32_t *page = table->pages[code >> 8];

    return page ? page[code & 0xff] : flm_unicode_table_make_page(table, code);
}

/* flm_unicode_gpt2_class - a code point's class in GPT-2's pattern (\p{L}, \p{N}, \s or none of them), as in Oniguruma
 * of tokenizers 0.21.2 (Unicode 16). */
enum { FLM_UNICODE_OTHER, FLM_UNICODE_LETTER, FLM_UNICODE_NUMBER, FLM_UNICODE_SPACE };
uint32_t flm_unicode_gpt2_class(uint32_t code);

/* flm_unicode_is_word - whether Python 3.11's \w matches: letters, numbers, underscore. */
bool flm_unicode_is_word(uint32_t code);

/* flm_unicode_bert_class - what BERT's cleaning makes of a code point, by Python 3.11's tables (Unicode 14). The low 3
 * bits are the kind. For FLM_BERT_WORD, _PUNCTUATION and _IDEOGRAPH the bits above are the resulting code point. */
enum {
    FLM_BERT_DROPPED,     /* control, unassigned, private: removed before the text is split into words */
    FLM_BERT_SPACE,       /* ends a word */
    FLM_BERT_MARK,        /* an accent (class other than 0): removed; does not interrupt a run of marks */
    FLM_BERT_MARK_BASE,   /* an accent of combining class 0: removed; other marks are not reordered across it */
    FLM_BERT_WORD,        /* part of a word */
    FLM_BERT_PUNCTUATION, /* a word by itself */
    FLM_BERT_IDEOGRAPH,   /* a word by itself */
    FLM_BERT_SEVERAL      /* decomposes into several or takes part in reordering: call flm_unicode_decompose */
};
uint32_t flm_unicode_bert_class(uint32_t code);

/* flm_unicode_decompose - the lower case of a code point, then its NFD; returns the number of parts, at most 8. A part
 * has its combining class in the low 8 bits, its kind (FLM_BERT_MARK, _MARK_BASE, _WORD or _PUNCTUATION) in the next
 * 3, its code point above. */
size_t flm_unicode_decompose(uint32_t code, uint32_t parts[8]);

#endif
