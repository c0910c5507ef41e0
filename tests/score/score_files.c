/* score_files.c - makes and reads files for the tests of flm_score. "gpt2 FILE [V]" writes a GPT-2 whose weights follow
 * a formula (the same as in make_texts.py); "samples FILE" writes samples of the bytes tokeniser for two numbers of
 * steps; "damage FILE" changes a row; "scores FILE STEPS" prints the scores of the rows. SPDX-License-Identifier:
 * Apache-2.0 */
#include "convert/convert_external.h"
#include "h5/h5.h"
#include "io/io_samples.h"
#include "process/process.h"
#include "score/score_gpt2.h"
#include "text/text_tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SAMPLES = 23, LENGTH = 90 };

static flm_status formula(void *context, int index, float *data)
{
    const flm_checkpoint_dataset *d = (const flm_checkpoint_dataset *)context + index;
    const int64_t n = d->ndim == 2 ? d->dim[0] * d->dim[1] : d->dim[0];
    const bool one = strstr(d->name, "ln_") && strstr(d->name, ".weight");
    for (int64_t i = 0; i < n; i++) {
        uint32_t x = (uint32_t)(i * 2654435761 + index * 40503LL * 65537 + 12345);
        x ^= x >> 15;
        x *= 2246822519u;
        x ^= x >> 13;
        const float v = (float)((double)x / 4294967296.0 - 0.5);
        data[i] = one ? 1 + v : 2 * v;
    }
    return FLM_OK;
}

static flm_status write_gpt2(const char *path, int64_t V)
{
    flm_status rc = FLM_OK;
    const flm_gpt2_shape shape = {64, V, 16, 2, 2, V - 1};
    flm_checkpoint_info info = {.kind = "gpt2",
                                .vocabulary = {.name = "gpt2", .V = V, .begin_id = V - 1, .end_id = V - 1},
                                .L = shape.L,
                                .d = shape.d,
                                .H = shape.H,
                                .N = shape.N};
    flm_checkpoint_dataset *datasets = NULL;
    int count = 0;
    memset(info.vocabulary.sha256, '0', 64);
    FLM_TRY(flm_gpt2_list_datasets(&shape, "weights/", &datasets, &count));
    FLM_TRY(flm_checkpoint_write_file(path, &info, NULL, 0, datasets, count, formula, datasets));
done:
    free(datasets);
    return rc;
}

/* A row of words, padded with the end id. */
static void row_make(int32_t *ids, int64_t row, int64_t steps)
{
    char text[2 * LENGTH];
    int n = 0;
    while (n < LENGTH)
        n += snprintf(text + n, sizeof text - (size_t)n, "%s%d ", row % 3 ? "some words " : "other ",
                      (int)(row * steps + n));
    for (int i = 0; i < LENGTH; i++) ids[i] = (unsigned char)text[i];
    ids[0] = 256;
    for (int64_t i = 20 + 7 * (row % 10); i < LENGTH; i++) ids[i] = 256;
}

static flm_status write_samples(flm_comm *world, const char *path, bool damage)
{
    flm_status rc = FLM_OK;
    flm_tokenizer *bytes = NULL;
    flm_samples *file = NULL;
    const int64_t steps[] = {1, 8};
    const flm_samples_setting settings[] = {flm_samples_setting_of_steps(1), flm_samples_setting_of_steps(8)};
    int32_t ids[LENGTH];
    flm_samples_info info = {.samples = SAMPLES,
                             .L = LENGTH,
                             .seed = 1,
                             .kind = "flm",
                             .checkpoint = "none",
                             .weights = "ema",
                             .precision = "fp32"};
    FLM_TRY(flm_tokenizer_create("bytes", &bytes));
    strcpy(info.vocabulary.name, "bytes");
    strcpy(info.vocabulary.sha256, flm_tokenizer_sha256(bytes));
    info.vocabulary.V = flm_tokenizer_size(bytes);
    info.vocabulary.begin_id = info.vocabulary.end_id = 256;
    FLM_TRY(flm_samples_open_write(world, path, &info, NULL, settings, 2, &file));
    for (int s = 0; s < 2; s++)
        for (int64_t row = 0; row < SAMPLES; row++) {
            if (damage && (row != 5 || s != 1)) continue;
            row_make(ids, damage ? 400 : row, steps[s]);
            FLM_TRY(flm_samples_write(file, s, row, 1, ids));
        }
    FLM_TRY(flm_samples_close(&file));
done:
    flm_samples_close(&file);
    flm_tokenizer_destroy(&bytes);
    return rc;
}

static flm_status print_scores(const char *path, const char *steps)
{
    flm_status rc = FLM_OK;
    hid_t file = H5I_INVALID_HID, dataset[2] = {H5I_INVALID_HID, H5I_INVALID_HID};
    char name[64];
    double *nll = NULL;
    int64_t *positions = NULL, dim[4], offset, bytes, size;
    int ndim;
    FLM_TRY(flm_h5_open(path, false, &file, &size));
    snprintf(name, sizeof name, "/steps_%s/nll", steps);
    FLM_H5(dataset[0] = H5Dopen2(file, name, H5P_DEFAULT));
    snprintf(name, sizeof name, "/steps_%s/positions", steps);
    FLM_H5(dataset[1] = H5Dopen2(file, name, H5P_DEFAULT));
    FLM_TRY(flm_h5_locate(dataset[0], sizeof *nll, size, &ndim, dim, &offset, &bytes));
    nll = malloc((size_t)bytes + 1);
    positions = malloc((size_t)bytes + 1);
    if (!nll || !positions) FLM_FAIL(FLM_E_NOMEM, "no memory");
    FLM_H5(H5Dread(dataset[0], H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, nll));
    FLM_H5(H5Dread(dataset[1], H5T_NATIVE_INT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, positions));
    for (int64_t i = 0; i < dim[0]; i++) printf("%.17g %lld\n", nll[i], (long long)positions[i]);
done:
    free(nll);
    free(positions);
    flm_h5_close(&dataset[0]);
    flm_h5_close(&dataset[1]);
    flm_h5_close(&file);
    return rc;
}

/* The sums of the negative log-likelihoods of the scorer's tokens of each row of the last set, and their numbers. */
static flm_status print_tokens(const char *path)
{
    flm_status rc = FLM_OK;
    flm_samples *file = NULL;
    int32_t *ids = NULL;
    float *nll = NULL;
    bool present;
    FLM_TRY(flm_samples_open_read(path, &file));
    const int set = flm_samples_count(file) - 1;
    const int64_t length = flm_samples_get_token_length(file, set);
    ids = malloc((size_t)(length + 1) * sizeof *ids);
    nll = malloc((size_t)(length + 1) * sizeof *nll);
    if (!ids || !nll) FLM_FAIL(FLM_E_NOMEM, "no memory");
    for (int64_t i = 0; i < flm_samples_get_info(file)->samples; i++) {
        double sum = 0;
        int64_t count = 0;
        FLM_TRY(flm_samples_read_tokens(file, set, i, ids, nll, &present));
        for (int64_t k = 0; k < length; k++) {
            sum += (double)nll[k];
            count += ids[k] >= 0;
        }
        printf("%.17g %lld %s\n", sum, (long long)count, present ? "" : "missing");
    }
done:
    free(ids);
    free(nll);
    flm_samples_close(&file);
    return rc;
}

int main(int argc, char **argv)
{
    flm_status rc = FLM_OK;
    flm_comm *world = NULL;
    FLM_TRY(flm_process_init(&argc, &argv, &world));
    if (argc >= 3 && strcmp(argv[1], "gpt2") == 0)
        FLM_TRY(write_gpt2(argv[2], argc > 3 ? atoi(argv[3]) : 50257));
    else if (argc == 4 && strcmp(argv[1], "scores") == 0)
        FLM_TRY(print_scores(argv[2], argv[3]));
    else if (argc == 3 && strcmp(argv[1], "tokens") == 0)
        FLM_TRY(print_tokens(argv[2]));
    else if (argc == 3)
        FLM_TRY(write_samples(world, argv[2], strcmp(argv[1], "damage") == 0));
    else
        FLM_FAIL(FLM_E_USAGE, "usage: score_files gpt2|samples|damage|scores|tokens FILE");
done:
    if (rc != FLM_OK) flm_process_fail(rc);
    return flm_process_finish(rc, &world);
}
