/* io_fixture.h - a small checkpoint of which every element is known. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_TESTS_IO_FIXTURE_H
#define FLM_TESTS_IO_FIXTURE_H

#include "io/io_checkpoint.h"
#include "tests/io_folder.h"

enum { FIXTURE_DATASETS = 8, FIXTURE_LONG = (1 << 20) + 70001 /* elements: two blocks */ };

static inline flm_checkpoint_info fixture_info(int64_t step)
{
    flm_checkpoint_info info = {.kind = "flm",
                                .step = step,
                                .epoch = 3,
                                .rows_read = 5 * step,
                                .tokens_seen = 640 * step,
                                .seed = -7,
                                .L = 16,
                                .d = 5,
                                .H = 1,
                                .c = 3,
                                .N = 1};
    strcpy(info.vocabulary.name, "bytes");
    memset(info.vocabulary.sha256, 'a', 64);
    info.vocabulary.V = 259;
    info.vocabulary.begin_id = 257;
    info.vocabulary.end_id = 258;
    return info;
}

/* The known datasets; with_long: one of them has two blocks. */
static inline int fixture_datasets(flm_checkpoint_dataset out[FIXTURE_DATASETS], bool with_long)
{
    static const char *const names[] = {"weights", "ema", "optimizer/m", "optimizer/v"};
    const int64_t length = with_long ? FIXTURE_LONG : 77;
    for (int i = 0; i < 4; i++) {
        out[2 * i] = (flm_checkpoint_dataset){.ndim = 2, .dim = {259, 5}};
        snprintf(out[2 * i].name, FLM_DATASET_NAME_BYTES, "%s/vocab_embed.embedding", names[i]);
        out[2 * i + 1] = (flm_checkpoint_dataset){.ndim = 1, .dim = {length}};
        snprintf(out[2 * i + 1].name, FLM_DATASET_NAME_BYTES, "%s/long", names[i]);
    }
    return FIXTURE_DATASETS;
}

static inline float fixture_value(int dataset, int64_t element, int64_t step)
{
    return (float)((element * 7919 + dataset * 104729 + step * 31) % 1000003) - 0.5f;
}

/* This rank's slices: every dataset is cut unevenly, and where cut in 2 or more, one rank has two of the pieces.
 * Data are malloc'd. */
static inline int fixture_slices(const flm_checkpoint_dataset *datasets, int count, int rank, int size, int64_t step,
                                 flm_checkpoint_slice *out)
{
    int n = 0;
    for (int i = 0; i < count; i++) {
        const int64_t elements = flm_checkpoint_elements(&datasets[i]), parts = 2 * size + 1;
        for (int64_t part = 0; part < parts; part++) {
            const int64_t first = elements * part * part / (parts * parts);
            const int64_t end = elements * (part + 1) * (part + 1) / (parts * parts);
            if ((part + i) % size != rank || first == end) continue;
            out[n] = (flm_checkpoint_slice){i, first, end - first, malloc((size_t)(end - first) * sizeof(float)), NULL};
            if (!out[n].data) abort();
            for (int64_t e = first; e < end; e++) out[n].data[e - first] = fixture_value(i, e, step);
            n++;
        }
    }
    return n;
}

static inline void fixture_slices_free(flm_checkpoint_slice *slices, int count)
{
    for (int i = 0; i < count; i++) free(slices[i].data);
}

static const flm_setting fixture_settings[] = {{"lr", "0.0003"}, {"data", "some/where"}, {"empty", ""}};

/* Writes the known checkpoint of a step from all ranks. Collective. */
static inline flm_status fixture_write(flm_comm *comm, const char *folder, int64_t step, bool with_long, int keep)
{
    flm_checkpoint_dataset datasets[FIXTURE_DATASETS];
    flm_checkpoint_slice *slices = calloc(256, sizeof *slices);
    const flm_checkpoint_info info = fixture_info(step);
    const int count = fixture_datasets(datasets, with_long);
    const int n = fixture_slices(datasets, count, flm_comm_rank(comm), flm_comm_size(comm), step, slices);
    flm_status rc = flm_checkpoint_write(comm, folder, &info, fixture_settings, 3, datasets, count, slices, n, keep);
    fixture_slices_free(slices, n);
    free(slices);
    return rc;
}

/* Whether elements [first, first + count) of a dataset are what was written. */
static inline bool fixture_same(const flm_checkpoint *c, int dataset, const char *name, int64_t first, int64_t count,
                                int64_t step)
{
    float *data = malloc((size_t)(count + 1) * sizeof *data);
    bool same = data && flm_checkpoint_read(c, name, first, count, data) == FLM_OK;
    for (int64_t e = 0; same && e < count; e++) same = data[e] == fixture_value(dataset, first + e, step);
    free(data);
    return same;
}

/* Whether every element of every dataset is. */
static inline bool fixture_all_same(const flm_checkpoint *c, bool with_long, int64_t step)
{
    flm_checkpoint_dataset datasets[FIXTURE_DATASETS];
    const int count = fixture_datasets(datasets, with_long);
    for (int i = 0; i < count; i++)
        if (!fixture_same(c, i, datasets[i].name, 0, flm_checkpoint_elements(&datasets[i]), step)) return false;
    return true;
}

#endif
