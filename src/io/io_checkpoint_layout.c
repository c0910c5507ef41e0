/* io_checkpoint_layout.c - a checkpoint's structure, written by one rank through HDF5 before any data are.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/base_version.h"
#include "io/io_checkpoint_internal.h"
#include "io/io_schema.h"

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
    FLM_TRY(flm_h5_create_group(file, "/progress", &progress));
    FLM_TRY(flm_h5_set_i64(progress, "step", info->step));
    FLM_TRY(flm_h5_set_i64(progress, "epoch", info->epoch));
    FLM_TRY(flm_h5_set_i64(progress, "rows_read", info->rows_read));
    FLM_TRY(flm_h5_set_i64(progress, "tokens_seen", info->tokens_seen));
    FLM_TRY(flm_h5_set_i64(progress, "seed", info->seed));
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

flm_status flm_checkpoint_lay_out(const char *path, const flm_checkpoint_info *info, const flm_setting *settings,
                                  int settings_count, const flm_checkpoint_dataset *datasets, int datasets_count,
                                  uint32_t *const *sums, int64_t *offset)
{
    flm_status rc = FLM_OK;
    hid_t file = H5I_INVALID_HID, dataset = H5I_INVALID_HID, closing;
    int64_t bytes = 0;

    FLM_TRY(flm_h5_create(path, &file));
    FLM_TRY(attributes_write(file, info));
    FLM_TRY(settings_write(file, settings, settings_count));
    for (int i = 0; i < datasets_count; i++) {
        const flm_checkpoint_dataset *d = &datasets[i];
        haddr_t at;
        FLM_TRY(flm_h5_create_dataset(file, d->name, H5T_IEEE_F32LE, d->ndim, d->dim, &dataset));
        FLM_TRY(flm_h5_set_u32s(dataset, "crc32c", sums[i], flm_checkpoint_blocks(d)));
        at = H5Dget_offset(dataset);
        if (at == HADDR_UNDEF) FLM_FAIL(FLM_E_FORMAT, "HDF5 gave the dataset %s no place in the file", d->name);
        offset[i] = (int64_t)at;
        flm_h5_close(&dataset);
    }
    closing = file;
    file = H5I_INVALID_HID;
    FLM_H5(H5Fclose(closing));
    /* What a reader would refuse must not be written: the structure is held against the schema now. */
    FLM_TRY(flm_schema_open(path, "checkpoint", &file, &bytes));
done:
    flm_h5_close(&dataset);
    flm_h5_close(&file);
    return flm_err_prefix(rc, path);
}
