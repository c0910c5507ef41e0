/* cuda_backend.c - opens and closes the backend "cuda": chooses the GPU, reads its properties, creates its stream and
 * fills its table of operations. The operations are in the other files, one for each family.
 *
 * One process uses one GPU, chosen by the process's rank on the node; several processes may share a GPU. libcuda is
 * never linked: on a machine without a driver CUDA's runtime returns an error, which becomes the message.
 * SPDX-License-Identifier: Apache-2.0 */
#include "cuda/cuda_blas.h"

#include <cuda_runtime_api.h>
#include <stdio.h>
#include <stdlib.h>

/* bf16 on tensor cores, cp.async and 100 KiB of shared memory need compute capability 8.0 (A100). */
enum { CAPABILITY_MIN = 8 };
#define USE_CPU "; use --device cpu instead"

static void *stream_handle_cuda(const flm_backend *be) { return flm_cuda_of(be)->stream; }

static const flm_stream cuda_stream = {.sync = flm_cuda_sync, .handle = stream_handle_cuda};

#define FLM_OP(op, parameters, arguments) .op = flm_cuda_##op,
#define FLM_OP_CPU(...)
static const flm_ops cuda_ops = {
#include "backend/backend_ops.def"
};

static void cuda_close(flm_backend *be)
{
    flm_cuda *cuda = flm_cuda_of(be);
    if (cuda) {
        if (cuda->stream) cudaStreamSynchronize(cuda->stream);
        flm_cuda_blas_destroy(be);
        for (int i = 0; i < FLM_CUDA_SLOTS; i++) flm_cuda_memory.release(be, cuda->slot[i].data);
        if (cuda->stream) cudaStreamDestroy(cuda->stream);
    }
    free(cuda);
    free(be);
}

static const char *cuda_describe(const flm_backend *be) { return flm_cuda_of(be)->line; }

static const char *cuda_identify(const flm_backend *be) { return flm_cuda_of(be)->bus; }

/* Without a choice of matmul: every supported GPU multiplies bf16 many times faster than fp32. */
static const flm_backend_driver cuda_driver = {
    .close = cuda_close, .identify = cuda_identify, .describe = cuda_describe};

/* The number of GPUs; an error with the reason if there is none to use. */
static flm_status count_devices(int *count)
{
    flm_status rc = FLM_OK;
    int driver = 0, devices = 0;
    const cudaError_t error = cudaGetDeviceCount(&devices);

    if (error != cudaSuccess) cudaGetLastError();
    if (error == cudaErrorInsufficientDriver) {
        if (cudaDriverGetVersion(&driver) != cudaSuccess || driver == 0)
            FLM_FAIL(FLM_E_UNSUPPORTED, "device cuda: there is no NVIDIA driver on this machine");
        FLM_FAIL(FLM_E_DEVICE, "device cuda: the NVIDIA driver supports CUDA %d.%d, this build needs %d.%d" USE_CPU,
                 driver / 1000, driver % 1000 / 10, CUDART_VERSION / 1000, CUDART_VERSION % 1000 / 10);
    }
    if (error == cudaErrorNoDevice || (error == cudaSuccess && devices == 0))
        FLM_FAIL(FLM_E_UNSUPPORTED, "device cuda: there is no GPU (CUDA_VISIBLE_DEVICES may hide it)");
    FLM_TRY(flm_cuda_check((int)error, "cudaGetDeviceCount", __FILE__, __LINE__));
    *count = devices;
done:
    return rc;
}

/* The properties that operations depend on, and the line that describes the GPU. */
static flm_status read_properties(flm_cuda *cuda)
{
    flm_status rc = FLM_OK;
    struct cudaDeviceProp p;
    int driver = 0, runtime = 0;
    const size_t lt = cublasLtGetVersion();

    FLM_CUDA(cudaGetDeviceProperties(&p, cuda->device));
    if (p.major < CAPABILITY_MIN)
        FLM_FAIL(FLM_E_DEVICE,
                 "device cuda: GPU %d, %s, has compute capability %d.%d; at least %d.0 (A100) is needed" USE_CPU,
                 cuda->device, p.name, p.major, p.minor, CAPABILITY_MIN);
    FLM_CUDA(cudaDeviceGetPCIBusId(cuda->bus, sizeof cuda->bus, cuda->device));
    FLM_CUDA(cudaRuntimeGetVersion(&runtime));
    FLM_CUDA(cudaDriverGetVersion(&driver));
    cuda->processors = p.multiProcessorCount;
    cuda->major = p.major;
    cuda->max_shared = p.sharedMemPerBlockOptin;
    snprintf(cuda->line, sizeof cuda->line,
             "cuda: GPU %d, %.100s, %.1f GiB, compute capability %d.%d, %d multiprocessors, CUDA %d.%d (driver %d.%d), "
             "cuBLASLt %zu",
             cuda->device, p.name, (double)p.totalGlobalMem / 0x1p30, p.major, p.minor, p.multiProcessorCount,
             runtime / 1000, runtime % 1000 / 10, driver / 1000, driver % 1000 / 10, lt);
done:
    return rc;
}

flm_status flm_cuda_open(int local_rank, flm_backend **out)
{
    flm_status rc = FLM_OK;
    flm_backend *be = NULL;
    flm_cuda *cuda = NULL;
    cudaStream_t stream = NULL;
    int devices = 0;

    FLM_TRY(count_devices(&devices));
    be = calloc(1, sizeof *be);
    cuda = calloc(1, sizeof *cuda);
    if (!be || !cuda) FLM_FAIL(FLM_E_NOMEM, "cuda backend: cannot allocate %zu bytes", sizeof *be + sizeof *cuda);
    *be = (flm_backend){.kind = FLM_BACKEND_CUDA,
                        .name = "cuda",
                        .memory = &flm_cuda_memory,
                        .stream = &cuda_stream,
                        .ops = &cuda_ops,
                        .host_memory = false,
                        .state = cuda,
                        .driver = &cuda_driver};
    cuda->device = local_rank % devices;
    FLM_TRY(read_properties(cuda));
    FLM_CUDA(cudaSetDevice(cuda->device));
    FLM_CUDA(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    cuda->stream = stream;
    FLM_TRY(flm_cuda_blas_create(be));
    *out = be;
    be = NULL;
    cuda = NULL;
done:
    if (be && be->state)
        cuda_close(be);
    else {
        free(cuda);
        free(be);
    }
    return rc;
}
