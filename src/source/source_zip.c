/* source_zip.c - see source_zip.h. Source: APPNOTE 6.3.10, sections 4.3.12 to 4.3.16.
 * SPDX-License-Identifier: Apache-2.0 */
#include "source/source_zip.h"

#include "base/base_file.h"

#include <stdlib.h>
#include <string.h>

enum { ENTRY_BYTES = 46, LOCATOR_BYTES = 20, END64_BYTES = 56, WINDOW = 1 << 18 };

static uint64_t little(const unsigned char *p, int bytes)
{
    uint64_t value = 0;

    for (int i = bytes - 1; i >= 0; i--) value = value << 8 | p[i];
    return value;
}

const unsigned char *flm_zip_find_end(const unsigned char *tail, size_t bytes)
{
    for (size_t at = bytes < FLM_ZIP_END_BYTES ? 0 : bytes - FLM_ZIP_END_BYTES + 1; at > 0; at--)
        if (memcmp(tail + at - 1, "PK\5\6", 4) == 0) return tail + at - 1;
    return NULL;
}

int64_t flm_zip_end_members(const unsigned char *end)
{
    const uint64_t members = little(end + 10, 2);

    return members == 0xffff ? -1 : (int64_t)members;
}

typedef struct extent { /* of the directory */
    int64_t at, bytes, members;
    int64_t shift; /* what precedes the zip in its file, which offsets do not count */
} extent;

/* The extent, from the end record at offset end_at, or from the zip64 record that goes before it. */
static flm_status find_extent(int fd, const char *path, const unsigned char *end, int64_t end_at, extent *out)
{
    flm_status rc = FLM_OK;
    unsigned char locator[LOCATOR_BYTES], end64[END64_BYTES];
    int64_t at = end_at;

    *out = (extent){(int64_t)little(end + 16, 4), (int64_t)little(end + 12, 4), (int64_t)little(end + 10, 2), 0};
    if (end_at >= LOCATOR_BYTES) {
        FLM_TRY(flm_file_read_at(fd, path, locator, LOCATOR_BYTES, end_at - LOCATOR_BYTES));
        if (memcmp(locator, "PK\6\7", 4) == 0) {
            at = (int64_t)little(locator + 8, 8);
            if (at < 0 || at > end_at - LOCATOR_BYTES - END64_BYTES) goto done;
            FLM_TRY(flm_file_read_at(fd, path, end64, END64_BYTES, at));
            if (memcmp(end64, "PK\6\6", 4) != 0) goto done;
            *out = (extent){(int64_t)little(end64 + 48, 8), (int64_t)little(end64 + 40, 8),
                            (int64_t)little(end64 + 32, 8), 0};
        }
    }
    if (out->at >= 0 && out->bytes >= 0 && out->bytes <= at) {
        out->shift = at - out->bytes - out->at;
        out->at = at - out->bytes;
    }
done:
    return rc;
}

/* The offset of a member, from its entry [bytes]; that of a large file is in an extra field of zip64. */
static int64_t entry_offset(const unsigned char *entry, size_t bytes)
{
    const uint64_t offset = little(entry + 42, 4);
    const unsigned char *p = entry + ENTRY_BYTES + little(entry + 28, 2), *end = p + little(entry + 30, 2);

    if (offset != 0xffffffff || end > entry + bytes) return (int64_t)offset;
    for (size_t n; end - p >= 4; p += n) {
        n = 4 + (size_t)little(p + 2, 2);
        if (n > (size_t)(end - p)) break;
        if (little(p, 2) != 1) continue;
        /* only the values that the entry does not hold are there: size, compressed size, offset */
        const size_t at =
            4 + 8 * ((size_t)(little(entry + 24, 4) == 0xffffffff) + (little(entry + 20, 4) == 0xffffffff));
        if (at + 8 <= n) return (int64_t)little(p + at, 8);
    }
    return (int64_t)offset;
}

static int by_offset(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Read the entries of a directory in windows; *valid is false where it has other data. */
static flm_status read_entries(int fd, const char *path, const extent *x, flm_zip_directory *d, bool *valid)
{
    flm_status rc = FLM_OK;
    unsigned char *window = malloc(WINDOW);
    int64_t at = x->at, left = x->bytes;

    if (!window) FLM_FAIL(FLM_E_NOMEM, "%s: no memory for its directory", path);
    for (*valid = false; d->count < x->members;) {
        const size_t have = (size_t)(left < WINDOW ? left : WINDOW);
        size_t used = 0;
        FLM_TRY(flm_file_read_at(fd, path, window, have, at));
        while (d->count < x->members && have - used >= ENTRY_BYTES) {
            const unsigned char *e = window + used;
            const size_t n = (size_t)(ENTRY_BYTES + little(e + 28, 2) + little(e + 30, 2) + little(e + 32, 2));
            if (memcmp(e, "PK\1\2", 4) != 0) goto done;
            if (n > have - used) break;
            d->offsets[d->count++] = entry_offset(e, n) + x->shift;
            used += n;
        }
        if (used == 0 && d->count < x->members) goto done;
        at += (int64_t)used;
        left -= (int64_t)used;
    }
    *valid = true;
done:
    free(window);
    return rc;
}

flm_status flm_zip_directory_read(int fd, const char *path, int64_t bytes, flm_zip_directory *directory, bool *found)
{
    flm_status rc = FLM_OK;
    const size_t tail_bytes = (size_t)(bytes < FLM_ZIP_TAIL_BYTES ? bytes : FLM_ZIP_TAIL_BYTES);
    unsigned char *tail = malloc(tail_bytes + 1);
    const unsigned char *end;
    extent x;

    *directory = (flm_zip_directory){NULL, 0};
    *found = false;
    if (!tail) FLM_FAIL(FLM_E_NOMEM, "%s: no memory for its directory", path);
    FLM_TRY(flm_file_read_at(fd, path, tail, tail_bytes, bytes - (int64_t)tail_bytes));
    end = flm_zip_find_end(tail, tail_bytes);
    if (!end) goto done;
    FLM_TRY(find_extent(fd, path, end, bytes - (int64_t)tail_bytes + (end - tail), &x));
    if (x.at < 0 || x.bytes < 0 || x.at > bytes - x.bytes || x.members < 0 || x.members > x.bytes / ENTRY_BYTES)
        goto done;
    directory->offsets = calloc((size_t)x.members + 1, sizeof *directory->offsets);
    if (!directory->offsets) FLM_FAIL(FLM_E_NOMEM, "%s: no memory for its directory", path);
    FLM_TRY(read_entries(fd, path, &x, directory, found));
    qsort(directory->offsets, (size_t)directory->count, sizeof *directory->offsets, by_offset);
done:
    free(tail);
    if (rc != FLM_OK || !*found) flm_zip_directory_free(directory);
    return rc;
}

void flm_zip_directory_free(flm_zip_directory *directory)
{
    free(directory->offsets);
    *directory = (flm_zip_directory){NULL, 0};
}

bool flm_zip_directory_lists(const flm_zip_directory *directory, int64_t begin, int64_t end)
{
    int64_t low = 0, high = directory->count; /* the first offset that is not before begin */

    while (low < high) {
        const int64_t middle = low + (high - low) / 2;
        if (directory->offsets[middle] < begin)
            low = middle + 1;
        else
            high = middle;
    }
    return low < directory->count && directory->offsets[low] < end;
}
