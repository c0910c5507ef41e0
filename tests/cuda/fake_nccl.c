/* fake_nccl.c - see fake_nccl.h: NCCL's collectives, by MPI with sums in the order of the ranks, and the functions of
 * CUDA's runtime that the transport uses. As on GPUs a collective takes its place in the stream, and is finished when
 * all ranks have queued it; a communicator starts when all ranks have joined, and no call on it blocks.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/cuda/fake_nccl.h"

#include "tests/cuda/fake.h"
#include "tests/cuda/fake_stream.h"

#include <cuda_runtime_api.h>
#include <mpi.h>
#include <nccl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <unistd.h>

int fake_broken, fake_late;

struct ncclComm {
    int rank, size;
    MPI_Comm mpi;
    MPI_Request start; /* until all ranks have joined */
};

/* A collective in a stream: all ranks' elements are gathered, then `end` makes the result of them. */
typedef struct collective {
    MPI_Comm mpi;
    MPI_Request request;
    bool begun;
    int rank, size;
    const void *from;
    void *to, *all;
    size_t bytes; /* of each rank */
    void (*end)(const struct collective *c);
} collective;

cudaError_t cudaDeviceGetStreamPriorityRange(int *min, int *greatest)
{
    *min = 0;
    *greatest = -5;
    return cudaSuccess;
}

cudaError_t cudaStreamCreateWithPriority(cudaStream_t *out, unsigned flags, int priority)
{
    return priority == -5 ? cudaStreamCreateWithFlags(out, flags) : cudaErrorInvalidValue;
}

ncclResult_t ncclGetUniqueId(ncclUniqueId *id)
{
    memset(id, 7, sizeof *id);
    return ncclSuccess;
}

ncclResult_t ncclCommInitRankConfig(ncclComm_t *out, int size, ncclUniqueId id, int rank, ncclConfig_t *config)
{
    ncclComm_t comm = calloc(1, sizeof *comm);
    if (!comm) abort();
    comm->rank = rank;
    comm->size = size;
    *out = comm;
    if (id.internal[5] != 7 || !config || config->blocking != 0) return ncclInvalidArgument;
    if (fake_late) sleep((unsigned)fake_late); /* this rank does not get here for so long */
    MPI_Comm_idup(MPI_COMM_WORLD, &comm->mpi, &comm->start);
    return ncclInProgress;
}

ncclResult_t ncclCommFinalize(ncclComm_t comm) { return comm ? ncclSuccess : ncclInvalidArgument; }

/* The communicator of MPI stays: collectives may be in progress on it. */
ncclResult_t ncclCommDestroy(ncclComm_t comm)
{
    free(comm);
    return ncclSuccess;
}

ncclResult_t ncclCommAbort(ncclComm_t comm) { return ncclCommDestroy(comm); }

ncclResult_t ncclGetVersion(int *version)
{
    *version = 22800;
    return ncclSuccess;
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t *state)
{
    int joined = 0;
    if (!comm) return ncclInvalidArgument;
    MPI_Test(&comm->start, &joined, MPI_STATUS_IGNORE);
    *state = fake_broken ? ncclRemoteError : joined ? ncclSuccess : ncclInProgress;
    return ncclSuccess;
}

const char *ncclGetErrorString(ncclResult_t code) { return code == ncclRemoteError ? "remote error" : "error"; }

const char *ncclGetLastError(ncclComm_t comm) { return comm ? "a peer is gone" : ""; }

static bool run_collective(void *arg)
{
    collective *c = arg;
    int done = 0;
    if (!c->begun)
        MPI_Iallgather(c->from, (int)c->bytes, MPI_BYTE, c->all, (int)c->bytes, MPI_BYTE, c->mpi, &c->request);
    c->begun = true;
    MPI_Test(&c->request, &done, MPI_STATUS_IGNORE);
    if (!done) return false;
    c->end(c);
    free(c->all);
    return true;
}

static ncclResult_t push(ncclComm_t comm, cudaStream_t stream, const void *from, void *to, size_t bytes,
                         void (*end)(const collective *c))
{
    collective *c = malloc(sizeof *c);
    void *all = malloc(bytes * (size_t)comm->size);
    if (!c || !all) abort();
    if (comm->start != MPI_REQUEST_NULL) return ncclInvalidUsage; /* the communicator has not started */
    *c = (collective){.mpi = comm->mpi,
                      .rank = comm->rank,
                      .size = comm->size,
                      .from = near(from),
                      .to = near(to),
                      .all = all,
                      .bytes = bytes,
                      .end = end};
    fake_stream_push(stream, run_collective, c);
    return ncclSuccess;
}

/* to = elements [first, first + count) of the sum, in the order of the ranks. */
static void add(const collective *c, size_t first, size_t count, float *to)
{
    const float *all = c->all;
    const size_t each = c->bytes / sizeof *all;
    for (size_t i = 0; i < count; i++) {
        float sum = all[first + i];
        for (size_t r = 1; r < (size_t)c->size; r++) sum += all[r * each + first + i];
        to[i] = sum;
    }
}

static void add_f64(const collective *c)
{
    const double *all = c->all;
    const size_t count = c->bytes / sizeof *all;
    for (size_t i = 0; i < count; i++) {
        double sum = all[i];
        for (size_t r = 1; r < (size_t)c->size; r++) sum += all[r * count + i];
        ((double *)c->to)[i] = sum;
    }
}

static void end_sum(const collective *c) { add(c, 0, c->bytes / sizeof(float), c->to); }

static void end_scatter(const collective *c)
{
    const size_t slice = c->bytes / sizeof(float) / (size_t)c->size;
    memset((void *)(uintptr_t)c->from, 0xFF, c->bytes); /* the rest is undefined */
    add(c, (size_t)c->rank * slice, slice, c->to);
}

static void end_gather(const collective *c) { memcpy(c->to, c->all, c->bytes * (size_t)c->size); }

ncclResult_t ncclAllReduce(const void *from, void *to, size_t count, ncclDataType_t type, ncclRedOp_t op,
                           ncclComm_t comm, cudaStream_t stream)
{
    const bool wide = type == ncclFloat64;
    if ((type != ncclFloat32 && !wide) || op != ncclSum || !stream || from != to) return ncclInvalidArgument;
    return push(comm, stream, from, to, count * (wide ? sizeof(double) : sizeof(float)), wide ? add_f64 : end_sum);
}

ncclResult_t ncclReduceScatter(const void *from, void *to, size_t count, ncclDataType_t type, ncclRedOp_t op,
                               ncclComm_t comm, cudaStream_t stream)
{
    if (type != ncclFloat32 || op != ncclSum || !stream) return ncclInvalidArgument;
    /* In place, by the rule of the manual. */
    if ((const float *)to != (const float *)from + (size_t)comm->rank * count) return ncclInvalidArgument;
    return push(comm, stream, from, to, count * (size_t)comm->size * sizeof(float), end_scatter);
}

ncclResult_t ncclAllGather(const void *from, void *to, size_t count, ncclDataType_t type, ncclComm_t comm,
                           cudaStream_t stream)
{
    if (type != ncclUint8 || !stream || (const char *)from != (const char *)to + (size_t)comm->rank * count)
        return ncclInvalidArgument;
    return push(comm, stream, from, to, count, end_gather);
}
