/* io_shard_write.c - shard directories, the writing side (io_shard.h). A shard is laid out by HDF5 and filled with
 * pwrite; it gets its temporary name when the layout is complete, its final name in flm_shard_publish.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/base_crc32c.h"
#include "h5/h5_schema.h"
#include "io/io_shard_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const int64_t STRUCTURE_BYTES = 1 << 16; /* HDF5's metadata in a shard, without the manifest */
static const int64_t RUN_BYTES = 1 << 18;       /* written at once */

struct flm_shard_writer {
    char path[FLM_PATH_BYTES];
    int fd;
    int64_t L, V;
    flm_shard_location place;
    int64_t run;  /* rows written at once */
    char *stored; /* [run, L] as stored in the file */
    uint32_t *sums;
};

static flm_status check_shard(const char *split, int number, int of, int64_t n)
{
    flm_status rc = FLM_OK;

    if (!flm_shard_split_is_valid(split)) FLM_FAIL(FLM_E_ARG, "\"%.32s\" is not a valid name of a split", split);
    if (of < 1 || of > FLM_SHARDS_MAX || number < 0 || number >= of)
        FLM_FAIL(FLM_E_ARG, "shard %d of %d: expected 1 to %d shards", number, of, FLM_SHARDS_MAX);
    if (n < 0) FLM_FAIL(FLM_E_ARG, "invalid number of rows in a shard: %lld", (long long)n);
done:
    return rc;
}

/* The bytes a shard will take, at most. */
static flm_status shard_bytes(int64_t n, const flm_shard_info *info, int64_t *bytes)
{
    flm_status rc = FLM_OK;
    int64_t row, total;

    if (info->L < 3 || info->L > 1 << 20)
        FLM_FAIL(FLM_E_ARG, "invalid number of ids in a row: %lld", (long long)info->L);
    row = info->L * (int64_t)flm_shard_element_bytes(info->vocabulary.V) + (int64_t)sizeof(uint32_t);
    if (__builtin_mul_overflow(row, n, &total) ||
        __builtin_add_overflow(total, STRUCTURE_BYTES + info->inputs_count * (int64_t)sizeof(flm_shard_input), &total))
        FLM_FAIL(FLM_E_ARG, "%lld rows exceed the maximum size of a file", (long long)n);
    *bytes = total;
done:
    return rc;
}

static flm_status lay_out(const char *path, const char *split, int number, int of, int64_t n,
                          const flm_shard_info *info)
{
    flm_status rc = FLM_OK;
    hid_t file = H5I_INVALID_HID, root = H5I_INVALID_HID, tokens = H5I_INVALID_HID, checksums = H5I_INVALID_HID;
    int64_t dim[2] = {n, info->L};

    FLM_TRY(flm_h5_create(path, &file));
    FLM_H5(root = H5Gopen2(file, "/", H5P_DEFAULT));
    FLM_TRY(flm_h5_set_string(root, "format", "flm-shard"));
    FLM_TRY(flm_shard_info_write(file, info));
    FLM_TRY(flm_h5_set_string(root, "split", split));
    FLM_TRY(flm_h5_set_i64(root, "number", number));
    FLM_TRY(flm_h5_set_i64(root, "of", of));
    FLM_TRY(flm_h5_create_dataset(file, "/tokens", info->vocabulary.V <= 65536 ? H5T_STD_U16LE : H5T_STD_U32LE, 2, dim,
                                  &tokens));
    FLM_TRY(flm_h5_create_dataset(file, "/checksums", H5T_STD_U32LE, 1, dim, &checksums));
    flm_h5_close(&checksums);
    flm_h5_close(&tokens);
    flm_h5_close(&root);
    FLM_TRY(flm_h5_close_file(&file));
done:
    flm_h5_close(&checksums);
    flm_h5_close(&tokens);
    flm_h5_close(&root);
    flm_h5_close(&file);
    return rc;
}

/* Allocates the blocks of a laid-out file, so that a full disk is reported now and not in the middle of the rows. */
static flm_status allocate_blocks(const char *path)
{
    flm_status rc = FLM_OK;
    int fd = -1;
    off_t end;

    FLM_TRY(flm_file_open(path, O_RDWR, &fd));
    end = lseek(fd, 0, SEEK_END);
    if (end < 0) FLM_FAIL(flm_status_from_errno(errno), "%s: %s", path, strerror(errno));
    FLM_TRY(flm_file_allocate(fd, path, end));
    FLM_TRY(flm_file_sync_close(&fd, path));
done:
    if (fd >= 0) close(fd);
    return rc;
}

flm_status flm_shard_create(const char *directory, const char *split, int number, int of, int64_t n,
                            const flm_shard_info *info)
{
    flm_status rc = FLM_OK;
    char name[FLM_SHARD_NAME_BYTES], path[FLM_PATH_BYTES], fresh[FLM_PATH_BYTES];
    int64_t bytes = 0;
    bool made = false;

    FLM_TRY(check_shard(split, number, of, n));
    FLM_TRY(shard_bytes(n, info, &bytes));
    flm_shard_make_name(split, number, of, true, name);
    FLM_TRY(flm_path_join(path, directory, name));
    FLM_TRY(flm_path_format(fresh, "%s.new", path));
    made = true;
    FLM_TRY(flm_file_reserve(fresh, bytes));
    rc = lay_out(fresh, split, number, of, n, info);
    FLM_TRY(flm_err_prefix(rc, fresh));
    FLM_TRY(allocate_blocks(fresh));
    FLM_TRY(flm_file_rename(fresh, path));
    made = false;
done:
    if (made) unlink(fresh);
    return rc;
}

flm_status flm_shard_writer_open(const char *directory, const char *split, int number, int of, flm_shard_writer **out)
{
    flm_status rc = FLM_OK;
    char name[FLM_SHARD_NAME_BYTES];
    hid_t file = H5I_INVALID_HID, root = H5I_INVALID_HID;
    flm_vocabulary vocabulary;
    int64_t bytes;
    flm_shard_writer *writer = NULL;

    FLM_TRY(check_shard(split, number, of, 0));
    writer = calloc(1, sizeof *writer);
    if (!writer) FLM_FAIL(FLM_E_NOMEM, "no memory to write a shard");
    writer->fd = -1;
    flm_shard_make_name(split, number, of, true, name);
    FLM_TRY(flm_path_join(writer->path, directory, name));
    FLM_TRY(flm_schema_open(writer->path, "shard", &file, &bytes));
    FLM_H5(root = H5Gopen2(file, "/", H5P_DEFAULT));
    rc = flm_vocabulary_read(root, &vocabulary);
    if (rc == FLM_OK) rc = flm_h5_get_i64(root, "L", &writer->L);
    if (rc == FLM_OK) rc = flm_shard_locate(file, bytes, writer->L, vocabulary.V, &writer->place);
    FLM_TRY(flm_err_prefix(rc, writer->path));
    writer->V = vocabulary.V;
    writer->run = RUN_BYTES / (writer->L * (int64_t)writer->place.element) + 1;
    writer->stored = malloc((size_t)writer->run * (size_t)writer->L * writer->place.element);
    writer->sums = malloc((size_t)writer->run * sizeof *writer->sums);
    if (!writer->stored || !writer->sums) FLM_FAIL(FLM_E_NOMEM, "no memory for rows of %lld ids", (long long)writer->L);
    FLM_TRY(flm_file_open(writer->path, O_RDWR, &writer->fd));
    *out = writer;
    writer = NULL;
done:
    flm_h5_close(&root);
    flm_h5_close(&file);
    if (writer) {
        free(writer->sums);
        free(writer->stored);
        free(writer);
    }
    return rc;
}

/* Convert ids [count, L] to their stored form and compute their checksums, in the writer's memory. */
static flm_status pack_rows(flm_shard_writer *w, const int32_t *ids, int64_t count)
{
    flm_status rc = FLM_OK;
    const size_t bytes = (size_t)w->L * w->place.element;

    for (int64_t i = 0; i < count * w->L; i++) {
        if (ids[i] < 0 || ids[i] >= w->V)
            FLM_FAIL(FLM_E_ARG, "id %d at position %lld of a row is not in 0..%lld", ids[i], (long long)(i % w->L),
                     (long long)w->V - 1);
        if (w->place.element == sizeof(uint16_t))
            ((uint16_t *)w->stored)[i] = (uint16_t)ids[i];
        else
            ((uint32_t *)w->stored)[i] = (uint32_t)ids[i];
    }
    for (int64_t k = 0; k < count; k++) w->sums[k] = flm_crc32c_update(0, w->stored + (size_t)k * bytes, bytes);
done:
    return rc;
}

static flm_status check_range(const flm_shard_writer *w, int64_t first, int64_t count)
{
    if (first >= 0 && count >= 0 && first <= w->place.rows && count <= w->place.rows - first) return FLM_OK;
    return flm_err_raise(FLM_E_ARG, __FILE__, __LINE__, "%s: rows %lld to %lld are outside its %lld rows", w->path,
                         (long long)first, (long long)(first + count - 1), (long long)w->place.rows);
}

/* Rows before their checksums: after a kill between the two they do not match. */
flm_status flm_shard_writer_write(flm_shard_writer *writer, int64_t first, int64_t count, const int32_t *ids)
{
    flm_status rc = FLM_OK;
    flm_shard_writer *w = writer;
    const size_t bytes = (size_t)w->L * w->place.element;

    FLM_TRY(check_range(w, first, count));
    for (int64_t at = 0, n; at < count; at += n) {
        n = count - at < w->run ? count - at : w->run;
        FLM_TRY(pack_rows(w, ids + at * w->L, n));
        FLM_TRY(flm_file_write_at(w->fd, w->path, w->stored, (size_t)n * bytes,
                                  w->place.tokens + (first + at) * (int64_t)bytes));
        FLM_TRY(flm_file_write_at(w->fd, w->path, w->sums, (size_t)n * sizeof *w->sums,
                                  w->place.checksums + (first + at) * (int64_t)sizeof *w->sums));
    }
done:
    return rc;
}

flm_status flm_shard_writer_check(flm_shard_writer *writer, int64_t first, int64_t count, bool *whole)
{
    flm_status rc = FLM_OK;
    flm_shard_writer *w = writer;
    const size_t bytes = (size_t)w->L * w->place.element;
    bool fits = true;

    FLM_TRY(check_range(w, first, count));
    for (int64_t at = 0, n; at < count && fits; at += n) {
        n = count - at < w->run ? count - at : w->run;
        FLM_TRY(flm_file_read_at(w->fd, w->path, w->stored, (size_t)n * bytes,
                                 w->place.tokens + (first + at) * (int64_t)bytes));
        FLM_TRY(flm_file_read_at(w->fd, w->path, w->sums, (size_t)n * sizeof *w->sums,
                                 w->place.checksums + (first + at) * (int64_t)sizeof *w->sums));
        for (int64_t k = 0; k < n && fits; k++)
            fits = w->sums[k] == flm_crc32c_update(0, w->stored + (size_t)k * bytes, bytes);
    }
    *whole = fits;
done:
    return rc;
}

flm_status flm_shard_writer_close(flm_shard_writer **writer)
{
    flm_status rc = FLM_OK;

    if (!*writer) return FLM_OK;
    rc = flm_file_sync_close(&(*writer)->fd, (*writer)->path);
    free((*writer)->sums);
    free((*writer)->stored);
    free(*writer);
    *writer = NULL;
    return rc;
}

flm_status flm_shard_reclaim(const char *directory, const char *split, int number, int of, bool *there)
{
    flm_status rc = FLM_OK;
    char name[FLM_SHARD_NAME_BYTES], path[FLM_PATH_BYTES], temporary[FLM_PATH_BYTES];

    FLM_TRY(check_shard(split, number, of, 0));
    flm_shard_make_name(split, number, of, false, name);
    FLM_TRY(flm_path_join(path, directory, name));
    flm_shard_make_name(split, number, of, true, name);
    FLM_TRY(flm_path_join(temporary, directory, name));
    *there = access(temporary, F_OK) == 0;
    if (!*there && access(path, F_OK) == 0) {
        FLM_TRY(flm_file_rename(path, temporary));
        *there = true;
    }
done:
    return rc;
}
