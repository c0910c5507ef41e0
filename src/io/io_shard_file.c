/* io_shard_file.c - shared by writing and reading shards: names, attributes, small datasets, file offsets.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/base_crc32c.h"
#include "io/io_shard_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void flm_shard_make_name(const char *split, int number, int of, bool temporary, char *name)
{
    snprintf(name, FLM_SHARD_NAME_BYTES, "%s%.15s-%05d-of-%05d.h5%s", temporary ? "." : "", split, number, of,
             temporary ? ".tmp" : "");
}

bool flm_shard_split_is_valid(const char *split)
{
    size_t letters = strspn(split, "abcdefghijklmnopqrstuvwxyz");
    return letters > 0 && letters < 16 && split[letters] == '\0';
}

size_t flm_shard_element_bytes(int64_t V) { return V <= 65536 ? sizeof(uint16_t) : sizeof(uint32_t); }

flm_status flm_shard_dataset_size(hid_t file, const char *path, int64_t bytes, int64_t *count)
{
    flm_status rc = FLM_OK;
    hid_t dataset = H5I_INVALID_HID;
    int ndim;
    int64_t dim[4], offset, size;

    FLM_H5(dataset = H5Dopen2(file, path, H5P_DEFAULT));
    FLM_TRY(flm_h5_locate(dataset, 0, bytes, &ndim, dim, &offset, &size));
    if (ndim != 1) FLM_FAIL(FLM_E_FORMAT, "has %d dimensions, expected 1", ndim);
    *count = dim[0];
done:
    flm_h5_close(&dataset);
    return flm_err_prefix(rc, path);
}

static flm_status text_type(size_t text_bytes, hid_t *type)
{
    flm_status rc = FLM_OK;

    FLM_H5(*type = H5Tcopy(H5T_C_S1));
    FLM_H5(H5Tset_size(*type, text_bytes));
done:
    return rc;
}

flm_status flm_shard_dataset_write(hid_t file, const char *path, hid_t type, size_t text_bytes, int64_t count,
                                   const void *data)
{
    flm_status rc = FLM_OK;
    hid_t text = H5I_INVALID_HID, dataset = H5I_INVALID_HID;

    if (text_bytes > 0) {
        FLM_TRY(text_type(text_bytes, &text));
        type = text;
    }
    FLM_TRY(flm_h5_create_dataset(file, path, type, 1, &count, &dataset));
    if (count > 0) FLM_H5(H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data));
done:
    flm_h5_close(&dataset);
    flm_h5_close(&text);
    return rc;
}

flm_status flm_shard_dataset_read(hid_t file, const char *path, hid_t type, size_t text_bytes, int64_t count,
                                  void *data)
{
    flm_status rc = FLM_OK;
    hid_t text = H5I_INVALID_HID, dataset = H5I_INVALID_HID, space = H5I_INVALID_HID;

    FLM_H5(dataset = H5Dopen2(file, path, H5P_DEFAULT));
    FLM_H5(space = H5Dget_space(dataset));
    if (H5Sget_simple_extent_npoints(space) != count)
        FLM_FAIL(FLM_E_FORMAT, "expected %lld elements", (long long)count);
    if (text_bytes > 0) {
        FLM_TRY(text_type(text_bytes, &text));
        type = text;
    }
    if (count > 0) FLM_H5(H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data));
    for (int64_t i = 0; text_bytes > 0 && i < count; i++)
        if (!memchr((const char *)data + (size_t)i * text_bytes, '\0', text_bytes))
            FLM_FAIL(FLM_E_FORMAT, "string %lld is not NUL-terminated", (long long)i);
done:
    flm_h5_close(&space);
    flm_h5_close(&dataset);
    flm_h5_close(&text);
    return flm_err_prefix(rc, path);
}

/* CRC-32C of the columns, in the order of the structure: what a damaged byte of them changes. */
static uint32_t inputs_checksum(int64_t count, const char (*name)[256], const int64_t *bytes, const char (*sha256)[65])
{
    uint32_t crc = flm_crc32c_update(0, name, (size_t)count * sizeof *name);
    crc = flm_crc32c_update(crc, bytes, (size_t)count * sizeof *bytes);
    return flm_crc32c_update(crc, sha256, (size_t)count * sizeof *sha256);
}

uint32_t flm_shard_index_checksum(int shards, const char (*file)[64], const int64_t *rows, const uint32_t *checksum)
{
    uint32_t crc = flm_crc32c_update(0, file, (size_t)shards * sizeof *file);
    crc = flm_crc32c_update(crc, rows, (size_t)shards * sizeof *rows);
    return flm_crc32c_update(crc, checksum, (size_t)shards * sizeof *checksum);
}

flm_status flm_shard_checksum_write(hid_t file, const char *path, uint32_t checksum)
{
    flm_status rc = FLM_OK;
    hid_t group = H5I_INVALID_HID;

    FLM_H5(group = H5Gopen2(file, path, H5P_DEFAULT));
    FLM_TRY(flm_h5_set_i64(group, "crc32c", checksum));
done:
    flm_h5_close(&group);
    return rc;
}

flm_status flm_shard_checksum_check(hid_t file, const char *path, uint32_t checksum)
{
    flm_status rc = FLM_OK;
    hid_t group = H5I_INVALID_HID;
    int64_t recorded;

    FLM_H5(group = H5Gopen2(file, path, H5P_DEFAULT));
    if (H5Aexists(group, "crc32c") <= 0) goto done; /* of version 0.1 */
    FLM_TRY(flm_h5_get_i64(group, "crc32c", &recorded));
    if (recorded != checksum)
        FLM_FAIL(FLM_E_CHECKSUM, "%s: checksum mismatch (file damaged); rebuild the shards with flm_shard", path);
done:
    flm_h5_close(&group);
    return rc;
}

/* The manifest by columns: an flm_shard_input is one row, a dataset one column. */
static flm_status put_inputs(hid_t file, const flm_shard_input *inputs, int count)
{
    flm_status rc = FLM_OK;
    size_t lines = count > 0 ? (size_t)count : 1;
    char(*name)[256] = calloc(lines, sizeof *name), (*sha256)[65] = calloc(lines, sizeof *sha256);
    int64_t *bytes = calloc(lines, sizeof *bytes);

    if (!name || !sha256 || !bytes) FLM_FAIL(FLM_E_NOMEM, "no memory for %d inputs", count);
    for (int i = 0; i < count; i++) {
        snprintf(name[i], sizeof name[i], "%s", inputs[i].name);
        snprintf(sha256[i], sizeof sha256[i], "%s", inputs[i].sha256);
        bytes[i] = inputs[i].bytes;
    }
    FLM_TRY(flm_shard_dataset_write(file, "/inputs/name", H5I_INVALID_HID, sizeof name[0], count, name));
    FLM_TRY(flm_shard_dataset_write(file, "/inputs/bytes", H5T_STD_I64LE, 0, count, bytes));
    FLM_TRY(flm_shard_dataset_write(file, "/inputs/sha256", H5I_INVALID_HID, sizeof sha256[0], count, sha256));
    FLM_TRY(flm_shard_checksum_write(file, "/inputs", inputs_checksum(count, name, bytes, sha256)));
done:
    free(bytes);
    free(sha256);
    free(name);
    return rc;
}

static flm_status get_inputs(hid_t file, int64_t file_bytes, flm_shard_input **out, int *out_count)
{
    flm_status rc = FLM_OK;
    char(*name)[256] = NULL, (*sha256)[65] = NULL;
    int64_t *bytes = NULL, count = 0;
    flm_shard_input *inputs = NULL;
    size_t lines;

    FLM_TRY(flm_shard_dataset_size(file, "/inputs/bytes", file_bytes, &count));
    if (count > INT32_MAX) FLM_FAIL(FLM_E_FORMAT, "/inputs: %lld are too many", (long long)count);
    lines = count > 0 ? (size_t)count : 1;
    name = calloc(lines, sizeof *name);
    sha256 = calloc(lines, sizeof *sha256);
    bytes = calloc(lines, sizeof *bytes);
    inputs = calloc(lines, sizeof *inputs);
    if (!name || !sha256 || !bytes || !inputs) FLM_FAIL(FLM_E_NOMEM, "no memory for %lld inputs", (long long)count);
    FLM_TRY(flm_shard_dataset_read(file, "/inputs/name", H5I_INVALID_HID, sizeof name[0], count, name));
    FLM_TRY(flm_shard_dataset_read(file, "/inputs/bytes", H5T_NATIVE_INT64, 0, count, bytes));
    FLM_TRY(flm_shard_dataset_read(file, "/inputs/sha256", H5I_INVALID_HID, sizeof sha256[0], count, sha256));
    FLM_TRY(flm_shard_checksum_check(file, "/inputs", inputs_checksum(count, name, bytes, sha256)));
    for (int64_t i = 0; i < count; i++) {
        snprintf(inputs[i].name, sizeof inputs[i].name, "%s", name[i]);
        snprintf(inputs[i].sha256, sizeof inputs[i].sha256, "%s", sha256[i]);
        inputs[i].bytes = bytes[i];
    }
    *out = inputs;
    *out_count = (int)count;
    inputs = NULL;
done:
    free(inputs);
    free(bytes);
    free(sha256);
    free(name);
    return rc;
}

flm_status flm_shard_info_write(hid_t file, const flm_shard_info *info)
{
    flm_status rc = FLM_OK;
    hid_t root = H5I_INVALID_HID;

    FLM_H5(root = H5Gopen2(file, "/", H5P_DEFAULT));
    FLM_TRY(flm_h5_set_i64(root, "format_version", 1));
    FLM_TRY(flm_h5_set_string(root, "program_version", info->program_version));
    FLM_TRY(flm_vocabulary_write(root, &info->vocabulary));
    FLM_TRY(flm_h5_set_i64(root, "L", info->L));
    FLM_TRY(flm_h5_set_string(root, "corpus", info->corpus));
    FLM_TRY(flm_h5_set_string(root, "documents", info->documents));
    FLM_TRY(flm_h5_set_i64(root, "group_docs", info->group_docs));
    FLM_TRY(put_inputs(file, info->inputs, info->inputs_count));
done:
    flm_h5_close(&root);
    return rc;
}

flm_status flm_shard_info_read(hid_t file, int64_t bytes, flm_shard_info *info)
{
    flm_status rc = FLM_OK;
    hid_t root = H5I_INVALID_HID;
    flm_shard_info got = {.inputs = NULL};
    flm_shard_input *inputs = NULL;

    FLM_H5(root = H5Gopen2(file, "/", H5P_DEFAULT));
    FLM_TRY(flm_h5_get_string(root, "program_version", got.program_version, sizeof got.program_version));
    FLM_TRY(flm_vocabulary_read(root, &got.vocabulary));
    FLM_TRY(flm_h5_get_i64(root, "L", &got.L));
    FLM_TRY(flm_h5_get_string(root, "corpus", got.corpus, sizeof got.corpus));
    FLM_TRY(flm_h5_get_string(root, "documents", got.documents, sizeof got.documents));
    FLM_TRY(flm_h5_get_i64(root, "group_docs", &got.group_docs));
    FLM_TRY(get_inputs(file, bytes, &inputs, &got.inputs_count));
    got.inputs = inputs;
    *info = got;
done:
    flm_h5_close(&root);
    return rc;
}

flm_status flm_shard_locate(hid_t file, int64_t bytes, int64_t L, int64_t V, flm_shard_location *place)
{
    flm_status rc = FLM_OK;
    hid_t tokens = H5I_INVALID_HID, checksums = H5I_INVALID_HID;
    flm_shard_location at = {.element = flm_shard_element_bytes(V)};
    int ndim = 0;
    int64_t dim[4], size;

    FLM_H5(tokens = H5Dopen2(file, "/tokens", H5P_DEFAULT));
    rc = flm_h5_locate(tokens, at.element, bytes, &ndim, dim, &at.tokens, &size);
    if (rc == FLM_OK && (ndim != 2 || dim[1] != L))
        rc = flm_err_raise(FLM_E_FORMAT, __FILE__, __LINE__, "does not have the shape [n, %lld]", (long long)L);
    FLM_TRY(flm_err_prefix(rc, "/tokens"));
    at.rows = dim[0];
    FLM_H5(checksums = H5Dopen2(file, "/checksums", H5P_DEFAULT));
    rc = flm_h5_locate(checksums, sizeof(uint32_t), bytes, &ndim, dim, &at.checksums, &size);
    if (rc == FLM_OK && (ndim != 1 || dim[0] != at.rows))
        rc = flm_err_raise(FLM_E_FORMAT, __FILE__, __LINE__, "the number of checksums differs from the number of rows");
    FLM_TRY(flm_err_prefix(rc, "/checksums"));
    *place = at;
done:
    flm_h5_close(&checksums);
    flm_h5_close(&tokens);
    return rc;
}

flm_status flm_shard_compute_checksum(int fd, const char *path, const flm_shard_location *place, uint32_t *sum)
{
    flm_status rc = FLM_OK;
    char piece[1 << 14];
    int64_t bytes = place->rows * (int64_t)sizeof(uint32_t);
    uint32_t crc = 0;

    for (int64_t at = 0; at < bytes;) {
        size_t n = bytes - at < (int64_t)sizeof piece ? (size_t)(bytes - at) : sizeof piece;
        FLM_TRY(flm_file_read_at(fd, path, piece, n, place->checksums + at));
        crc = flm_crc32c_update(crc, piece, n);
        at += (int64_t)n;
    }
    *sum = crc;
done:
    return rc;
}
