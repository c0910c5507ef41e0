/* text_unicode.c - properties of code points (text_unicode.h), from the tables of utf8proc. Where the version of
 * Unicode matters, it does so for the code points assigned since 14.0, which are listed below. SPDX-License-Identifier:
 * Apache-2.0 */
#include "text/text_unicode.h"

#include <stdlib.h>
#include <utf8proc.h>

#define O FLM_UNICODE_OTHER
#define L FLM_UNICODE_LETTER
#define N FLM_UNICODE_NUMBER

/* Code points assigned in Unicode 15.0 to 18.0, with their class in 16.0. Sources: unicodedata 14.0.0 of Python 3.11
 * compared with regex 2026.11.19 (Unicode 18.0); classes measured on ByteLevel of tokenizers 0.21.2. */
static const struct added_codepoints {
    uint32_t first, last, class;
} added_codepoints[] = {
    {0x558, 0x558, O},     {0x58b, 0x58c, O},     {0x5c8, 0x5c9, O},     {0x88f, 0x88f, O},     {0x897, 0x897, O},
    {0xb53, 0xb54, O},     {0xc5c, 0xc5c, O},     {0xcdc, 0xcdc, O},     {0xcf3, 0xcf3, O},     {0xece, 0xece, O},
    {0x1acf, 0x1af0, O},   {0x1b4e, 0x1b4f, O},   {0x1b7f, 0x1b7f, O},   {0x1c89, 0x1c8a, L},   {0x208f, 0x208f, O},
    {0x209d, 0x209f, O},   {0x20c1, 0x20c4, O},   {0x2427, 0x2429, O},   {0x2b96, 0x2b96, O},   {0x2e60, 0x2e63, O},
    {0x2ffc, 0x2fff, O},   {0x31e4, 0x31e5, O},   {0x31ef, 0x31ef, O},   {0xa7cb, 0xa7cd, L},   {0xa7ce, 0xa7cf, O},
    {0xa7d2, 0xa7d2, O},   {0xa7d4, 0xa7d4, O},   {0xa7da, 0xa7dc, L},   {0xa7dd, 0xa7dd, O},   {0xa7e2, 0xa7e2, O},
    {0xa7f1, 0xa7f1, O},   {0xab6c, 0xab6d, O},   {0xfbc3, 0xfbd2, O},   {0xfd90, 0xfd91, O},   {0xfdc8, 0xfdce, O},
    {0x105c0, 0x105f3, L}, {0x107bb, 0x107bf, O}, {0x10940, 0x10959, O}, {0x10d40, 0x10d49, N}, {0x10d4a, 0x10d65, L},
    {0x10d69, 0x10d6e, O}, {0x10d6f, 0x10d85, L}, {0x10d8e, 0x10d8f, O}, {0x10ec2, 0x10ec4, L}, {0x10ec5, 0x10ec7, O},
    {0x10ec9, 0x10eee, O}, {0x10ef0, 0x10eff, O}, {0x1123f, 0x11240, L}, {0x11241, 0x11241, O}, {0x11380, 0x11389, L},
    {0x1138b, 0x1138b, L}, {0x1138e, 0x1138e, L}, {0x11390, 0x113b5, L}, {0x113b7, 0x113b7, L}, {0x113b8, 0x113c0, O},
    {0x113c2, 0x113c2, O}, {0x113c5, 0x113c5, O}, {0x113c7, 0x113ca, O}, {0x113cc, 0x113d0, O}, {0x113d1, 0x113d1, L},
    {0x113d2, 0x113d2, O}, {0x113d3, 0x113d3, L}, {0x113d4, 0x113d5, O}, {0x113d7, 0x113d8, O}, {0x113e1, 0x113e2, O},
    {0x116d0, 0x116e3, N}, {0x11b00, 0x11b0a, O}, {0x11b60, 0x11b67, O}, {0x11bc0, 0x11be0, L}, {0x11be1, 0x11be1, O},
    {0x11bf0, 0x11bf9, N}, {0x11db0, 0x11ddb, O}, {0x11de0, 0x11de9, O}, {0x11df0, 0x11df1, O}, {0x11f00, 0x11f01, O},
    {0x11f02, 0x11f02, L}, {0x11f03, 0x11f03, O}, {0x11f04, 0x11f10, L}, {0x11f12, 0x11f33, L}, {0x11f34, 0x11f3a, O},
    {0x11f3e, 0x11f4f, O}, {0x11f50, 0x11f59, N}, {0x11f5a, 0x11f5a, O}, {0x1246f, 0x1246f, O}, {0x12475, 0x1247f, O},
    {0x12550, 0x12686, O}, {0x1342f, 0x1342f, L}, {0x13439, 0x13440, O}, {0x13441, 0x13446, L}, {0x13447, 0x13455, O},
    {0x13460, 0x143fa, L}, {0x16100, 0x1611d, L}, {0x1611e, 0x1612f, O}, {0x16130, 0x16139, N}, {0x16d40, 0x16d6c, L},
    {0x16d6d, 0x16d6f, O}, {0x16d70, 0x16d79, N}, {0x16ea0, 0x16eb8, O}, {0x16ebb, 0x16ed3, O}, {0x16ff2, 0x16ff6, O},
    {0x187f8, 0x187ff, O}, {0x18cd6, 0x18cda, O}, {0x18cff, 0x18cff, L}, {0x18d09, 0x18d20, O}, {0x18d80, 0x18df2, O},
    {0x18e00, 0x19191, O}, {0x191a0, 0x191d2, O}, {0x1b123, 0x1b128, O}, {0x1b132, 0x1b132, L}, {0x1b155, 0x1b155, L},
    {0x1b168, 0x1b168, O}, {0x1cc00, 0x1ccef, O}, {0x1ccf0, 0x1ccf9, N}, {0x1ccfa, 0x1ccfc, O}, {0x1cd00, 0x1ceb3, O},
    {0x1ceba, 0x1ced0, O}, {0x1ced2, 0x1ced4, O}, {0x1cedd, 0x1cefd, O}, {0x1d127, 0x1d128, O}, {0x1d1eb, 0x1d1ff, O},
    {0x1d250, 0x1d281, O}, {0x1d2c0, 0x1d2d3, N}, {0x1d6a6, 0x1d6a6, O}, {0x1db00, 0x1db1c, O}, {0x1df1f, 0x1df24, O},
    {0x1df25, 0x1df2a, L}, {0x1df2b, 0x1df81, O}, {0x1df90, 0x1df96, O}, {0x1dfcd, 0x1dfff, O}, {0x1e030, 0x1e06d, L},
    {0x1e08f, 0x1e08f, O}, {0x1e4d0, 0x1e4eb, L}, {0x1e4ec, 0x1e4ef, O}, {0x1e4f0, 0x1e4f9, N}, {0x1e5d0, 0x1e5ed, L},
    {0x1e5ee, 0x1e5ef, O}, {0x1e5f0, 0x1e5f0, L}, {0x1e5f1, 0x1e5fa, N}, {0x1e5ff, 0x1e5ff, O}, {0x1e6c0, 0x1e6de, O},
    {0x1e6e0, 0x1e6f5, O}, {0x1e6fe, 0x1e6ff, O}, {0x1f1ae, 0x1f1ae, O}, {0x1f6d8, 0x1f6d9, O}, {0x1f6dc, 0x1f6dc, O},
    {0x1f774, 0x1f77f, O}, {0x1f7d9, 0x1f7db, O}, {0x1f7f1, 0x1f7ff, O}, {0x1f8b2, 0x1f8bb, O}, {0x1f8c0, 0x1f8c1, O},
    {0x1f8d0, 0x1f8d8, O}, {0x1fa54, 0x1fa57, O}, {0x1fa75, 0x1fa77, O}, {0x1fa87, 0x1fa8f, O}, {0x1faad, 0x1faaf, O},
    {0x1fabb, 0x1fabf, O}, {0x1fac6, 0x1fac6, O}, {0x1fac8, 0x1fac8, O}, {0x1facc, 0x1facf, O}, {0x1fada, 0x1fadd, O},
    {0x1fadf, 0x1fadf, O}, {0x1fae8, 0x1faeb, O}, {0x1faef, 0x1faef, O}, {0x1faf7, 0x1fafa, O}, {0x1fbcb, 0x1fbef, O},
    {0x1fbfa, 0x1fbfa, O}, {0x2b739, 0x2b739, L}, {0x2b73a, 0x2b73f, O}, {0x2b81e, 0x2b81e, O}, {0x2cea2, 0x2cead, O},
    {0x2ebf0, 0x2ee5d, L}, {0x31350, 0x323af, L}, {0x323b0, 0x33479, O}, {0x3d000, 0x3fc3f, O},
};

#undef O
#undef L
#undef N

uint32_t flm_unicode_table_make_page(flm_unicode_table *table, uint32_t code)
{
    uint32_t *page = malloc(256 * sizeof *page), first = code & ~0xffu;

    if (!page) return table->make(code);
    for (uint32_t i = 0; i < 256; i++) page[i] = table->make(first + i);
    table->pages[code >> 8] = page;
    return page[code & 0xff];
}

void flm_unicode_table_free(flm_unicode_table *table)
{
    for (size_t i = 0; i < sizeof table->pages / sizeof table->pages[0]; i++) {
        free(table->pages[i]);
        table->pages[i] = NULL;
    }
}

static const struct added_codepoints *added_codepoint(uint32_t code)
{
    size_t low = 0, high = sizeof added_codepoints / sizeof added_codepoints[0];

    while (low < high) {
        size_t middle = (low + high) / 2;
        if (code > added_codepoints[middle].last)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == sizeof added_codepoints / sizeof added_codepoints[0] || code < added_codepoints[low].first) return NULL;
    return &added_codepoints[low];
}

uint32_t flm_unicode_gpt2_class(uint32_t code)
{
    const struct added_codepoints *n = added_codepoint(code);

    if (n) return n->class;
    /* White_Space */
    if ((code >= 9 && code <= 13) || code == 0x20 || code == 0x85 || code == 0xa0 || code == 0x1680 ||
        (code >= 0x2000 && code <= 0x200a) || code == 0x2028 || code == 0x2029 || code == 0x202f || code == 0x205f ||
        code == 0x3000)
        return FLM_UNICODE_SPACE;
    switch (utf8proc_category((utf8proc_int32_t)code)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO: return FLM_UNICODE_LETTER;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO: return FLM_UNICODE_NUMBER;
    default: return FLM_UNICODE_OTHER;
    }
}

bool flm_unicode_is_word(uint32_t code)
{
    uint32_t class;

    if (code < 0x80)
        return (code >= 'a' && code <= 'z') || (code >= 'A' && code <= 'Z') || (code >= '0' && code <= '9') ||
               code == '_';
    class = added_codepoint(code) ? FLM_UNICODE_OTHER : flm_unicode_gpt2_class(code);
    return class == FLM_UNICODE_LETTER || class == FLM_UNICODE_NUMBER;
}

/* Source: transformers 4.49.0, _is_punctuation: printable ASCII other than letters, digits and space, and category P.
 */
static bool is_punctuation(uint32_t code, utf8proc_category_t category)
{
    if (code < 0x80)
        return (code >= 33 && code <= 47) || (code >= 58 && code <= 64) || (code >= 91 && code <= 96) ||
               (code >= 123 && code <= 126);
    return category >= UTF8PROC_CATEGORY_PC && category <= UTF8PROC_CATEGORY_PO;
}

/* Source: transformers 4.49.0, BasicTokenizer._is_chinese_char. */
static bool is_ideograph(uint32_t c)
{
    return (c >= 0x4e00 && c <= 0x9fff) || (c >= 0x3400 && c <= 0x4dbf) || (c >= 0x20000 && c <= 0x2a6df) ||
           (c >= 0x2a700 && c <= 0x2b73f) || (c >= 0x2b740 && c <= 0x2b81f) || (c >= 0x2b820 && c <= 0x2ceaf) ||
           (c >= 0xf900 && c <= 0xfaff) || (c >= 0x2f800 && c <= 0x2fa1f);
}

static uint32_t part_of(utf8proc_int32_t code)
{
    utf8proc_category_t category = utf8proc_category(code);
    uint32_t class = (uint32_t)utf8proc_get_property(code)->combining_class, kind = FLM_BERT_WORD;

    if (category == UTF8PROC_CATEGORY_MN)
        kind = class ? FLM_BERT_MARK : FLM_BERT_MARK_BASE;
    else if (is_punctuation((uint32_t)code, category))
        kind = FLM_BERT_PUNCTUATION;
    return (uint32_t)code << 11 | kind << 8 | class;
}

size_t flm_unicode_decompose(uint32_t code, uint32_t parts[8])
{
    utf8proc_int32_t lower = utf8proc_tolower((utf8proc_int32_t)code), nfd[8];
    int boundary = 0;
    utf8proc_ssize_t n = utf8proc_decompose_char(lower, nfd, 8, UTF8PROC_DECOMPOSE, &boundary);

    /* Unicode's SpecialCasing makes i and a dot above of U+0130. utf8proc omits the dot, an accent that BERT drops. */
    if (n < 0 || n > 8) {
        nfd[0] = lower;
        n = 1;
    }
    for (utf8proc_ssize_t i = 0; i < n; i++) parts[i] = part_of(nfd[i]);
    return (size_t)n;
}

uint32_t flm_unicode_bert_class(uint32_t code)
{
    utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)code);
    uint32_t parts[8], kind;
    size_t n;

    if (code == '\t' || code == '\n' || code == '\r') return FLM_BERT_SPACE;
    if (code == 0xfffd || added_codepoint(code)) return FLM_BERT_DROPPED;
    switch (category) {
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO: return FLM_BERT_DROPPED;
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP: return FLM_BERT_SPACE;
    default: break;
    }
    n = flm_unicode_decompose(code, parts);
    /* accents at the end can be dropped here; other parts may take part in reordering */
    while (n > 1 && (parts[n - 1] >> 8 & 7) == FLM_BERT_MARK) n--;
    kind = parts[0] >> 8 & 7;
    if (n > 1 || (kind != FLM_BERT_MARK && (parts[0] & 0xff) != 0)) return FLM_BERT_SEVERAL;
    if (is_ideograph(code)) kind = FLM_BERT_IDEOGRAPH;
    return parts[0] >> 11 << 3 | kind;
}
