/* io_shard_write.c - shard directories, the writing side (io_shard.h). A shard is laid out by HDF5 and filled with
 * pwrite; its temporary name appears when it is laid out whole, its final name only with flm_shard_publish.
 * SPDX-License-Identifier: Apache-2.0 */
#include "config.h" /* first: fallocate is a GNU extension */

#include "base/base_crc32c.h"
#include "io/io_schema.h"
#include "io/io_shard_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const int64_t STRUCTURE_BYTES = 1 << 16; /* HDF5's own in a shard, the manifest's lines apart */

struct flm_shard_writer {
    char path[FLM_IO_PATH_BYTES];
    int fd;
    int64_t L, V;
    flm_shard_place place;
    char *row; /* one as it is stored */
};

static flm_status check_shard(const char *split, int number, int of, int64_t n)
{
    flm_status rc = FLM_OK;

    if (!flm_shard_split_good(split)) FLM_FAIL(FLM_E_ARG, "a split cannot be called \"%.32s\"", split);
    if (of < 1 || of > FLM_SHARDS_MOST || number < 0 || number >= of)
        FLM_FAIL(FLM_E_ARG, "shard %d of %d: there can be 1 to %d", number, of, FLM_SHARDS_MOST);
    if (n < 0) FLM_FAIL(FLM_E_ARG, "a shard of %lld rows", (long long)n);
done:
    return rc;
}

/* The bytes a shard will take, at most. */
static flm_status shard_bytes(int64_t n, const flm_shard_info *info, int64_t *bytes)
{
    flm_status rc = FLM_OK;
    int64_t row, total;

    if (info->L < 3 || info->L > 1 << 20) FLM_FAIL(FLM_E_ARG, "rows of %lld ids", (long long)info->L);
    row = info->L * (int64_t)flm_shard_element(info->vocabulary.V) + (int64_t)sizeof(uint32_t);
    if (__builtin_mul_overflow(row, n, &total) ||
        __builtin_add_overflow(total, STRUCTURE_BYTES + info->inputs_count * (int64_t)sizeof(flm_shard_input), &total))
        FLM_FAIL(FLM_E_ARG, "%lld rows are more than a file holds", (long long)n);
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
    FLM_TRY(flm_shard_put_info(file, info));
    FLM_TRY(flm_h5_set_string(root, "split", split));
    FLM_TRY(flm_h5_set_i64(root, "number", number));
    FLM_TRY(flm_h5_set_i64(root, "of", of));
    FLM_TRY(flm_h5_create_dataset(file, "/tokens", info->vocabulary.V <= 65536 ? H5T_STD_U16LE : H5T_STD_U32LE, 2, dim,
                                  &tokens));
    FLM_TRY(flm_h5_create_dataset(file, "/checksums", H5T_STD_U32LE, 1, dim, &checksums));
    FLM_H5(H5Fflush(file, H5F_SCOPE_LOCAL));
done:
    flm_h5_close(&checksums);
    flm_h5_close(&tokens);
    flm_h5_close(&root);
    flm_h5_close(&file);
    return rc;
}

/* Take the blocks of a laid-out file now, so that a full disk is met here and not in the middle of the rows. */
static flm_status take_blocks(const char *path)
{
    flm_status rc = FLM_OK;
    int fd = -1, failed;
    off_t end;

    FLM_TRY(flm_io_open(path, O_RDWR, &fd));
    end = lseek(fd, 0, SEEK_END);
    if (end < 0) FLM_FAIL(FLM_E_IO, "%s: %s", path, strerror(errno));
    do failed = fallocate(fd, 0, 0, end);
    while (failed != 0 && errno == EINTR);
    if (failed && (errno == ENOSPC || errno == EFBIG || errno == EDQUOT || errno == EIO))
        FLM_FAIL(FLM_E_IO, "%s: %lld bytes cannot be written: %s", path, (long long)end, strerror(errno));
    FLM_TRY(flm_io_sync_close(&fd, path));
done:
    if (fd >= 0) close(fd);
    return rc;
}

flm_status flm_shard_create(const char *directory, const char *split, int number, int of, int64_t n,
                            const flm_shard_info *info)
{
    flm_status rc = FLM_OK;
    char name[FLM_SHARD_NAME_BYTES], path[FLM_IO_PATH_BYTES], fresh[FLM_IO_PATH_BYTES];
    int64_t bytes = 0;
    bool made = false;

    FLM_TRY(check_shard(split, number, of, n));
    FLM_TRY(shard_bytes(n, info, &bytes));
    flm_shard_name(split, number, of, true, name);
    FLM_TRY(flm_io_join(path, directory, name));
    if (snprintf(fresh, sizeof fresh, "%s.new", path) >= (int)sizeof fresh)
        FLM_FAIL(FLM_E_ARG, "%.200s...: the path is too long", path);
    made = true;
    FLM_TRY(flm_io_reserve(fresh, bytes));
    rc = lay_out(fresh, split, number, of, n, info);
    FLM_TRY(flm_h5_blame(rc, fresh));
    FLM_TRY(take_blocks(fresh));
    FLM_TRY(flm_io_rename(fresh, path));
    made = false;
done:
    if (made) unlink(fresh);
    return rc;
}

flm_status flm_shard_open_rows(const char *directory, const char *split, int number, int of, flm_shard_writer **out)
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
    flm_shard_name(split, number, of, true, name);
    FLM_TRY(flm_io_join(writer->path, directory, name));
    FLM_TRY(flm_schema_open(writer->path, "shard", &file, &bytes));
    FLM_H5(root = H5Gopen2(file, "/", H5P_DEFAULT));
    rc = flm_io_get_vocabulary(root, &vocabulary);
    if (rc == FLM_OK) rc = flm_h5_get_i64(root, "L", &writer->L);
    if (rc == FLM_OK) rc = flm_shard_locate(file, bytes, writer->L, vocabulary.V, &writer->place);
    FLM_TRY(flm_h5_blame(rc, writer->path));
    writer->V = vocabulary.V;
    writer->row = malloc((size_t)writer->L * writer->place.element);
    if (!writer->row) FLM_FAIL(FLM_E_NOMEM, "no memory for a row of %lld ids", (long long)writer->L);
    FLM_TRY(flm_io_open(writer->path, O_RDWR, &writer->fd));
    *out = writer;
    writer = NULL;
done:
    flm_h5_close(&root);
    flm_h5_close(&file);
    if (writer) {
        free(writer->row);
        free(writer);
    }
    return rc;
}

/* ids [L] as they are stored, into the writer's row. */
static flm_status pack_row(flm_shard_writer *writer, const int32_t *ids)
{
    flm_status rc = FLM_OK;

    for (int64_t i = 0; i < writer->L; i++) {
        if (ids[i] < 0 || ids[i] >= writer->V)
            FLM_FAIL(FLM_E_ARG, "id %d at place %lld of a row is not in 0..%lld", ids[i], (long long)i,
                     (long long)writer->V - 1);
        if (writer->place.element == sizeof(uint16_t))
            ((uint16_t *)writer->row)[i] = (uint16_t)ids[i];
        else
            ((uint32_t *)writer->row)[i] = (uint32_t)ids[i];
    }
done:
    return rc;
}

flm_status flm_shard_write_rows(flm_shard_writer *writer, int64_t first, int64_t count, const int32_t *ids)
{
    flm_status rc = FLM_OK;
    const size_t bytes = (size_t)writer->L * writer->place.element;

    if (first < 0 || count < 0 || first > writer->place.rows || count > writer->place.rows - first)
        FLM_FAIL(FLM_E_ARG, "%s: rows %lld to %lld of %lld", writer->path, (long long)first,
                 (long long)(first + count - 1), (long long)writer->place.rows);
    for (int64_t row = first; row < first + count; row++) {
        uint32_t crc;
        FLM_TRY(pack_row(writer, ids + (row - first) * writer->L));
        crc = flm_crc32c(0, writer->row, bytes);
        FLM_TRY(
            flm_io_write_at(writer->fd, writer->path, writer->row, bytes, writer->place.tokens + row * (int64_t)bytes));
        FLM_TRY(flm_io_write_at(writer->fd, writer->path, &crc, sizeof crc,
                                writer->place.checksums + row * (int64_t)sizeof crc));
    }
done:
    return rc;
}

flm_status flm_shard_rows_whole(flm_shard_writer *writer, int64_t first, int64_t count, bool *whole)
{
    flm_status rc = FLM_OK;
    const size_t bytes = (size_t)writer->L * writer->place.element;
    bool fits = true;

    if (first < 0 || count < 0 || first > writer->place.rows || count > writer->place.rows - first)
        FLM_FAIL(FLM_E_ARG, "%s: rows %lld to %lld of %lld", writer->path, (long long)first,
                 (long long)(first + count - 1), (long long)writer->place.rows);
    for (int64_t row = first; row < first + count && fits; row++) {
        uint32_t crc;
        FLM_TRY(
            flm_io_read_at(writer->fd, writer->path, writer->row, bytes, writer->place.tokens + row * (int64_t)bytes));
        FLM_TRY(flm_io_read_at(writer->fd, writer->path, &crc, sizeof crc,
                               writer->place.checksums + row * (int64_t)sizeof crc));
        fits = crc == flm_crc32c(0, writer->row, bytes);
    }
    *whole = fits;
done:
    return rc;
}

flm_status flm_shard_close_rows(flm_shard_writer **writer)
{
    flm_status rc = FLM_OK;

    if (!*writer) return FLM_OK;
    rc = flm_io_sync_close(&(*writer)->fd, (*writer)->path);
    free((*writer)->row);
    free(*writer);
    *writer = NULL;
    return rc;
}

flm_status flm_shard_reclaim(const char *directory, const char *split, int number, int of, bool *there)
{
    flm_status rc = FLM_OK;
    char name[FLM_SHARD_NAME_BYTES], path[FLM_IO_PATH_BYTES], temporary[FLM_IO_PATH_BYTES];

    FLM_TRY(check_shard(split, number, of, 0));
    flm_shard_name(split, number, of, false, name);
    FLM_TRY(flm_io_join(path, directory, name));
    flm_shard_name(split, number, of, true, name);
    FLM_TRY(flm_io_join(temporary, directory, name));
    *there = access(temporary, F_OK) == 0;
    if (!*there && access(path, F_OK) == 0) {
        FLM_TRY(flm_io_rename(path, temporary));
        *there = true;
    }
done:
    return rc;
}
