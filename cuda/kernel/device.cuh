/* device.cuh - shared by all kernels: conversions of activations, sums over a warp or block, and the launch.
 *
 * Kernels include CUDA through this header and mma.cuh alone (sort.cu excepted). With FLM_EMULATED they are compiled by
 * the host's C++ compiler over tests/emulate/emulate.h, which runs the threads of a block as fibers: the same source is
 * tested on machines without a GPU. That sets rules: inline assembler in mma.cuh only, launches by flm_launch, dynamic
 * shared memory by FLM_SHARED, and no thread returns before a barrier that others of its block or warp wait at.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_CUDA_DEVICE_CUH
#define FLM_CUDA_DEVICE_CUH

#ifdef FLM_EMULATED
#include "tests/emulate/emulate.h"
#else
#include <cuda_bf16.h>
#include <cuda_runtime.h>
#endif

#include "base/base_philox.h"
#include "cuda/kernel/kernel.h"

#define FLM_DEVICE static __device__ __forceinline__

constexpr int FLM_WARP = 32;
constexpr unsigned FLM_ALL = 0xFFFFFFFFu;
constexpr float FLM_LOG2_E = 1.44269504f;

/* One bf16 activation. */
struct flm_bf16 {
    uint16_t bits;
};

FLM_DEVICE float flm_float(float x) { return x; }
FLM_DEVICE float flm_float(flm_bf16 x) { return __uint_as_float((uint32_t)x.bits << 16); }

/* flm_bf16_bits - round to nearest even; NaN stays NaN. */
FLM_DEVICE uint32_t flm_bf16_bits(float x)
{
#ifdef FLM_EMULATED
    uint32_t u = __float_as_uint(x);
    return (u & 0x7FFFFFFFu) > 0x7F800000u ? (u >> 16 | 64) : (u + 0x7FFFu + (u >> 16 & 1)) >> 16;
#else
    return __bfloat16_as_ushort(__float2bfloat16_rn(x));
#endif
}

/* flm_pack - two values rounded to bf16, in one word. */
FLM_DEVICE uint32_t flm_pack(float low, float high) { return flm_bf16_bits(low) | flm_bf16_bits(high) << 16; }

/* flm_act<T>(x) - x as an activation of type T. */
template <class T> FLM_DEVICE T flm_act(float x);
template <> __device__ __forceinline__ float flm_act<float>(float x) { return x; }
template <> __device__ __forceinline__ flm_bf16 flm_act<flm_bf16>(float x)
{
    return flm_bf16{(uint16_t)flm_bf16_bits(x)};
}

/* flm_warp_sum, flm_warp_max - the sum, the maximum over all 32 lanes; every lane gets the same bits. */
FLM_DEVICE float flm_warp_sum(float x)
{
#pragma unroll
    for (int step = 16; step > 0; step /= 2) x += __shfl_xor_sync(FLM_ALL, x, step);
    return x;
}

FLM_DEVICE double flm_warp_sum(double x)
{
#pragma unroll
    for (int step = 16; step > 0; step /= 2) x += __shfl_xor_sync(FLM_ALL, x, step);
    return x;
}

FLM_DEVICE float flm_warp_max(float x)
{
#pragma unroll
    for (int step = 16; step > 0; step /= 2) x = fmaxf(x, __shfl_xor_sync(FLM_ALL, x, step));
    return x;
}

/* flm_block_sum, flm_block_max - the sum, the maximum over a one-dimensional block of complete warps; every thread gets
 * the same bits. They contain barriers: all threads of the block must call them. */
template <class T> FLM_DEVICE T flm_block_sum(T x)
{
    __shared__ T part[FLM_WARP];
    const int lane = (int)threadIdx.x % FLM_WARP, warp = (int)threadIdx.x / FLM_WARP,
              warps = (int)blockDim.x / FLM_WARP;
    x = flm_warp_sum(x);
    __syncthreads(); /* all threads have read the part of an earlier call */
    if (lane == 0) part[warp] = x;
    __syncthreads();
    return flm_warp_sum(lane < warps ? part[lane] : (T)0);
}

FLM_DEVICE float flm_block_max(float x)
{
    __shared__ float part[FLM_WARP];
    const int lane = (int)threadIdx.x % FLM_WARP, warp = (int)threadIdx.x / FLM_WARP,
              warps = (int)blockDim.x / FLM_WARP;
    x = flm_warp_max(x);
    __syncthreads();
    if (lane == 0) part[warp] = x;
    __syncthreads();
    return flm_warp_max(lane < warps ? part[lane] : part[0]);
}

/* FLM_SHARED(type, name) - the block's dynamic shared memory, aligned to 128 bytes. */
#ifdef FLM_EMULATED
#define FLM_SHARED(type, name) type *name = (type *)emulate_shared()
#else
#define FLM_SHARED(type, name)                                         \
    extern __shared__ __align__(128) unsigned char flm_shared_bytes[]; \
    type *name = reinterpret_cast<type *>(flm_shared_bytes)
#endif

/* flm_launch - queue kernel(args...) with `shared` bytes of dynamic shared memory. Returns the error code of the launch
 * itself: CUDA's last error may be an older one, of another library. An empty grid is allowed and launches nothing. */
#ifndef FLM_EMULATED
template <class... P, class... A>
static int flm_launch(void (*kernel)(P...), dim3 grid, dim3 block, size_t shared, void *stream, A... args)
{
    if (grid.x == 0 || grid.y == 0 || grid.z == 0) return 0;
    if (shared > 48 * 1024) {
        cudaError_t e = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)shared);
        if (e != cudaSuccess) return (int)e;
    }
    cudaLaunchConfig_t config = {};
    config.gridDim = grid;
    config.blockDim = block;
    config.dynamicSmemBytes = shared;
    config.stream = (cudaStream_t)stream;
    return (int)cudaLaunchKernelEx(&config, kernel, static_cast<P>(args)...);
}
#endif

#endif
