/* io_samples_tokens.c - the scorer's tokens of a row and their negative log-likelihoods, which a samples file need not
 * have: scorer_tokens, -1 behind the last one, and token_nll, 0 where nothing is predicted. The checksum is over both
 * and over the row's `scored`, so that those of another row or scorer count as missing. SPDX-License-Identifier:
 * Apache-2.0 */
#include "base/base_crc32c.h"
#include "io/samples/io_samples_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { NONE = -1 };

static const char *const names[FLM_SAMPLES_TOKEN_DATASETS] = {"scorer_tokens", "token_nll", "token_checksums"};

static void name_of(const char *group, int kind, char name[FLM_SAMPLES_NAME_BYTES])
{
    snprintf(name, FLM_SAMPLES_NAME_BYTES, "%s/%s", group, names[kind]);
}

flm_status flm_samples_create_tokens(hid_t file, const char *group, int64_t samples, int64_t length)
{
    flm_status rc = FLM_OK;
    hid_t dataset = H5I_INVALID_HID;
    const hid_t types[FLM_SAMPLES_TOKEN_DATASETS] = {H5T_STD_I32LE, H5T_IEEE_F32LE, H5T_STD_U32LE};
    const int64_t dim[2] = {samples, length};
    char name[FLM_SAMPLES_NAME_BYTES];
    uint32_t *zeros = calloc((size_t)samples, sizeof *zeros);
    if (!zeros) FLM_FAIL(FLM_E_NOMEM, "no memory for %" PRId64 " checksums", samples);
    for (int k = 0; k < FLM_SAMPLES_TOKEN_DATASETS; k++) {
        name_of(group, k, name);
        if (H5Lexists(file, name, H5P_DEFAULT) > 0) FLM_H5(H5Ldelete(file, name, H5P_DEFAULT)); /* of another length */
        FLM_TRY(flm_h5_create_dataset(file, name, types[k], k == FLM_SAMPLES_TOKEN_SUMS ? 1 : 2, dim, &dataset));
        if (k == FLM_SAMPLES_TOKEN_SUMS)
            FLM_H5(H5Dwrite(dataset, H5T_NATIVE_UINT32, H5S_ALL, H5S_ALL, H5P_DEFAULT, zeros));
        flm_h5_close(&dataset);
    }
done:
    flm_h5_close(&dataset);
    free(zeros);
    return rc;
}

flm_status flm_samples_locate_tokens(hid_t file, int64_t file_bytes, flm_samples_set *set)
{
    flm_status rc = FLM_OK;
    hid_t dataset = H5I_INVALID_HID;
    char name[FLM_SAMPLES_NAME_BYTES];
    int64_t dim[4] = {0}, bytes;
    int ndim, found = 0;
    for (int k = 0; k < FLM_SAMPLES_TOKEN_DATASETS; k++) {
        name_of(set->group, k, name);
        if (H5Lexists(file, name, H5P_DEFAULT) <= 0) continue;
        found++;
        FLM_H5(dataset = H5Dopen2(file, name, H5P_DEFAULT));
        FLM_TRY(flm_err_prefix(flm_h5_locate(dataset, 4, file_bytes, &ndim, dim, &set->token[k], &bytes), name));
        if (k == 0) set->token_length = dim[1];
        flm_h5_close(&dataset);
    }
    if (found != 0 && found != FLM_SAMPLES_TOKEN_DATASETS)
        FLM_FAIL(FLM_E_FORMAT, "%s: has some, but not all datasets of the scorer's tokens", set->group);
done:
    flm_h5_close(&dataset);
    return rc;
}

int64_t flm_samples_get_token_length(const flm_samples *samples, int set) { return samples->sets[set].token_length; }

static uint32_t token_sum(const int32_t *ids, const float *nll, int64_t length, uint32_t scored)
{
    uint32_t crc = flm_crc32c_update(0, ids, (size_t)length * sizeof *ids);
    crc = flm_crc32c_update(crc, nll, (size_t)length * sizeof *nll);
    return flm_crc32c_update(crc, &scored, sizeof scored);
}

/* What a row's `scored` is now. */
static flm_status read_scored(const flm_samples *s, int set, int64_t row, uint32_t *scored)
{
    flm_status rc = FLM_OK;
    const flm_samples_set *own = &s->sets[set];
    if (row < 0 || row >= s->info.samples || own->token_length == 0 || own->scores[FLM_SAMPLES_SCORED] == 0)
        FLM_FAIL(FLM_E_ARG, "%s: %s has no room for the scorer's tokens of row %" PRId64, s->path, own->group + 1, row);
    FLM_TRY(flm_file_read_at(s->fd, s->path, scored, sizeof *scored,
                             own->scores[FLM_SAMPLES_SCORED] + row * (int64_t)sizeof *scored));
done:
    return rc;
}

flm_status flm_samples_write_tokens(flm_samples *s, int set, int64_t row, const int32_t *ids, const float *nll,
                                    int64_t count)
{
    flm_status rc = FLM_OK;
    const flm_samples_set *own = &s->sets[set];
    const int64_t length = own->token_length, kept = count < length ? count : length;
    const size_t bytes = (size_t)length * 4;
    int32_t *all = calloc(2 * (size_t)length + 1, sizeof *all);
    float *values = (float *)(all + length);
    uint32_t scored, sum;
    if (!all) FLM_FAIL(FLM_E_NOMEM, "%s: no memory for %" PRId64 " tokens", s->path, length);
    FLM_TRY(read_scored(s, set, row, &scored));
    for (int64_t i = 0; i < length; i++) all[i] = i < kept ? ids[i] : NONE;
    for (int64_t i = 0; i < kept; i++) values[i] = nll[i];
    sum = token_sum(all, values, length, scored);
    FLM_TRY(flm_file_write_at(s->fd, s->path, all, bytes, own->token[0] + row * (int64_t)bytes));
    FLM_TRY(flm_file_write_at(s->fd, s->path, values, bytes, own->token[1] + row * (int64_t)bytes));
    FLM_TRY(flm_file_write_at(s->fd, s->path, &sum, sizeof sum, own->token[2] + row * (int64_t)sizeof sum));
done:
    free(all);
    return rc;
}

flm_status flm_samples_read_tokens(const flm_samples *s, int set, int64_t row, int32_t *ids, float *nll, bool *present)
{
    flm_status rc = FLM_OK;
    const flm_samples_set *own = &s->sets[set];
    const size_t bytes = (size_t)own->token_length * 4;
    uint32_t scored, sum;
    FLM_TRY(read_scored(s, set, row, &scored));
    FLM_TRY(flm_file_read_at(s->fd, s->path, ids, bytes, own->token[0] + row * (int64_t)bytes));
    FLM_TRY(flm_file_read_at(s->fd, s->path, nll, bytes, own->token[1] + row * (int64_t)bytes));
    FLM_TRY(flm_file_read_at(s->fd, s->path, &sum, sizeof sum, own->token[2] + row * (int64_t)sizeof sum));
    *present = scored != 0 && sum == token_sum(ids, nll, own->token_length, scored);
done:
    return rc;
}
