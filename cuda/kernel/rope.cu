/* rope.cu - rotary positions, half-split (model.md section 2): components i and i + h/2 of every query and key head are
 * rotated by the angle of (position, i).
 *
 * Forward this is a pass of its own, a choice made by calculation, not by measurement. The pass reads and writes q and
 * k once: at 64 x 1024 x 768 in bf16 400 MB, 0.12 ms at the 3.35 TB/s of an H100. If attention rotated its tiles after
 * loading them, each tile of 64 keys would be rotated by every one of the L / 128 blocks of queries, 8 times at L =
 * 1024: 98304 tiles of 64 x 64 at some 350 clocks, beside the 1500 that a tile takes, are 0.15 ms on 132
 * multiprocessors of 1.75 GHz; and both kernels of the gradient, which load keys and queries repeatedly too, would pay
 * again. cuBLASLt has no epilogue that rotates. In the gradient, attention rotates back when it stores, once for each
 * tile: attention_backward.cuh. SPDX-License-Identifier: Apache-2.0 */
#include "cuda/kernel/device.cuh"

namespace
{

constexpr int THREADS_MAX = 256;

/* W neighbouring values, one access. */
template <class T, int W> struct alignas(sizeof(T) * W) packet {
    T x[W];
};

/* A block rotates a row of qkv, a thread W pairs of a head at a time. units: groups of W pairs in all 2H heads of q and
 * k; v is not touched. */
template <class T, int W>
__global__ void __launch_bounds__(THREADS_MAX)
    rope(T *qkv, const float *table, int64_t L, int64_t columns, int half, int units)
{
    const int64_t row = blockIdx.x;
    const int parts = half / W;
    const float *angles = table + row % L * half * 2;
    for (int i = (int)threadIdx.x; i < units; i += (int)blockDim.x) {
        const int head = i / parts, at = i % parts * W;
        packet<T, W> *first = reinterpret_cast<packet<T, W> *>(qkv + row * columns + (int64_t)head * 2 * half + at);
        packet<T, W> *second = first + parts;
        packet<T, W> a = *first, b = *second;
#pragma unroll
        for (int k = 0; k < W; k++) {
            const float2 turn = reinterpret_cast<const float2 *>(angles)[at + k]; /* cos, sin */
            const float x = flm_float(a.x[k]), y = flm_float(b.x[k]);
            a.x[k] = flm_act<T>(x * turn.x - y * turn.y);
            b.x[k] = flm_act<T>(y * turn.x + x * turn.y);
        }
        *first = a;
        *second = b;
    }
}

template <class T, int W>
int launch(T *qkv, const float *table, int64_t rows, int64_t L, int64_t d, int64_t half, void *stream)
{
    const int units = (int)(d / W);
    const int warps = units < THREADS_MAX ? (units + FLM_WARP - 1) / FLM_WARP : THREADS_MAX / FLM_WARP;
    return flm_launch(rope<T, W>, dim3((unsigned)rows), dim3((unsigned)(warps * FLM_WARP)), 0, stream, qkv, table, L,
                      3 * d, (int)half, units);
}

/* Uses accesses of 16 bytes if every half of a head begins at a multiple of 16 bytes. */
template <class T>
int launch_widest(T *qkv, const float *table, int64_t rows, int64_t L, int64_t d, int64_t half, void *stream)
{
    constexpr int W = 16 / sizeof(T);
    if (half % W == 0 && (uintptr_t)qkv % 16 == 0) return launch<T, W>(qkv, table, rows, L, d, half, stream);
    return launch<T, 1>(qkv, table, rows, L, d, half, stream);
}

} // namespace

int flm_cuda_launch_rope(void *qkv, bool bf16, const float *table, int64_t B, int64_t L, int64_t d, int64_t half,
                         void *stream)
{
    if (bf16) return launch_widest((flm_bf16 *)qkv, table, B * L, L, d, half, stream);
    return launch_widest((float *)qkv, table, B * L, L, d, half, stream);
}
