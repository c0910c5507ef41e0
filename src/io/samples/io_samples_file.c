/* io_samples_file.c - samples files: laid out completely before they get their name, opened, checked against the wanted
 * settings. Files of another kind are not touched. SPDX-License-Identifier: Apache-2.0 */
#include "base/base_version.h"
#include "h5/h5_schema.h"
#include "io/samples/io_samples_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    FORMAT_VERSION = 2, /* 1: sets have no attributes of their settings, and the root has the noise level */
    NAME_BYTES = 128    /* what the schema check lets pass */
};

/* ---- laying out and opening ---- */

static flm_status info_write(hid_t file, const flm_samples_info *info)
{
    flm_status rc = FLM_OK;
    hid_t root = H5I_INVALID_HID;
    char version[sizeof info->program_version];

    flm_version_describe(version, sizeof version);
    FLM_H5(root = H5Gopen2(file, "/", H5P_DEFAULT));
    FLM_TRY(flm_h5_set_string(root, "format", "flm-samples"));
    FLM_TRY(flm_h5_set_i64(root, "format_version", FORMAT_VERSION));
    FLM_TRY(flm_h5_set_string(root, "program_version", version));
    FLM_TRY(flm_h5_set_string(root, "kind", info->kind));
    FLM_TRY(flm_h5_set_string(root, "checkpoint", info->checkpoint));
    FLM_TRY(flm_h5_set_i64(root, "checkpoint_step", info->checkpoint_step));
    FLM_TRY(flm_h5_set_i64(root, "checkpoint_identity", info->checkpoint_identity));
    if (info->logit_cap != 0) FLM_TRY(flm_h5_set_f64(root, "logit_cap", info->logit_cap));
    FLM_TRY(flm_h5_set_string(root, "weights", info->weights));
    FLM_TRY(flm_h5_set_string(root, "precision", info->precision));
    if (info->matmul[0]) FLM_TRY(flm_h5_set_string(root, "matmul", info->matmul));
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
    FLM_TRY(flm_h5_get_f64_or(root, "logit_cap", 0, &info->logit_cap));
    FLM_TRY(flm_h5_get_string(root, "weights", info->weights, sizeof info->weights));
    FLM_TRY(flm_h5_get_string(root, "precision", info->precision, sizeof info->precision));
    if (H5Aexists(root, "matmul") > 0) FLM_TRY(flm_h5_get_string(root, "matmul", info->matmul, sizeof info->matmul));
    FLM_TRY(flm_h5_get_i64(root, "seed", &info->seed));
    FLM_TRY(flm_vocabulary_read(root, &info->vocabulary));
    FLM_TRY(flm_h5_get_i64(root, "samples", &info->samples));
    FLM_TRY(flm_h5_get_i64(root, "L", &info->L));
done:
    flm_h5_close(&root);
    return rc;
}

static flm_status set_lay_out(hid_t file, const flm_samples_info *info, const flm_samples_setting *setting)
{
    flm_status rc = FLM_OK;
    hid_t dataset = H5I_INVALID_HID, opened = H5I_INVALID_HID;
    const int64_t dim[2] = {info->samples, info->L};
    char group[FLM_SAMPLES_GROUP_BYTES] = "/", path[FLM_SAMPLES_NAME_BYTES];

    flm_samples_setting_name(setting, group + 1);
    if (H5Lexists(file, group, H5P_DEFAULT) > 0) FLM_FAIL(FLM_E_ARG, "%s is listed twice", group + 1);
    FLM_TRY(flm_h5_create_group(file, group, &opened));
    FLM_TRY(flm_samples_setting_write(opened, setting));
    snprintf(path, sizeof path, "%s/tokens", group);
    FLM_TRY(flm_h5_create_dataset(file, path, H5T_STD_I32LE, 2, dim, &dataset));
    flm_h5_close(&dataset);
    snprintf(path, sizeof path, "%s/checksums", group);
    FLM_TRY(flm_h5_create_dataset(file, path, H5T_STD_U32LE, 1, dim, &dataset));
    FLM_TRY(flm_samples_create_scores(file, group, info->samples));
done:
    flm_h5_close(&opened);
    flm_h5_close(&dataset);
    return rc;
}

/* Bytes of a row in one group: ids, checksum, score and its checksums. */
static int64_t row_bytes(int64_t L) { return (L + 1) * (int64_t)sizeof(int32_t) + (int64_t)(3 * sizeof(int64_t)); }

/* What a new file consists of. */
typedef struct contents {
    const flm_samples_info *info;
    const flm_samples_prompts *prompts; /* NULL: none */
    const flm_samples_setting *settings;
    int count;
} contents;

/* The bytes of a new file, with room for attributes. */
static flm_status count_bytes(const contents *c, int64_t *bytes)
{
    flm_status rc = FLM_OK;
    const flm_samples_info *info = c->info;
    const int64_t prompts = c->prompts ? c->prompts->count : 0;
    int64_t row, own = 0;
    if (info->samples < 1 || info->L < 1 || info->L > INT32_MAX || c->count < 1 ||
        __builtin_mul_overflow(row_bytes(info->L), (int64_t)c->count + 1, &row) ||
        __builtin_mul_overflow(row, info->samples, &own) || own > INT64_MAX / 2)
        FLM_FAIL(FLM_E_ARG, "invalid samples: %" PRId64 " samples of %" PRId64 " tokens for %d settings", info->samples,
                 info->L, c->count);
    if (prompts < 0 || prompts > info->samples || (prompts > 0 && info->samples % prompts != 0))
        FLM_FAIL(FLM_E_ARG, "%" PRId64 " samples cannot be divided among %" PRId64 " prompts", info->samples, prompts);
    for (int i = 0; i < c->count; i++)
        if (c->settings[i].steps < 1)
            FLM_FAIL(FLM_E_ARG, "%" PRId64 " is not a valid number of steps", c->settings[i].steps);
    *bytes = row_bytes(info->L) * (c->count * info->samples + prompts) + (1 << 16) + 8192 * (int64_t)c->count;
done:
    return rc;
}

static flm_status lay_out(const char *path, const contents *c)
{
    flm_status rc = FLM_OK;
    hid_t file = H5I_INVALID_HID;
    int64_t bytes = 0;

    FLM_TRY(count_bytes(c, &bytes));
    FLM_TRY(flm_file_reserve(path, bytes));
    FLM_TRY(flm_h5_create(path, &file));
    FLM_TRY(info_write(file, c->info));
    if (c->prompts) FLM_TRY(flm_samples_write_prompts(file, c->info, c->prompts));
    for (int i = 0; i < c->count; i++) FLM_TRY(set_lay_out(file, c->info, &c->settings[i]));
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
static flm_status create(const char *path, const contents *c)
{
    flm_status rc = FLM_OK;
    char temporary[FLM_PATH_BYTES];
    int fd = -1;

    FLM_TRY(flm_path_format(temporary, "%s.tmp", path));
    rc = lay_out(temporary, c);
    if (rc == FLM_OK) rc = flm_file_open(temporary, O_WRONLY, &fd);
    if (rc == FLM_OK) rc = allocate_blocks(fd, temporary);
    if (rc == FLM_OK) rc = flm_file_commit(&fd, temporary, path);
    if (rc != FLM_OK) unlink(temporary);
    FLM_TRY(rc);
done:
    if (fd >= 0) close(fd);
    return rc;
}

static int by_setting(const void *a, const void *b)
{
    return flm_samples_setting_compare(&((const flm_samples_set *)a)->setting, &((const flm_samples_set *)b)->setting);
}

/* The sets in an open file, in the order of their settings. */
static flm_status sets_read(hid_t file, flm_samples *s)
{
    flm_status rc = FLM_OK;
    hid_t root = H5I_INVALID_HID, group = H5I_INVALID_HID;
    H5G_info_t info;
    char name[NAME_BYTES];
    double noise_level;

    FLM_H5(root = H5Gopen2(file, "/", H5P_DEFAULT));
    FLM_TRY(flm_h5_get_f64_or(root, "noise_level", 0, &noise_level));
    FLM_H5(H5Gget_info(root, &info));
    s->sets = calloc((size_t)info.nlinks + 1, sizeof *s->sets);
    if (!s->sets) FLM_FAIL(FLM_E_NOMEM, "no memory for its groups");
    for (hsize_t i = 0; i < info.nlinks; i++) {
        flm_samples_set *set = &s->sets[s->count];
        FLM_H5(H5Lget_name_by_idx(root, ".", H5_INDEX_NAME, H5_ITER_INC, i, name, sizeof name, H5P_DEFAULT));
        if (strcmp(name, "prompts") == 0) continue;
        if (snprintf(set->group, sizeof set->group, "/%s", name) >= (int)sizeof set->group)
            FLM_FAIL(FLM_E_FORMAT, "/%s: the name is too long", name);
        FLM_H5(group = H5Gopen2(root, name, H5P_DEFAULT));
        FLM_TRY(flm_samples_setting_read(group, name, noise_level, &set->setting));
        flm_h5_close(&group);
        s->count++;
    }
    qsort(s->sets, (size_t)s->count, sizeof *s->sets, by_setting);
done:
    flm_h5_close(&group);
    flm_h5_close(&root);
    return rc;
}

static flm_status dataset_locate(hid_t file, int64_t file_bytes, const char *group, const char *name, int64_t *offset)
{
    flm_status rc = FLM_OK;
    hid_t dataset = H5I_INVALID_HID;
    char path[FLM_SAMPLES_NAME_BYTES];
    int64_t dim[4], bytes;
    int ndim;

    snprintf(path, sizeof path, "%s/%s", group, name);
    FLM_H5(dataset = H5Dopen2(file, path, H5P_DEFAULT));
    FLM_TRY(flm_err_prefix(flm_h5_locate(dataset, 4, file_bytes, &ndim, dim, offset, &bytes), path));
done:
    flm_h5_close(&dataset);
    return rc;
}

/* The datasets of scores, which a file need not have. */
static flm_status scores_locate(hid_t file, int64_t file_bytes, flm_samples_set *set)
{
    flm_status rc = FLM_OK;
    hid_t dataset = H5I_INVALID_HID;
    char path[FLM_SAMPLES_NAME_BYTES];
    int64_t dim[4], bytes;
    int ndim;

    for (int k = 0; k < FLM_SAMPLES_SCORES; k++) {
        flm_samples_score_name(set->group, k, path);
        if (H5Lexists(file, path, H5P_DEFAULT) <= 0) continue;
        FLM_H5(dataset = H5Dopen2(file, path, H5P_DEFAULT));
        FLM_TRY(flm_err_prefix(
            flm_h5_locate(dataset, k < FLM_SAMPLES_SCORED ? 8 : 4, file_bytes, &ndim, dim, &set->scores[k], &bytes),
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
    FLM_TRY(flm_samples_read_prompts(file, &s->info, &s->prompts));
    FLM_TRY(sets_read(file, s));
    for (int i = 0; i < s->count; i++) {
        flm_samples_set *set = &s->sets[i];
        FLM_TRY(dataset_locate(file, bytes, set->group, "tokens", &set->tokens));
        FLM_TRY(dataset_locate(file, bytes, set->group, "checksums", &set->checksums));
        FLM_TRY(scores_locate(file, bytes, set));
        FLM_TRY(flm_samples_locate_tokens(file, bytes, set));
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
        {"logit_cap", a->logit_cap == b->logit_cap},
        {"weights", strcmp(a->weights, b->weights) == 0},
        {"precision", strcmp(a->precision, b->precision) == 0},
        {"matmul", !a->matmul[0] || !b->matmul[0] || strcmp(a->matmul, b->matmul) == 0},
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

static bool same_prompts(const flm_samples *s, const flm_samples_prompts *prompts)
{
    const int64_t count = prompts ? prompts->count : 0;
    return s->prompts.count == count &&
           (count == 0 ||
            memcmp(s->prompts.tokens, prompts->tokens, (size_t)(count * s->info.L) * sizeof *prompts->tokens) == 0);
}

static flm_status take_up(const char *path, const contents *c, flm_samples **out)
{
    flm_status rc = FLM_OK;
    flm_samples *s = NULL;
    char name[FLM_SAMPLES_SETTING_BYTES];

    FLM_TRY(flm_samples_open_file(path, true, &s));
    FLM_TRY(info_compare(path, &s->info, c->info));
    if (!same_prompts(s, c->prompts)) FLM_TRY(mismatch(path, "prompts"));
    for (int i = 0; i < c->count; i++)
        if (flm_samples_find(s, &c->settings[i]) < 0)
            FLM_FAIL(FLM_E_MISMATCH,
                     "%s: was created with other settings of the sampler: it has no group %s; choose another file or "
                     "move this one",
                     path, flm_samples_setting_name(&c->settings[i], name));
    *out = s;
    s = NULL;
done:
    if (s) s->write = false; /* nothing to sync, and the message stays the first one */
    flm_samples_close(&s);
    return rc;
}

/* Rank 0: the lock, and the file where there is none. */
static flm_status prepare(const char *path, const contents *c, flm_lock **lock)
{
    flm_status rc = FLM_OK;

    FLM_TRY(flm_file_check_output(path));
    FLM_TRY(flm_lock_file(path, lock));
    if (access(path, F_OK) == 0) goto done;
    if (errno != ENOENT) FLM_FAIL(flm_status_from_errno(errno), "%s: %s", path, strerror(errno));
    FLM_TRY(create(path, c));
done:
    return rc;
}

flm_status flm_samples_open_write(flm_comm *comm, const char *path, const flm_samples_info *info,
                                  const flm_samples_prompts *prompts, const flm_samples_setting *settings, int count,
                                  flm_samples **out)
{
    flm_status rc = FLM_OK, local = FLM_OK;
    const contents c = {info, prompts, settings, count};
    flm_samples *s = NULL;
    flm_lock *lock = NULL;

    if (flm_comm_rank(comm) == 0) local = prepare(path, &c, &lock);
    FLM_TRY(flm_comm_agree(comm, local));
    FLM_TRY(flm_comm_agree(comm, take_up(path, &c, &s)));
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
