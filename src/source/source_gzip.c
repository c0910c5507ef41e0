/* source_gzip.c - gzip by zlib, because libarchive does not verify gzip's checksums (source_layer.h). Several gzip
 * members in a row are one stream, as in RFC 1952; zeros may follow, as tapes pad files with them.
 * SPDX-License-Identifier: Apache-2.0 */
#include "source/source_layer.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { CHUNK = 1 << 16 };

struct flm_gzip {
    flm_layer_pull *pull;
    void *from;
    z_stream z;
    bool begun, between, over; /* between: after one gzip member, before the next one or the end */
    unsigned char chunk[CHUNK];
};

flm_status flm_gzip_open(flm_layer_pull *pull, void *from, flm_gzip **out)
{
    flm_status rc = FLM_OK;
    flm_gzip *g = calloc(1, sizeof *g);

    if (!g) FLM_FAIL(FLM_E_NOMEM, "no memory to read gzip");
    g->pull = pull;
    g->from = from;
    if (inflateInit2(&g->z, 16 + MAX_WBITS) != Z_OK) FLM_FAIL(FLM_E_NOMEM, "no memory to read gzip"); /* 16: gzip */
    g->begun = true;
    *out = g;
    g = NULL;
done:
    flm_gzip_close(&g);
    return rc;
}

void flm_gzip_close(flm_gzip **gzip)
{
    if (!*gzip) return;
    if ((*gzip)->begun) inflateEnd(&(*gzip)->z);
    free(*gzip);
    *gzip = NULL;
}

static flm_status fill(flm_gzip *g, size_t *got)
{
    flm_status rc = FLM_OK;

    FLM_TRY(g->pull(g->from, g->chunk, CHUNK, got));
    g->z.next_in = g->chunk;
    g->z.avail_in = (uInt)*got;
done:
    return rc;
}

/* After a gzip member: skip zeros, then begin the next member, or find the end. */
static flm_status next_member(flm_gzip *g, const char *where)
{
    flm_status rc = FLM_OK;
    size_t got = 1;

    for (;;) {
        while (g->z.avail_in > 0 && *g->z.next_in == 0) g->z.next_in++, g->z.avail_in--;
        if (g->z.avail_in > 0) break;
        FLM_TRY(fill(g, &got));
        g->over = got == 0;
        if (g->over) goto done;
    }
    if (*g->z.next_in != 0x1f) FLM_FAIL(FLM_E_FORMAT, "%s: data that is not gzip follows the gzip data", where);
    if (inflateReset(&g->z) != Z_OK) FLM_FAIL(FLM_E_FORMAT, "%s: zlib cannot be reset", where);
    g->between = false;
done:
    return rc;
}

flm_status flm_gzip_read(flm_gzip *gzip, const char *where, void *buffer, size_t bytes, size_t *got)
{
    flm_status rc = FLM_OK;
    z_stream *z = &gzip->z;
    size_t n = 1;

    z->next_out = buffer;
    z->avail_out = (uInt)(bytes < (1u << 30) ? bytes : 1u << 30);
    while (z->next_out == buffer && !gzip->over) {
        int code;
        if (gzip->between) {
            FLM_TRY(next_member(gzip, where));
            continue;
        }
        if (z->avail_in == 0) FLM_TRY(fill(gzip, &n));
        if (n == 0) FLM_FAIL(FLM_E_FORMAT, "%s: the gzip data is truncated", where);
        code = inflate(z, Z_NO_FLUSH);
        if (code == Z_MEM_ERROR) FLM_FAIL(FLM_E_NOMEM, "%s: no memory to read gzip", where);
        if (code == Z_STREAM_END)
            gzip->between = true;
        else if (code != Z_OK && code != Z_BUF_ERROR)
            FLM_FAIL(FLM_E_FORMAT, "%s: the gzip data is damaged: %s", where, z->msg ? z->msg : "unknown zlib error");
    }
    *got = (size_t)(z->next_out - (Bytef *)buffer);
done:
    return rc;
}
