/* emulate.h - CUDA's language on the host, as far as the kernels of cuda/kernel/ use it: a kernel's block runs as
 * fibers, one a thread, on the calling thread; blocks run one after the other.
 *
 * What it tests: index arithmetic, shapes, barriers (a barrier that not all threads reach ends the program), the
 * fragment layouts of the tensor cores as documented, waits for asynchronous copies (the bytes arrive at the wait, not
 * before), and, by running the threads in other orders, races between barriers. Device memory cannot be touched outside
 * a kernel or copy (emulate_backend.c). What it cannot: speed, hardware limits, the approximations of the GPU's
 * functions. SPDX-License-Identifier: Apache-2.0 */
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
struct alignas(8) int2 {
    int x, y;
};
struct alignas(16) int4 {
    int x, y, z, w;
};
struct alignas(16) double2 {
    double x, y;
};
static inline float2 make_float2(float x, float y) { return {x, y}; }
static inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
static inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
static inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }

#define __global__
#define __device__
#define __host__
#define __constant__
#define __shared__      static /* one block at a time */
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __align__(n) alignas(n)

/* The running thread. */
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
static inline void __threadfence() {}

/* emulate_exchange - all lanes of the warp meet, each giving `bytes` (at most 32) and getting those of lane `from`. */
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
template <class T> static inline T __shfl_down_sync(unsigned mask, T x, unsigned step)
{
    int from = emulate_lane() + (int)step;
    return __shfl_sync(mask, x, from < 32 ? from : emulate_lane());
}
template <class T> static inline T __shfl_up_sync(unsigned mask, T x, unsigned step)
{
    int from = emulate_lane() - (int)step;
    return __shfl_sync(mask, x, from >= 0 ? from : emulate_lane());
}
static inline unsigned __ballot_sync(unsigned, bool vote) { return emulate_ballot(vote); }
static inline bool __any_sync(unsigned, bool vote) { return emulate_ballot(vote) != 0; }
static inline bool __all_sync(unsigned, bool vote) { return emulate_ballot(vote) == 0xFFFFFFFFu; }

/* mma.cuh says what these do. */
void emulate_mma(float *c, const uint32_t *a, const uint32_t *b);
void emulate_ldmatrix(uint32_t *r, const void *row, bool transpose);
void emulate_copy_async(void *shared, const void *global, size_t bytes, bool valid);
void emulate_copy_commit();
void emulate_copy_wait(int groups);

void *emulate_shared();

template <class T> static inline T atomicAdd(T *at, T x)
{
    T old = *at;
    *at = old + x;
    return old;
}
template <class T> static inline T atomicMin(T *at, T x)
{
    T old = *at;
    *at = x < old ? x : old;
    return old;
}
template <class T> static inline T __ldg(const T *at) { return *at; }
template <class T> static inline void __stwb(T *at, T x) { *at = x; }
using std::isfinite;
using std::isnan;
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
static inline float rsqrtf(float x) { return 1 / sqrtf(x); }
#define __expf expf /* the library has functions of these names */
#define __logf logf
static inline float __fdividef(float x, float y) { return x / y; }
static inline float __fmaf_rn(float x, float y, float z) { return fmaf(x, y, z); }
static inline void sincospif(float x, float *s, float *c)
{
    *s = (float)sin(3.14159265358979323846 * (double)x);
    *c = (float)cos(3.14159265358979323846 * (double)x);
}
static inline int __popc(unsigned x) { return __builtin_popcount(x); }
static inline int __ffs(int x) { return __builtin_ffs(x); }
template <class T> static inline T min(T a, T b) { return b < a ? b : a; }
template <class T> static inline T max(T a, T b) { return a < b ? b : a; }

/* emulate_run - run `body(data)` as every thread of every block. Returns 0, or CUDA's code for a launch that no GPU
 * takes: more than 1024 threads, not whole warps, more shared memory than sm_80 has (163 KiB), a grid out of range. */
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
