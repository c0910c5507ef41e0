/* io_checkpoint_read.c - an open checkpoint: its structure through HDF5 once, its data by pread, every block verified
 * by its checksum. The file is untrusted: nothing is read before the schema check has bounded it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/base_crc32c.h"
#include "h5/h5_schema.h"
#include "io/io_checkpoint_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { VALUE_BYTES = 65536 + 1, NAME_BYTES = 128 }; /* limits of the schema check */

typedef struct place {
    int64_t offset, bytes; /* of the data in the file */
    uint32_t *sums;        /* [blocks] */
} place;

struct flm_checkpoint {
    char path[FLM_PATH_BYTES];
    int fd;
    flm_checkpoint_info info;
    flm_checkpoint_dataset *datasets; /* [count] */
    place *places;                    /* [count] */
    int count;
    flm_setting *settings;
    int settings_count;
};

/* A number that files of version 0.1 lack: 0 then. */
static flm_status optional_read(hid_t group, const char *name, int64_t *value)
{
    *value = 0;
    return H5Aexists(group, name) > 0 ? flm_h5_get_i64(group, name, value) : FLM_OK;
}

static flm_status info_read(hid_t file, flm_checkpoint_info *info)
{
    flm_status rc = FLM_OK;
    hid_t root = H5I_INVALID_HID, progress = H5I_INVALID_HID;

    FLM_H5(root = H5Gopen2(file, "/", H5P_DEFAULT));
    FLM_TRY(flm_h5_get_string(root, "program_version", info->program_version, sizeof info->program_version));
    FLM_TRY(flm_h5_get_string(root, "kind", info->kind, sizeof info->kind));
    FLM_TRY(flm_h5_get_string(root, "parent", info->lineage, sizeof info->lineage));
    FLM_TRY(flm_vocabulary_read(root, &info->vocabulary));
    FLM_TRY(flm_h5_get_i64(root, "L", &info->L));
    FLM_TRY(flm_h5_get_i64(root, "d", &info->d));
    FLM_TRY(flm_h5_get_i64(root, "H", &info->H));
    FLM_TRY(flm_h5_get_i64(root, "c", &info->c));
    FLM_TRY(flm_h5_get_i64(root, "N", &info->N));
    FLM_TRY(flm_h5_get_f64_or(root, "logit_cap", 0, &info->logit_cap));
    FLM_H5(progress = H5Gopen2(file, "/progress", H5P_DEFAULT));
    FLM_TRY(flm_h5_get_i64(progress, "step", &info->step));
    FLM_TRY(flm_h5_get_i64(progress, "epoch", &info->epoch));
    FLM_TRY(flm_h5_get_i64(progress, "rows_read", &info->rows_read));
    FLM_TRY(flm_h5_get_i64(progress, "tokens_seen", &info->tokens_seen));
    FLM_TRY(flm_h5_get_i64(progress, "seed", &info->seed));
    FLM_TRY(optional_read(progress, "data_rows", &info->data_rows));
    FLM_TRY(optional_read(progress, "data_identity", &info->data_identity));
    FLM_TRY(optional_read(progress, "valid_rows", &info->valid_rows));
    FLM_TRY(optional_read(progress, "valid_identity", &info->valid_identity));
done:
    flm_h5_close(&progress);
    flm_h5_close(&root);
    return rc;
}

static flm_status settings_read(hid_t file, flm_checkpoint *c)
{
    flm_status rc = FLM_OK;
    hid_t config = H5I_INVALID_HID, attribute = H5I_INVALID_HID;
    H5O_info_t object;
    char name[NAME_BYTES], *value = malloc(VALUE_BYTES);

    FLM_H5(config = H5Gopen2(file, "/config", H5P_DEFAULT));
    FLM_H5(H5Oget_info(config, &object));
    c->settings = calloc((size_t)object.num_attrs + 1, sizeof *c->settings);
    if (!value || !c->settings) FLM_FAIL(FLM_E_NOMEM, "no memory for the settings");
    for (hsize_t i = 0; i < object.num_attrs; i++) {
        flm_setting *s = &c->settings[i];
        FLM_H5(attribute = H5Aopen_by_idx(config, ".", H5_INDEX_NAME, H5_ITER_INC, i, H5P_DEFAULT, H5P_DEFAULT));
        FLM_H5(H5Aget_name(attribute, sizeof name, name));
        flm_h5_close(&attribute);
        FLM_TRY(flm_h5_get_string(config, name, value, VALUE_BYTES));
        c->settings_count = (int)i + 1;
        s->name = strdup(name);
        s->value = strdup(value);
        if (!s->name || !s->value) FLM_FAIL(FLM_E_NOMEM, "no memory for the settings");
    }
done:
    flm_h5_close(&attribute);
    flm_h5_close(&config);
    free(value);
    return rc;
}

/* The file offset and block checksums of c->datasets[c->count], which is already open. */
static flm_status dataset_read(hid_t dataset, int64_t file_bytes, flm_checkpoint_dataset *d, place *p)
{
    flm_status rc = FLM_OK;
    hid_t attribute = H5I_INVALID_HID, space = H5I_INVALID_HID;
    int64_t dim[4] = {0};

    FLM_TRY(flm_h5_locate(dataset, sizeof(float), file_bytes, &d->ndim, dim, &p->offset, &p->bytes));
    if (d->ndim > 2 || p->bytes == 0) FLM_FAIL(FLM_E_FORMAT, "has no elements, or more than 2 dimensions");
    memcpy(d->dim, dim, sizeof d->dim);
    FLM_H5(attribute = H5Aopen(dataset, "crc32c", H5P_DEFAULT));
    FLM_H5(space = H5Aget_space(attribute));
    if (H5Sget_simple_extent_npoints(space) != flm_checkpoint_blocks(d))
        FLM_FAIL(FLM_E_FORMAT, "the number of checksums differs from the number of blocks");
    p->sums = malloc((size_t)flm_checkpoint_blocks(d) * sizeof *p->sums);
    if (!p->sums) FLM_FAIL(FLM_E_NOMEM, "no memory for its checksums");
    FLM_H5(H5Aread(attribute, H5T_NATIVE_UINT32, p->sums));
done:
    flm_h5_close(&space);
    flm_h5_close(&attribute);
    return rc;
}

/* Every dataset of one group; a missing group has none. */
static flm_status group_read(hid_t file, int64_t file_bytes, const char *prefix, flm_checkpoint *c)
{
    flm_status rc = FLM_OK;
    hid_t group = H5I_INVALID_HID, dataset = H5I_INVALID_HID;
    H5G_info_t info;
    char name[NAME_BYTES], path[NAME_BYTES + FLM_DATASET_NAME_BYTES];
    void *grown;

    FLM_H5(group = H5Gopen2(file, prefix, H5P_DEFAULT));
    FLM_H5(H5Gget_info(group, &info));
    grown = realloc(c->datasets, ((size_t)c->count + (size_t)info.nlinks + 1) * sizeof *c->datasets);
    if (grown) c->datasets = grown;
    if (grown) grown = realloc(c->places, ((size_t)c->count + (size_t)info.nlinks + 1) * sizeof *c->places);
    if (!grown) FLM_FAIL(FLM_E_NOMEM, "no memory for the table of its datasets");
    c->places = grown;
    for (hsize_t i = 0; i < info.nlinks; i++) {
        flm_checkpoint_dataset *d = &c->datasets[c->count];
        place *p = &c->places[c->count];
        memset(d, 0, sizeof *d);
        memset(p, 0, sizeof *p);
        FLM_H5(H5Lget_name_by_idx(group, ".", H5_INDEX_NAME, H5_ITER_INC, i, name, sizeof name, H5P_DEFAULT));
        snprintf(path, sizeof path, "%s/%s", prefix, name);
        if (strlen(path) >= sizeof d->name) FLM_FAIL(FLM_E_FORMAT, "%s: the name is too long", path);
        strcpy(d->name, path);
        FLM_H5(dataset = H5Dopen2(group, name, H5P_DEFAULT));
        rc = dataset_read(dataset, file_bytes, d, p);
        c->count++; /* so that it is freed with the rest */
        FLM_TRY(flm_err_prefix(rc, path));
        flm_h5_close(&dataset);
    }
done:
    flm_h5_close(&dataset);
    flm_h5_close(&group);
    return rc;
}

static flm_status structure_read(hid_t file, int64_t file_bytes, flm_checkpoint *c)
{
    static const char *const groups[] = {"weights", "ema", "optimizer/m", "optimizer/v"};
    flm_status rc = FLM_OK;

    FLM_TRY(info_read(file, &c->info));
    FLM_TRY(settings_read(file, c));
    for (int i = 0; i < 4; i++) {
        bool there = H5Lexists(file, i < 2 ? groups[i] : "optimizer", H5P_DEFAULT) > 0 &&
                     (i < 2 || H5Lexists(file, groups[i], H5P_DEFAULT) > 0);
        if (there) FLM_TRY(group_read(file, file_bytes, groups[i], c));
    }
done:
    return rc;
}

flm_status flm_checkpoint_open(const char *path, flm_checkpoint **out)
{
    flm_status rc = FLM_OK;
    hid_t file = H5I_INVALID_HID;
    int64_t bytes = 0;
    flm_checkpoint *c = calloc(1, sizeof *c);

    if (!c) FLM_FAIL(FLM_E_NOMEM, "%s: no memory to open it", path);
    c->fd = -1;
    FLM_TRY(flm_path_format(c->path, "%s", path));
    FLM_TRY(flm_schema_open(path, "checkpoint", &file, &bytes));
    FLM_TRY(structure_read(file, bytes, c));
    FLM_TRY(flm_h5_descriptor(file, &c->fd));
    *out = c;
    c = NULL;
done:
    flm_h5_close(&file);
    flm_checkpoint_close(&c);
    return flm_err_prefix(rc, path);
}

void flm_checkpoint_close(flm_checkpoint **checkpoint)
{
    flm_checkpoint *c = *checkpoint;

    if (!c) return;
    *checkpoint = NULL;
    for (int i = 0; i < c->count; i++) free(c->places[i].sums);
    for (int i = 0; i < c->settings_count; i++) {
        free((char *)c->settings[i].name);
        free((char *)c->settings[i].value);
    }
    free(c->places);
    free(c->datasets);
    free(c->settings);
    if (c->fd >= 0) close(c->fd);
    free(c);
}

int flm_checkpoint_get_descriptor(const flm_checkpoint *checkpoint, const char **path)
{
    *path = checkpoint->path;
    return checkpoint->fd;
}

const flm_checkpoint_info *flm_checkpoint_get_info(const flm_checkpoint *checkpoint) { return &checkpoint->info; }

const flm_checkpoint_dataset *flm_checkpoint_get_datasets(const flm_checkpoint *checkpoint, int *count)
{
    *count = checkpoint->count;
    return checkpoint->datasets;
}

const char *flm_checkpoint_get_setting(const flm_checkpoint *checkpoint, const char *name)
{
    for (int i = 0; i < checkpoint->settings_count; i++)
        if (strcmp(checkpoint->settings[i].name, name) == 0) return checkpoint->settings[i].value;
    return NULL;
}

const flm_setting *flm_checkpoint_get_settings(const flm_checkpoint *checkpoint, int *count)
{
    *count = checkpoint->settings_count;
    return checkpoint->settings;
}

/* The index of a dataset, -1 if it is missing. */
static int dataset_find(const flm_checkpoint *c, const char *name)
{
    for (int i = 0; i < c->count; i++)
        if (strcmp(c->datasets[i].name, name) == 0) return i;
    return -1;
}

/* "[128, 32]" */
static const char *shape_text(int ndim, const int64_t *dim, char *text, size_t size)
{
    if (ndim == 2)
        snprintf(text, size, "[%" PRId64 ", %" PRId64 "]", dim[0], dim[1]);
    else
        snprintf(text, size, "[%" PRId64 "]", dim[0]);
    return text;
}

flm_status flm_checkpoint_expect(const flm_checkpoint *checkpoint, const char *name, int ndim, const int64_t *dim)
{
    flm_status rc = FLM_OK;
    const int i = dataset_find(checkpoint, name);
    const flm_checkpoint_dataset *d = &checkpoint->datasets[i < 0 ? 0 : i];
    char found[48], expected[48];

    if (i < 0) FLM_FAIL(FLM_E_MISMATCH, "%s: %s is missing", checkpoint->path, name);
    if (d->ndim != ndim || memcmp(d->dim, dim, (size_t)ndim * sizeof *dim) != 0)
        FLM_FAIL(FLM_E_MISMATCH, "%s: %s has shape %s, expected %s", checkpoint->path, name,
                 shape_text(d->ndim, d->dim, found, sizeof found), shape_text(ndim, dim, expected, sizeof expected));
done:
    return rc;
}

/* Read one block of dataset i into data, which has space for a full block; *bytes: its length. */
static flm_status block_read(const flm_checkpoint *c, int i, int64_t block, char *data, int64_t *bytes)
{
    flm_status rc = FLM_OK;
    const place *p = &c->places[i];
    const int64_t begin = block * FLM_IO_BLOCK_BYTES;
    uint32_t crc;

    *bytes = p->bytes - begin < FLM_IO_BLOCK_BYTES ? p->bytes - begin : FLM_IO_BLOCK_BYTES;
    FLM_TRY(flm_file_read_at(c->fd, c->path, data, (size_t)*bytes, p->offset + begin));
    crc = flm_crc32c_update(0, data, (size_t)*bytes);
    if (crc != p->sums[block])
        FLM_FAIL(FLM_E_CHECKSUM,
                 "%s: %s: block %" PRId64 ": checksum mismatch (file damaged): found %08" PRIx32
                 ", expected %08" PRIx32,
                 c->path, c->datasets[i].name, block, crc, p->sums[block]);
done:
    return rc;
}

flm_status flm_checkpoint_read(const flm_checkpoint *checkpoint, const char *name, int64_t first, int64_t count,
                               float *data)
{
    flm_status rc = FLM_OK;
    int64_t begin, end;
    char *to = (char *)data, *whole = NULL;
    const int i = dataset_find(checkpoint, name);

    if (i < 0) FLM_FAIL(FLM_E_FORMAT, "%s: %s is missing", checkpoint->path, name);
    if (first < 0 || count < 0 || first > flm_checkpoint_elements(&checkpoint->datasets[i]) ||
        count > flm_checkpoint_elements(&checkpoint->datasets[i]) - first)
        FLM_FAIL(FLM_E_FORMAT, "%s: %s: %" PRId64 " elements from element %" PRId64 " on are outside the dataset",
                 checkpoint->path, name, count, first);
    begin = first * (int64_t)sizeof *data;
    end = begin + count * (int64_t)sizeof *data;
    for (int64_t at = begin, bytes; at < end;) {
        const int64_t block = at / FLM_IO_BLOCK_BYTES, start = block * FLM_IO_BLOCK_BYTES;
        const int64_t rest = checkpoint->places[i].bytes - start;
        if (at == start && end - at >= (rest < FLM_IO_BLOCK_BYTES ? rest : FLM_IO_BLOCK_BYTES)) {
            FLM_TRY(block_read(checkpoint, i, block, to + (at - begin), &bytes)); /* complete: read directly */
        } else {
            int64_t take;
            if (!whole && !(whole = malloc(FLM_IO_BLOCK_BYTES)))
                FLM_FAIL(FLM_E_NOMEM, "%s: no memory to read it", checkpoint->path);
            FLM_TRY(block_read(checkpoint, i, block, whole, &bytes));
            take = start + bytes < end ? start + bytes : end;
            memcpy(to + (at - begin), whole + (at - start), (size_t)(take - at));
        }
        at = start + bytes < end ? start + bytes : end;
    }
done:
    free(whole);
    return rc;
}

flm_status flm_checkpoint_verify_share(const flm_checkpoint *checkpoint, int part, int parts)
{
    flm_status rc = FLM_OK;
    char *block = malloc(FLM_IO_BLOCK_BYTES);
    int64_t number = 0, bytes;

    if (!block) FLM_FAIL(FLM_E_NOMEM, "%s: no memory to verify it", checkpoint->path);
    for (int i = 0; i < checkpoint->count; i++)
        for (int64_t b = 0, n = flm_checkpoint_blocks(&checkpoint->datasets[i]); b < n; b++)
            if (number++ % parts == part) FLM_TRY(block_read(checkpoint, i, b, block, &bytes));
done:
    free(block);
    return rc;
}

uint32_t flm_checkpoint_get_identity(const flm_checkpoint *checkpoint)
{
    uint32_t crc = 0;
    for (int i = 0; i < checkpoint->count; i++) {
        const flm_checkpoint_dataset *d = &checkpoint->datasets[i];
        crc = flm_crc32c_update(crc, d->name, strlen(d->name) + 1);
        crc = flm_crc32c_update(crc, checkpoint->places[i].sums, (size_t)flm_checkpoint_blocks(d) * sizeof(uint32_t));
    }
    return crc;
}

flm_status flm_checkpoint_verify(const flm_checkpoint *checkpoint)
{
    return flm_checkpoint_verify_share(checkpoint, 0, 1);
}
