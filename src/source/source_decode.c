/* source_decode.c - UTF-16 and UTF-32 to UTF-8 (source_layer.h). Source: Unicode 15, section 3.9, and section 3.10 for
 * byte order marks. SPDX-License-Identifier: Apache-2.0 */
#include "source/source_layer.h"

#include "text/text_utf8.h"

#include <stdlib.h>
#include <string.h>

enum { CHUNK = 1 << 16, INVALID = 0xff };

struct flm_decode {
    flm_layer_pull *pull;
    void *from;
    size_t width; /* bytes of a unit: 2 or 4 */
    bool big_endian, begun, over;
    unsigned char in[CHUNK], out[2 * CHUNK]; /* at most 3 bytes for each 2, and 4 for each 4 */
    size_t in_bytes, out_at, out_bytes;      /* in: what is left of the input, less than a character */
};

flm_status flm_decode_open(flm_container encoding, flm_layer_pull *pull, void *from, flm_decode **out)
{
    flm_status rc = FLM_OK;
    flm_decode *d = calloc(1, sizeof *d);

    if (!d) FLM_FAIL(FLM_E_NOMEM, "no memory to read %s", flm_container_name(encoding));
    d->pull = pull;
    d->from = from;
    d->width = encoding == FLM_CONTAINER_UTF16LE || encoding == FLM_CONTAINER_UTF16BE ? 2 : 4;
    d->big_endian = encoding == FLM_CONTAINER_UTF16BE || encoding == FLM_CONTAINER_UTF32BE;
    *out = d;
done:
    return rc;
}

void flm_decode_close(flm_decode **decode)
{
    free(*decode);
    *decode = NULL;
}

static uint32_t unit(const flm_decode *d, const unsigned char *p)
{
    uint32_t value = 0;

    for (size_t i = 0; i < d->width; i++) value = value << 8 | p[d->big_endian ? i : d->width - 1 - i];
    return value;
}

static void put(flm_decode *d, uint32_t code)
{
    if (code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
        d->out[d->out_bytes++] = INVALID;
    else
        d->out_bytes += flm_utf8_put(code, d->out + d->out_bytes);
}

/* Decode the characters that are complete. */
static void decode_chunk(flm_decode *d)
{
    const size_t w = d->width;
    size_t at = 0;

    for (; d->in_bytes - at >= w; at += w) {
        uint32_t code = unit(d, d->in + at);
        if (w == 2 && code >= 0xd800 && code <= 0xdbff) {
            if (d->in_bytes - at < 4 && !d->over) break;
            const uint32_t low = d->in_bytes - at < 4 ? 0 : unit(d, d->in + at + 2);
            if (low >= 0xdc00 && low <= 0xdfff) {
                code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
                at += 2;
            }
        }
        if (d->begun || code != 0xfeff) put(d, code);
        d->begun = true;
    }
    if (d->over && at < d->in_bytes) {
        d->out[d->out_bytes++] = INVALID;
        at = d->in_bytes;
    }
    memmove(d->in, d->in + at, d->in_bytes - at);
    d->in_bytes -= at;
}

flm_status flm_decode_read(flm_decode *decode, void *buffer, size_t bytes, size_t *got)
{
    flm_status rc = FLM_OK;
    flm_decode *d = decode;

    while (d->out_at == d->out_bytes && !d->over) {
        size_t n = 0;
        FLM_TRY(d->pull(d->from, d->in + d->in_bytes, CHUNK - d->in_bytes, &n));
        d->over = n == 0;
        d->in_bytes += n;
        d->out_at = d->out_bytes = 0;
        decode_chunk(d);
    }
    *got = d->out_bytes - d->out_at < bytes ? d->out_bytes - d->out_at : bytes;
    memcpy(buffer, d->out + d->out_at, *got);
    d->out_at += *got;
done:
    return rc;
}
