/* self.c - the collectives of a single rank. SPDX-License-Identifier: Apache-2.0 */
#include "comm/comm.h"
#include "tests/tap.h"

#include <string.h>

static flm_comm *comm;

static flm_status sync_nothing(flm_backend *unused)
{
    (void)unused;
    return FLM_OK;
}

static const flm_stream stream = {.sync = sync_nothing};
static flm_backend host = {.name = "host", .stream = &stream, .host_memory = true};

static void test_divided(void)
{
    float x[7] = {1, 2, 3, 4, 5, 6, 7};
    const float want[7] = {1, 2, 3, 4, 5, 6, 7};
    flm_comm_request *a = NULL, *b = NULL, *c = NULL;
    tap_ok(flm_comm_sum_f32_begin(comm, &host, x, 7, &a) == FLM_OK &&
               flm_comm_reduce_scatter_begin(comm, &host, x, 7, &b) == FLM_OK &&
               flm_comm_all_gather_begin(comm, &host, x, FLM_DTYPE_F32, 7, &c) == FLM_OK,
           "begin");
    tap_ok(flm_comm_progress(comm) == FLM_OK, "progress");
    tap_ok(flm_comm_wait(comm, &b) == FLM_OK && flm_comm_wait(comm, &c) == FLM_OK &&
               flm_comm_wait(comm, &a) == FLM_OK && a == NULL && b == NULL && c == NULL,
           "wait in any order");
    tap_ok(memcmp(x, want, sizeof x) == 0, "the array is unchanged");
    tap_ok(flm_comm_wait(comm, &a) == FLM_OK, "nothing to wait for");
    host.host_memory = false;
    tap_ok(flm_comm_sum_f32_begin(comm, &host, x, 7, &a) == FLM_OK && a == NULL && memcmp(x, want, sizeof x) == 0 &&
               flm_comm_attach(comm, &host) == FLM_OK,
           "one rank transfers nothing: device memory needs no attach");
    flm_comm_detach(comm);
    host.host_memory = true;
    tap_ok(flm_comm_reduce_scatter_begin(comm, &host, x, -1, &a) == FLM_E_ARG, "a negative slice");
    tap_ok(flm_comm_reduce_scatter_begin(comm, &host, x, INT64_MAX, &a) == FLM_E_ARG, "a slice beyond all memory");
    tap_ok(flm_comm_reduce_scatter_begin(comm, &host, NULL, 0, &a) == FLM_OK, "an empty array");
}

static void test_host(void)
{
    double x[2] = {0.1, -0.0};
    const double want[2] = {0.1, -0.0};
    int64_t max[2] = {-5, INT64_MIN};
    char text[4] = "abc", all[4] = "";
    tap_ok(flm_comm_sum_f64(comm, x, 2) == FLM_OK && memcmp(x, want, sizeof x) == 0, "sum of f64: the same bits");
    tap_ok(flm_comm_max_i64(comm, max, 2) == FLM_OK && max[0] == -5 && max[1] == INT64_MIN, "maximum of i64");
    tap_ok(flm_comm_broadcast(comm, text, 4, 0) == FLM_OK && strcmp(text, "abc") == 0, "broadcast");
    tap_ok(flm_comm_gather(comm, text, 4, all, 0) == FLM_OK && strcmp(all, "abc") == 0, "gather");
    tap_ok(flm_comm_gather(comm, text, 0, all, 0) == FLM_OK, "gather nothing");
    tap_ok(flm_comm_barrier(comm) == FLM_OK, "barrier");
    tap_ok(flm_comm_sum_f64(comm, x, -1) == FLM_E_ARG && flm_comm_max_i64(comm, max, -1) == FLM_E_ARG &&
               flm_comm_broadcast(comm, text, -1, 0) == FLM_E_ARG &&
               flm_comm_gather(comm, text, -1, all, 0) == FLM_E_ARG,
           "negative counts");
}

static void test_errors(void)
{
    flm_err_clear();
    tap_ok(flm_comm_agree(comm, FLM_OK) == FLM_OK, "no failure");
    tap_ok(flm_comm_agree(comm, flm_err_raise(FLM_E_IO, __FILE__, __LINE__, "mine")) == FLM_E_IO &&
               flm_err_get_remote() == -1 && strcmp(flm_err_message(), "mine") == 0,
           "this rank reports its own failure");
    tap_ok(flm_comm_check_mpi(MPI_SUCCESS, "call", __FILE__, __LINE__) == FLM_OK, "no error");
    tap_ok(flm_comm_check_mpi(MPI_ERR_COUNT, "call(1)", __FILE__, __LINE__) == FLM_E_MPI &&
               strstr(flm_err_message(), "call(1)") != NULL && strncmp(flm_err_message(), "MPI: ", 5) == 0,
           "MPI's error as text: %s", flm_err_message());
    tap_ok(flm_comm_check_mpi(MPI_ERR_LASTCODE + 12345, "call", __FILE__, __LINE__) == FLM_E_MPI, "an invalid code");
}

int main(int argc, char **argv)
{
    int provided;
    MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided);
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    tap_ok(flm_comm_create(MPI_COMM_SELF, &comm) == FLM_OK, "create");
    tap_ok(flm_comm_rank(comm) == 0 && flm_comm_size(comm) == 1 && flm_comm_local_rank(comm) == 0, "one rank");
    test_divided();
    test_host();
    test_errors();
    flm_comm_destroy(&comm);
    flm_comm_destroy(&comm);
    tap_ok(comm == NULL, "destroyed");
    MPI_Finalize();
    return tap_end();
}
