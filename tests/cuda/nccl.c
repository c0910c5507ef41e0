/* nccl.c - the transport over NCCL on two ranks, with the stand-ins of fake.h and fake_nccl.h: the calls of NCCL, the
 * requests, and when NCCL is not chosen. SPDX-License-Identifier: Apache-2.0 */
#include "comm/comm.h"
#include "tests/cuda/fake_nccl.h"
#include "tests/ranks/ranks.h"

#include <stdlib.h>
#include <string.h>

enum { SLICE = 1003, AT_ONCE = 7 };

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
    ranks_ok(flm_comm_sync(comm, be) == FLM_OK, "sync waits for queued work");
    fake_broken = 1;
    ranks_ok(flm_comm_sync(comm, be) == FLM_E_DEVICE && strstr(flm_err_message(), "a peer is gone") &&
                 flm_comm_sum_f32_begin(comm, be, device, 1, &refused) == FLM_E_DEVICE,
             "a failure while waiting is reported and ends the communicator: %s", flm_err_message());
    fake_broken = 0;
    flm_err_clear();
    be->memory->release(be, device);
}

int main(int argc, char **argv)
{
    int provided;
    MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided);
    must(flm_comm_create(MPI_COMM_WORLD, &comm));
    rank = flm_comm_rank(comm);
    size = flm_comm_size(comm);
    must(flm_backend_create(FLM_DEVICE_CUDA, 0, flm_comm_local_rank(comm), &be));
    fake_gpu = 4;
    must(flm_comm_attach(comm, be));
    ranks_ok(strstr(flm_comm_describe(comm), "NCCL") == NULL, "ranks that share a GPU: %s", flm_comm_describe(comm));
    test_gather(FLM_DTYPE_F32);
    flm_comm_detach(comm);
    fake_gpu = rank;
    must(flm_comm_attach(comm, be));
    ranks_ok(strstr(flm_comm_describe(comm), "NCCL") != NULL, "a GPU each: %s", flm_comm_describe(comm));
    test_sums();
    test_gather(FLM_DTYPE_F32);
    test_gather(FLM_DTYPE_BF16);
    test_limits();
    flm_comm_detach(comm);
    must(flm_comm_attach(comm, be));
    flm_comm_abort();
    flm_comm_detach(comm);
    ranks_ok(true, "aborted");
    flm_backend_destroy(&be);
    flm_comm_destroy(&comm);
    return ranks_end();
}
