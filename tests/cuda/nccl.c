/* nccl.c - the transport over NCCL on two ranks, with the stand-ins of fake.h and fake_nccl.h: the calls of NCCL, the
 * requests, and when NCCL is not chosen. SPDX-License-Identifier: Apache-2.0 */
#include "comm/comm.h"
#include "tests/cuda/fake.h"
#include "tests/cuda/fake_nccl.h"
#include "tests/ranks/ranks.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SLICE = 1003, AT_ONCE = 7 };
enum { LATE = 2 }; /* seconds: more than the timeout and the time for an answer */

static flm_comm *comm;
static flm_backend *be;
static int rank, size;

static void must(flm_status rc)
{
    if (rc == FLM_OK) return;
    fprintf(stderr, "# %s\n", flm_err_message());
    MPI_Abort(MPI_COMM_WORLD, 1);
}

static float value(int r, int64_t i) { return (float)((i * 7 + r * 13) % 101 - 50); }

static float total(int64_t i)
{
    float sum = 0;
    for (int r = 0; r < size; r++) sum += value(r, i);
    return sum;
}

/* A device array with these bytes. */
static void *device_copy(const void *host, size_t bytes)
{
    void *device = NULL;
    must(be->memory->alloc(be, bytes, &device));
    must(be->memory->to_device(be, device, host, bytes));
    must(be->stream->sync(be));
    return device;
}

/* Copies a device array to the host and releases it. */
static void fetch_and_release(void *host, void *device, size_t bytes)
{
    must(be->memory->to_host(be, host, device, bytes));
    must(be->stream->sync(be));
    be->memory->release(be, device);
}

static void test_sums(void)
{
    const int64_t count = (int64_t)size * SLICE - 1;
    float *x[AT_ONCE], *device[AT_ONCE];
    flm_comm_request *request[AT_ONCE] = {NULL};
    bool right = true;
    for (int k = 0; k < AT_ONCE; k++) {
        x[k] = malloc((size_t)(size * SLICE) * sizeof(float));
        if (!x[k]) abort();
        for (int64_t i = 0; i < size * SLICE; i++) x[k][i] = value(rank, i + k);
        device[k] = device_copy(x[k], (size_t)(size * SLICE) * sizeof(float));
        right = right && (k % 2 ? flm_comm_sum_f32_begin(comm, be, device[k], count, &request[k])
                                : flm_comm_reduce_scatter_begin(comm, be, device[k], SLICE, &request[k])) == FLM_OK;
        right = right && request[k] != NULL && flm_comm_progress(comm) == FLM_OK;
    }
    for (int k = AT_ONCE - 1; k >= 0; k--) {
        right = right && flm_comm_wait(comm, &request[k]) == FLM_OK && request[k] == NULL;
        fetch_and_release(x[k], device[k], (size_t)(size * SLICE) * sizeof(float));
        const int64_t begin = k % 2 ? 0 : rank * SLICE, end = k % 2 ? count : begin + SLICE;
        for (int64_t i = begin; i < end; i++) right = right && x[k][i] == total(i + k);
        if (k % 2) right = right && x[k][count] == value(rank, count + k);
        free(x[k]);
    }
    ranks_ok(right, "sums and reduce-scatters, several at once");
}

static void test_gather(flm_dtype dtype)
{
    const size_t bytes = (size_t)SLICE * flm_dtype_size(dtype);
    unsigned char *x = malloc((size_t)size * bytes);
    flm_comm_request *request = NULL;
    bool right = x != NULL;
    if (!x) abort();
    memset(x, 0xFF, (size_t)size * bytes);
    memset(x + (size_t)rank * bytes, rank + 1, bytes);
    void *device = device_copy(x, (size_t)size * bytes);
    right = flm_comm_all_gather_begin(comm, be, device, dtype, SLICE, &request) == FLM_OK &&
            flm_comm_wait(comm, &request) == FLM_OK;
    fetch_and_release(x, device, (size_t)size * bytes);
    for (size_t i = 0; i < (size_t)size * bytes; i++) right = right && x[i] == i / bytes + 1;
    ranks_ok(right, "all-gather of %s", flm_dtype_name(dtype));
    free(x);
}

static void test_limits(void)
{
    flm_comm_request *request[FLM_COMM_REQUESTS] = {NULL}, *refused = NULL;
    float zero[1] = {0};
    float *device = device_copy(zero, sizeof zero);
    bool right = true;
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < FLM_COMM_REQUESTS; i++)
            right = right && flm_comm_sum_f32_begin(comm, be, device, 1, &request[i]) == FLM_OK;
        right = right && flm_comm_sum_f32_begin(comm, be, device, 1, &refused) == FLM_E_ARG && refused == NULL;
        for (int i = 0; i < FLM_COMM_REQUESTS; i++) right = right && flm_comm_wait(comm, &request[i]) == FLM_OK;
    }
    ranks_ok(right, "%d requests at once and no more", FLM_COMM_REQUESTS);
    flm_err_clear();
    be->memory->release(be, device);
}

/* The other rank has failed: it queues nothing. */
static void test_dead_peer(void)
{
    float zero[4] = {0}, pageable[4];
    float *device = device_copy(zero, sizeof zero);
    flm_comm_request *request = NULL;
    bool right = true;
    if (rank == 0) {
        must(flm_comm_sum_f32_begin(comm, be, device, 4, &request));
        must(flm_comm_wait(comm, &request)); /* the GPU waits, the host does not */
        fake_broken = 1;
        right = be->memory->to_host(be, pageable, device, sizeof pageable) == FLM_E_DEVICE &&
                strstr(flm_err_message(), "a peer is gone") != NULL;
        right = right && be->stream->sync(be) == FLM_E_DEVICE &&
                flm_comm_sum_f32_begin(comm, be, device, 1, &request) == FLM_E_DEVICE;
        fake_broken = 0;
    }
    ranks_ok(right, "a copy into pageable memory behind a dead rank's collective fails: %s", flm_err_message());
    flm_err_clear();
    if (rank != 0) must(flm_comm_sum_f32_begin(comm, be, device, 4, &request)); /* the stand-in may end it */
    if (rank != 0) must(flm_comm_wait(comm, &request));
    must(flm_comm_barrier(comm));
    flm_comm_detach(comm);
    be->memory->release(be, device);
}

/* The other rank comes too late. */
static void test_late_peer(void)
{
    float zero[4] = {0};
    float *device = device_copy(zero, sizeof zero);
    flm_comm_request *request = NULL;
    flm_status rc = FLM_OK;
    char name[80];
    must(flm_comm_attach(comm, be));
    snprintf(name, sizeof name, "rank 1 on node %s", flm_comm_node_name(comm, 1));
    if (rank == 1) sleep(LATE);
    must(flm_comm_sum_f32_begin(comm, be, device, 4, &request));
    must(flm_comm_wait(comm, &request));
    flm_comm_configure(comm, &(flm_comm_settings){.timeout = rank == 0 ? 0.3 : 0});
    rc = be->stream->sync(be);
    ranks_ok(rank == 1 ? rc == FLM_OK : rc == FLM_E_MPI && strstr(flm_err_message(), name) != NULL,
             "a wait for the GPU has a deadline: %s", flm_err_message());
    flm_err_clear();
    flm_comm_detach(comm);
    be->memory->release(be, device);
    flm_comm_configure(comm, &(flm_comm_settings){.timeout = 0});
    must(flm_comm_barrier(comm));
    fake_late = rank == 1 ? LATE : 0;
    flm_comm_configure(comm, &(flm_comm_settings){.timeout = rank == 0 ? 0.3 : 0});
    rc = flm_comm_attach(comm, be);
    ranks_ok(rank == 1 ? rc == FLM_OK
                       : rc == FLM_E_MPI && strstr(flm_err_message(), name) != NULL &&
                             strstr(flm_err_message(), "start of NCCL") != NULL,
             "so has the start of NCCL: %s", flm_err_message());
    flm_err_clear();
    flm_comm_detach(comm);
    flm_comm_configure(comm, &(flm_comm_settings){.timeout = 0});
    fake_late = 0;
}

int main(int argc, char **argv)
{
    int provided;
    MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided);
    must(flm_comm_create(MPI_COMM_WORLD, &comm));
    rank = flm_comm_rank(comm);
    size = flm_comm_size(comm);
    fake_gpu = 4;
    must(flm_backend_create(FLM_DEVICE_CUDA, 0, 0, &be));
    ranks_ok(flm_comm_check_gpus(comm, be) == FLM_E_USAGE && strstr(flm_err_message(), "--share-gpus"),
             "more ranks than GPUs: %s", flm_err_message());
    flm_err_clear();
    flm_comm_configure(comm, &(flm_comm_settings){.share_gpus = true});
    must(flm_comm_check_gpus(comm, be));
    must(flm_comm_attach(comm, be));
    ranks_ok(strstr(flm_comm_describe(comm), "NCCL") == NULL, "ranks that share a GPU: %s", flm_comm_describe(comm));
    test_gather(FLM_DTYPE_F32);
    flm_comm_detach(comm);
    flm_backend_destroy(&be);
    fake_gpu = rank;
    must(flm_backend_create(FLM_DEVICE_CUDA, 0, 0, &be));
    flm_comm_configure(comm, &(flm_comm_settings){0});
    must(flm_comm_check_gpus(comm, be));
    must(flm_comm_attach(comm, be));
    ranks_ok(strstr(flm_comm_describe(comm), "NCCL") != NULL, "a GPU each: %s", flm_comm_describe(comm));
    test_sums();
    test_gather(FLM_DTYPE_F32);
    test_gather(FLM_DTYPE_BF16);
    test_limits();
    test_dead_peer();
    test_late_peer();
    must(flm_comm_attach(comm, be));
    flm_comm_abort();
    flm_comm_detach(comm);
    ranks_ok(true, "aborted");
    flm_backend_destroy(&be);
    flm_comm_destroy(&comm);
    return ranks_end();
}
