/* io_samples_scores.c - scores of samples in their file: a number, how many positions it is of, and a checksum that
 * ties both to the row and to the scorer, so that a changed row or another scorer means scoring again.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/base_crc32c.h"
#include "io/io_samples_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static uint32_t score_sum(uint32_t scorer, uint32_t row, double nll, int64_t positions)
{
    uint32_t crc = flm_crc32c_update(0, &scorer, sizeof scorer);
    crc = flm_crc32c_update(crc, &row, sizeof row);
    crc = flm_crc32c_update(crc, &nll, sizeof nll);
    return flm_crc32c_update(crc, &positions, sizeof positions);
}

/* Rank 0: the datasets of scores in every group that lacks them. */
static flm_status room_make(const char *path)
{
    static const char *const names[] = {"nll", "positions", "scored"};
    flm_status rc = FLM_OK;
    flm_samples *s = NULL;
    hid_t file = H5I_INVALID_HID, dataset = H5I_INVALID_HID, closing;
    char name[FLM_SAMPLES_GROUP_BYTES + 16];
    bool lacks = false;

    FLM_TRY(flm_samples_open_file(path, false, &s));
    for (int i = 0; i < s->count * FLM_SAMPLES_SCORES; i++) lacks = lacks || s->scores[i] == 0;
    if (!lacks) goto done;
    const hid_t types[] = {H5T_IEEE_F64LE, H5T_STD_I64LE, H5T_STD_U32LE};
    FLM_TRY(flm_h5_open(path, true, &file, NULL));
    for (int i = 0; i < s->count; i++)
        for (int k = 0; k < FLM_SAMPLES_SCORES; k++) {
            if (s->scores[i * FLM_SAMPLES_SCORES + k] != 0) continue;
            flm_samples_group_name(s->steps[i], name);
            snprintf(name + strlen(name), sizeof name - strlen(name), "/%s", names[k]);
            FLM_TRY(flm_h5_create_dataset(file, name, types[k], 1, &s->info.samples, &dataset));
            flm_h5_close(&dataset);
        }
    closing = file;
    file = H5I_INVALID_HID;
    FLM_H5(H5Fclose(closing));
done:
    flm_h5_close(&dataset);
    flm_h5_close(&file);
    flm_samples_close(&s);
    return flm_err_prefix(rc, path);
}

flm_status flm_samples_open_scores(flm_comm *comm, const char *path, flm_samples **out)
{
    flm_status rc = FLM_OK;
    flm_samples *s = NULL;

    FLM_TRY(flm_comm_agree(comm, flm_comm_rank(comm) == 0 ? room_make(path) : FLM_OK));
    FLM_TRY(flm_comm_agree(comm, flm_samples_open_file(path, true, &s)));
    *out = s;
    s = NULL;
done:
    if (s) s->write = false; /* nothing to sync */
    flm_samples_close(&s);
    return rc;
}

/* Offsets of a group's scores. */
static flm_status scores_find(const flm_samples *s, int64_t steps, const int64_t **offset, int *group)
{
    flm_status rc = FLM_OK;
    *group = flm_samples_find_steps(s, steps);
    if (*group < 0) FLM_FAIL(FLM_E_ARG, "%s: has no group steps_%" PRId64, s->path, steps);
    *offset = s->scores + *group * FLM_SAMPLES_SCORES;
    for (int k = 0; k < FLM_SAMPLES_SCORES; k++)
        if ((*offset)[k] == 0) FLM_FAIL(FLM_E_ARG, "%s: steps_%" PRId64 " has no datasets for scores", s->path, steps);
done:
    return rc;
}

flm_status flm_samples_read_scores(const flm_samples *s, int64_t steps, uint32_t scorer, double *nll,
                                   int64_t *positions, bool *present)
{
    flm_status rc = FLM_OK;
    const size_t N = (size_t)s->info.samples;
    const int64_t *offset = NULL;
    uint32_t *rows = malloc(N * sizeof *rows), *sums = malloc(N * sizeof *sums);
    int group = 0;

    if (!rows || !sums) FLM_FAIL(FLM_E_NOMEM, "%s: no memory for its scores", s->path);
    FLM_TRY(scores_find(s, steps, &offset, &group));
    FLM_TRY(flm_file_read_at(s->fd, s->path, nll, N * sizeof *nll, offset[FLM_SAMPLES_NLL]));
    FLM_TRY(flm_file_read_at(s->fd, s->path, positions, N * sizeof *positions, offset[FLM_SAMPLES_POSITIONS]));
    FLM_TRY(flm_file_read_at(s->fd, s->path, sums, N * sizeof *sums, offset[FLM_SAMPLES_SCORED]));
    FLM_TRY(flm_file_read_at(s->fd, s->path, rows, N * sizeof *rows, s->checksums[group]));
    for (size_t i = 0; i < N; i++) {
        present[i] = sums[i] != 0 && sums[i] == score_sum(scorer, rows[i], nll[i], positions[i]);
        if (!present[i]) nll[i] = 0, positions[i] = 0;
    }
done:
    free(rows);
    free(sums);
    return rc;
}

flm_status flm_samples_write_score(flm_samples *s, int64_t steps, int64_t row, uint32_t scorer, double nll,
                                   int64_t positions)
{
    flm_status rc = FLM_OK;
    const int64_t *offset = NULL;
    uint32_t sum;
    int group = 0;

    FLM_TRY(scores_find(s, steps, &offset, &group));
    if (row < 0 || row >= s->info.samples || !s->write)
        FLM_FAIL(FLM_E_ARG, "%s: row %" PRId64 " does not exist", s->path, row);
    FLM_TRY(flm_file_read_at(s->fd, s->path, &sum, sizeof sum, s->checksums[group] + row * (int64_t)sizeof sum));
    sum = score_sum(scorer, sum, nll, positions);
    FLM_TRY(flm_file_write_at(s->fd, s->path, &nll, sizeof nll, offset[FLM_SAMPLES_NLL] + row * (int64_t)sizeof nll));
    FLM_TRY(flm_file_write_at(s->fd, s->path, &positions, sizeof positions,
                              offset[FLM_SAMPLES_POSITIONS] + row * (int64_t)sizeof positions));
    FLM_TRY(
        flm_file_write_at(s->fd, s->path, &sum, sizeof sum, offset[FLM_SAMPLES_SCORED] + row * (int64_t)sizeof sum));
done:
    return rc;
}

/* Opens a number of steps' group; write: for changing attributes. */
static flm_status group_open(const flm_samples *s, int64_t steps, bool write, hid_t *file, hid_t *group)
{
    flm_status rc = FLM_OK;
    char path[FLM_SAMPLES_GROUP_BYTES];
    if (flm_samples_find_steps(s, steps) < 0) FLM_FAIL(FLM_E_ARG, "%s: has no group steps_%" PRId64, s->path, steps);
    flm_samples_group_name(steps, path);
    FLM_TRY(flm_h5_open(s->path, write, file, NULL));
    FLM_H5(*group = H5Gopen2(*file, path, H5P_DEFAULT));
done:
    return rc;
}

static flm_status scorer_write(const flm_samples *s, int64_t steps, const char *scorer)
{
    flm_status rc = FLM_OK;
    hid_t file = H5I_INVALID_HID, group = H5I_INVALID_HID, closing;
    FLM_TRY(group_open(s, steps, true, &file, &group));
    FLM_TRY(flm_h5_set_string(group, "scorer", scorer));
    flm_h5_close(&group);
    closing = file;
    file = H5I_INVALID_HID;
    FLM_H5(H5Fclose(closing));
done:
    flm_h5_close(&group);
    flm_h5_close(&file);
    return flm_err_prefix(rc, s->path);
}

flm_status flm_samples_set_scorer(flm_comm *comm, flm_samples *samples, int64_t steps, const char *scorer)
{
    return flm_comm_agree(comm, flm_comm_rank(comm) == 0 ? scorer_write(samples, steps, scorer) : FLM_OK);
}

flm_status flm_samples_get_result(const flm_samples *samples, int64_t steps, const char *name, double *value,
                                  bool *there)
{
    flm_status rc = FLM_OK;
    hid_t file = H5I_INVALID_HID, group = H5I_INVALID_HID;
    htri_t found;
    FLM_TRY(group_open(samples, steps, false, &file, &group));
    FLM_H5(found = H5Aexists(group, name));
    *there = found > 0;
    if (*there) FLM_TRY(flm_h5_get_f64(group, name, value));
done:
    flm_h5_close(&group);
    flm_h5_close(&file);
    return flm_err_prefix(rc, samples->path);
}
