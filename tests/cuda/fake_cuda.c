/* fake_cuda.c - see fake.h: CUDA's runtime, and the launchers of the kernels that matmul and the algebra use.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/cuda/fake.h"
#include "tests/cuda/fake_stream.h"

#include "backend/backend_tensor.h"
#include "cuda/kernel/kernel.h"

#include <cuda_runtime_api.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* An error that another library has left: no call of the suite may take it for its own. */
cudaError_t cudaGetLastError(void) { return cudaErrorInvalidSymbol; }
cudaError_t cudaPeekAtLastError(void) { return cudaErrorInvalidSymbol; }

cudaError_t cudaGetDeviceCount(int *count)
{
    *count = 2;
    return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *p, int device)
{
    memset(p, 0, sizeof *p);
    snprintf(p->name, sizeof p->name, "fake %d", device);
    p->major = FAKE_MAJOR;
    p->multiProcessorCount = 108;
    p->totalGlobalMem = (size_t)1 << 32;
    p->sharedMemPerBlockOptin = 163 << 10;
    return device >= 0 && device < 2 ? cudaSuccess : cudaErrorInvalidDevice;
}

int fake_gpu;

cudaError_t cudaDeviceGetPCIBusId(char *id, int size, int device)
{
    snprintf(id, (size_t)size, "0000:%02x:%02x.0", fake_gpu, device);
    return cudaSuccess;
}

cudaError_t cudaSetDevice(int device) { return device >= 0 && device < 2 ? cudaSuccess : cudaErrorInvalidDevice; }

cudaError_t cudaMemGetInfo(size_t *available, size_t *total)
{
    *available = *total = (size_t)1 << 32;
    return cudaSuccess;
}

cudaError_t cudaMalloc(void **out, size_t bytes)
{
    void *data = bytes > (size_t)1 << 32 ? NULL : aligned_alloc(256, (bytes + 255) / 256 * 256);
    if (!data) return cudaErrorMemoryAllocation;
    memset(data, 0xEE, bytes);
    *out = (void *)((uintptr_t)data + FAKE_OFFSET);
    return cudaSuccess;
}

cudaError_t cudaFree(void *data)
{
    free(near(data));
    return cudaSuccess;
}

/* Pinned host memory, in a list. */
typedef struct pinned {
    char *data;
    size_t bytes;
    struct pinned *next;
} pinned;

static pinned *all_pinned;

cudaError_t cudaHostAlloc(void **out, size_t bytes, unsigned flags)
{
    pinned *p = malloc(sizeof *p);
    (void)flags;
    if (!p) return cudaErrorMemoryAllocation;
    *p = (pinned){malloc(bytes + 1), bytes, all_pinned};
    all_pinned = p;
    *out = p->data;
    return *out ? cudaSuccess : cudaErrorMemoryAllocation;
}

cudaError_t cudaFreeHost(void *data)
{
    for (pinned **at = &all_pinned; *at; at = &(*at)->next)
        if ((*at)->data == data) {
            pinned *gone = *at;
            *at = gone->next;
            free(gone);
            free(data);
            return cudaSuccess;
        }
    return cudaErrorInvalidValue;
}

int fake_is_pinned(const void *host)
{
    for (const pinned *p = all_pinned; p; p = p->next)
        if ((const char *)host >= p->data && (const char *)host < p->data + p->bytes) return 1;
    return 0;
}

cudaError_t cudaPointerGetAttributes(struct cudaPointerAttributes *out, const void *pointer)
{
    memset(out, 0, sizeof *out);
    out->type = is_far(pointer)           ? cudaMemoryTypeDevice
                : fake_is_pinned(pointer) ? cudaMemoryTypeHost
                                          : cudaMemoryTypeUnregistered;
    return cudaSuccess;
}

/* The kernels: see kernel.h. */
int flm_cuda_launch_epilogue(void *c, void *gelu, bool bf16, const float *sum, const float *bias, int64_t M, int64_t N,
                             int64_t row_stride, void *stream)
{
    if (!fake_stream_reach(stream) || M < 1 || N < 1 || row_stride < N) return cudaErrorInvalidValue;
    for (int64_t i = 0; i < M * N; i++) {
        const int64_t to = i / N * row_stride + i % N;
        uint16_t *narrow = near(c), *narrow_gelu = near(gelu);
        float *wide = near(c), *wide_gelu = near(gelu);
        float x = sum ? ((float *)near(sum))[i] : bf16 ? flm_bf16_to_f32(narrow[to]) : wide[to];
        if (bias) x += ((float *)near(bias))[i % N];
        if (bf16) x = flm_bf16_to_f32(flm_bf16_from_f32(x));
        if (bf16 && (sum || bias)) narrow[to] = flm_bf16_from_f32(x);
        if (!bf16 && (sum || bias)) wide[to] = x;
        const float y = 0.5f * x * (1 + tanhf(0.7978845608f * (x + 0.044715f * x * x * x)));
        if (gelu && bf16) narrow_gelu[i] = flm_bf16_from_f32(y);
        if (gelu && !bf16) wide_gelu[i] = y;
    }
    return 0;
}

int flm_cuda_launch_cast(const flm_cuda_cast_rows *p, int processors, void *stream)
{
    uint16_t *to = near(p->to);
    const float *from = near(p->from);
    if (!fake_stream_reach(stream) || p->n < 1 || p->rows != 1 || processors < 1 || p->to_kind != FLM_CUDA_BF16 ||
        p->from_kind != FLM_CUDA_F32)
        return cudaErrorInvalidValue;
    for (int64_t i = 0; i < p->n; i++) to[i] = flm_bf16_from_f32(from[i]);
    return 0;
}

int flm_cuda_launch_widen(double *to, const float *from, int64_t count, void *stream)
{
    if (!fake_stream_reach(stream) || count < 1) return cudaErrorInvalidValue;
    for (int64_t i = 0; i < count; i++) ((double *)near(to))[i] = (double)((float *)near(from))[i];
    return 0;
}

int flm_cuda_launch_mirror(double *g, int64_t K, void *stream)
{
    double *x = near(g);
    if (!fake_stream_reach(stream) || K < 1) return cudaErrorInvalidValue;
    for (int64_t i = 0; i < K; i++)
        for (int64_t j = 0; j < i; j++) x[j * K + i] = x[i * K + j];
    return 0;
}

int flm_cuda_launch_cholesky_finish(double *g, int64_t K, int *bad, int *verdict, void *stream)
{
    double *x = near(g);
    const int *info = near(bad);
    if (!fake_stream_reach(stream) || K < 1 || info[1] != 0) return cudaErrorInvalidValue;
    int first = info[0];
    for (int64_t i = K - 1; i >= 0; i--) {
        for (int64_t j = i + 1; j < K; j++) x[i * K + j] = 0;
        if (!isfinite(x[i * K + i]) && (first == 0 || i + 1 < first)) first = (int)i + 1;
    }
    *(int *)near(verdict) = first;
    return 0;
}
