/* io_samples_scores.c - scores of samples in their file: the sum, its number of positions, and a checksum over both,
 * the row and the scorer, so that a changed row or another scorer is scored again. A second checksum distinguishes a
 * damaged score from one of another scorer. SPDX-License-Identifier: Apache-2.0 */
#include "base/base_crc32c.h"
#include "io/samples/io_samples_internal.h"

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

/* Checksum of a score as stored: a change can be detected without knowing the scorer. */
static uint32_t score_checksum(double nll, int64_t positions, uint32_t scored)
{
    uint32_t crc = flm_crc32c_update(0, &nll, sizeof nll);
    crc = flm_crc32c_update(crc, &positions, sizeof positions);
    return flm_crc32c_update(crc, &scored, sizeof scored);
}

void flm_samples_score_name(const char *group, int kind, char name[FLM_SAMPLES_NAME_BYTES])
{
    static const char *const names[] = {"nll", "positions", "scored", "score_checksums"};
    snprintf(name, FLM_SAMPLES_NAME_BYTES, "%s/%s", group, names[kind]);
}

/* A whole dataset in memory, read or written. */
static flm_status dataset_transfer(hid_t file, const char *name, hid_t type, bool write, void *data)
{
    flm_status rc = FLM_OK;
    hid_t dataset = H5I_INVALID_HID;
    FLM_H5(dataset = H5Dopen2(file, name, H5P_DEFAULT));
    if (write)
        FLM_H5(H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data));
    else
        FLM_H5(H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data));
done:
    flm_h5_close(&dataset);
    return flm_err_prefix(rc, name);
}

flm_status flm_samples_create_scores(hid_t file, const char *group, int64_t samples)
{
    flm_status rc = FLM_OK;
    const size_t N = (size_t)samples;
    const hid_t stored[] = {H5T_IEEE_F64LE, H5T_STD_I64LE, H5T_STD_U32LE, H5T_STD_U32LE};
    const hid_t memory[] = {H5T_NATIVE_DOUBLE, H5T_NATIVE_INT64, H5T_NATIVE_UINT32, H5T_NATIVE_UINT32};
    char name[FLM_SAMPLES_NAME_BYTES];
    hid_t dataset = H5I_INVALID_HID;
    double *nll = calloc(N, sizeof *nll);
    int64_t *positions = calloc(N, sizeof *positions);
    uint32_t *scored = calloc(N, sizeof *scored), *sums = calloc(N, sizeof *sums);
    void *const data[] = {nll, positions, scored, sums};

    if (!nll || !positions || !scored || !sums) FLM_FAIL(FLM_E_NOMEM, "no memory for %zu scores", N);
    for (int k = 0; k < FLM_SAMPLES_SCORES; k++) {
        flm_samples_score_name(group, k, name);
        if (H5Lexists(file, name, H5P_DEFAULT) > 0) {
            FLM_TRY(dataset_transfer(file, name, memory[k], false, data[k]));
            continue;
        }
        FLM_TRY(flm_h5_create_dataset(file, name, stored[k], 1, &samples, &dataset));
        flm_h5_close(&dataset);
        for (size_t i = 0; k == FLM_SAMPLES_SUMS && i < N; i++)
            sums[i] = scored[i] ? score_checksum(nll[i], positions[i], scored[i]) : 0;
        FLM_TRY(dataset_transfer(file, name, memory[k], true, data[k]));
    }
done:
    flm_h5_close(&dataset);
    free(nll);
    free(positions);
    free(scored);
    free(sums);
    return rc;
}

/* What datasets of scores a file is to have. */
typedef struct wanted {
    const flm_samples *samples;
    int64_t tokens; /* of the scorer's to keep of a row; 0: none */
} wanted;

static bool lacks_scores(const flm_samples_set *set)
{
    for (int k = 0; k < FLM_SAMPLES_SCORES; k++)
        if (set->scores[k] == 0) return true;
    return false;
}

static bool lacks_tokens(const flm_samples_set *set, int64_t tokens)
{
    return tokens > 0 && set->token_length != tokens;
}

static flm_status add_scores(void *context, hid_t file)
{
    flm_status rc = FLM_OK;
    const wanted *w = context;
    const int64_t samples = w->samples->info.samples;
    for (int i = 0; i < w->samples->count; i++) {
        const flm_samples_set *set = &w->samples->sets[i];
        if (lacks_scores(set)) FLM_TRY(flm_samples_create_scores(file, set->group, samples));
        if (lacks_tokens(set, w->tokens)) FLM_TRY(flm_samples_create_tokens(file, set->group, samples, w->tokens));
    }
done:
    return rc;
}

/* Rank 0: the lock, and datasets for scores in a file that lacks them. */
static flm_status prepare_scores(const char *path, int64_t tokens, flm_lock **lock)
{
    flm_status rc = FLM_OK;
    flm_samples *s = NULL;
    bool lacks = false;

    FLM_TRY(flm_samples_open_file(path, false, &s)); /* first: nothing is put beside a file of another kind */
    flm_samples_close(&s);
    FLM_TRY(flm_lock_file(path, lock));
    FLM_TRY(flm_samples_open_file(path, false, &s));
    for (int i = 0; i < s->count; i++) lacks = lacks || lacks_scores(&s->sets[i]) || lacks_tokens(&s->sets[i], tokens);
    const int64_t row = (int64_t)(3 * sizeof(int64_t)) + (2 * tokens + 1) * (int64_t)sizeof(int32_t);
    if (lacks)
        FLM_TRY(flm_h5_edit(path, "samples", (1 << 16) + s->count * (8192 + s->info.samples * row), add_scores,
                            &(wanted){s, tokens}));
done:
    flm_samples_close(&s);
    return rc;
}

flm_status flm_samples_open_scores(flm_comm *comm, const char *path, int64_t tokens, flm_samples **out)
{
    flm_status rc = FLM_OK;
    flm_samples *s = NULL;
    flm_lock *lock = NULL;

    FLM_TRY(flm_comm_agree(comm, flm_comm_rank(comm) == 0 ? prepare_scores(path, tokens, &lock) : FLM_OK));
    FLM_TRY(flm_comm_agree(comm, flm_samples_open_file(path, true, &s)));
    s->lock = lock;
    lock = NULL;
    *out = s;
    s = NULL;
done:
    if (s) s->write = false; /* nothing to sync */
    flm_samples_close(&s);
    flm_lock_release(&lock);
    return rc;
}

/* Offsets of a set's scores. */
static flm_status scores_find(const flm_samples *s, int set, const int64_t **offset)
{
    flm_status rc = FLM_OK;
    FLM_TRY(flm_samples_check_set(s, set));
    *offset = s->sets[set].scores;
    for (int k = 0; k < FLM_SAMPLES_SCORES; k++)
        if ((*offset)[k] == 0)
            FLM_FAIL(FLM_E_ARG, "%s: %s has no datasets for scores", s->path, flm_samples_get_name(s, set));
done:
    return rc;
}

flm_status flm_samples_read_scores(const flm_samples *s, int set, uint32_t scorer, double *nll, int64_t *positions,
                                   bool *present)
{
    flm_status rc = FLM_OK;
    const size_t N = (size_t)s->info.samples;
    const int64_t *offset = NULL;
    uint32_t *rows = malloc(N * sizeof *rows), *scored = malloc(N * sizeof *scored), *sums = malloc(N * sizeof *sums);

    if (!rows || !scored || !sums) FLM_FAIL(FLM_E_NOMEM, "%s: no memory for its scores", s->path);
    FLM_TRY(scores_find(s, set, &offset));
    FLM_TRY(flm_file_read_at(s->fd, s->path, nll, N * sizeof *nll, offset[FLM_SAMPLES_NLL]));
    FLM_TRY(flm_file_read_at(s->fd, s->path, positions, N * sizeof *positions, offset[FLM_SAMPLES_POSITIONS]));
    FLM_TRY(flm_file_read_at(s->fd, s->path, scored, N * sizeof *scored, offset[FLM_SAMPLES_SCORED]));
    FLM_TRY(flm_file_read_at(s->fd, s->path, sums, N * sizeof *sums, offset[FLM_SAMPLES_SUMS]));
    FLM_TRY(flm_file_read_at(s->fd, s->path, rows, N * sizeof *rows, s->sets[set].checksums));
    for (size_t i = 0; i < N; i++) {
        present[i] = scored[i] != 0 && scored[i] == score_sum(scorer, rows[i], nll[i], positions[i]) &&
                     sums[i] == score_checksum(nll[i], positions[i], scored[i]);
        if (!present[i]) nll[i] = 0, positions[i] = 0;
    }
done:
    free(rows);
    free(scored);
    free(sums);
    return rc;
}

/* One number of a row's score. */
static flm_status read_part(const flm_samples *s, int64_t offset, int64_t row, void *data, size_t bytes)
{
    return flm_file_read_at(s->fd, s->path, data, bytes, offset + row * (int64_t)bytes);
}

static flm_status write_part(const flm_samples *s, int64_t offset, int64_t row, const void *data, size_t bytes)
{
    return flm_file_write_at(s->fd, s->path, data, bytes, offset + row * (int64_t)bytes);
}

flm_status flm_samples_verify_scores(const flm_samples *s, int set, int64_t *scores)
{
    flm_status rc = FLM_OK;
    const int64_t *offset = NULL;
    int64_t there = 0, positions;
    uint32_t scored, sum;
    double nll;

    FLM_TRY(flm_samples_check_set(s, set));
    offset = s->sets[set].scores;
    for (int k = 0; k < FLM_SAMPLES_SCORES; k++)
        if (offset[k] == 0) there = -1;
    for (int64_t i = 0; there >= 0 && i < s->info.samples; i++) {
        FLM_TRY(read_part(s, offset[FLM_SAMPLES_SCORED], i, &scored, sizeof scored));
        if (scored == 0) continue;
        FLM_TRY(read_part(s, offset[FLM_SAMPLES_NLL], i, &nll, sizeof nll));
        FLM_TRY(read_part(s, offset[FLM_SAMPLES_POSITIONS], i, &positions, sizeof positions));
        FLM_TRY(read_part(s, offset[FLM_SAMPLES_SUMS], i, &sum, sizeof sum));
        if (sum != score_checksum(nll, positions, scored))
            FLM_FAIL(FLM_E_CHECKSUM,
                     "%s: %s: the score of row %" PRId64 " is damaged; flm_score --gpt2 computes it again", s->path,
                     flm_samples_get_name(s, set), i);
        there++;
    }
    *scores = there;
done:
    return rc;
}

/* `scored` is 0 while the others change: a kill between two calls leaves a row that counts as not scored. */
flm_status flm_samples_write_score(flm_samples *s, int set, int64_t row, uint32_t scorer, double nll, int64_t positions)
{
    flm_status rc = FLM_OK;
    const int64_t *offset = NULL;
    const uint32_t none = 0;
    uint32_t scored, sum;

    FLM_TRY(scores_find(s, set, &offset));
    if (row < 0 || row >= s->info.samples || !s->write)
        FLM_FAIL(FLM_E_ARG, "%s: row %" PRId64 " does not exist", s->path, row);
    FLM_TRY(read_part(s, s->sets[set].checksums, row, &sum, sizeof sum));
    scored = score_sum(scorer, sum, nll, positions);
    sum = score_checksum(nll, positions, scored);
    FLM_TRY(write_part(s, offset[FLM_SAMPLES_SCORED], row, &none, sizeof none));
    FLM_TRY(write_part(s, offset[FLM_SAMPLES_NLL], row, &nll, sizeof nll));
    FLM_TRY(write_part(s, offset[FLM_SAMPLES_POSITIONS], row, &positions, sizeof positions));
    FLM_TRY(write_part(s, offset[FLM_SAMPLES_SUMS], row, &sum, sizeof sum));
    FLM_TRY(write_part(s, offset[FLM_SAMPLES_SCORED], row, &scored, sizeof scored));
done:
    return rc;
}

/* Opens a set's group for reading its attributes. */
static flm_status group_open(const flm_samples *s, int set, hid_t *file, hid_t *group)
{
    flm_status rc = FLM_OK;
    FLM_TRY(flm_samples_check_set(s, set));
    FLM_TRY(flm_h5_open(s->path, false, file, NULL));
    FLM_H5(*group = H5Gopen2(*file, s->sets[set].group, H5P_DEFAULT));
done:
    return rc;
}

flm_status flm_samples_get_result(const flm_samples *samples, int set, const char *name, double *value, bool *there)
{
    flm_status rc = FLM_OK;
    hid_t file = H5I_INVALID_HID, group = H5I_INVALID_HID;
    htri_t found;
    FLM_TRY(group_open(samples, set, &file, &group));
    FLM_H5(found = H5Aexists(group, name));
    *there = found > 0;
    if (*there) FLM_TRY(flm_h5_get_f64(group, name, value));
done:
    flm_h5_close(&group);
    flm_h5_close(&file);
    return flm_err_prefix(rc, samples->path);
}

flm_status flm_samples_get_scorer(const flm_samples *samples, int set, char *text, size_t bytes)
{
    flm_status rc = FLM_OK;
    hid_t file = H5I_INVALID_HID, group = H5I_INVALID_HID;
    htri_t found;
    text[0] = '\0';
    FLM_TRY(group_open(samples, set, &file, &group));
    FLM_H5(found = H5Aexists(group, "scorer"));
    if (found > 0) FLM_TRY(flm_h5_get_string(group, "scorer", text, bytes));
done:
    flm_h5_close(&group);
    flm_h5_close(&file);
    return flm_err_prefix(rc, samples->path);
}
