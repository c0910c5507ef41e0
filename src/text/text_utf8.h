/* text_utf8.h - UTF-8: validity, repair, and single code points. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_TEXT_UTF8_H
#define FLM_TEXT_UTF8_H

#include "base/base_err.h"

#include <stddef.h>
#include <stdint.h>

/* flm_utf8_valid - the length in bytes of the longest valid prefix; `bytes` if all of the text is valid. */
size_t flm_utf8_valid(const char *text, size_t bytes);

/* flm_utf8_repair - copy text, replacing every invalid sequence by U+FFFD as WHATWG specifies (maximal subparts).
 * out  *out is malloc'd and NUL-terminated (*out_bytes without the NUL); the number of replacements is added to
 *      *replaced (may be NULL).
 * Errors: FLM_E_NOMEM. */
flm_status flm_utf8_repair(const char *text, size_t bytes, char **out, size_t *out_bytes, int64_t *replaced);

/* flm_utf8_next - decode the code point at p, which must be valid UTF-8; returns its length in bytes. */
static inline size_t flm_utf8_next(const unsigned char *p, uint32_t *code)
{
    if (p[0] < 0x80) return *code = p[0], 1;
    if (p[0] < 0xe0) return *code = (p[0] & 0x1fu) << 6 | (p[1] & 0x3fu), 2;
    if (p[0] < 0xf0) return *code = (p[0] & 0xfu) << 12 | (p[1] & 0x3fu) << 6 | (p[2] & 0x3fu), 3;
    return *code = (p[0] & 7u) << 18 | (p[1] & 0x3fu) << 12 | (p[2] & 0x3fu) << 6 | (p[3] & 0x3fu), 4;
}

/* flm_utf8_put - encode a code point to out [4]; returns its length in bytes. */
static inline size_t flm_utf8_put(uint32_t code, unsigned char *out)
{
    size_t more = code < 0x80 ? 0 : code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    static const unsigned char lead[] = {0, 0xc0, 0xe0, 0xf0};

    out[0] = (unsigned char)(lead[more] | code >> 6 * more);
    for (size_t i = 1; i <= more; i++) out[i] = (unsigned char)(0x80 | (code >> 6 * (more - i) & 0x3f));
    return more + 1;
}

#endif
