/* prep_gzip.c - gzip by zlib, because libarchive does not hold the data against gzip's sums (prep_source.h). Parts one
 * after the other are one, as RFC 1952 has it; zeros may follow, as tapes leave them. SPDX-License-Identifier:
 * Apache-2.0 */
#include "prep_source.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { CHUNK = 1 << 16 };

struct prep_gzip {
    prep_pull *pull;
    void *from;
    z_stream z;
    bool begun, between, over; /* between: two parts, or behind the last */
    unsigned char chunk[CHUNK];
};

flm_status prep_gzip_open(prep_pull *pull, void *from, prep_gzip **out)
{
    flm_status rc = FLM_OK;
    prep_gzip *g = calloc(1, sizeof *g);

    if (!g) FLM_FAIL(FLM_E_NOMEM, "no memory to read gzip");
    g->pull = pull;
    g->from = from;
    if (inflateInit2(&g->z, 16 + MAX_WBITS) != Z_OK) FLM_FAIL(FLM_E_NOMEM, "no memory to read gzip"); /* 16: gzip */
    g->begun = true;
    *out = g;
    g = NULL;
done:
    prep_gzip_close(&g);
    return rc;
}

void prep_gzip_close(prep_gzip **gzip)
{
    if (!*gzip) return;
    if ((*gzip)->begun) inflateEnd(&(*gzip)->z);
    free(*gzip);
    *gzip = NULL;
}

static flm_status more(prep_gzip *g, size_t *got)
{
    flm_status rc = FLM_OK;

    FLM_TRY(g->pull(g->from, g->chunk, CHUNK, got));
    g->z.next_in = g->chunk;
    g->z.avail_in = (uInt)*got;
done:
    return rc;
}

/* Behind a part: zeros are passed over; another part, or the end. */
static flm_status next_part(prep_gzip *g, const char *where)
{
    flm_status rc = FLM_OK;
    size_t got = 1;

    for (;;) {
        while (g->z.avail_in > 0 && *g->z.next_in == 0) g->z.next_in++, g->z.avail_in--;
        if (g->z.avail_in > 0) break;
        FLM_TRY(more(g, &got));
        g->over = got == 0;
        if (g->over) goto done;
    }
    if (*g->z.next_in != 0x1f) FLM_FAIL(FLM_E_FORMAT, "%s: something that is not gzip follows the gzip data", where);
    if (inflateReset(&g->z) != Z_OK) FLM_FAIL(FLM_E_FORMAT, "%s: zlib: cannot begin again", where);
    g->between = false;
done:
    return rc;
}

flm_status prep_gzip_read(prep_gzip *gzip, const char *where, void *buffer, size_t bytes, size_t *got)
{
    flm_status rc = FLM_OK;
    z_stream *z = &gzip->z;
    size_t n = 1;

    z->next_out = buffer;
    z->avail_out = (uInt)(bytes < (1u << 30) ? bytes : 1u << 30);
    while (z->next_out == buffer && !gzip->over) {
        int code;
        if (gzip->between) {
            FLM_TRY(next_part(gzip, where));
            continue;
        }
        if (z->avail_in == 0) FLM_TRY(more(gzip, &n));
        if (n == 0) FLM_FAIL(FLM_E_FORMAT, "%s: the gzip data is cut off", where);
        code = inflate(z, Z_NO_FLUSH);
        if (code == Z_MEM_ERROR) FLM_FAIL(FLM_E_NOMEM, "%s: no memory to read gzip", where);
        if (code == Z_STREAM_END)
            gzip->between = true;
        else if (code != Z_OK && code != Z_BUF_ERROR)
            FLM_FAIL(FLM_E_FORMAT, "%s: the gzip data is damaged: %s", where, z->msg ? z->msg : "unknown to zlib");
    }
    *got = (size_t)(z->next_out - (Bytef *)buffer);
done:
    return rc;
}
