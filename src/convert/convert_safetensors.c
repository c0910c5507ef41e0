/* convert_safetensors.c - safetensors files read: eight bytes with the length of a JSON header, the header, the data.
 *
 * As in the format's own library, the tensors must cover the data exactly, without holes or overlaps.
 * SPDX-License-Identifier: Apache-2.0 */
#include "convert/convert_external_internal.h"
#include "source/source_content.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HEADER_MAX = 100000000 }; /* the format's own limit */

/* Sets the dtype and returns the bits per element; 0: an unknown dtype. Source: safetensors 0.6, enum Dtype. */
static int64_t dtype_parse(const char *text, flm_external_dtype *dtype)
{
    static const struct {
        const char *text;
        int64_t bits;
        flm_external_dtype dtype;
    } known[] = {{"F32", 32, FLM_EXTERNAL_F32},
                 {"F64", 64, FLM_EXTERNAL_F64},
                 {"F16", 16, FLM_EXTERNAL_F16},
                 {"BF16", 16, FLM_EXTERNAL_BF16}};
    static const struct {
        int64_t bits;
        const char *types[8];
    } others[] = {{64, {"I64", "U64", "C64"}},
                  {32, {"I32", "U32"}},
                  {16, {"I16", "U16"}},
                  {8, {"I8", "U8", "BOOL", "F8_E4M3", "F8_E5M2", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"}},
                  {6, {"F6_E2M3", "F6_E3M2"}},
                  {4, {"F4"}}};
    for (size_t i = 0; text && i < sizeof known / sizeof known[0]; i++)
        if (strcmp(text, known[i].text) == 0) {
            *dtype = known[i].dtype;
            return known[i].bits;
        }
    *dtype = FLM_EXTERNAL_OTHER;
    for (size_t i = 0; text && i < sizeof others / sizeof others[0]; i++)
        for (int k = 0; k < 8 && others[i].types[k]; k++)
            if (strcmp(text, others[i].types[k]) == 0) return others[i].bits;
    return 0;
}

/* Parses a tensor's entry of the header; *end: the end of its data. */
static flm_status tensor_parse(flm_external_tensor *t, json_t *entry, int64_t data_bytes, int64_t *end)
{
    flm_status rc = FLM_OK;
    json_t *shape = json_object_get(entry, "shape"), *offsets = json_object_get(entry, "data_offsets");
    const int64_t size = dtype_parse(json_string_value(json_object_get(entry, "dtype")), &t->dtype);
    int64_t begin, bytes;

    if (size == 0) FLM_FAIL(FLM_E_FORMAT, "the dtype is missing or unknown");
    if (!json_is_array(shape) || json_array_size(shape) > FLM_EXTERNAL_DIMS)
        FLM_FAIL(FLM_E_FORMAT, "the shape is missing or has more than %d axes", FLM_EXTERNAL_DIMS);
    t->ndim = (int)json_array_size(shape);
    for (int k = 0; k < t->ndim; k++) {
        if (!json_is_integer(json_array_get(shape, (size_t)k))) FLM_FAIL(FLM_E_FORMAT, "axis %d is not an integer", k);
        t->dim[k] = json_integer_value(json_array_get(shape, (size_t)k));
    }
    FLM_TRY(flm_external_count_elements(t));
    if (json_array_size(offsets) != 2 || !json_is_integer(json_array_get(offsets, 0)) ||
        !json_is_integer(json_array_get(offsets, 1)))
        FLM_FAIL(FLM_E_FORMAT, "data_offsets are not two integers");
    begin = json_integer_value(json_array_get(offsets, 0));
    *end = json_integer_value(json_array_get(offsets, 1));
    if (t->elements * size % 8 != 0) FLM_FAIL(FLM_E_FORMAT, "its elements do not fill whole bytes");
    bytes = t->elements * size / 8;
    if (begin < 0 || *end < begin || *end > data_bytes)
        FLM_FAIL(FLM_E_FORMAT,
                 "its data (bytes %" PRId64 " to %" PRId64 ") are not inside the %" PRId64 " bytes of data in the file",
                 begin, *end, data_bytes);
    if (*end - begin != bytes)
        FLM_FAIL(FLM_E_FORMAT, "has %" PRId64 " bytes of data, its shape needs %" PRId64, *end - begin, bytes);
    t->offset = begin;
done:
    return rc;
}

typedef struct extent {
    int64_t begin, end;
    const char *name;
} extent;

static int by_begin(const void *a, const void *b)
{
    const extent *x = a, *y = b;
    if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
    return (x->end > y->end) - (x->end < y->end);
}

/* The data of the tensors must neither overlap nor leave bytes over. */
static flm_status cover_check(extent *all, size_t count, int64_t data_bytes)
{
    flm_status rc = FLM_OK;
    int64_t at = 0;
    qsort(all, count, sizeof *all, by_begin);
    for (size_t i = 0; i < count; at = all[i++].end) {
        if (all[i].begin < at) FLM_FAIL(FLM_E_FORMAT, "the data of %s and %s overlap", all[i - 1].name, all[i].name);
        if (all[i].begin > at)
            FLM_FAIL(FLM_E_FORMAT, "bytes %" PRId64 " to %" PRId64 " of the data belong to no tensor", at,
                     all[i].begin);
    }
    if (at != data_bytes)
        FLM_FAIL(FLM_E_FORMAT, "the last %" PRId64 " bytes of the data belong to no tensor", data_bytes - at);
done:
    return rc;
}

static flm_status header_parse(flm_external *f, json_t *header, int64_t data_at, int64_t data_bytes)
{
    flm_status rc = FLM_OK;
    extent *all = calloc(json_object_size(header) + 1, sizeof *all);
    size_t count = 0;
    const char *name;
    json_t *entry;

    if (!all) FLM_FAIL(FLM_E_NOMEM, "no memory for its header");
    json_object_foreach(header, name, entry)
    {
        flm_external_tensor *t;
        if (strcmp(name, "__metadata__") == 0) {
            if (json_is_null(entry)) continue; /* as in the format's own library */
            if (!json_is_object(entry)) FLM_FAIL(FLM_E_FORMAT, "__metadata__ is not a JSON object");
            f->metadata = json_incref(entry);
            continue;
        }
        FLM_TRY(flm_external_add(f, name, &t));
        FLM_TRY(flm_err_prefix(tensor_parse(t, entry, data_bytes, &all[count].end), name));
        all[count].begin = t->offset;
        all[count++].name = name;
        t->offset += data_at;
    }
    FLM_TRY(cover_check(all, count, data_bytes));
done:
    free(all);
    return rc;
}

flm_status flm_safetensors_open(flm_external *f)
{
    flm_status rc = FLM_OK;
    const char *path = f->path;
    char *text = NULL;
    json_t *header = NULL;
    json_error_t error;
    struct stat st;
    unsigned char head[64];
    size_t got = 0;
    uint64_t length;

    FLM_TRY(flm_file_open(path, O_RDONLY, &f->fd));
    if (fstat(f->fd, &st) != 0) FLM_FAIL(flm_status_from_errno(errno), "%s: %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode)) FLM_FAIL(FLM_E_FORMAT, "%s: is not a regular file", path);
    if (st.st_size < 8)
        FLM_FAIL(FLM_E_FORMAT, "%s: is not a safetensors file: it has only %lld bytes", path, (long long)st.st_size);
    FLM_TRY(flm_file_read_head(path, head, sizeof head, &got));
    if (flm_content_lfs_pointer(head, got))
        FLM_FAIL(FLM_E_FORMAT, "%s: is a Git LFS pointer; fetch the file with git lfs pull", path);
    FLM_TRY(flm_file_read_at(f->fd, path, &length, sizeof length, 0));
    if (length > HEADER_MAX || length > (uint64_t)st.st_size - 8)
        FLM_FAIL(FLM_E_FORMAT,
                 "%s: is not a safetensors file, or is truncated: the header should have %" PRIu64
                 " bytes, the file has %lld",
                 path, length, (long long)st.st_size);
    text = malloc((size_t)length + 1);
    if (!text) FLM_FAIL(FLM_E_NOMEM, "%s: no memory for its header", path);
    FLM_TRY(flm_file_read_at(f->fd, path, text, (size_t)length, 8));
    if (length == 0 || text[0] != '{')
        FLM_FAIL(FLM_E_FORMAT, "%s: is not a safetensors file: the header is not JSON", path);
    header = json_loadb(text, (size_t)length, JSON_REJECT_DUPLICATES, &error);
    if (!header) FLM_FAIL(FLM_E_FORMAT, "%s: the header is not valid JSON: %s", path, error.text);
    FLM_TRY(flm_err_prefix(header_parse(f, header, 8 + (int64_t)length, st.st_size - 8 - (int64_t)length), path));
    FLM_TRY(flm_external_sort(f));
done:
    json_decref(header);
    free(text);
    return rc;
}

flm_status flm_safetensors_read(flm_external *f, const flm_external_tensor *t, void *data)
{
    return flm_file_read_at(f->fd, f->path, data, (size_t)(t->elements * flm_external_element_size(t->dtype)),
                            t->offset);
}
