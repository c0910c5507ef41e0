/* io_checkpoint_layout.c - a checkpoint's structure, written by one rank through HDF5 before the data, its checksums,
 * written after them, and files that one process writes alone. SPDX-License-Identifier: Apache-2.0 */
#include "base/base_crc32c.h"
#include "base/base_version.h"
#include "h5/h5_schema.h"
#include "io/io_checkpoint_internal.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHECKSUMS "crc32c" /* the attribute of a dataset that has its blocks' checksums */

flm_status flm_checkpoint_check_dataset(const flm_checkpoint_dataset *d)
{
    flm_status rc = FLM_OK;
    int64_t bytes = sizeof(float);

    if (!memchr(d->name, '\0', sizeof d->name) || !d->name[0])
        FLM_FAIL(FLM_E_ARG, "a dataset's name is empty or longer than %zu bytes", sizeof d->name - 1);
    if (d->ndim < 1 || d->ndim > 2) FLM_FAIL(FLM_E_ARG, "%s: has %d axes, expected 1 or 2", d->name, d->ndim);
    for (int k = 0; k < d->ndim; k++)
        if (d->dim[k] < 1 || __builtin_mul_overflow(bytes, d->dim[k], &bytes))
            FLM_FAIL(FLM_E_ARG, "%s: axis %d has %" PRId64 " elements", d->name, k, d->dim[k]);
done:
    return rc;
}

int64_t flm_checkpoint_elements(const flm_checkpoint_dataset *dataset)
{
    return dataset->ndim == 2 ? dataset->dim[0] * dataset->dim[1] : dataset->dim[0];
}

int64_t flm_checkpoint_blocks(const flm_checkpoint_dataset *dataset)
{
    const int64_t bytes = flm_checkpoint_elements(dataset) * (int64_t)sizeof(float);
    return (bytes + FLM_IO_BLOCK_BYTES - 1) / FLM_IO_BLOCK_BYTES;
}

static flm_status attributes_write(hid_t file, const flm_checkpoint_info *info)
{
    flm_status rc = FLM_OK;
    hid_t root = H5I_INVALID_HID, progress = H5I_INVALID_HID;
    char version[sizeof info->program_version];

    flm_version_describe(version, sizeof version);
    FLM_H5(root = H5Gopen2(file, "/", H5P_DEFAULT));
    FLM_TRY(flm_h5_set_string(root, "format", "flm-checkpoint"));
    FLM_TRY(flm_h5_set_i64(root, "format_version", 1));
    FLM_TRY(flm_h5_set_string(root, "program_version", version));
    FLM_TRY(flm_h5_set_string(root, "kind", info->kind));
    FLM_TRY(flm_h5_set_string(root, "parent", info->lineage));
    FLM_TRY(flm_vocabulary_write(root, &info->vocabulary));
    FLM_TRY(flm_h5_set_i64(root, "L", info->L));
    FLM_TRY(flm_h5_set_i64(root, "d", info->d));
    FLM_TRY(flm_h5_set_i64(root, "H", info->H));
    FLM_TRY(flm_h5_set_i64(root, "c", info->c));
    FLM_TRY(flm_h5_set_i64(root, "N", info->N));
    if (info->logit_cap != 0) FLM_TRY(flm_h5_set_f64(root, "logit_cap", info->logit_cap));
    FLM_TRY(flm_h5_create_group(file, "/progress", &progress));
    FLM_TRY(flm_h5_set_i64(progress, "step", info->step));
    FLM_TRY(flm_h5_set_i64(progress, "epoch", info->epoch));
    FLM_TRY(flm_h5_set_i64(progress, "rows_read", info->rows_read));
    FLM_TRY(flm_h5_set_i64(progress, "tokens_seen", info->tokens_seen));
    FLM_TRY(flm_h5_set_i64(progress, "seed", info->seed));
    if (info->data_rows > 0) {
        FLM_TRY(flm_h5_set_i64(progress, "data_rows", info->data_rows));
        FLM_TRY(flm_h5_set_i64(progress, "data_identity", info->data_identity));
    }
    if (info->valid_rows > 0) {
        FLM_TRY(flm_h5_set_i64(progress, "valid_rows", info->valid_rows));
        FLM_TRY(flm_h5_set_i64(progress, "valid_identity", info->valid_identity));
    }
done:
    flm_h5_close(&progress);
    flm_h5_close(&root);
    return rc;
}

static flm_status settings_write(hid_t file, const flm_setting *settings, int count)
{
    flm_status rc = FLM_OK;
    hid_t config = H5I_INVALID_HID;

    FLM_TRY(flm_h5_create_group(file, "/config", &config));
    for (int i = 0; i < count; i++) FLM_TRY(flm_h5_set_string(config, settings[i].name, settings[i].value));
done:
    flm_h5_close(&config);
    return rc;
}

/* An upper bound of the file's length: the data, and more than HDF5 takes for the structure. */
static int64_t max_file_bytes(const flm_setting *settings, int settings_count, const flm_checkpoint_dataset *datasets,
                              int datasets_count)
{
    int64_t bytes = 1 << 16;

    for (int i = 0; i < settings_count; i++)
        bytes += 512 + (int64_t)strlen(settings[i].name) + (int64_t)strlen(settings[i].value);
    for (int i = 0; i < datasets_count; i++)
        bytes += 1024 + flm_checkpoint_elements(&datasets[i]) * (int64_t)sizeof(float) +
                 flm_checkpoint_blocks(&datasets[i]) * (int64_t)sizeof(uint32_t);
    return bytes;
}

/* One dataset without data, its checksums zero; *at: where its data are in the file. */
static flm_status dataset_lay_out(hid_t file, const flm_checkpoint_dataset *d, int64_t *at)
{
    flm_status rc = FLM_OK;
    hid_t dataset = H5I_INVALID_HID;
    const int64_t blocks = flm_checkpoint_blocks(d);
    uint32_t *zeros = calloc((size_t)blocks, sizeof *zeros);
    haddr_t offset;

    if (!zeros) FLM_FAIL(FLM_E_NOMEM, "no memory for the checksums of %s", d->name);
    FLM_TRY(flm_h5_create_dataset(file, d->name, H5T_IEEE_F32LE, d->ndim, d->dim, &dataset));
    FLM_TRY(flm_h5_set_u32s(dataset, CHECKSUMS, zeros, blocks));
    offset = H5Dget_offset(dataset);
    if (offset == HADDR_UNDEF) FLM_FAIL(FLM_E_FORMAT, "HDF5 allocated no space for the dataset %s", d->name);
    *at = (int64_t)offset;
done:
    flm_h5_close(&dataset);
    free(zeros);
    return rc;
}

flm_status flm_checkpoint_lay_out(const char *path, const flm_checkpoint_info *info, const flm_setting *settings,
                                  int settings_count, const flm_checkpoint_dataset *datasets, int datasets_count,
                                  int64_t *offset)
{
    flm_status rc = FLM_OK;
    hid_t file = H5I_INVALID_HID;
    int64_t bytes = 0;

    FLM_TRY(flm_file_reserve(path, max_file_bytes(settings, settings_count, datasets, datasets_count)));
    FLM_TRY(flm_h5_create(path, &file));
    FLM_TRY(attributes_write(file, info));
    FLM_TRY(settings_write(file, settings, settings_count));
    for (int i = 0; i < datasets_count; i++) FLM_TRY(dataset_lay_out(file, &datasets[i], &offset[i]));
    FLM_TRY(flm_h5_close_file(&file));
    /* What a reader would refuse must not be written: the structure is checked against the schema now. */
    FLM_TRY(flm_schema_open(path, "checkpoint", &file, &bytes));
done:
    flm_h5_close(&file);
    return flm_err_prefix(rc, path);
}

flm_status flm_checkpoint_write_checksums(const char *path, const flm_checkpoint_dataset *datasets, int datasets_count,
                                          const uint32_t *crc)
{
    flm_status rc = FLM_OK;
    hid_t file = H5I_INVALID_HID, dataset = H5I_INVALID_HID;
    int fd = -1;

    FLM_TRY(flm_h5_open(path, true, &file, NULL));
    for (int i = 0; i < datasets_count; i++) {
        FLM_H5(dataset = H5Dopen2(file, datasets[i].name, H5P_DEFAULT));
        FLM_TRY(flm_h5_set_u32s(dataset, CHECKSUMS, crc, flm_checkpoint_blocks(&datasets[i])));
        flm_h5_close(&dataset);
        crc += flm_checkpoint_blocks(&datasets[i]);
    }
    FLM_TRY(flm_h5_close_file(&file));
    FLM_TRY(flm_file_open(path, O_WRONLY, &fd));
    FLM_TRY(flm_file_sync_close(&fd, path));
done:
    if (fd >= 0) close(fd);
    flm_h5_close(&dataset);
    flm_h5_close(&file);
    return flm_err_prefix(rc, path);
}

/* Writes one dataset's data; crc [blocks]: their checksums. */
static flm_status data_write(int fd, const char *path, const float *data, const flm_checkpoint_dataset *d,
                             int64_t offset, uint32_t *crc)
{
    flm_status rc = FLM_OK;
    const int64_t bytes = flm_checkpoint_elements(d) * (int64_t)sizeof *data;

    for (int64_t at = 0, n; at < bytes; at += n) {
        const char *block = (const char *)data + at;
        n = bytes - at < FLM_IO_BLOCK_BYTES ? bytes - at : FLM_IO_BLOCK_BYTES;
        *crc++ = flm_crc32c_update(0, block, (size_t)n);
        FLM_TRY(flm_file_write_at(fd, path, block, (size_t)n, offset + at));
    }
done:
    return rc;
}

/* The largest dataset's elements, and the blocks of all. */
static flm_status measure(const flm_checkpoint_dataset *datasets, int count, int64_t *max, int64_t *blocks)
{
    flm_status rc = FLM_OK;

    *max = *blocks = 0;
    for (int i = 0; i < count; i++) {
        FLM_TRY(flm_checkpoint_check_dataset(&datasets[i]));
        if (flm_checkpoint_elements(&datasets[i]) > *max) *max = flm_checkpoint_elements(&datasets[i]);
        *blocks += flm_checkpoint_blocks(&datasets[i]);
    }
done:
    return rc;
}

flm_status flm_checkpoint_write_file(const char *path, const flm_checkpoint_info *info, const flm_setting *settings,
                                     int settings_count, const flm_checkpoint_dataset *datasets, int datasets_count,
                                     flm_checkpoint_source source, void *context)
{
    flm_status rc = FLM_OK;
    char temporary[FLM_PATH_BYTES] = "";
    float *data = NULL;
    uint32_t *crc = NULL, *next;
    int64_t *offset = NULL, max, blocks;
    int fd = -1;

    if (datasets_count < 1) FLM_FAIL(FLM_E_ARG, "%s: a checkpoint needs at least one dataset", path);
    FLM_TRY(measure(datasets, datasets_count, &max, &blocks));
    data = malloc((size_t)max * sizeof *data);
    next = crc = malloc((size_t)blocks * sizeof *crc);
    offset = malloc((size_t)datasets_count * sizeof *offset);
    if (!data || !crc || !offset) FLM_FAIL(FLM_E_NOMEM, "%s: no memory to write it", path);
    FLM_TRY(flm_path_format(temporary, "%s.tmp", path));
    FLM_TRY(flm_checkpoint_lay_out(temporary, info, settings, settings_count, datasets, datasets_count, offset));
    FLM_TRY(flm_file_open(temporary, O_WRONLY, &fd));
    for (int i = 0; i < datasets_count; next += flm_checkpoint_blocks(&datasets[i++])) {
        FLM_TRY(source(context, i, data));
        FLM_TRY(data_write(fd, temporary, data, &datasets[i], offset[i], next));
    }
    FLM_TRY(flm_checkpoint_write_checksums(temporary, datasets, datasets_count, crc));
    FLM_TRY(flm_file_commit(&fd, temporary, path));
done:
    if (fd >= 0) close(fd);
    if (rc != FLM_OK && temporary[0]) unlink(temporary);
    free(data);
    free(crc);
    free(offset);
    return rc;
}
