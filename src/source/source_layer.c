/* source_layer.c - one layer of compression or archive, by libarchive, or by source_gzip.c or source_decode.c
 * (source_layer.h). Only the container that was detected is enabled, so that libarchive never guesses.
 * SPDX-License-Identifier: Apache-2.0 */
#include "source/source_layer.h"

#include "source/source_zip.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 1 << 16, TAR_BLOCK = 512 };

struct flm_layer {
    flm_container container;
    flm_gzip *gzip;     /* for gzip */
    flm_decode *decode; /* for encodings; for all others: */
    struct archive *archive;
    flm_layer_pull *pull;
    void *from;
    flm_status failed; /* the error of pull, called by libarchive */
    bool given;        /* libarchive was opened, or the one member of gzip or of an encoding was given */
    bool deleted_known;
    bool empty;          /* a compression of nothing, which has no member for libarchive */
    int64_t members;     /* of an archive, so far */
    size_t zeros;        /* number of zeros at the end of the input so far: the end mark of a tar */
    unsigned char *tail; /* the last bytes of a zip, [FLM_ZIP_TAIL_BYTES] */
    size_t tail_bytes;
    unsigned char chunk[CHUNK];
};

static void tail_add(flm_layer *layer, size_t got)
{
    const size_t max = FLM_ZIP_TAIL_BYTES, added = got < max ? got : max, left = max - added;
    const size_t keep = layer->tail_bytes < left ? layer->tail_bytes : left;

    memmove(layer->tail, layer->tail + layer->tail_bytes - keep, keep);
    memcpy(layer->tail + keep, layer->chunk + got - added, added);
    layer->tail_bytes = keep + added;
}

/* The next chunk of input. Its end is recorded, as that is where an archive has its end mark. */
static flm_status fetch(flm_layer *layer, size_t *got)
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
    flm_layer *layer = data;
    size_t got = 0;

    layer->failed = fetch(layer, &got);
    if (layer->failed != FLM_OK) {
        archive_set_error(archive, EIO, "reading the input failed");
        return ARCHIVE_FATAL;
    }
    *buffer = layer->chunk;
    return (la_ssize_t)got;
}

static int enable(struct archive *a, flm_container container)
{
    int code = ARCHIVE_FATAL;

    switch (container) {
    case FLM_CONTAINER_XZ: code = archive_read_support_filter_xz(a); break;
    case FLM_CONTAINER_ZSTD: code = archive_read_support_filter_zstd(a); break;
    case FLM_CONTAINER_BZIP2: code = archive_read_support_filter_bzip2(a); break;
    case FLM_CONTAINER_LZ4: code = archive_read_support_filter_lz4(a); break;
    case FLM_CONTAINER_COMPRESS: code = archive_read_support_filter_compress(a); break;
    case FLM_CONTAINER_LZMA: code = archive_read_support_filter_lzma(a); break;
    case FLM_CONTAINER_LZIP: code = archive_read_support_filter_lzip(a); break;
    case FLM_CONTAINER_TAR:
        code = archive_read_support_format_tar(a);
        if (code == ARCHIVE_OK) code = archive_read_set_format_option(a, "tar", "read_concatenated_archives", "1");
        return code;
    case FLM_CONTAINER_ZIP: return archive_read_support_format_zip_streamable(a);
    case FLM_CONTAINER_NONE:
    case FLM_CONTAINER_UTF16LE:
    case FLM_CONTAINER_UTF16BE:
    case FLM_CONTAINER_UTF32LE:
    case FLM_CONTAINER_UTF32BE:
    case FLM_CONTAINER_GZIP: break;
    }
    if (code == ARCHIVE_OK) code = archive_read_support_format_raw(a);
    return code == ARCHIVE_OK ? archive_read_support_format_empty(a) : code;
}

/* The error of libarchive, or of pull. */
static flm_status read_error(const flm_layer *layer, const char *where)
{
    const char *text = archive_error_string(layer->archive);

    if (layer->failed != FLM_OK) return layer->failed; /* it has its message already */
    if (!text) text = "unexpected end";
    return flm_err_raise(FLM_E_FORMAT, __FILE__, __LINE__, "%s: the %s data is damaged or truncated: %.*s", where,
                         flm_container_name(layer->container), (int)strcspn(text, "\n"), text);
}

flm_status flm_layer_open(flm_container container, flm_layer_pull *pull, void *from, flm_layer **out)
{
    flm_status rc = FLM_OK;
    flm_layer *layer = calloc(1, sizeof *layer);

    if (!layer) FLM_FAIL(FLM_E_NOMEM, "no memory to read %s", flm_container_name(container));
    layer->container = container;
    layer->pull = pull;
    layer->from = from;
    if (container == FLM_CONTAINER_ZIP && !(layer->tail = malloc(FLM_ZIP_TAIL_BYTES)))
        FLM_FAIL(FLM_E_NOMEM, "no memory to read %s", flm_container_name(container));
    if (container == FLM_CONTAINER_GZIP) {
        FLM_TRY(flm_gzip_open(pull, from, &layer->gzip));
    } else if (flm_container_is_encoding(container)) {
        FLM_TRY(flm_decode_open(container, pull, from, &layer->decode));
    } else {
        layer->archive = archive_read_new();
        if (!layer->archive) FLM_FAIL(FLM_E_NOMEM, "no memory to read %s", flm_container_name(container));
        /* a warning is an error too: it means that libarchive would run an external program */
        if (enable(layer->archive, container) != ARCHIVE_OK)
            FLM_FAIL(FLM_E_UNSUPPORTED, "this build of libarchive does not support %s", flm_container_name(container));
    }
    *out = layer;
    layer = NULL;
done:
    flm_layer_close(&layer);
    return rc;
}

void flm_layer_close(flm_layer **layer)
{
    if (!*layer) return;
    flm_gzip_close(&(*layer)->gzip);
    flm_decode_close(&(*layer)->decode);
    if ((*layer)->archive) archive_read_free((*layer)->archive);
    free((*layer)->tail);
    free(*layer);
    *layer = NULL;
}

/* Compare the members of a zip with those that its end record counts. */
static flm_status check_zip(const flm_layer *layer, const char *where)
{
    flm_status rc = FLM_OK;
    const unsigned char *end = flm_zip_find_end(layer->tail, layer->tail_bytes);
    int64_t members;

    if (!end) FLM_FAIL(FLM_E_FORMAT, "%s: the zip data is truncated: it has no end record", where);
    members = flm_zip_end_members(end);
    if (members > layer->members)
        FLM_FAIL(FLM_E_FORMAT, "%s: the zip data is damaged: it has %lld members, its directory lists %lld", where,
                 (long long)layer->members, (long long)members);
    if (members >= 0 && members < layer->members && !layer->deleted_known)
        FLM_FAIL(FLM_E_FORMAT,
                 "%s: the zip has %lld deleted members (not listed in its directory); extract it from "
                 "the outer archive, or create it again",
                 where, (long long)(layer->members - members));
done:
    return rc;
}

/* After the last member: read the rest, so that the layers below reach their ends and check them. */
static flm_status finish(flm_layer *layer, const char *where)
{
    flm_status rc = FLM_OK;
    size_t got = 1;

    if (layer->container == FLM_CONTAINER_TAR && layer->zeros < TAR_BLOCK)
        FLM_FAIL(FLM_E_FORMAT, "%s: the tar data is truncated: it has no end mark", where);
    while (got > 0) FLM_TRY(fetch(layer, &got));
    if (layer->container == FLM_CONTAINER_ZIP) FLM_TRY(check_zip(layer, where));
done:
    return rc;
}

flm_status flm_layer_next(flm_layer *layer, const char *where, flm_layer_entry *entry, bool *end)
{
    flm_status rc = FLM_OK;
    struct archive_entry *header = NULL;
    int code;

    *entry = (flm_layer_entry){.regular = true};
    if (layer->gzip || layer->decode) {
        *end = layer->given;
        layer->given = true;
        goto done;
    }
    if (layer->empty) {
        *end = true;
        FLM_TRY(finish(layer, where));
        goto done;
    }
    if (!layer->given && archive_read_open(layer->archive, layer, NULL, feed, NULL) != ARCHIVE_OK)
        FLM_TRY(read_error(layer, where));
    layer->given = true;
    code = archive_read_next_header(layer->archive, &header);
    *end = code == ARCHIVE_EOF;
    if (code == ARCHIVE_OK && flm_container_is_compression(layer->container) &&
        archive_filter_count(layer->archive) < 2)
        FLM_FAIL(FLM_E_FORMAT, "%s: the %s data is damaged: its header is invalid", where,
                 flm_container_name(layer->container));
    if (*end && flm_container_is_compression(layer->container) && layer->members++ == 0) {
        layer->empty = true;
        *end = false;
        goto done;
    }
    if (*end) {
        FLM_TRY(finish(layer, where));
        goto done;
    }
    if (code != ARCHIVE_OK && code != ARCHIVE_WARN)
        FLM_TRY(read_error(layer, where)); /* warnings concern names and owners */
    layer->members++;
    entry->begin = archive_read_header_position(layer->archive);
    entry->end = archive_filter_bytes(layer->archive, 0);
    if (flm_container_is_archive(layer->container)) {
        entry->name = archive_entry_pathname(header);
        if (!entry->name) entry->name = archive_entry_pathname_utf8(header);
        if (!entry->name) entry->name = "(name that cannot be read)";
    }
    entry->regular = archive_entry_filetype(header) == AE_IFREG && !archive_entry_hardlink(header);
    entry->encrypted = archive_entry_is_encrypted(header) != 0;
done:
    return rc;
}

flm_status flm_layer_read(flm_layer *layer, const char *where, void *buffer, size_t bytes, size_t *got)
{
    flm_status rc = FLM_OK;
    la_ssize_t n;

    if (layer->gzip) {
        FLM_TRY(flm_gzip_read(layer->gzip, where, buffer, bytes, got));
        goto done;
    }
    if (layer->empty) {
        *got = 0;
        goto done;
    }
    if (layer->decode) {
        FLM_TRY(flm_decode_read(layer->decode, buffer, bytes, got));
        goto done;
    }
    do n = archive_read_data(layer->archive, buffer, bytes);
    while (n == ARCHIVE_RETRY);
    if (n < 0) FLM_TRY(read_error(layer, where));
    *got = (size_t)n;
done:
    return rc;
}

flm_status flm_layer_skip(flm_layer *layer, const char *where)
{
    flm_status rc = FLM_OK;
    char rest[1 << 14];
    size_t got = 1;
    int code;

    if (flm_container_is_archive(layer->container)) {
        do code = archive_read_data_skip(layer->archive);
        while (code == ARCHIVE_RETRY);
        if (code != ARCHIVE_OK && code != ARCHIVE_WARN && code != ARCHIVE_EOF) FLM_TRY(read_error(layer, where));
        goto done;
    }
    while (got > 0) FLM_TRY(flm_layer_read(layer, where, rest, sizeof rest, &got));
done:
    return rc;
}

void flm_layer_deleted_known(flm_layer *layer) { layer->deleted_known = true; }

int flm_layer_filters(const flm_layer *layer)
{
    /* the count includes "none", the last filter of every archive */
    return layer->gzip || layer->decode || flm_container_is_archive(layer->container)
               ? 0
               : archive_filter_count(layer->archive) - 2;
}
