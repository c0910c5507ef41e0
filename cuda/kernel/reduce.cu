/* reduce.cu - sums over rows and over all elements. Blocks of fixed size are summed first; their sums are added in an
 * order that depends on the shape alone. SPDX-License-Identifier: Apache-2.0 */
#include "cuda/kernel/vector.cuh"

namespace
{

constexpr int THREADS = FLM_CUDA_THREADS, WARPS = THREADS / FLM_WARP, ROWS = FLM_CUDA_COLUMN_ROWS;

/* sums [blocks, N]: the columns of x summed over blocks of ROWS rows. A warp sums 32 W columns of a block. */
template <class T, int W>
__global__ void __launch_bounds__(THREADS) column_blocks(float *__restrict__ sums, const T *__restrict__ x, int64_t M,
                                                         int64_t N, int64_t row_stride, bool aligned, bool sums_aligned)
{
    const int64_t tiles = flm_cuda_parts(N, W * FLM_WARP), tasks = tiles * flm_cuda_parts(M, ROWS);
    for (int64_t task = (int64_t)blockIdx.x * WARPS + flm_warp(); task < tasks; task += (int64_t)gridDim.x * WARPS) {
        const int64_t block = task / tiles, row = block * ROWS, j = (task % tiles * FLM_WARP + flm_lane()) * W,
                      left = N - j;
        const int rows = M - row < ROWS ? (int)(M - row) : ROWS;
        float sum[W] = {0};
        if (left <= 0) continue;
#pragma unroll 4
        for (int i = 0; i < rows; i++) {
            float v[W];
            flm_read(v, x + (row + i) * row_stride + j, left, aligned);
#pragma unroll
            for (int k = 0; k < W; k++) sum[k] += v[k];
        }
        flm_write(sums + block * N + j, sum, left, sums_aligned);
    }
}

/* See flm_cuda_launch_fold. A block sums 32 columns, each of its warps every WARPS-th row. */
__global__ void __launch_bounds__(THREADS) fold(float *__restrict__ to, int64_t stride, const float *__restrict__ from,
                                                int64_t batches, int64_t count, int64_t n, bool accumulate)
{
    __shared__ double part[WARPS][FLM_WARP];
    const int64_t tiles = flm_cuda_parts(n, FLM_WARP);
    for (int64_t task = blockIdx.x; task < batches * tiles; task += gridDim.x) {
        const int64_t b = task / tiles, j = task % tiles * FLM_WARP + flm_lane();
        double sum = 0;
        if (j < n)
#pragma unroll 4
            for (int64_t k = flm_warp(); k < count; k += WARPS) sum += (double)from[(b * count + k) * n + j];
        part[flm_warp()][flm_lane()] = sum;
        __syncthreads();
        if (flm_warp() == 0 && j < n) {
            double total = accumulate ? (double)to[b * stride + j] : 0;
#pragma unroll
            for (int k = 0; k < WARPS; k++) total += part[k][flm_lane()];
            to[b * stride + j] = (float)total;
        }
        __syncthreads();
    }
}

constexpr int EACH = FLM_CUDA_SUM_BLOCK / THREADS; /* elements that a thread sums */
static_assert(EACH % 4 == 0 && EACH * THREADS == FLM_CUDA_SUM_BLOCK, "a thread sums groups of four");

template <bool SQUARES>
__global__ void __launch_bounds__(THREADS)
    sum_blocks(double *__restrict__ sums, const float *__restrict__ x, int64_t n, bool aligned)
{
    for (int64_t block = blockIdx.x; block < flm_cuda_parts(n, FLM_CUDA_SUM_BLOCK); block += gridDim.x) {
        double sum = 0;
#pragma unroll 4
        for (int i = 0; i < EACH / 4; i++) {
            const int64_t at = block * FLM_CUDA_SUM_BLOCK + (i * THREADS + (int)threadIdx.x) * 4;
            float v[4];
            flm_read(v, x + at, n - at, aligned);
#pragma unroll
            for (int k = 0; k < 4; k++) sum += SQUARES ? (double)v[k] * (double)v[k] : (double)v[k];
        }
        sum = flm_block_sum(sum);
        if (threadIdx.x == 0) sums[block] = sum;
    }
}

/* One block. */
__global__ void __launch_bounds__(THREADS) sum_fold(double *out, const double *__restrict__ sums, int64_t count)
{
    double sum = 0;
#pragma unroll 4
    for (int64_t k = threadIdx.x; k < count; k += THREADS) sum += sums[k];
    sum = flm_block_sum(sum);
    if (threadIdx.x == 0) *out += sum;
}

} // namespace

int flm_cuda_launch_fold(float *to, int64_t stride, const float *from, int64_t batches, int64_t count, int64_t n,
                         bool accumulate, void *stream)
{
    return flm_launch(fold, dim3(flm_cuda_grid(batches * flm_cuda_parts(n, FLM_WARP), 0)), dim3(THREADS), 0, stream, to,
                      stride, from, batches, count, n, accumulate);
}

int flm_cuda_launch_column_sum(float *out, float *sums, const void *x, bool bf16, int64_t M, int64_t N,
                               int64_t row_stride, void *stream)
{
    const int wide = bf16 ? 8 : 4;
    const int64_t blocks = flm_cuda_parts(M, ROWS), tasks = blocks * flm_cuda_parts(N, wide * FLM_WARP);
    const dim3 grid(flm_cuda_grid(flm_cuda_parts(tasks, WARPS), 0));
    const bool aligned = flm_aligned(x) && flm_divisible(wide, row_stride),
               sums_aligned = flm_aligned(sums) && flm_divisible(4, N);
    const int code = bf16 ? flm_launch(column_blocks<flm_bf16, 8>, grid, dim3(THREADS), 0, stream, sums,
                                       (const flm_bf16 *)x, M, N, row_stride, aligned, sums_aligned)
                          : flm_launch(column_blocks<float, 4>, grid, dim3(THREADS), 0, stream, sums, (const float *)x,
                                       M, N, row_stride, aligned, sums_aligned);
    return code ? code : flm_cuda_launch_fold(out, 0, sums, 1, blocks, N, true, stream);
}

int flm_cuda_launch_sum(double *out, double *sums, const float *x, int64_t n, bool squares, void *stream)
{
    const int64_t blocks = flm_cuda_parts(n, FLM_CUDA_SUM_BLOCK);
    const dim3 grid(flm_cuda_grid(blocks, 0));
    const int code = squares
                         ? flm_launch(sum_blocks<true>, grid, dim3(THREADS), 0, stream, sums, x, n, flm_aligned(x))
                         : flm_launch(sum_blocks<false>, grid, dim3(THREADS), 0, stream, sums, x, n, flm_aligned(x));
    return code ? code : flm_launch(sum_fold, dim3(1), dim3(THREADS), 0, stream, out, sums, blocks);
}
