/* algebra.cu - the small kernels before and after the libraries' fp64 algebra: operands to fp64, the copy of a
 * triangle, the zeros and the check after a Cholesky factorisation. SPDX-License-Identifier: Apache-2.0 */
#include "cuda/kernel/device.cuh"

namespace
{

constexpr int THREADS = 256, TILE = 16, BLOCKS_MAX = 1 << 16;

__global__ void __launch_bounds__(THREADS) widen(double *to, const float *from, int64_t count)
{
    const int64_t stride = (int64_t)gridDim.x * THREADS;
    for (int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x; i < count; i += stride) to[i] = (double)from[i];
}

/* Row-major: g[j, i] = g[i, j] for j < i. */
__global__ void mirror(double *g, int64_t K)
{
    const int64_t i = (int64_t)blockIdx.y * TILE + threadIdx.y, j = (int64_t)blockIdx.x * TILE + threadIdx.x;
    if (i < K && j < i) g[j * K + i] = g[i * K + j];
}

/* Row-major: zeros above the diagonal; *bad = min(*bad, the rows whose diagonal element is not finite). */
__global__ void finish(double *g, int64_t K, int *bad)
{
    const int64_t i = (int64_t)blockIdx.y * TILE + threadIdx.y, j = (int64_t)blockIdx.x * TILE + threadIdx.x;
    if (i < K && j < K && j > i) g[i * K + j] = 0.0;
    if (i < K && i == j && !isfinite(g[i * K + i])) atomicMin(bad, (int)i);
}

dim3 tiles(int64_t K) { return dim3((unsigned)((K + TILE - 1) / TILE), (unsigned)((K + TILE - 1) / TILE)); }

} // namespace

extern "C" int flm_cuda_launch_widen(double *to, const float *from, int64_t count, void *stream)
{
    const int64_t blocks = (count + THREADS - 1) / THREADS;
    return flm_launch(widen, (unsigned)(blocks < BLOCKS_MAX ? blocks : BLOCKS_MAX), THREADS, 0, stream, to, from,
                      count);
}

extern "C" int flm_cuda_launch_mirror(double *g, int64_t K, void *stream)
{
    return flm_launch(mirror, tiles(K), dim3(TILE, TILE), 0, stream, g, K);
}

extern "C" int flm_cuda_launch_cholesky_finish(double *g, int64_t K, int *bad, void *stream)
{
    return flm_launch(finish, tiles(K), dim3(TILE, TILE), 0, stream, g, K, bad);
}
