/* emulate.h - the part of CUDA's C++ that the kernels of cuda/kernel/ use, on the host: the threads of a block run as
 * fibers on the calling thread, the blocks one after the other.
 *
 * It tests index arithmetic, shapes, barriers (one that not all threads reach ends the program), the documented
 * fragment layouts of the tensor cores, waits for asynchronous copies (the bytes arrive at the wait, not before), and
 * races between barriers, by running the threads in different orders. Device memory is inaccessible outside kernels and
 * copies (emulate_backend.c). It does not test speed, hardware limits, or the approximations in the GPU's functions.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_TESTS_EMULATE_H
#define FLM_TESTS_EMULATE_H

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

struct dim3 {
    unsigned x, y, z;
    constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};
struct alignas(8) float2 {
    float x, y;
};
struct alignas(16) float4 {
    float x, y, z, w;
};
struct alignas(8) uint2 {
    unsigned x, y;
};
struct alignas(16) uint4 {
    unsigned x, y, z, w;
};
static inline float2 make_float2(float x, float y) { return {x, y}; }

#define __global__
#define __device__
#define __host__
#define __shared__      static /* one block at a time */
#define __forceinline__ inline
#define __launch_bounds__(...)

/* The indices of the running thread. */
struct emulate_index {
    dim3 thread, block;
};
extern emulate_index *emulate_thread;
extern dim3 emulate_grid_dim, emulate_block_dim;
#define threadIdx (emulate_thread->thread)
#define blockIdx  (emulate_thread->block)
#define blockDim  emulate_block_dim
#define gridDim   emulate_grid_dim

void __syncthreads();
void __syncwarp(unsigned mask = 0xFFFFFFFFu);

/* emulate_exchange - every lane of the warp passes `bytes` (at most 32) and gets those of lane `from`. */
void emulate_exchange(const void *give, void *get, size_t bytes, int from);
int emulate_lane();
unsigned emulate_ballot(bool vote);

template <class T> static inline T __shfl_sync(unsigned, T x, int from)
{
    T y;
    emulate_exchange(&x, &y, sizeof x, from & 31);
    return y;
}
template <class T> static inline T __shfl_xor_sync(unsigned mask, T x, int step)
{
    return __shfl_sync(mask, x, emulate_lane() ^ step);
}
static inline bool __all_sync(unsigned, bool vote) { return emulate_ballot(vote) == 0xFFFFFFFFu; }

/* See mma.cuh. */
void emulate_mma(float *c, const uint32_t *a, const uint32_t *b);
void emulate_ldmatrix(uint32_t *r, const void *row, bool transpose);
void emulate_copy_async(void *shared, const void *global, size_t bytes, bool valid);
void emulate_copy_commit();
void emulate_copy_wait(int groups);

void *emulate_shared();

template <class T> static inline T atomicMin(T *at, T x)
{
    T old = *at;
    *at = x < old ? x : old;
    return old;
}
template <class T> static inline void __stwb(T *at, T x) { *at = x; }
using std::isfinite;
static inline float __uint_as_float(unsigned u)
{
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}
static inline unsigned __float_as_uint(float f)
{
    unsigned u;
    memcpy(&u, &f, sizeof u);
    return u;
}
static inline float __fdividef(float x, float y) { return x / y; }
static inline void sincospif(float x, float *s, float *c)
{
    *s = (float)sin(3.14159265358979323846 * (double)x);
    *c = (float)cos(3.14159265358979323846 * (double)x);
}
template <class T> static inline T min(T a, T b) { return b < a ? b : a; }

/* emulate_run - runs body(data) as every thread of every block. Returns 0, or CUDA's error code for a launch that a GPU
 * refuses (more than 1024 threads, more shared memory than the 163 KiB of sm_80, a grid out of range) or whose blocks
 * are not a multiple of a warp. */
int emulate_run(void (*body)(void *), void *data, dim3 grid, dim3 block, size_t shared);

template <class F> static void emulate_call(void *f) { (*(F *)f)(); }

template <class... P, class... A>
static int flm_launch(void (*kernel)(P...), dim3 grid, dim3 block, size_t shared, void *, A... args)
{
    if (grid.x == 0 || grid.y == 0 || grid.z == 0) return 0;
    auto body = [=] { kernel(static_cast<P>(args)...); };
    return emulate_run(emulate_call<decltype(body)>, &body, grid, block, shared);
}

#endif
