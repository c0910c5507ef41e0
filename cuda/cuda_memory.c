/* cuda_memory.c - the memory of the backend "cuda": its memory table and scratch memory; and the wait for the stream,
 * and CUDA's errors as statuses.
 *
 * Everything is queued on the one compute stream. Scratch memory grows on demand, so the first training step allocates
 * all of it and later steps allocate nothing. SPDX-License-Identifier: Apache-2.0 */
#include "cuda/cuda_blas.h"

#include <assert.h>
#include <cuda_runtime_api.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { POLL_NS = 20000 }; /* between two queries of the stream */

/* The last launch that was queued without an error, for messages: a kernel that fails is noticed only later, at a sync.
 */
static const char *queued = "nothing";

flm_status flm_cuda_check(int code, const char *what, const char *file, int line)
{
    const cudaError_t error = (cudaError_t)code;
    if (error == cudaSuccess) {
        if (strncmp(what, "flm_cuda_launch", 15) == 0) queued = what;
        return FLM_OK;
    }
    cudaGetLastError(); /* clears the error, if it can be cleared, so that no later call reports it as its own */
    return flm_err_raise(error == cudaErrorMemoryAllocation ? FLM_E_NOMEM : FLM_E_DEVICE, file, line,
                         "CUDA: %s (%s) in %s; the last kernel queued before it: %s", cudaGetErrorString(error),
                         cudaGetErrorName(error), what, queued);
}

static flm_status memory_available_cuda(flm_backend *be, size_t *bytes)
{
    flm_status rc = FLM_OK;
    size_t available = 0, total = 0;

    (void)be;
    FLM_CUDA(cudaMemGetInfo(&available, &total));
    *bytes = available;
done:
    return rc;
}

static flm_status memory_alloc_cuda(flm_backend *be, size_t bytes, void **out)
{
    flm_status rc = FLM_OK;
    size_t available = 0;
    void *data = NULL;
    const cudaError_t error = cudaMalloc(&data, bytes ? bytes : 1);

    if (error == cudaErrorMemoryAllocation) {
        cudaGetLastError();
        FLM_TRY(memory_available_cuda(be, &available));
        FLM_FAIL(FLM_E_NOMEM, "out of GPU memory: %.1f MiB requested, %.1f MiB free; " FLM_CUDA_SMALLER,
                 (double)bytes / 0x1p20, (double)available / 0x1p20);
    }
    FLM_TRY(flm_cuda_check((int)error, "cudaMalloc", __FILE__, __LINE__));
    *out = data;
done:
    return rc;
}

/* cudaFree waits for work on the compute stream; no other stream may be using the memory. Where that work may never
 * end, it is waited for here: an error is reported by a later call. */
static void memory_release_cuda(flm_backend *be, void *data)
{
    if (data && be->watch.poll) flm_cuda_sync(be);
    if (data && cudaFree(data) != cudaSuccess) cudaGetLastError(); /* a sticky error is reported by a later call */
}

static flm_status memory_host_alloc_cuda(flm_backend *be, size_t bytes, void **out)
{
    flm_status rc = FLM_OK;
    void *data = NULL;
    const cudaError_t error = cudaHostAlloc(&data, bytes ? bytes : 1, cudaHostAllocPortable);

    (void)be;
    if (error == cudaErrorMemoryAllocation) {
        cudaGetLastError();
        FLM_FAIL(FLM_E_NOMEM, "cannot allocate %.1f MiB of pinned host memory; check ulimit -l and free memory",
                 (double)bytes / 0x1p20);
    }
    FLM_TRY(flm_cuda_check((int)error, "cudaHostAlloc", __FILE__, __LINE__));
    *out = data;
done:
    return rc;
}

static void memory_host_release_cuda(flm_backend *be, void *data)
{
    (void)be;
    if (data) cudaFreeHost(data);
}

static flm_status queue_copy(flm_backend *be, void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind)
{
    flm_status rc = FLM_OK;
    if (bytes) FLM_CUDA(cudaMemcpyAsync(to, from, bytes, kind, flm_cuda_of(be)->stream));
done:
    return rc;
}

/* CUDA waits for the stream before it copies from or to pageable host memory, inside the driver, where no failure of
 * another rank ends the wait. So that wait takes place here. */
static flm_status wait_unless_pinned(flm_backend *be, const void *host)
{
    flm_status rc = FLM_OK;
    struct cudaPointerAttributes a;
    if (!be->watch.poll) goto done;
    FLM_CUDA(cudaPointerGetAttributes(&a, host));
    if (a.type == cudaMemoryTypeUnregistered) FLM_TRY(flm_cuda_sync(be));
done:
    return rc;
}

static flm_status memory_to_device_cuda(flm_backend *be, void *device, const void *host, size_t bytes)
{
    flm_status rc = FLM_OK;
    FLM_TRY(wait_unless_pinned(be, host));
    FLM_TRY(queue_copy(be, device, host, bytes, cudaMemcpyHostToDevice));
done:
    return rc;
}

static flm_status memory_to_host_cuda(flm_backend *be, void *host, const void *device, size_t bytes)
{
    flm_status rc = FLM_OK;
    FLM_TRY(wait_unless_pinned(be, host));
    FLM_TRY(queue_copy(be, host, device, bytes, cudaMemcpyDeviceToHost));
done:
    return rc;
}

static flm_status memory_copy_cuda(flm_backend *be, void *to, const void *from, size_t bytes)
{
    return queue_copy(be, to, from, bytes, cudaMemcpyDeviceToDevice);
}

static flm_status memory_zero_cuda(flm_backend *be, void *device, size_t bytes)
{
    flm_status rc = FLM_OK;
    if (bytes) FLM_CUDA(cudaMemsetAsync(device, 0, bytes, flm_cuda_of(be)->stream));
done:
    return rc;
}

const flm_memory flm_cuda_memory = {
    .alloc = memory_alloc_cuda,
    .release = memory_release_cuda,
    .host_alloc = memory_host_alloc_cuda,
    .host_release = memory_host_release_cuda,
    .to_device = memory_to_device_cuda,
    .to_host = memory_to_host_cuda,
    .copy = memory_copy_cuda,
    .zero = memory_zero_cuda,
    .available = memory_available_cuda,
};

/* Wait for the stream; *error: what CUDA says. With a watch the host never blocks in the driver. */
static flm_status wait_for_stream(flm_backend *be, cudaError_t *error)
{
    flm_status rc = FLM_OK;
    void *stream = flm_cuda_of(be)->stream;
    if (!be->watch.poll) {
        *error = cudaStreamSynchronize(stream);
        goto done;
    }
    for (bool first = true; (*error = cudaStreamQuery(stream)) == cudaErrorNotReady; first = false) {
        cudaGetLastError(); /* reset "not ready" */
        FLM_TRY(be->watch.poll(be->watch.context, first));
        nanosleep(&(struct timespec){0, POLL_NS}, NULL);
    }
done:
    return rc;
}

flm_status flm_cuda_sync(flm_backend *be)
{
    flm_status rc = FLM_OK;
    cudaError_t error = cudaSuccess;

    FLM_TRY(wait_for_stream(be, &error));

    if (error != cudaSuccess)
        FLM_FAIL(FLM_E_DEVICE,
                 "CUDA: %s (%s), reported while waiting for the stream; the last kernel queued: %s; set "
                 "CUDA_LAUNCH_BLOCKING=1 to find the kernel that failed",
                 cudaGetErrorString(error), cudaGetErrorName(error), queued);
    be->waits++;
done:
    return rc;
}

flm_status flm_cuda_scratch(flm_backend *be, int slot, size_t bytes, void **out)
{
    flm_status rc = FLM_OK;
    flm_cuda *cuda = flm_cuda_of(be);
    void *data = NULL;

    assert(slot >= 0 && slot < FLM_CUDA_SLOTS);
    if (bytes > cuda->slot[slot].bytes) {
        /* Released first, because old and new together may not fit. cudaFree waits for queued work. */
        memory_release_cuda(be, cuda->slot[slot].data);
        cuda->slot[slot].data = NULL;
        cuda->slot[slot].bytes = 0;
        FLM_TRY(memory_alloc_cuda(be, bytes, &data));
        cuda->slot[slot].data = data;
        cuda->slot[slot].bytes = bytes;
    }
    *out = cuda->slot[slot].data;
done:
    return rc;
}
