/* checkpoint.c - checkpoints written by several ranks have the same bytes as those of one and are read by any number;
 * if a rank cannot write, the existing checkpoints stay. SPDX-License-Identifier: Apache-2.0 */
#include "base/base_log.h"
#include "tests/io_fixture.h"
#include "tests/ranks/mock_device.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>

static flm_comm *comm, *self;
static char folder[32], alone[32];
static int rank, size;

static const char *at(const char *directory, const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    return path;
}

static bool files_equal(const char *a, const char *b)
{
    FILE *x = fopen(a, "rb"), *y = fopen(b, "rb");
    bool equal = x && y;
    int p = 0, q = 0;
    while (equal && p != EOF) equal = (p = getc(x)) == (q = getc(y));
    if (x) fclose(x);
    if (y) fclose(y);
    return equal;
}

static bool latest_is(const char *name)
{
    char target[64] = "";
    return readlink(at(folder, "latest"), target, sizeof target - 1) > 0 && strcmp(target, name) == 0;
}

/* Resume the group from the folder; returns the step, or -1 with the status in *rc. */
static int64_t resumed(flm_comm *group, flm_status *rc)
{
    flm_checkpoint *c = NULL;
    int64_t step = -1;

    *rc = flm_checkpoint_resume(group, folder, &c);
    if (*rc == FLM_OK && c) {
        step = flm_checkpoint_get_info(c)->step;
        if (!fixture_all_same(c, true, step)) step = -2;
    }
    flm_checkpoint_close(&c);
    return step;
}

static void test_bytes(void)
{
    flm_checkpoint *c = NULL;
    flm_status rc = FLM_OK;
    char first[128], second[128];

    fixture_ok(comm, fixture_write(comm, folder, 5, true, 0) == FLM_OK, "written by all ranks");
    if (rank == 0) rc = fixture_write(self, alone, 5, true, 0);
    fixture_ok(comm, rc == FLM_OK, "written by one rank");
    snprintf(first, sizeof first, "%s/step-00000005.h5", folder);
    snprintf(second, sizeof second, "%s/step-00000005.h5", alone);
    fixture_ok(comm, files_equal(first, second), "both files have the same bytes");
    rc = flm_checkpoint_open(second, &c);
    fixture_ok(comm, rc == FLM_OK && fixture_all_same(c, true, 5), "every rank reads what one wrote");
    flm_checkpoint_close(&c);
    fixture_ok(comm, resumed(comm, &rc) == 5, "all resume from what all wrote");
    fixture_ok(comm, resumed(self, &rc) == 5, "one resumes from it");
}

/* The same file again, from slices on a device. */
static void test_device(void)
{
    flm_checkpoint_dataset datasets[FIXTURE_DATASETS];
    flm_checkpoint_slice slices[256];
    const flm_checkpoint_info info = fixture_info(5);
    flm_backend *device = mock_open();
    const int count = fixture_datasets(datasets, true), n = fixture_slices(datasets, count, rank, size, 5, slices);
    flm_status rc;
    char first[128], second[128];
    size_t all = 0;

    mock_read = 0;
    for (int i = 0; i < n; i++) {
        const size_t bytes = (size_t)slices[i].count * sizeof(float);
        void *copy = NULL;
        all += bytes;
        slices[i].be = device;
        if (device->memory->alloc(device, bytes, &copy) != FLM_OK ||
            device->memory->to_device(device, copy, slices[i].data, bytes) != FLM_OK ||
            device->stream->sync(device) != FLM_OK)
            abort();
        free(slices[i].data);
        slices[i].data = copy;
    }
    rc = flm_checkpoint_write(comm, folder, &info, fixture_settings, 3, datasets, count, slices, n, 0);
    fixture_ok(comm, rc == FLM_OK, "written from a device's memory");
    fixture_ok(comm, mock_read == all, "every byte is copied from the device once");
    snprintf(first, sizeof first, "%s/step-00000005.h5", folder);
    snprintf(second, sizeof second, "%s/step-00000005.h5", alone);
    fixture_ok(comm, files_equal(first, second), "the same bytes");
    for (int i = 0; i < n; i++) device->memory->release(device, slices[i].data);
    fixture_ok(comm, mock_close(), "all memory is released");
}

/* All ranks write a checkpoint while rank `victim` has a limit on the size of its files. */
static void test_disk_full(int victim, rlim_t max)
{
    const int files = fixture_files(folder);
    struct rlimit limit, all;
    flm_status rc;

    flm_err_clear();
    if (getrlimit(RLIMIT_FSIZE, &all) != 0) return;
    limit = all;
    limit.rlim_cur = max;
    if (rank == victim) setrlimit(RLIMIT_FSIZE, &limit);
    rc = fixture_write(comm, folder, 6, true, 0);
    if (rank == victim) setrlimit(RLIMIT_FSIZE, &all);
    if (rank == 0) printf("# rank %d may write %lld bytes\n", victim, (long long)max);
    fixture_ok(comm, rc == FLM_E_IO, "a full disk on one rank is an error on all");
    fixture_ok(comm,
               rank == victim ? flm_err_get_remote() == -1 && strstr(flm_err_message(), strerror(EFBIG)) != NULL &&
                                    strstr(flm_err_message(), folder) != NULL
                              : flm_err_get_remote() == victim,
               "the failing rank reports it, with file and reason");
    if (flm_comm_barrier(comm) != FLM_OK) return;
    fixture_ok(comm, fixture_files(folder) == files && latest_is("step-00000005.h5"), "no part of the file is left");
    fixture_ok(comm, resumed(comm, &rc) == 5, "the previous checkpoint is valid");
}

static void test_hole(void)
{
    flm_checkpoint_dataset dataset = {"weights/a", 1, {100, 0}};
    const flm_checkpoint_info info = fixture_info(7);
    float x[100] = {0};
    flm_checkpoint_slice slice = {0, rank * (100 / size), 100 / size, x, NULL};
    flm_status rc;

    if (rank == size - 1) slice.count--;
    rc = flm_checkpoint_write(comm, folder, &info, NULL, 0, &dataset, 1, &slice, 1, 0);
    fixture_ok(comm, rc == FLM_E_ARG && (rank > 0 || strstr(flm_err_message(), "element 99")), "a hole is refused");
    if (rank == size - 1) slice.first--, slice.count += 2;
    rc = flm_checkpoint_write(comm, folder, &info, NULL, 0, &dataset, 1, &slice, 1, 0);
    fixture_ok(comm, rc == FLM_E_ARG && (rank > 0 || strstr(flm_err_message(), "overlap")), "an overlap of two ranks");
    fixture_ok(comm, latest_is("step-00000005.h5"), "latest is as it was");
}

/* The ranks share the blocks to verify: whichever finds the damage, all fall back. */
static void test_damage(void)
{
    flm_status rc = FLM_OK;
    struct stat st;

    for (int block = 0; block < 5; block++) {
        int64_t offset;
        bool ok = fixture_write(comm, folder, 8, true, 0) == FLM_OK;
        ok = ok && stat(at(folder, "step-00000008.h5"), &st) == 0;
        offset = st.st_size - 1 - block * ((int64_t)4 << 20);
        if (flm_comm_barrier(comm) != FLM_OK) return;
        if (rank == 0) ok = ok && fixture_flip(at(folder, "step-00000008.h5"), offset, block);
        if (flm_comm_barrier(comm) != FLM_OK) return;
        fixture_ok(comm, ok && resumed(comm, &rc) == 5, "a changed bit: all ranks resume from the previous checkpoint");
    }
    if (rank == 0 && truncate(at(folder, "step-00000005.h5"), 5000) != 0) rc = FLM_E_IO;
    if (flm_comm_barrier(comm) != FLM_OK) return;
    fixture_ok(comm, resumed(comm, &rc) == -1 && rc == FLM_E_FORMAT && flm_err_get_remote() == (rank > 0 ? 0 : -1),
               "no valid checkpoint: an error on all, reported by rank 0");
}

int main(int argc, char **argv)
{
    MPI_Init(&argc, &argv);
    signal(SIGXFSZ, SIG_IGN);
    if (flm_comm_create(MPI_COMM_WORLD, &comm) != FLM_OK || flm_comm_create(MPI_COMM_SELF, &self) != FLM_OK) return 99;
    rank = flm_comm_rank(comm);
    size = flm_comm_size(comm);
    flm_log_init(rank, FLM_LOG_ERROR);
    fixture_folder(comm, folder);
    fixture_folder(comm, alone);
    test_bytes();
    test_device();
    test_disk_full(0, 1 << 20);
    test_disk_full(size - 1, 1 << 20);
    test_disk_full(size - 1, 12 << 20);
    test_hole();
    test_damage();
    fixture_ok(comm, rank > 0 || (fixture_remove(folder) && fixture_remove(alone)), "the test's folders are removed");
    flm_comm_destroy(&self);
    flm_comm_destroy(&comm);
    MPI_Finalize();
    return rank == 0 ? tap_end() : 0;
}
