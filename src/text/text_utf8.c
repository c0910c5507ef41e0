/* text_utf8.c - validity and repair of UTF-8 (text_utf8.h): each maximal subpart of an ill-formed sequence becomes one
 * U+FFFD. Source: Unicode 15, section 3.9, table 3-7 and "U+FFFD Substitution of Maximal Subparts"; WHATWG
 * Encoding, UTF-8 decoder, which gives the same. SPDX-License-Identifier: Apache-2.0 */
#include "text/text_utf8.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static const char REPLACEMENT[] = "\xef\xbf\xbd";

/* The number of bytes that follow a lead byte, and the range of the first of them; -1 if it is not a lead byte. */
static int following(unsigned char lead, unsigned char *min, unsigned char *max)
{
    *min = 0x80;
    *max = 0xbf;
    if (lead < 0x80) return 0;
    if (lead < 0xc2 || lead > 0xf4) return -1;
    if (lead == 0xe0) *min = 0xa0; /* no overlong forms */
    if (lead == 0xed) *max = 0x9f; /* no surrogates */
    if (lead == 0xf0) *min = 0x90;
    if (lead == 0xf4) *max = 0x8f; /* nothing above U+10FFFF */
    return lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : 3;
}

/* The length in bytes of the sequence at text [bytes > 0], or of its maximal subpart if it is ill-formed. */
static size_t sequence(const unsigned char *text, size_t bytes, bool *valid)
{
    unsigned char min, max;
    int more = following(text[0], &min, &max);
    size_t n = 1;

    for (; more > 0 && n < bytes && text[n] >= min && text[n] <= max; n++, more--) {
        min = 0x80;
        max = 0xbf;
    }
    *valid = more == 0;
    return n;
}

size_t flm_utf8_valid(const char *text, size_t bytes)
{
    const unsigned char *p = (const unsigned char *)text;
    size_t at = 0;
    bool valid = true;

    while (at < bytes) {
        uint64_t eight;
        size_t n;
        while (bytes - at >= sizeof eight && (memcpy(&eight, p + at, sizeof eight), eight & 0x8080808080808080u) == 0)
            at += sizeof eight;
        if (at == bytes) break;
        n = sequence(p + at, bytes - at, &valid);
        if (!valid) break;
        at += n;
    }
    return at;
}

flm_status flm_utf8_repair(const char *text, size_t bytes, char **out, size_t *out_bytes, int64_t *replaced)
{
    flm_status rc = FLM_OK;
    size_t at = 0, size = 0, capacity;
    int64_t count = 0;
    char *copy;

    /* at worst every byte becomes three */
    if (bytes > (SIZE_MAX / 2 - 1) / 3) FLM_FAIL(FLM_E_NOMEM, "no memory to repair %zu bytes", bytes);
    capacity = flm_utf8_valid(text, bytes) == bytes ? bytes : 3 * bytes;
    copy = malloc(capacity + 1);
    if (!copy) FLM_FAIL(FLM_E_NOMEM, "no memory to repair %zu bytes", bytes);
    while (at < bytes) {
        bool valid;
        size_t n = flm_utf8_valid(text + at, bytes - at);
        memcpy(copy + size, text + at, n);
        size += n;
        at += n;
        if (at == bytes) break;
        at += sequence((const unsigned char *)text + at, bytes - at, &valid);
        memcpy(copy + size, REPLACEMENT, 3);
        size += 3;
        count++;
    }
    copy[size] = '\0';
    *out = copy;
    *out_bytes = size;
    if (replaced) *replaced += count;
done:
    return rc;
}
