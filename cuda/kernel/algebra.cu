/* algebra.cu - the small kernels before and after the libraries' fp64 algebra: operands to fp64, the copy of a
 * triangle, the scaling of Gram matrices, the zeros and the check after a Cholesky factorisation.
 * SPDX-License-Identifier: Apache-2.0 */
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

/* Row-major: zeros above the diagonal; *bad, 0 before, is the number of the first row whose diagonal element is not
 * finite, minus K. */
__global__ void finish(double *g, int64_t K, int *bad)
{
    const int64_t i = (int64_t)blockIdx.y * TILE + threadIdx.y, j = (int64_t)blockIdx.x * TILE + threadIdx.x;
    if (i < K && j < K && j > i) g[i * K + j] = 0.0;
    if (i < K && i == j && !isfinite(g[i * K + i])) atomicMin(bad, (int)(i - K));
}

/* One warp, of which one thread works. */
__global__ void judge(int *verdict, const int *bad, int64_t K)
{
    const int info = bad[0], row = (int)(bad[1] + K);
    if (threadIdx.x == 0) *verdict = bad[1] == 0 || (info != 0 && info <= row) ? info : row + 1;
}

/* One block: the scales s, and ||F_0||^2 behind them. What is not finite stays so. */
__global__ void __launch_bounds__(THREADS) find_scales(const flm_cuda_gram_blocks p)
{
    double base = 0;
    for (int64_t j = 0; j < p.k; j++) {
        const double *block = p.gram + (j * (j + 1) / 2 + j) * p.d * p.d;
        double trace = 0;
        for (int64_t i = threadIdx.x; i < p.d; i += THREADS) trace += block[i * p.d + i];
        trace = flm_block_sum(trace);
        if (j == 0) base = trace;
        double s = j == 0 ? 1 : isfinite(trace) && !(base > 0) ? 0 : sqrt(trace / base);
        if (s < p.min_scale) s = 0;
        if (threadIdx.x == 0) {
            p.scales[j] = s;
            p.scale[2 * j] = (float)s;
            p.scale[2 * j + 1] = s == 0 ? 0 : (float)(1 / s);
        }
    }
    if (threadIdx.x == 0) p.scales[p.k] = base;
}

/* Row-major: the lower triangle of R. */
__global__ void scale_gram(const flm_cuda_gram_blocks p)
{
    const int64_t K = p.k * p.d, d = p.d, i = (int64_t)blockIdx.y * TILE + threadIdx.y,
                  j = (int64_t)blockIdx.x * TILE + threadIdx.x;
    if (i >= K || j > i) return;
    const int64_t own = i / d, of = j / d;
    const double scale = p.scales[own] * p.scales[of], unit = p.scales[p.k] / (double)d;
    double x = scale == 0 ? 0 : p.gram[((own * (own + 1) / 2 + of) * d + i % d) * d + j % d] / scale;
    if (i == j) {
        const double s = p.scales[own];
        x += p.ridge * unit;
        if (p.last_ridge > 0 && own == p.k - 1 && s != 0) x += p.last_ridge / (s * s) * unit;
    }
    p.R[i * K + j] = x;
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

extern "C" int flm_cuda_launch_gram_scale(const flm_cuda_gram_blocks *p, void *stream)
{
    const int code = flm_launch(find_scales, 1, THREADS, 0, stream, *p);
    return code ? code : flm_launch(scale_gram, tiles(p->k * p->d), dim3(TILE, TILE), 0, stream, *p);
}

extern "C" int flm_cuda_launch_cholesky_finish(double *g, int64_t K, int *bad, int *verdict, void *stream)
{
    const int code = flm_launch(finish, tiles(K), dim3(TILE, TILE), 0, stream, g, K, bad + 1);
    return code ? code : flm_launch(judge, 1, FLM_WARP, 0, stream, verdict, bad, K);
}
