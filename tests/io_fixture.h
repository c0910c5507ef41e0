/* io_fixture.h - for the tests of files: a folder of their own, a small checkpoint whose every element is known, and
 * answers that all ranks agree on. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_TESTS_IO_FIXTURE_H
#define FLM_TESTS_IO_FIXTURE_H

#include "io/io_checkpoint.h"
#include "tests/tap.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FIXTURE_DATASETS = 8, FIXTURE_LONG = (1 << 20) + 70001 /* elements: two blocks */ };

/* fixture_ok - passed when it is so on every rank; rank 0 prints. Collective. */
static inline int fixture_ok(flm_comm *comm, int ok, const char *name)
{
    int64_t bad = !ok;
    if (!ok && flm_comm_rank(comm) > 0) printf("# rank %d: %s: %s\n", flm_comm_rank(comm), name, flm_err_message());
    if (flm_comm_max_i64(comm, &bad, 1) != FLM_OK) bad = 1;
    if (flm_comm_rank(comm) == 0 && !tap_ok(bad == 0, "%s", name)) printf("# %s\n", flm_err_message());
    return bad == 0;
}

/* A new folder below the current one, the same on every rank. Collective. */
static inline void fixture_folder(flm_comm *comm, char path[32])
{
    strcpy(path, "io-test.XXXXXX");
    if (flm_comm_rank(comm) == 0 && !mkdtemp(path)) path[0] = '\0';
    if (flm_comm_broadcast(comm, path, 32, 0) != FLM_OK) path[0] = '\0';
}

/* Removes a folder and its files; false when it holds anything but files, or is not there. */
static inline bool fixture_remove(const char *folder)
{
    DIR *dir = opendir(folder);
    const struct dirent *entry;
    while (dir && (entry = readdir(dir)))
        if (entry->d_name[0] != '.' || strlen(entry->d_name) > 2) unlinkat(dirfd(dir), entry->d_name, 0);
    if (dir) closedir(dir);
    return rmdir(folder) == 0;
}

/* How many files a folder holds, hidden ones included. */
static inline int fixture_files(const char *folder)
{
    DIR *dir = opendir(folder);
    const struct dirent *entry;
    int n = 0;
    while (dir && (entry = readdir(dir))) n += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    if (dir) closedir(dir);
    return n;
}

static inline bool fixture_exists(const char *folder, const char *name)
{
    char path[512];
    struct stat st;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return lstat(path, &st) == 0;
}

/* Turns one bit of a byte around. */
static inline bool fixture_flip(const char *path, int64_t at, int bit)
{
    int fd = open(path, O_RDWR);
    unsigned char byte;
    bool ok = fd >= 0 && pread(fd, &byte, 1, at) == 1;
    byte ^= (unsigned char)(1 << bit);
    ok = ok && pwrite(fd, &byte, 1, at) == 1;
    if (fd >= 0) close(fd);
    return ok;
}

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
        snprintf(out[2 * i].name, FLM_NAME_BYTES, "%s/vocab_embed.embedding", names[i]);
        out[2 * i + 1] = (flm_checkpoint_dataset){.ndim = 1, .dim = {length}};
        snprintf(out[2 * i + 1].name, FLM_NAME_BYTES, "%s/long", names[i]);
    }
    return FIXTURE_DATASETS;
}

static inline int64_t fixture_elements(const flm_checkpoint_dataset *d)
{
    return d->ndim == 2 ? d->dim[0] * d->dim[1] : d->dim[0];
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
        const int64_t elements = fixture_elements(&datasets[i]), parts = 2 * size + 1;
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
        if (!fixture_same(c, i, datasets[i].name, 0, fixture_elements(&datasets[i]), step)) return false;
    return true;
}

#endif
