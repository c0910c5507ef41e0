/* prep_layer.c - one layer of compression or archive, by libarchive; gzip by prep_gzip.c (prep_source.h). Only what the
 * first bytes announce is switched on, so that libarchive never guesses. SPDX-License-Identifier: Apache-2.0 */
#include "prep_source.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 1 << 16, TAR_BLOCK = 512 };

/* A zip's end record, which a comment may follow. Source: APPNOTE 4.3.16. */
enum { ZIP_END_BYTES = 22, ZIP_TAIL_BYTES = ZIP_END_BYTES + 65535 };

struct prep_layer {
    prep_kind kind;
    prep_gzip *gzip; /* or: */
    struct archive *archive;
    prep_pull *pull;
    void *from;
    flm_status failed;   /* of pull, while libarchive called it */
    bool given;          /* gzip's one member */
    size_t zeros;        /* at the end of what was pulled: the end mark of a tar */
    unsigned char *tail; /* the last bytes of a zip, [ZIP_TAIL_BYTES] */
    size_t tail_bytes;
    unsigned char chunk[CHUNK];
};

static void tail_add(prep_layer *layer, size_t got)
{
    const size_t max = ZIP_TAIL_BYTES, fresh = got < max ? got : max, room = max - fresh;
    const size_t keep = layer->tail_bytes < room ? layer->tail_bytes : room;

    memmove(layer->tail, layer->tail + layer->tail_bytes - keep, keep);
    memcpy(layer->tail + keep, layer->chunk + got - fresh, fresh);
    layer->tail_bytes = keep + fresh;
}

static bool tail_has_end(const prep_layer *layer)
{
    for (size_t at = 0; at + ZIP_END_BYTES <= layer->tail_bytes; at++)
        if (memcmp(layer->tail + at, "PK\5\6", 4) == 0) return true;
    return false;
}

/* The next chunk; its end is remembered, where an archive has its end mark. */
static flm_status fetch(prep_layer *layer, size_t *got)
{
    flm_status rc = FLM_OK;
    size_t zeros = 0;

    FLM_TRY(layer->pull(layer->from, layer->chunk, CHUNK, got));
    while (zeros < *got && layer->chunk[*got - 1 - zeros] == 0) zeros++;
    layer->zeros = zeros == *got ? layer->zeros + zeros : zeros;
    if (layer->tail) tail_add(layer, *got);
done:
    return rc;
}

static la_ssize_t feed(struct archive *archive, void *data, const void **buffer)
{
    prep_layer *layer = data;
    size_t got = 0;

    layer->failed = fetch(layer, &got);
    if (layer->failed != FLM_OK) {
        archive_set_error(archive, EIO, "what it is read from failed");
        return ARCHIVE_FATAL;
    }
    *buffer = layer->chunk;
    return (la_ssize_t)got;
}

static int support(struct archive *a, prep_kind kind)
{
    int code = ARCHIVE_FATAL;

    switch (kind) {
    case PREP_XZ: code = archive_read_support_filter_xz(a); break;
    case PREP_ZSTD: code = archive_read_support_filter_zstd(a); break;
    case PREP_BZIP2: code = archive_read_support_filter_bzip2(a); break;
    case PREP_TAR:
        code = archive_read_support_format_tar(a);
        if (code == ARCHIVE_OK) code = archive_read_set_format_option(a, "tar", "read_concatenated_archives", "1");
        return code;
    case PREP_ZIP: return archive_read_support_format_zip_streamable(a);
    case PREP_PLAIN:
    case PREP_GZIP: break;
    }
    if (code == ARCHIVE_OK) code = archive_read_support_format_raw(a);
    return code == ARCHIVE_OK ? archive_read_support_format_empty(a) : code;
}

/* Why libarchive failed. */
static flm_status blame(const prep_layer *layer, const char *where)
{
    const char *text = archive_error_string(layer->archive);

    if (layer->failed != FLM_OK) return layer->failed; /* its message stands */
    if (!text) text = "it ends too soon";
    return flm_err_raise(FLM_E_FORMAT, __FILE__, __LINE__, "%s: the %s data is damaged or cut off: %.*s", where,
                         prep_kind_name(layer->kind), (int)strcspn(text, "\n"), text);
}

flm_status prep_layer_open(prep_kind kind, prep_pull *pull, void *from, prep_layer **out)
{
    flm_status rc = FLM_OK;
    prep_layer *layer = calloc(1, sizeof *layer);

    if (!layer) FLM_FAIL(FLM_E_NOMEM, "no memory to read %s", prep_kind_name(kind));
    layer->kind = kind;
    layer->pull = pull;
    layer->from = from;
    if (kind == PREP_ZIP && !(layer->tail = malloc(ZIP_TAIL_BYTES)))
        FLM_FAIL(FLM_E_NOMEM, "no memory to read %s", prep_kind_name(kind));
    if (kind == PREP_GZIP) {
        FLM_TRY(prep_gzip_open(pull, from, &layer->gzip));
    } else {
        layer->archive = archive_read_new();
        if (!layer->archive) FLM_FAIL(FLM_E_NOMEM, "no memory to read %s", prep_kind_name(kind));
        if (support(layer->archive, kind) != ARCHIVE_OK) /* a warning: by a program, if there is one; not that */
            FLM_FAIL(FLM_E_UNSUPPORTED, "%s is not read by this build of libarchive", prep_kind_name(kind));
    }
    *out = layer;
    layer = NULL;
done:
    prep_layer_close(&layer);
    return rc;
}

void prep_layer_close(prep_layer **layer)
{
    if (!*layer) return;
    prep_gzip_close(&(*layer)->gzip);
    if ((*layer)->archive) archive_read_free((*layer)->archive);
    free((*layer)->tail);
    free(*layer);
    *layer = NULL;
}

/* Behind the last member: the rest is read, so that the layers below see their own ends. */
static flm_status finish(prep_layer *layer, const char *where)
{
    flm_status rc = FLM_OK;
    size_t got = 1;

    if (layer->kind == PREP_TAR && layer->zeros < TAR_BLOCK)
        FLM_FAIL(FLM_E_FORMAT, "%s: the tar data is cut off: it has no end mark", where);
    while (got > 0) FLM_TRY(fetch(layer, &got));
    if (layer->kind == PREP_ZIP && !tail_has_end(layer))
        FLM_FAIL(FLM_E_FORMAT, "%s: the zip data is cut off: it has no end record", where);
done:
    return rc;
}

flm_status prep_layer_next(prep_layer *layer, const char *where, prep_entry *entry, bool *end)
{
    flm_status rc = FLM_OK;
    struct archive_entry *header = NULL;
    int code;

    *entry = (prep_entry){.regular = true};
    if (layer->gzip) {
        *end = layer->given;
        layer->given = true;
        goto done;
    }
    if (!layer->given && archive_read_open(layer->archive, layer, NULL, feed, NULL) != ARCHIVE_OK)
        FLM_TRY(blame(layer, where));
    layer->given = true;
    code = archive_read_next_header(layer->archive, &header);
    *end = code == ARCHIVE_EOF;
    if (*end) {
        FLM_TRY(finish(layer, where));
        goto done;
    }
    if (code != ARCHIVE_OK && code != ARCHIVE_WARN) FLM_TRY(blame(layer, where)); /* warnings are of names and owners */
    if (layer->kind >= PREP_TAR) {
        entry->name = archive_entry_pathname(header);
        if (!entry->name) entry->name = archive_entry_pathname_utf8(header);
        if (!entry->name) entry->name = "(a name that cannot be read)";
    }
    entry->regular = archive_entry_filetype(header) == AE_IFREG && !archive_entry_hardlink(header);
    entry->encrypted = archive_entry_is_encrypted(header) != 0;
done:
    return rc;
}

flm_status prep_layer_read(prep_layer *layer, const char *where, void *buffer, size_t bytes, size_t *got)
{
    flm_status rc = FLM_OK;
    la_ssize_t n;

    if (layer->gzip) {
        FLM_TRY(prep_gzip_read(layer->gzip, where, buffer, bytes, got));
        goto done;
    }
    do n = archive_read_data(layer->archive, buffer, bytes);
    while (n == ARCHIVE_RETRY);
    if (n < 0) FLM_TRY(blame(layer, where));
    *got = (size_t)n;
done:
    return rc;
}

int prep_layer_filters(const prep_layer *layer)
{
    /* "none", which is every one's last, is counted too */
    return layer->gzip || layer->kind >= PREP_TAR ? 0 : archive_filter_count(layer->archive) - 2;
}
