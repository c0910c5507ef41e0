/* io_shard_publish.c - completes a directory of shards: final names, then the index (io_shard.h).
 * SPDX-License-Identifier: Apache-2.0 */
#include "h5/h5_schema.h"
#include "io/io_shard_internal.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

typedef struct column { /* of one split in the index: one entry per shard */
    char (*file)[64];
    int64_t *rows;
    uint32_t *checksum;
} column;

static void column_free(column *c)
{
    free(c->file);
    free(c->rows);
    free(c->checksum);
}

static flm_status column_make(int shards, column *c)
{
    flm_status rc = FLM_OK;
    size_t lines = shards > 0 ? (size_t)shards : 1;

    c->file = calloc(lines, sizeof *c->file);
    c->rows = calloc(lines, sizeof *c->rows);
    c->checksum = calloc(lines, sizeof *c->checksum);
    if (!c->file || !c->rows || !c->checksum) FLM_FAIL(FLM_E_NOMEM, "no memory for an index of %d shards", shards);
done:
    return rc;
}

/* Check and sync one shard, and fill its entry in the index. */
static flm_status shard_finish(const char *directory, const flm_shard_split *split, int number,
                               const flm_shard_info *info, column *c)
{
    flm_status rc = FLM_OK;
    char temporary[FLM_PATH_BYTES], path[FLM_PATH_BYTES], name[FLM_SHARD_NAME_BYTES];
    const int64_t before = number * split->rows_a_shard, left = split->rows - before;
    const int64_t rows = left < split->rows_a_shard ? left : split->rows_a_shard;
    hid_t file = H5I_INVALID_HID;
    int64_t bytes;
    flm_shard_location place;
    int fd = -1;

    flm_shard_make_name(split->name, number, split->shards, true, name);
    FLM_TRY(flm_path_join(temporary, directory, name));
    flm_shard_make_name(split->name, number, split->shards, false, name);
    FLM_TRY(flm_path_join(path, directory, name));
    FLM_TRY(flm_schema_open(temporary, "shard", &file, &bytes));
    rc = flm_shard_locate(file, bytes, info->L, info->vocabulary.V, &place);
    FLM_TRY(flm_err_prefix(rc, temporary));
    if (place.rows != rows)
        FLM_FAIL(FLM_E_FORMAT, "%s: has %lld rows, expected %lld", temporary, (long long)place.rows, (long long)rows);
    FLM_TRY(flm_file_open(temporary, O_RDONLY, &fd));
    FLM_TRY(flm_shard_compute_checksum(fd, temporary, &place, &c->checksum[number]));
    FLM_TRY(flm_file_sync_close(&fd, temporary));
    snprintf(c->file[number], sizeof c->file[number], "%s", name);
    c->rows[number] = rows;
    flm_h5_close(&file);
    FLM_TRY(flm_file_rename(temporary, path));
done:
    if (fd >= 0) close(fd);
    flm_h5_close(&file);
    return rc;
}

static flm_status index_split(hid_t file, const flm_shard_split *split, const column *c)
{
    flm_status rc = FLM_OK;
    hid_t group = H5I_INVALID_HID;
    char path[64];

    snprintf(path, sizeof path, "/splits/%s/file", split->name);
    FLM_TRY(flm_shard_dataset_write(file, path, H5I_INVALID_HID, sizeof c->file[0], split->shards, c->file));
    snprintf(path, sizeof path, "/splits/%s/rows", split->name);
    FLM_TRY(flm_shard_dataset_write(file, path, H5T_STD_I64LE, 0, split->shards, c->rows));
    snprintf(path, sizeof path, "/splits/%s/checksum", split->name);
    FLM_TRY(flm_shard_dataset_write(file, path, H5T_STD_U32LE, 0, split->shards, c->checksum));
    snprintf(path, sizeof path, "/splits/%s", split->name);
    FLM_TRY(flm_shard_checksum_write(
        file, path, flm_shard_index_checksum(split->shards, (const char(*)[64])c->file, c->rows, c->checksum)));
    FLM_H5(group = H5Gopen2(file, path, H5P_DEFAULT));
    FLM_TRY(flm_h5_set_i64(group, "rows", split->rows));
    FLM_TRY(flm_h5_set_i64(group, "shards", split->shards));
    FLM_TRY(flm_h5_set_i64(group, "documents", split->documents));
    FLM_TRY(flm_h5_set_i64(group, "dropped", split->dropped));
done:
    flm_h5_close(&group);
    return rc;
}

static flm_status index_lay_out(const char *path, const flm_shard_split *splits, const column *columns, int count,
                                const flm_shard_info *info)
{
    flm_status rc = FLM_OK;
    hid_t file = H5I_INVALID_HID, root = H5I_INVALID_HID;

    FLM_TRY(flm_h5_create(path, &file));
    FLM_H5(root = H5Gopen2(file, "/", H5P_DEFAULT));
    FLM_TRY(flm_h5_set_string(root, "format", "flm-index"));
    FLM_TRY(flm_shard_info_write(file, info));
    for (int i = 0; i < count; i++) FLM_TRY(index_split(file, &splits[i], &columns[i]));
    flm_h5_close(&root);
    FLM_TRY(flm_h5_close_file(&file));
done:
    flm_h5_close(&root);
    flm_h5_close(&file);
    return rc;
}

static flm_status index_write(const char *directory, const flm_shard_split *splits, const column *columns, int count,
                              const flm_shard_info *info)
{
    flm_status rc = FLM_OK;
    char path[FLM_PATH_BYTES], temporary[FLM_PATH_BYTES];
    int64_t bytes = (1 << 17) + info->inputs_count * (int64_t)sizeof(flm_shard_input);
    int fd = -1;
    bool made = false;

    for (int i = 0; i < count; i++) bytes += splits[i].shards * (int64_t)80;
    FLM_TRY(flm_path_join(path, directory, FLM_SHARD_INDEX));
    FLM_TRY(flm_path_join(temporary, directory, ".index.h5.tmp"));
    made = true;
    FLM_TRY(flm_file_reserve(temporary, bytes));
    rc = index_lay_out(temporary, splits, columns, count, info);
    FLM_TRY(flm_err_prefix(rc, temporary));
    FLM_TRY(flm_file_open(temporary, O_RDWR, &fd));
    FLM_TRY(flm_file_commit(&fd, temporary, path));
    made = false;
done:
    if (made) unlink(temporary);
    if (fd >= 0) close(fd);
    return rc;
}

flm_status flm_shard_publish(const char *directory, const flm_shard_split *splits, int count,
                             const flm_shard_info *info)
{
    flm_status rc = FLM_OK;
    column *columns = calloc(count > 0 ? (size_t)count : 1, sizeof *columns);

    if (!columns) FLM_FAIL(FLM_E_NOMEM, "no memory for an index");
    for (int i = 0; i < count; i++) {
        const flm_shard_split *s = &splits[i];
        if (!flm_shard_split_is_valid(s->name) || s->shards < 1 || s->shards > FLM_SHARDS_MAX || s->rows_a_shard < 1 ||
            s->rows <= (s->shards - 1) * s->rows_a_shard || s->rows > s->shards * s->rows_a_shard)
            FLM_FAIL(FLM_E_ARG, "split \"%.15s\": %lld rows with %lld rows per shard do not make %d shards", s->name,
                     (long long)s->rows, (long long)s->rows_a_shard, s->shards);
        FLM_TRY(column_make(s->shards, &columns[i]));
        for (int k = 0; k < s->shards; k++) FLM_TRY(shard_finish(directory, s, k, info, &columns[i]));
    }
    FLM_TRY(flm_file_sync_directory(directory));
    FLM_TRY(index_write(directory, splits, columns, count, info));
done:
    for (int i = 0; columns && i < count; i++) column_free(&columns[i]);
    free(columns);
    return rc;
}
