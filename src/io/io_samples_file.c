/* io_samples_file.c - samples files: laid out completely before they get their name, opened, checked against the wanted
 * settings. Files of another kind are not touched. SPDX-License-Identifier: Apache-2.0 */
#include "base/base_version.h"
#include "h5/h5_schema.h"
#include "io/io_samples_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NAME_BYTES = 128 }; /* what the schema check lets pass */

/* ---- laying out and opening ---- */

static flm_status info_write(hid_t file, const flm_samples_info *info)
{
    flm_status rc = FLM_OK;
    hid_t root = H5I_INVALID_HID;
    char version[sizeof info->program_version];

    flm_version_describe(version, sizeof version);
    FLM_H5(root = H5Gopen2(file, "/", H5P_DEFAULT));
    FLM_TRY(flm_h5_set_string(root, "format", "flm-samples"));
    FLM_TRY(flm_h5_set_i64(root, "format_version", 1));
    FLM_TRY(flm_h5_set_string(root, "program_version", version));
    FLM_TRY(flm_h5_set_string(root, "kind", info->kind));
    FLM_TRY(flm_h5_set_string(root, "checkpoint", info->checkpoint));
    FLM_TRY(flm_h5_set_i64(root, "checkpoint_step", info->checkpoint_step));
    FLM_TRY(flm_h5_set_i64(root, "checkpoint_identity", info->checkpoint_identity));
    if (info->noise_level != 0) FLM_TRY(flm_h5_set_f64(root, "noise_level", info->noise_level));
    if (info->logit_cap != 0) FLM_TRY(flm_h5_set_f64(root, "logit_cap", info->logit_cap));
    FLM_TRY(flm_h5_set_string(root, "weights", info->weights));
    FLM_TRY(flm_h5_set_string(root, "precision", info->precision));
    FLM_TRY(flm_h5_set_i64(root, "seed", info->seed));
    FLM_TRY(flm_vocabulary_write(root, &info->vocabulary));
    FLM_TRY(flm_h5_set_i64(root, "samples", info->samples));
    FLM_TRY(flm_h5_set_i64(root, "L", info->L));
done:
    flm_h5_close(&root);
    return rc;
}

static flm_status info_read(hid_t file, flm_samples_info *info)
{
    flm_status rc = FLM_OK;
    hid_t root = H5I_INVALID_HID;

    FLM_H5(root = H5Gopen2(file, "/", H5P_DEFAULT));
    FLM_TRY(flm_h5_get_string(root, "program_version", info->program_version, sizeof info->program_version));
    FLM_TRY(flm_h5_get_string(root, "kind", info->kind, sizeof info->kind));
    FLM_TRY(flm_h5_get_string(root, "checkpoint", info->checkpoint, sizeof info->checkpoint));
    FLM_TRY(flm_h5_get_i64(root, "checkpoint_step", &info->checkpoint_step));
    FLM_TRY(flm_h5_get_i64(root, "checkpoint_identity", &info->checkpoint_identity));
    FLM_TRY(flm_h5_get_f64_or(root, "noise_level", 0, &info->noise_level));
    FLM_TRY(flm_h5_get_f64_or(root, "logit_cap", 0, &info->logit_cap));
    FLM_TRY(flm_h5_get_string(root, "weights", info->weights, sizeof info->weights));
    FLM_TRY(flm_h5_get_string(root, "precision", info->precision, sizeof info->precision));
    FLM_TRY(flm_h5_get_i64(root, "seed", &info->seed));
    FLM_TRY(flm_vocabulary_read(root, &info->vocabulary));
    FLM_TRY(flm_h5_get_i64(root, "samples", &info->samples));
    FLM_TRY(flm_h5_get_i64(root, "L", &info->L));
done:
    flm_h5_close(&root);
    return rc;
}

static flm_status group_lay_out(hid_t file, const flm_samples_info *info, int64_t steps)
{
    flm_status rc = FLM_OK;
    hid_t dataset = H5I_INVALID_HID;
    const int64_t dim[2] = {info->samples, info->L};
    char group[FLM_SAMPLES_GROUP_BYTES], path[FLM_SAMPLES_GROUP_BYTES + 16];

    flm_samples_group_name(steps, group);
    if (H5Lexists(file, group, H5P_DEFAULT) > 0) FLM_FAIL(FLM_E_ARG, "%" PRId64 " steps are listed twice", steps);
    snprintf(path, sizeof path, "%s/tokens", group);
    FLM_TRY(flm_h5_create_dataset(file, path, H5T_STD_I32LE, 2, dim, &dataset));
    flm_h5_close(&dataset);
    snprintf(path, sizeof path, "%s/checksums", group);
    FLM_TRY(flm_h5_create_dataset(file, path, H5T_STD_U32LE, 1, dim, &dataset));
    FLM_TRY(flm_samples_create_scores(file, steps, info->samples));
done:
    flm_h5_close(&dataset);
    return rc;
}

/* Bytes of a row in one group: ids, checksum, score and its checksums. */
static int64_t row_bytes(int64_t L) { return (L + 1) * (int64_t)sizeof(int32_t) + (int64_t)(3 * sizeof(int64_t)); }

static flm_status lay_out(const char *path, const flm_samples_info *info, const int64_t *steps, int count)
{
    flm_status rc = FLM_OK;
    hid_t file = H5I_INVALID_HID;
    int64_t row, bytes = 0;

    if (info->samples < 1 || info->L < 1 || info->L > INT32_MAX || count < 1 ||
        __builtin_mul_overflow(row_bytes(info->L), (int64_t)count, &row) ||
        __builtin_mul_overflow(row, info->samples, &bytes) || bytes > INT64_MAX / 2)
        FLM_FAIL(FLM_E_ARG, "invalid samples: %" PRId64 " samples of %" PRId64 " tokens for %d numbers of steps",
                 info->samples, info->L, count);
    for (int i = 0; i < count; i++)
        if (steps[i] < 1) FLM_FAIL(FLM_E_ARG, "%" PRId64 " is not a valid number of steps", steps[i]);
    FLM_TRY(flm_file_reserve(path, bytes + (1 << 16) + 8192 * (int64_t)count));
    FLM_TRY(flm_h5_create(path, &file));
    FLM_TRY(info_write(file, info));
    for (int i = 0; i < count; i++) FLM_TRY(group_lay_out(file, info, steps[i]));
    FLM_TRY(flm_h5_close_file(&file));
    /* What a reader would refuse must not be written. */
    FLM_TRY(flm_schema_open(path, "samples", &file, &bytes));
done:
    flm_h5_close(&file);
    return flm_err_prefix(rc, path);
}

/* Allocates the blocks of a laid-out file, so that a full disk is reported now and not when samples are written. */
static flm_status allocate_blocks(int fd, const char *path)
{
    flm_status rc = FLM_OK;
    const off_t end = lseek(fd, 0, SEEK_END);
    if (end < 0) FLM_FAIL(flm_status_from_errno(errno), "%s: %s", path, strerror(errno));
    FLM_TRY(flm_file_allocate(fd, path, end));
done:
    return rc;
}

/* Rank 0: a new file, complete and synced before it gets its name. */
static flm_status create(const char *path, const flm_samples_info *info, const int64_t *steps, int count)
{
    flm_status rc = FLM_OK;
    char temporary[FLM_PATH_BYTES];
    int fd = -1;

    FLM_TRY(flm_path_format(temporary, "%s.tmp", path));
    rc = lay_out(temporary, info, steps, count);
    if (rc == FLM_OK) rc = flm_file_open(temporary, O_WRONLY, &fd);
    if (rc == FLM_OK) rc = allocate_blocks(fd, temporary);
    if (rc == FLM_OK) rc = flm_file_commit(&fd, temporary, path);
    if (rc != FLM_OK) unlink(temporary);
    FLM_TRY(rc);
done:
    if (fd >= 0) close(fd);
    return rc;
}

static int by_number(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* The numbers of steps in an open file, ascending. */
static flm_status steps_read(hid_t file, flm_samples *s)
{
    flm_status rc = FLM_OK;
    hid_t root = H5I_INVALID_HID;
    H5G_info_t group;
    char name[NAME_BYTES];

    FLM_H5(root = H5Gopen2(file, "/", H5P_DEFAULT));
    FLM_H5(H5Gget_info(root, &group));
    s->steps = calloc((size_t)group.nlinks + 1, sizeof *s->steps);
    s->tokens = calloc((size_t)group.nlinks + 1, sizeof *s->tokens);
    s->checksums = calloc((size_t)group.nlinks + 1, sizeof *s->checksums);
    s->scores = calloc(((size_t)group.nlinks + 1) * FLM_SAMPLES_SCORES, sizeof *s->scores);
    if (!s->steps || !s->tokens || !s->checksums || !s->scores) FLM_FAIL(FLM_E_NOMEM, "no memory for its groups");
    for (hsize_t i = 0; i < group.nlinks; i++) {
        FLM_H5(H5Lget_name_by_idx(root, ".", H5_INDEX_NAME, H5_ITER_INC, i, name, sizeof name, H5P_DEFAULT));
        s->steps[s->count++] = strtoll(name + strlen("steps_"), NULL, 10); /* the schema allows at most 18 digits */
    }
    qsort(s->steps, (size_t)s->count, sizeof *s->steps, by_number);
done:
    flm_h5_close(&root);
    return rc;
}

static flm_status dataset_locate(hid_t file, int64_t file_bytes, int64_t steps, const char *name, int64_t *offset)
{
    flm_status rc = FLM_OK;
    hid_t dataset = H5I_INVALID_HID;
    char path[FLM_SAMPLES_GROUP_BYTES + 16];
    int64_t dim[4], bytes;
    int ndim;

    flm_samples_group_name(steps, path);
    snprintf(path + strlen(path), sizeof path - strlen(path), "/%s", name);
    FLM_H5(dataset = H5Dopen2(file, path, H5P_DEFAULT));
    FLM_TRY(flm_err_prefix(flm_h5_locate(dataset, 4, file_bytes, &ndim, dim, offset, &bytes), path));
done:
    flm_h5_close(&dataset);
    return rc;
}

/* The datasets of scores, which a file need not have. */
static flm_status scores_locate(hid_t file, int64_t file_bytes, flm_samples *s, int i)
{
    flm_status rc = FLM_OK;
    hid_t dataset = H5I_INVALID_HID;
    char path[FLM_SAMPLES_NAME_BYTES];
    int64_t dim[4], bytes;
    int ndim;

    for (int k = 0; k < FLM_SAMPLES_SCORES; k++) {
        flm_samples_score_name(s->steps[i], k, path);
        if (H5Lexists(file, path, H5P_DEFAULT) <= 0) continue;
        FLM_H5(dataset = H5Dopen2(file, path, H5P_DEFAULT));
        FLM_TRY(flm_err_prefix(flm_h5_locate(dataset, k < FLM_SAMPLES_SCORED ? 8 : 4, file_bytes, &ndim, dim,
                                             &s->scores[i * FLM_SAMPLES_SCORES + k], &bytes),
                               path));
        flm_h5_close(&dataset);
    }
done:
    flm_h5_close(&dataset);
    return rc;
}

flm_status flm_samples_open_file(const char *path, bool write, flm_samples **out)
{
    flm_status rc = FLM_OK;
    hid_t file = H5I_INVALID_HID;
    int64_t bytes = 0;
    flm_samples *s = calloc(1, sizeof *s);

    if (!s) FLM_FAIL(FLM_E_NOMEM, "%s: no memory to open it", path);
    s->fd = -1;
    s->write = write;
    FLM_TRY(flm_path_format(s->path, "%s", path));
    FLM_TRY(flm_schema_open(path, "samples", &file, &bytes));
    FLM_TRY(info_read(file, &s->info));
    FLM_TRY(steps_read(file, s));
    for (int i = 0; i < s->count; i++) {
        FLM_TRY(dataset_locate(file, bytes, s->steps[i], "tokens", &s->tokens[i]));
        FLM_TRY(dataset_locate(file, bytes, s->steps[i], "checksums", &s->checksums[i]));
        FLM_TRY(scores_locate(file, bytes, s, i));
    }
    /* for reading, the file that HDF5 has open: its path may name another one by now */
    FLM_TRY(write ? flm_file_open(path, O_RDWR, &s->fd) : flm_h5_descriptor(file, &s->fd));
    *out = s;
    s = NULL;
done:
    flm_h5_close(&file);
    if (s) s->write = false; /* nothing to sync */
    flm_samples_close(&s);
    return flm_err_prefix(rc, path);
}

flm_status flm_samples_open_read(const char *path, flm_samples **out)
{
    return flm_samples_open_file(path, false, out);
}

/* ---- taking up what is there ---- */

static flm_status mismatch(const char *path, const char *attribute)
{
    return flm_err_raise(FLM_E_MISMATCH, __FILE__, __LINE__,
                         "%s: was created with other settings: \"%s\" differs; choose another file or move this one",
                         path, attribute);
}

static flm_status info_compare(const char *path, const flm_samples_info *a, const flm_samples_info *b)
{
    const struct {
        const char *name;
        bool same;
    } parts[] = {
        {"kind", strcmp(a->kind, b->kind) == 0 || (b->old_kind && strcmp(a->kind, b->old_kind) == 0)},
        {"checkpoint", strcmp(a->checkpoint, b->checkpoint) == 0},
        {"checkpoint_step", a->checkpoint_step == b->checkpoint_step},
        {"checkpoint_identity", a->checkpoint_identity == b->checkpoint_identity},
        {"noise_level", a->noise_level == b->noise_level},
        {"logit_cap", a->logit_cap == b->logit_cap},
        {"weights", strcmp(a->weights, b->weights) == 0},
        {"precision", strcmp(a->precision, b->precision) == 0},
        {"seed", a->seed == b->seed},
        {"tokenizer", strcmp(a->vocabulary.name, b->vocabulary.name) == 0},
        {"tokenizer_sha256", strcmp(a->vocabulary.sha256, b->vocabulary.sha256) == 0},
        {"V", a->vocabulary.V == b->vocabulary.V},
        {"begin_id", a->vocabulary.begin_id == b->vocabulary.begin_id},
        {"end_id", a->vocabulary.end_id == b->vocabulary.end_id},
        {"samples", a->samples == b->samples},
        {"L", a->L == b->L},
    };

    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        if (!parts[i].same) return mismatch(path, parts[i].name);
    return FLM_OK;
}

static flm_status take_up(const char *path, const flm_samples_info *info, const int64_t *steps, int count,
                          flm_samples **out)
{
    flm_status rc = FLM_OK;
    flm_samples *s = NULL;

    FLM_TRY(flm_samples_open_file(path, true, &s));
    FLM_TRY(info_compare(path, &s->info, info));
    for (int i = 0; i < count; i++)
        if (flm_samples_find_steps(s, steps[i]) < 0)
            FLM_FAIL(FLM_E_MISMATCH,
                     "%s: was created with other numbers of steps: it has no group steps_%" PRId64
                     "; choose another file or move this one",
                     path, steps[i]);
    *out = s;
    s = NULL;
done:
    if (s) s->write = false; /* nothing to sync, and the message stays the first one */
    flm_samples_close(&s);
    return rc;
}

/* Rank 0: the lock, and the file where there is none. */
static flm_status prepare(const char *path, const flm_samples_info *info, const int64_t *steps, int count,
                          flm_lock **lock)
{
    flm_status rc = FLM_OK;

    FLM_TRY(flm_file_check_output(path));
    FLM_TRY(flm_lock_file(path, lock));
    if (access(path, F_OK) == 0) goto done;
    if (errno != ENOENT) FLM_FAIL(flm_status_from_errno(errno), "%s: %s", path, strerror(errno));
    FLM_TRY(create(path, info, steps, count));
done:
    return rc;
}

flm_status flm_samples_open_write(flm_comm *comm, const char *path, const flm_samples_info *info, const int64_t *steps,
                                  int count, flm_samples **out)
{
    flm_status rc = FLM_OK, local = FLM_OK;
    flm_samples *s = NULL;
    flm_lock *lock = NULL;

    if (flm_comm_rank(comm) == 0) local = prepare(path, info, steps, count, &lock);
    FLM_TRY(flm_comm_agree(comm, local));
    FLM_TRY(flm_comm_agree(comm, take_up(path, info, steps, count, &s)));
    s->lock = lock;
    lock = NULL;
    *out = s;
    s = NULL;
done:
    if (s) s->write = false;
    flm_samples_close(&s);
    flm_lock_release(&lock);
    return rc;
}
