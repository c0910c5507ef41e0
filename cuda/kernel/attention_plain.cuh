/* attention_plain.cuh - products of fp32 tiles in shared memory, in plain fp32 arithmetic without tensor cores, for the
 * attention kernels that are checked against the golden files. A block has 16 x 16 threads; thread (y, x) computes rows
 * y + 16 i and columns x + 16 j of a product. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_CUDA_ATTENTION_PLAIN_CUH
#define FLM_CUDA_ATTENTION_PLAIN_CUH

#include "cuda/kernel/attention_shape.cuh"

constexpr int FLM_SIDE = 16,
              FLM_PLAIN_OWN = FLM_PLAIN_ROWS / FLM_SIDE; /* OWN: rows, and columns of scores, of a thread */
constexpr int FLM_SCORES_LD = FLM_PLAIN_ROWS + 1;
static_assert(FLM_SIDE * FLM_SIDE == FLM_PLAIN_THREADS, "a block is a square of threads");
static_assert(flm_plain_shared(FLM_ATTENTION_HEAD_MAX, 4) <= FLM_ATTENTION_SHARED_MAX,
              "four tiles and scores on sm_80");

FLM_DEVICE int flm_plain_y() { return (int)threadIdx.x / FLM_SIDE; }
FLM_DEVICE int flm_plain_x() { return (int)threadIdx.x % FLM_SIDE; }

/* flm_plain_load - fills a tile [FLM_PLAIN_ROWS, D + 1] from `rows` rows of h columns; zeros elsewhere. */
template <int D> FLM_DEVICE void flm_plain_load(float *tile, const float *from, int64_t stride, int rows, int h)
{
    for (int i = (int)threadIdx.x; i < FLM_PLAIN_ROWS * D; i += FLM_PLAIN_THREADS) {
        const int row = i / D, column = i % D;
        tile[row * (D + 1) + column] = row < rows && column < h ? from[row * stride + column] : 0;
    }
}

/* flm_plain_matmul - c[i][j] += sum over k < K of a[(y + 16 i) a_row + k a_k] b[(x + 16 j) b_column + k b_k]. */
template <int N>
FLM_DEVICE void flm_plain_matmul(float (&c)[FLM_PLAIN_OWN][N], const float *a, int a_row, int a_k, const float *b,
                                 int b_column, int b_k, int K)
{
    a += flm_plain_y() * a_row;
    b += flm_plain_x() * b_column;
#pragma unroll 4
    for (int k = 0; k < K; k++) {
        float left[FLM_PLAIN_OWN], right[N];
#pragma unroll
        for (int i = 0; i < FLM_PLAIN_OWN; i++) left[i] = a[i * FLM_SIDE * a_row + k * a_k];
#pragma unroll
        for (int j = 0; j < N; j++) right[j] = b[j * FLM_SIDE * b_column + k * b_k];
#pragma unroll
        for (int i = 0; i < FLM_PLAIN_OWN; i++)
#pragma unroll
            for (int j = 0; j < N; j++) c[i][j] += left[i] * right[j];
    }
}

/* flm_plain_keep - writes the thread's scores to the block's. */
FLM_DEVICE void flm_plain_keep(float *scores, const float (&c)[FLM_PLAIN_OWN][FLM_PLAIN_OWN])
{
#pragma unroll
    for (int i = 0; i < FLM_PLAIN_OWN; i++)
#pragma unroll
        for (int j = 0; j < FLM_PLAIN_OWN; j++)
            scores[(flm_plain_y() + i * FLM_SIDE) * FLM_SCORES_LD + flm_plain_x() + j * FLM_SIDE] = c[i][j];
}

/* flm_plain_store - to[row, column] = c * factor[row] for `rows` rows of h columns. */
template <int N>
FLM_DEVICE void flm_plain_store(float *to, int64_t stride, const float (&c)[FLM_PLAIN_OWN][N],
                                const float (&factor)[FLM_PLAIN_OWN], int rows, int h)
{
#pragma unroll
    for (int i = 0; i < FLM_PLAIN_OWN; i++)
#pragma unroll
        for (int j = 0; j < N; j++) {
            const int row = flm_plain_y() + i * FLM_SIDE, column = flm_plain_x() + j * FLM_SIDE;
            if (row < rows && column < h) to[row * stride + column] = c[i][j] * factor[i];
        }
}

/* flm_side_sum, flm_side_max - the sum, the maximum over the 16 threads of one y. */
FLM_DEVICE float flm_side_sum(float x)
{
#pragma unroll
    for (int step = FLM_SIDE / 2; step > 0; step /= 2) x += __shfl_xor_sync(FLM_ALL, x, step);
    return x;
}

FLM_DEVICE float flm_side_max(float x)
{
#pragma unroll
    for (int step = FLM_SIDE / 2; step > 0; step /= 2) x = fmaxf(x, __shfl_xor_sync(FLM_ALL, x, step));
    return x;
}

#endif
