/* fake_nccl.c - see fake_nccl.h: NCCL's collectives, done immediately by MPI with sums in the order of the ranks, and
 * the functions of CUDA's runtime that the transport uses. An event that is waited for must have been recorded on
 * another stream. SPDX-License-Identifier: Apache-2.0 */
#include "tests/cuda/fake_nccl.h"

#include "tests/cuda/fake.h"

#include <cuda_runtime_api.h>
#include <mpi.h>
#include <nccl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int fake_gpu, fake_broken;

typedef struct event {
    cudaStream_t stream; /* where it was recorded last */
} event;

struct ncclComm {
    int rank, size, last; /* last: collectives queued */
};

cudaError_t cudaGetDevice(int *device)
{
    *device = 0;
    return cudaSuccess;
}

cudaError_t cudaDeviceGetPCIBusId(char *id, int size, int device)
{
    snprintf(id, (size_t)size, "0000:%02x:%02x.0", fake_gpu, device);
    return cudaSuccess;
}

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

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *out, unsigned flags)
{
    *out = (cudaEvent_t)calloc(1, sizeof(event));
    return flags == cudaEventDisableTiming ? cudaSuccess : cudaErrorInvalidValue;
}

/* Not ready at first, so that callers must poll. */
cudaError_t cudaEventQuery(cudaEvent_t e)
{
    static int asked;
    (void)e;
    return asked++ % 3 == 2 ? cudaSuccess : cudaErrorNotReady;
}

cudaError_t cudaEventDestroy(cudaEvent_t e)
{
    free(e);
    return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t e, cudaStream_t stream)
{
    ((event *)e)->stream = stream;
    return stream ? cudaSuccess : cudaErrorInvalidValue;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t e, unsigned flags)
{
    const event *waited = (event *)e;
    return stream && flags == 0 && waited->stream && waited->stream != stream ? cudaSuccess : cudaErrorInvalidValue;
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
    *comm = (struct ncclComm){rank, size, 0};
    *out = comm;
    return id.internal[5] == 7 && config ? ncclSuccess : ncclInvalidArgument;
}

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
    *state = fake_broken ? ncclRemoteError : ncclSuccess;
    return comm ? ncclSuccess : ncclInvalidArgument;
}

const char *ncclGetErrorString(ncclResult_t code) { return code == ncclRemoteError ? "remote error" : "error"; }

const char *ncclGetLastError(ncclComm_t comm) { return comm ? "a peer is gone" : ""; }

/* out = the sum of all ranks' x [count], in the order of the ranks. */
static void sum(ncclComm_t comm, const float *x, size_t count, float *out)
{
    float *all = malloc((size_t)comm->size * count * sizeof *all);
    if (!all) abort();
    MPI_Allgather(x, (int)count, MPI_FLOAT, all, (int)count, MPI_FLOAT, MPI_COMM_WORLD);
    memcpy(out, all, count * sizeof *out);
    for (int r = 1; r < comm->size; r++)
        for (size_t i = 0; i < count; i++) out[i] += all[(size_t)r * count + i];
    free(all);
}

ncclResult_t ncclAllReduce(const void *from, void *to, size_t count, ncclDataType_t type, ncclRedOp_t op,
                           ncclComm_t comm, cudaStream_t stream)
{
    if (type != ncclFloat32 || op != ncclSum || !stream || from != to) return ncclInvalidArgument;
    sum(comm, near(from), count, near(to));
    return ncclSuccess;
}

ncclResult_t ncclReduceScatter(const void *from, void *to, size_t count, ncclDataType_t type, ncclRedOp_t op,
                               ncclComm_t comm, cudaStream_t stream)
{
    const size_t all = count * (size_t)comm->size;
    float *total = malloc(all * sizeof *total);
    if (!total || type != ncclFloat32 || op != ncclSum || !stream) abort();
    /* In place, by the rule of the manual. */
    if ((const float *)to != (const float *)from + (size_t)comm->rank * count) return ncclInvalidArgument;
    sum(comm, near(from), all, total);
    memset(near(from), 0xFF, all * sizeof *total); /* the rest is undefined */
    memcpy(near(to), total + (size_t)comm->rank * count, count * sizeof *total);
    free(total);
    return ncclSuccess;
}

ncclResult_t ncclAllGather(const void *from, void *to, size_t count, ncclDataType_t type, ncclComm_t comm,
                           cudaStream_t stream)
{
    if (type != ncclUint8 || !stream || (const char *)from != (const char *)to + (size_t)comm->rank * count)
        return ncclInvalidArgument;
    MPI_Allgather(MPI_IN_PLACE, 0, MPI_BYTE, near(to), (int)count, MPI_BYTE, MPI_COMM_WORLD);
    return ncclSuccess;
}
