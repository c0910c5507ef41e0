/* io_samples_prompts.c - the prompts of a samples file. SPDX-License-Identifier: Apache-2.0 */
#include "base/base_crc32c.h"
#include "io/samples/io_samples_internal.h"

#include <inttypes.h>
#include <stdlib.h>

static const char tokens_name[] = "/prompts/tokens", checksums_name[] = "/prompts/checksums";

static uint32_t row_sum(const int32_t *tokens, int64_t L)
{
    return flm_crc32c_update(0, tokens, (size_t)L * sizeof *tokens);
}

/* A prompt: its checksum fits, its tokens are in the vocabulary, and there is something to fill in. */
static flm_status check_prompt(const flm_samples_info *info, int64_t number, const int32_t *tokens, uint32_t sum)
{
    flm_status rc = FLM_OK;
    int64_t open = 0;
    if (row_sum(tokens, info->L) != sum)
        FLM_FAIL(FLM_E_CHECKSUM, "%s: row %" PRId64 ": checksum mismatch (file damaged)", tokens_name, number);
    for (int64_t l = 0; l < info->L; l++) {
        if (tokens[l] != FLM_SAMPLES_FREE && (tokens[l] < 0 || tokens[l] >= info->vocabulary.V))
            FLM_FAIL(FLM_E_FORMAT, "%s: row %" PRId64 " has id %" PRId32 ", expected -1 to V - 1 (V = %" PRId64 ")",
                     tokens_name, number, tokens[l], info->vocabulary.V);
        open += tokens[l] == FLM_SAMPLES_FREE;
    }
    if (open == 0) FLM_FAIL(FLM_E_FORMAT, "%s: row %" PRId64 " has nothing to fill in", tokens_name, number);
done:
    return rc;
}

flm_status flm_samples_write_prompts(hid_t file, const flm_samples_info *info, const flm_samples_prompts *prompts)
{
    flm_status rc = FLM_OK;
    hid_t dataset = H5I_INVALID_HID;
    const int64_t L = info->L, dim[2] = {prompts->count, L};
    uint32_t *sums = malloc((size_t)prompts->count * sizeof *sums);
    if (!sums) FLM_FAIL(FLM_E_NOMEM, "no memory for %" PRId64 " prompts", prompts->count);
    for (int64_t i = 0; i < prompts->count; i++) {
        sums[i] = row_sum(prompts->tokens + i * L, L);
        FLM_TRY(check_prompt(info, i, prompts->tokens + i * L, sums[i]));
    }
    FLM_TRY(flm_h5_create_dataset(file, tokens_name, H5T_STD_I32LE, 2, dim, &dataset));
    FLM_H5(H5Dwrite(dataset, H5T_NATIVE_INT32, H5S_ALL, H5S_ALL, H5P_DEFAULT, prompts->tokens));
    flm_h5_close(&dataset);
    FLM_TRY(flm_h5_create_dataset(file, checksums_name, H5T_STD_U32LE, 1, dim, &dataset));
    FLM_H5(H5Dwrite(dataset, H5T_NATIVE_UINT32, H5S_ALL, H5S_ALL, H5P_DEFAULT, sums));
done:
    flm_h5_close(&dataset);
    free(sums);
    return rc;
}

/* Reads a dataset whole; it is as long as the schema check lets pass, all of it in the file. */
static flm_status read_dataset(hid_t file, const char *name, hid_t type, void *data)
{
    flm_status rc = FLM_OK;
    hid_t dataset = H5I_INVALID_HID;
    FLM_H5(dataset = H5Dopen2(file, name, H5P_DEFAULT));
    FLM_H5(H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data));
done:
    flm_h5_close(&dataset);
    return flm_err_prefix(rc, name);
}

/* The number of prompts; the schema check leaves [prompts, L] and [prompts]. */
static flm_status count_prompts(hid_t file, int64_t *count)
{
    flm_status rc = FLM_OK;
    hid_t dataset = H5I_INVALID_HID, space = H5I_INVALID_HID;
    hsize_t dim[2] = {0, 0};
    FLM_H5(dataset = H5Dopen2(file, tokens_name, H5P_DEFAULT));
    FLM_H5(space = H5Dget_space(dataset));
    FLM_H5(H5Sget_simple_extent_dims(space, dim, NULL));
    *count = (int64_t)dim[0];
done:
    flm_h5_close(&space);
    flm_h5_close(&dataset);
    return rc;
}

flm_status flm_samples_read_prompts(hid_t file, const flm_samples_info *info, flm_samples_prompts *prompts)
{
    flm_status rc = FLM_OK;
    int32_t *tokens = NULL;
    uint32_t *sums = NULL;
    int64_t count = 0;

    if (H5Lexists(file, "/prompts", H5P_DEFAULT) <= 0) goto done;
    if (H5Lexists(file, tokens_name, H5P_DEFAULT) <= 0 || H5Lexists(file, checksums_name, H5P_DEFAULT) <= 0)
        FLM_FAIL(FLM_E_FORMAT, "/prompts: has no tokens or no checksums");
    FLM_TRY(count_prompts(file, &count));
    if (count < 1 || info->samples % count != 0)
        FLM_FAIL(FLM_E_FORMAT, "%s: %" PRId64 " samples cannot be divided among %" PRId64 " prompts", tokens_name,
                 info->samples, count);
    tokens = malloc((size_t)(count * info->L) * sizeof *tokens);
    sums = malloc((size_t)count * sizeof *sums);
    if (!tokens || !sums) FLM_FAIL(FLM_E_NOMEM, "no memory for %" PRId64 " prompts", count);
    FLM_TRY(read_dataset(file, tokens_name, H5T_NATIVE_INT32, tokens));
    FLM_TRY(read_dataset(file, checksums_name, H5T_NATIVE_UINT32, sums));
    for (int64_t i = 0; i < count; i++) FLM_TRY(check_prompt(info, i, tokens + i * info->L, sums[i]));
    *prompts = (flm_samples_prompts){count, tokens};
    tokens = NULL;
done:
    free(sums);
    free(tokens);
    return rc;
}
