/* source_white.c - see source_white.h. SPDX-License-Identifier: Apache-2.0 */
#include "source/source_white.h"

/* The length in bytes of the white space character at p [bytes > 0]; 0 if it is none. Source: Python's str.isspace:
 * the white space of Unicode and the four separators U+001C to U+001F. */
static size_t white(const unsigned char *p, size_t bytes)
{
    if (p[0] == ' ' || (p[0] >= 0x09 && p[0] <= 0x0d) || (p[0] >= 0x1c && p[0] <= 0x1f)) return 1;
    if (bytes >= 2 && p[0] == 0xc2 && (p[1] == 0x85 || p[1] == 0xa0)) return 2; /* U+0085, U+00A0 */
    if (bytes < 3) return 0;
    const unsigned code = (p[0] & 0xfu) << 12 | (p[1] & 0x3fu) << 6 | (p[2] & 0x3fu);
    if (p[0] >> 4 != 0xe || p[1] >> 6 != 2 || p[2] >> 6 != 2) return 0;
    return code == 0x1680 || (code >= 0x2000 && code <= 0x200a) || code == 0x2028 || code == 0x2029 || code == 0x202f ||
                   code == 0x205f || code == 0x3000
               ? 3
               : 0;
}

bool flm_white_is_all(const char *text, size_t bytes)
{
    for (size_t i = 0, n; i < bytes; i += n) {
        n = white((const unsigned char *)text + i, bytes - i);
        if (n == 0) return false;
    }
    return true;
}

void flm_white_strip(char **text, size_t *bytes)
{
    const unsigned char *p = (const unsigned char *)*text, *end = p + *bytes;
    size_t n;

    while (p < end && (n = white(p, (size_t)(end - p))) > 0) p += n;
    for (n = 1; p < end && n > 0;) {
        n = white(end - 1, 1);
        for (size_t k = 2; n == 0 && k <= 3 && (size_t)(end - p) >= k; k++)
            if (white(end - k, k) == k) n = k;
        end -= n;
    }
    *text = (char *)p;
    *bytes = (size_t)(end - p);
}
