/* samples.c - one samples file with rows from every rank, continued by a job on another number of ranks.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/base_log.h"
#include "io/io_samples.h"
#include "tests/io_fixture.h"

enum { N = 13, L = 3 };

static flm_comm *comm, *self;
static int rank, size;
static char folder[32], path[64];

static flm_samples_info info_of(void)
{
    const flm_checkpoint_info checkpoint = fixture_info(20);
    return (flm_samples_info){.vocabulary = checkpoint.vocabulary,
                              .samples = N,
                              .L = L,
                              .kind = "fmlm-two-stage",
                              .checkpoint = "x",
                              .weights = "raw",
                              .precision = "fp32"};
}

static flm_status row_write(flm_samples *s, int64_t row)
{
    const int32_t ids[L] = {(int32_t)row, 258, (int32_t)(2 * row)};
    return flm_samples_write(s, 0, row, 1, ids);
}

/* The number of rows that read back as written. */
static int rows_written(flm_samples *s)
{
    int n = 0;
    for (int64_t row = 0; row < N; row++) {
        int32_t ids[L];
        n += flm_samples_read(s, 0, row, 1, ids) == FLM_OK && ids[0] == row && ids[1] == 258 && ids[2] == 2 * row;
    }
    return n;
}

int main(int argc, char **argv)
{
    const flm_samples_setting setting = flm_samples_setting_of_steps(2);
    flm_samples_info info = info_of();
    flm_samples *s = NULL;
    bool ok = true;
    int64_t rows = 0;

    MPI_Init(&argc, &argv);
    if (flm_comm_create(MPI_COMM_WORLD, &comm) != FLM_OK || flm_comm_create(MPI_COMM_SELF, &self) != FLM_OK) return 99;
    rank = flm_comm_rank(comm);
    size = flm_comm_size(comm);
    flm_log_init(rank, FLM_LOG_ERROR);
    fixture_folder(comm, folder);
    snprintf(path, sizeof path, "%s/samples.h5", folder);

    fixture_ok(comm, flm_samples_open_write(comm, path, &info, NULL, &setting, 1, &s) == FLM_OK, "created");
    for (int64_t row = rank; row < N && s; row += size)
        if (row != 5) ok = ok && row_write(s, row) == FLM_OK; /* as if the job was interrupted */
    fixture_ok(comm,
               ok && flm_samples_set_result(s, 0, "entropy", 3) == FLM_OK && flm_samples_commit(comm, s) == FLM_OK,
               "rows from every rank");
    fixture_ok(comm, flm_samples_close(&s) == FLM_OK, "closed");

    if (rank == 0) {
        ok = flm_samples_open_write(self, path, &info, NULL, &setting, 1, &s) == FLM_OK && rows_written(s) == N - 1;
        ok = ok && flm_samples_verify(s, 0, &rows) == FLM_OK && rows == N - 1 && row_write(s, 5) == FLM_OK;
        ok = flm_samples_close(&s) == FLM_OK && ok;
    }
    fixture_ok(comm, ok, "one rank writes the missing row");
    fixture_ok(comm, flm_samples_open_write(comm, path, &info, NULL, &setting, 1, &s) == FLM_OK && rows_written(s) == N,
               "every rank sees all rows");
    flm_samples_close(&s);
    info.seed++;
    fixture_ok(comm,
               flm_samples_open_write(comm, path, &info, NULL, &setting, 1, &s) == FLM_E_MISMATCH && !s &&
                   flm_err_get_remote() == (rank > 0 ? 0 : -1),
               "another seed is refused on every rank and reported by one");
    fixture_ok(comm, rank > 0 || fixture_remove(folder), "the test's folder is removed");
    flm_comm_destroy(&self);
    flm_comm_destroy(&comm);
    MPI_Finalize();
    return rank == 0 ? tap_end() : 0;
}
