/* io_shard_read.c - shard directories, the reading side (io_shard.h). flm_shards_open gets the file offsets from
 * HDF5 once; rows are read with pread. Every file is untrusted: the index names only files of its own directory, and
 * each is checked against the schema, the index and its own length. SPDX-License-Identifier: Apache-2.0 */
#include "base/base_crc32c.h"
#include "base/base_permute.h"
#include "base/base_philox.h"
#include "h5/h5_schema.h"
#include "io/io_shard_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* Shards that stay open, and half the limit on open files (`ulimit -n`) at most; those beyond are opened for each read.
 * Rows read at once: their checksums are on the stack. */
enum { OPEN_MAX = 512, RUN_MAX = 64 };

typedef struct shard {
    int fd;        /* -1: opened when read */
    int64_t first; /* row of the split */
    flm_shard_location place;
    uint32_t checksum;  /* of /checksums */
    struct stat status; /* when the file was verified */
} shard;

struct flm_shards {
    char directory[FLM_PATH_BYTES], split[16];
    flm_shard_info info;
    flm_shard_input *inputs;
    shard *shards;
    int count, open_max;
    int64_t rows;
    uint32_t identity;
};

typedef struct index_lines { /* of the split in the index */
    char (*file)[64];
    int64_t *rows;
    uint32_t *checksum;
} index_lines;

static flm_status shard_path(const flm_shards *shards, int number, char *path)
{
    char name[FLM_SHARD_NAME_BYTES];

    flm_shard_make_name(shards->split, number, shards->count, false, name);
    return flm_path_join(path, shards->directory, name);
}

/* The group of the split in the index: rows and shards, which the schema has bounded. */
static flm_status index_group(hid_t file, flm_shards *shards)
{
    flm_status rc = FLM_OK;
    hid_t group = H5I_INVALID_HID;
    char path[64];
    int64_t count;

    snprintf(path, sizeof path, "/splits/%s", shards->split);
    if (H5Lexists(file, path, H5P_DEFAULT) <= 0) FLM_FAIL(FLM_E_MISMATCH, "has no split \"%s\"", shards->split);
    FLM_H5(group = H5Gopen2(file, path, H5P_DEFAULT));
    FLM_TRY(flm_h5_get_i64(group, "rows", &shards->rows));
    FLM_TRY(flm_h5_get_i64(group, "shards", &count));
    shards->count = (int)count;
done:
    flm_h5_close(&group);
    return rc;
}

static flm_status index_columns(hid_t file, const flm_shards *shards, index_lines *lines)
{
    flm_status rc = FLM_OK;
    const size_t count = shards->count > 0 ? (size_t)shards->count : 1;
    char path[64];

    lines->file = calloc(count, sizeof *lines->file);
    lines->rows = calloc(count, sizeof *lines->rows);
    lines->checksum = calloc(count, sizeof *lines->checksum);
    if (!lines->file || !lines->rows || !lines->checksum) FLM_FAIL(FLM_E_NOMEM, "no memory for %zu shards", count);
    snprintf(path, sizeof path, "/splits/%s/file", shards->split);
    FLM_TRY(flm_shard_dataset_read(file, path, H5I_INVALID_HID, sizeof lines->file[0], shards->count, lines->file));
    snprintf(path, sizeof path, "/splits/%s/rows", shards->split);
    FLM_TRY(flm_shard_dataset_read(file, path, H5T_NATIVE_INT64, 0, shards->count, lines->rows));
    snprintf(path, sizeof path, "/splits/%s/checksum", shards->split);
    FLM_TRY(flm_shard_dataset_read(file, path, H5T_NATIVE_UINT32, 0, shards->count, lines->checksum));
    snprintf(path, sizeof path, "/splits/%s", shards->split);
    FLM_TRY(flm_shard_checksum_check(
        file, path,
        flm_shard_index_checksum(shards->count, (const char(*)[64])lines->file, lines->rows, lines->checksum)));
done:
    return rc;
}

/* Check the entries: names as flm_shard_make_name gives them, and the total number of rows. */
static flm_status index_check(const flm_shards *shards, const index_lines *lines)
{
    flm_status rc = FLM_OK;
    char name[FLM_SHARD_NAME_BYTES];
    int64_t rows = 0;

    for (int k = 0; k < shards->count; k++) {
        flm_shard_make_name(shards->split, k, shards->count, false, name);
        if (strcmp(name, lines->file[k]) != 0)
            FLM_FAIL(FLM_E_FORMAT, "split \"%s\": the name of shard %d is not %s", shards->split, k, name);
        if (lines->rows[k] < 0 || __builtin_add_overflow(rows, lines->rows[k], &rows))
            FLM_FAIL(FLM_E_FORMAT, "split \"%s\": shard %d has %lld rows", shards->split, k, (long long)lines->rows[k]);
    }
    if (rows != shards->rows)
        FLM_FAIL(FLM_E_FORMAT, "split \"%s\": the shards have %lld rows, \"rows\" is %lld", shards->split,
                 (long long)rows, (long long)shards->rows);
done:
    return rc;
}

static flm_status index_read(flm_shards *shards, index_lines *lines)
{
    flm_status rc = FLM_OK;
    char path[FLM_PATH_BYTES];
    hid_t file = H5I_INVALID_HID;
    int64_t bytes;

    FLM_TRY(flm_path_join(path, shards->directory, FLM_SHARD_INDEX));
    if (access(path, F_OK) != 0 && access(shards->directory, F_OK) == 0)
        FLM_FAIL(FLM_E_MISSING,
                 "%s: is missing: the directory has no shards, or flm_shard has not finished; run flm_shard first",
                 path);
    FLM_TRY(flm_schema_open(path, "index", &file, &bytes));
    rc = index_group(file, shards);
    if (rc == FLM_OK) rc = flm_shard_info_read(file, bytes, &shards->info);
    shards->inputs = (flm_shard_input *)shards->info.inputs;
    if (rc == FLM_OK) rc = index_columns(file, shards, lines);
    if (rc == FLM_OK) rc = index_check(shards, lines);
    FLM_TRY(flm_err_prefix(rc, path));
done:
    flm_h5_close(&file);
    return rc;
}

/* A text and a number that must be the same in a shard and in the index. */
static flm_status same_text(hid_t root, const char *name, const char *want)
{
    flm_status rc = FLM_OK;
    char have[128];

    FLM_TRY(flm_h5_get_string(root, name, have, sizeof have));
    if (strcmp(have, want) != 0) FLM_FAIL(FLM_E_FORMAT, "\"%s\" is not \"%s\", which index.h5 records", name, want);
done:
    return rc;
}

static flm_status same_number(hid_t root, const char *name, int64_t want)
{
    flm_status rc = FLM_OK;
    int64_t have;

    FLM_TRY(flm_h5_get_i64(root, name, &have));
    if (have != want)
        FLM_FAIL(FLM_E_FORMAT, "\"%s\" is %lld, but index.h5 records %lld", name, (long long)have, (long long)want);
done:
    return rc;
}

static flm_status shard_same(hid_t file, const flm_shards *shards, int number)
{
    flm_status rc = FLM_OK;
    hid_t root = H5I_INVALID_HID;
    const flm_shard_info *info = &shards->info;

    FLM_H5(root = H5Gopen2(file, "/", H5P_DEFAULT));
    FLM_TRY(same_text(root, "tokenizer", info->vocabulary.name));
    FLM_TRY(same_text(root, "tokenizer_sha256", info->vocabulary.sha256));
    FLM_TRY(same_number(root, "V", info->vocabulary.V));
    FLM_TRY(same_number(root, "begin_id", info->vocabulary.begin_id));
    FLM_TRY(same_number(root, "end_id", info->vocabulary.end_id));
    FLM_TRY(same_number(root, "L", info->L));
    FLM_TRY(same_text(root, "corpus", info->corpus));
    FLM_TRY(same_text(root, "documents", info->documents));
    FLM_TRY(same_number(root, "group_docs", info->group_docs));
    FLM_TRY(same_text(root, "split", shards->split));
    FLM_TRY(same_number(root, "number", number));
    FLM_TRY(same_number(root, "of", shards->count));
done:
    flm_h5_close(&root);
    return rc;
}

/* The manifest of a shard against its checksum. */
static flm_status inputs_check(hid_t file, int64_t bytes)
{
    flm_shard_info info = {.inputs = NULL};
    const flm_status rc = flm_shard_info_read(file, bytes, &info);
    free((flm_shard_input *)info.inputs);
    return rc;
}

flm_status flm_shard_check_inputs(const char *path)
{
    flm_status rc = FLM_OK;
    hid_t file = H5I_INVALID_HID;
    int64_t bytes;

    FLM_TRY(flm_schema_open(path, "shard", &file, &bytes));
    FLM_TRY(flm_err_prefix(inputs_check(file, bytes), path));
done:
    flm_h5_close(&file);
    return rc;
}

static int open_max(void)
{
    struct rlimit limit;
    const bool low = getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur / 2 < OPEN_MAX;
    return low ? (int)(limit.rlim_cur / 2) : OPEN_MAX;
}

static flm_status shard_open(flm_shards *shards, int number, const index_lines *lines)
{
    flm_status rc = FLM_OK;
    char path[FLM_PATH_BYTES];
    hid_t file = H5I_INVALID_HID;
    shard *s = &shards->shards[number];
    int64_t bytes;
    uint32_t sum;

    FLM_TRY(shard_path(shards, number, path));
    FLM_TRY(flm_schema_open(path, "shard", &file, &bytes));
    rc = shard_same(file, shards, number);
    if (rc == FLM_OK) rc = inputs_check(file, bytes);
    if (rc == FLM_OK) rc = flm_shard_locate(file, bytes, shards->info.L, shards->info.vocabulary.V, &s->place);
    FLM_TRY(flm_err_prefix(rc, path));
    if (s->place.rows != lines->rows[number])
        FLM_FAIL(FLM_E_FORMAT, "%s: has %lld rows, but index.h5 records %lld", path, (long long)s->place.rows,
                 (long long)lines->rows[number]);
    FLM_TRY(flm_h5_descriptor(file, &s->fd));
    FLM_TRY(flm_shard_compute_checksum(s->fd, path, &s->place, &sum));
    if (sum != lines->checksum[number])
        FLM_FAIL(
            FLM_E_CHECKSUM,
            "%s: /checksums: checksum mismatch with index.h5 (file damaged or replaced); rebuild it with flm_shard",
            path);
    s->checksum = sum;
    if (fstat(s->fd, &s->status) != 0)
        FLM_FAIL(flm_status_from_errno(errno), "%s: cannot be examined: %s", path, strerror(errno));
    if (number >= shards->open_max) {
        close(s->fd);
        s->fd = -1;
    }
done:
    flm_h5_close(&file);
    return rc;
}

flm_status flm_shards_open(const char *directory, const char *split, flm_shards **out)
{
    flm_status rc = FLM_OK;
    flm_shards *shards = NULL;
    index_lines lines = {NULL, NULL, NULL};
    int64_t first = 0;

    if (!flm_shard_split_is_valid(split)) FLM_FAIL(FLM_E_ARG, "\"%.32s\" is not a valid name of a split", split);
    shards = calloc(1, sizeof *shards);
    if (!shards) FLM_FAIL(FLM_E_NOMEM, "no memory to open %s", directory);
    shards->open_max = open_max();
    FLM_TRY(flm_path_format(shards->directory, "%s", directory));
    snprintf(shards->split, sizeof shards->split, "%s", split);
    FLM_TRY(index_read(shards, &lines));
    shards->shards = calloc(shards->count > 0 ? (size_t)shards->count : 1, sizeof *shards->shards);
    if (!shards->shards) FLM_FAIL(FLM_E_NOMEM, "no memory for %d shards", shards->count);
    for (int k = 0; k < shards->count; k++) shards->shards[k].fd = -1;
    for (int k = 0; k < shards->count; k++) {
        shards->shards[k].first = first;
        FLM_TRY(shard_open(shards, k, &lines));
        shards->identity =
            flm_crc32c_combine(shards->identity, lines.checksum[k], (uint64_t)lines.rows[k] * sizeof lines.checksum[k]);
        first += lines.rows[k];
    }
    *out = shards;
    shards = NULL;
done:
    free(lines.file);
    free(lines.rows);
    free(lines.checksum);
    flm_shards_close(&shards);
    return rc;
}

void flm_shards_close(flm_shards **shards)
{
    flm_shards *s = *shards;

    if (!s) return;
    for (int k = 0; s->shards && k < s->count; k++)
        if (s->shards[k].fd >= 0) close(s->shards[k].fd);
    free(s->shards);
    free(s->inputs);
    free(s);
    *shards = NULL;
}

const flm_shard_info *flm_shards_get_info(const flm_shards *shards) { return &shards->info; }
int64_t flm_shards_get_rows(const flm_shards *shards) { return shards->rows; }
uint32_t flm_shards_get_identity(const flm_shards *shards) { return shards->identity; }

/* The shard that holds a row: the last one that begins at or before it and is not empty. */
static int shard_of(const flm_shards *shards, int64_t row)
{
    int low = 0, high = shards->count - 1;

    while (low < high) {
        int middle = low + (high - low + 1) / 2;
        if (shards->shards[middle].first <= row)
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}

/* Fail unless the open file has the rows that were verified: it is the same file and was not written to, or at least
 * the checksums of its rows are the same (a copy, or another time stamp). */
static flm_status check_unchanged(const shard *s, int fd, const char *path)
{
    flm_status rc = FLM_OK;
    const struct stat *then = &s->status;
    struct stat now;
    uint32_t sum = 0;

    if (fstat(fd, &now) != 0)
        FLM_FAIL(flm_status_from_errno(errno), "%s: cannot be examined: %s", path, strerror(errno));
    if (now.st_ino == then->st_ino && now.st_dev == then->st_dev && now.st_size == then->st_size &&
        now.st_mtim.tv_sec == then->st_mtim.tv_sec && now.st_mtim.tv_nsec == then->st_mtim.tv_nsec)
        goto done;
    if (now.st_size == then->st_size) FLM_TRY(flm_shard_compute_checksum(fd, path, &s->place, &sum));
    if (now.st_size != then->st_size || sum != s->checksum)
        FLM_FAIL(FLM_E_MISMATCH, "%s: has been replaced by other rows since it was opened", path);
done:
    return rc;
}

/* count <= RUN_MAX rows of one shard. Stored ids of two bytes are read into the second half of ids and widened in place
 * from the front, so that no further memory is needed. */
static flm_status run_read(const flm_shards *shards, int number, int64_t row, int64_t count, int32_t *ids)
{
    flm_status rc = FLM_OK;
    const shard *s = &shards->shards[number];
    const size_t bytes = (size_t)shards->info.L * s->place.element, all = (size_t)count * bytes;
    const int64_t n = count * shards->info.L, V = shards->info.vocabulary.V;
    char path[FLM_PATH_BYTES], *stored = (char *)ids + (size_t)n * sizeof *ids - all;
    uint32_t sums[RUN_MAX];
    int opened = -1, fd = s->fd;

    FLM_TRY(shard_path(shards, number, path));
    if (fd < 0) {
        FLM_TRY(flm_file_open(path, O_RDONLY, &opened));
        fd = opened;
    }
    FLM_TRY(check_unchanged(s, fd, path));
    FLM_TRY(flm_file_read_at(fd, path, stored, all, s->place.tokens + row * (int64_t)bytes));
    FLM_TRY(flm_file_read_at(fd, path, sums, (size_t)count * sizeof sums[0],
                             s->place.checksums + row * (int64_t)sizeof sums[0]));
    for (int64_t k = 0; k < count; k++)
        if (flm_crc32c_update(0, stored + (size_t)k * bytes, bytes) != sums[k])
            FLM_FAIL(FLM_E_CHECKSUM,
                     "%s: /tokens: row %lld: checksum mismatch (file damaged); rebuild it with flm_shard", path,
                     (long long)(row + k));
    for (int64_t i = 0; i < n; i++) {
        uint32_t id = 0;
        memcpy(&id, stored + (size_t)i * s->place.element,
               s->place.element); /* little-endian: io_vocabulary.c asserts it */
        if (id >= V)
            FLM_FAIL(FLM_E_FORMAT, "%s: /tokens: row %lld: id %lu, must be less than V (%lld)", path,
                     (long long)(row + i / shards->info.L), (unsigned long)id, (long long)V);
        ids[i] = (int32_t)id;
    }
done:
    if (opened >= 0) close(opened);
    return rc;
}

flm_status flm_shards_read(const flm_shards *shards, const int64_t *rows, int64_t count, int32_t *ids)
{
    flm_status rc = FLM_OK;

    for (int64_t i = 0, run; i < count; i += run) {
        int number;
        int64_t row, left;
        if (rows[i] < 0 || rows[i] >= shards->rows)
            FLM_FAIL(FLM_E_ARG, "%s: row %lld does not exist (%lld rows)", shards->directory, (long long)rows[i],
                     (long long)shards->rows);
        number = shard_of(shards, rows[i]);
        row = rows[i] - shards->shards[number].first;
        left = shards->shards[number].place.rows - row;
        for (run = 1; run < RUN_MAX && run < left && i + run < count && rows[i + run] == rows[i] + run;) run++;
        FLM_TRY(run_read(shards, number, row, run, ids + i * shards->info.L));
    }
done:
    return rc;
}

int64_t flm_shards_permute(uint64_t seed, int64_t epoch, int64_t index, int64_t n)
{
    return flm_permute_index(flm_philox_stream(seed, FLM_RANDOM_SHUFFLE, (uint64_t)epoch, 0), index, n);
}
