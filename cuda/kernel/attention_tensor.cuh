/* attention_tensor.cuh - shared by the bf16 attention kernels: tiles in shared memory, their fragments, and the cap.
 *
 * A block has 4 warps, each with its own bands of 16 rows. The block loops over the tiles of the other operand; two of
 * them are in shared memory, so that the next is copied while one is used. Scores never leave the registers: the sums
 * of one product, rounded to bf16, are the left factor of the next. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_CUDA_ATTENTION_TENSOR_CUH
#define FLM_CUDA_ATTENTION_TENSOR_CUH

#include "cuda/kernel/attention_shape.cuh"
#include "cuda/kernel/tanh.cuh"

constexpr int FLM_TENSOR_THREADS = FLM_ATTENTION_WARPS * FLM_WARP;

/* flm_tile_at - the address of chunk (row, chunk) of a tile: 16 bytes. */
template <int D> FLM_DEVICE unsigned char *flm_tile_at(unsigned char *tile, int row, int chunk)
{
    return tile + 16 * flm_attention_chunk(D, row, chunk);
}

template <int D> FLM_DEVICE const unsigned char *flm_tile_at(const unsigned char *tile, int row, int chunk)
{
    return tile + 16 * flm_attention_chunk(D, row, chunk);
}

/* flm_tile_load - starts to fill a tile of ROWS rows from `rows` rows of h columns, zeros elsewhere. All threads of the
 * block call it; the tile is visible after flm_copy_wait and a barrier. (Heads that are not a multiple of 16 bytes are
 * read element by element.) */
template <int D, int ROWS>
FLM_DEVICE void flm_tile_load(unsigned char *tile, const flm_bf16 *from, int stride, int rows,
                              const flm_attention_shape &n)
{
    constexpr int CHUNKS = D / 8;
    static_assert(ROWS * CHUNKS % FLM_TENSOR_THREADS == 0, "the threads share the chunks evenly");
    if (n.vector) {
#pragma unroll
        for (int turn = 0; turn < ROWS * CHUNKS / FLM_TENSOR_THREADS; turn++) {
            const int i = turn * FLM_TENSOR_THREADS + (int)threadIdx.x, row = i / CHUNKS, chunk = i % CHUNKS;
            const bool valid = row < rows && chunk * 8 < n.h;
            flm_copy_async(flm_tile_at<D>(tile, row, chunk), valid ? from + row * stride + chunk * 8 : from, valid);
        }
        return;
    }
#pragma unroll 1
    for (int i = (int)threadIdx.x; i < ROWS * CHUNKS; i += FLM_TENSOR_THREADS) {
        const int row = i / CHUNKS, chunk = i % CHUNKS, columns = row < rows ? n.h - chunk * 8 : 0;
        const flm_bf16 *at = from + row * stride + chunk * 8;
        flm_bf16 *to = reinterpret_cast<flm_bf16 *>(flm_tile_at<D>(tile, row, chunk));
#pragma unroll 1
        for (int k = 0; k < 8; k++) to[k] = k < columns ? at[k] : flm_bf16{0};
    }
}

/* flm_left - the fragment of a product's left factor: 16 rows from `row` on, 16 columns from `chunk` on.
 * flm_right - two fragments of its right factor, the transposed tile: b[0], b[1] for the tile's 8 rows from `row` on,
 * b[2], b[3] for those from row + 8 on; the sum runs over 16 of the tile's columns, from `chunk` on. flm_right_trans -
 * the same of the tile itself: the sum runs over 16 of its rows, from `row` on; b[0], b[1] are for the 8 columns of
 * `chunk`, b[2], b[3] for those of chunk + 1. */
template <int D> FLM_DEVICE void flm_left(uint32_t (&a)[4], const unsigned char *tile, int row, int chunk)
{
    const int lane = (int)threadIdx.x % FLM_WARP;
    flm_ldmatrix(a, flm_tile_at<D>(tile, row + lane % 16, chunk + lane / 16));
}

template <int D> FLM_DEVICE void flm_right(uint32_t (&b)[4], const unsigned char *tile, int row, int chunk)
{
    const int lane = (int)threadIdx.x % FLM_WARP;
    flm_ldmatrix(b, flm_tile_at<D>(tile, row + lane % 8 + lane / 16 * 8, chunk + lane / 8 % 2));
}

template <int D> FLM_DEVICE void flm_right_trans(uint32_t (&b)[4], const unsigned char *tile, int row, int chunk)
{
    const int lane = (int)threadIdx.x % FLM_WARP;
    flm_ldmatrix_trans(b, flm_tile_at<D>(tile, row + lane % 16, chunk + lane / 16));
}

/* flm_mma_pair - flm_mma with both fragments of b. */
FLM_DEVICE void flm_mma_pair(float (&c)[4], float (&next)[4], const uint32_t (&a)[4], const uint32_t (&b)[4])
{
    const uint32_t low[2] = {b[0], b[1]}, high[2] = {b[2], b[3]};
    flm_mma(c, a, low);
    flm_mma(next, a, high);
}

/* flm_left_of - the results of two neighbouring products as a fragment of the next product's left factor: 16 columns.
 */
FLM_DEVICE void flm_left_of(uint32_t (&a)[4], const float (&c)[4], const float (&next)[4])
{
    a[0] = flm_pack_pair(c[0], c[1]);
    a[1] = flm_pack_pair(c[2], c[3]);
    a[2] = flm_pack_pair(next[0], next[1]);
    a[3] = flm_pack_pair(next[2], next[3]);
}

/* The constants of gain tanh(inner s). For |s| <= limit it is s times a polynomial of s^2, whose coefficients c the
 * host computes. limit is below 0 if the cap is so small that the coefficients overflow. Passed by value, because
 * constants of the kernel's parameter space are operands that need no register. */
struct flm_capping {
    float inner, gain, limit, c[5];
};

/* flm_capping_of - inner: 1 / (sqrt(h) cap). */
static inline flm_capping flm_capping_of(float inner, float gain)
{
    flm_capping cap = {inner, gain, inner < 1024 ? 0.5f / inner : -1, {gain * inner}};
    double power = (double)gain * inner;
    for (int i = 0; i < 4; i++) {
        power *= (double)inner * inner;
        cap.c[i + 1] = inner < 1024 ? (float)(FLM_TANH_P[i] * power) : 0;
    }
    return cap;
}

/* flm_cap_all - s = gain tanh(inner s) for all of a warp's scores. If all of them are small, no special functions are
 * needed, whose rate on sm_90 is one eighth of that of other operations. */
template <int M, int N> FLM_DEVICE void flm_cap_all(float (&s)[M][N][4], const flm_capping &cap)
{
    bool near = true;
#pragma unroll
    for (int m = 0; m < M; m++)
#pragma unroll
        for (int i = 0; i < N * 4; i++) near &= fabsf(s[m][i / 4][i % 4]) <= cap.limit;
    if (__all_sync(FLM_ALL, near)) {
#pragma unroll
        for (int m = 0; m < M; m++)
#pragma unroll
            for (int i = 0; i < N * 4; i++) {
                const float x = s[m][i / 4][i % 4], z = x * x;
                s[m][i / 4][i % 4] = x * ((((cap.c[4] * z + cap.c[3]) * z + cap.c[2]) * z + cap.c[1]) * z + cap.c[0]);
            }
    } else {
#pragma unroll
        for (int m = 0; m < M; m++)
#pragma unroll
            for (int i = 0; i < N * 4; i++) s[m][i / 4][i % 4] = cap.gain * flm_tanh(s[m][i / 4][i % 4] * cap.inner);
    }
}

/* flm_bands_store - writes a warp's M bands of 16 rows, c times factor, as bf16 rows to global memory. They pass
 * through the same rows of `tile`, which no other warp uses any more. band: the first row; rows: how many rows of the
 * tile exist. */
template <int D, int M>
FLM_DEVICE void flm_bands_store(flm_bf16 *to, int64_t stride, unsigned char *tile, const float (&c)[M][D / 8][4],
                                const float (&factor)[M][2], int band, int rows, const flm_attention_shape &n)
{
    constexpr int CHUNKS = D / 8;
    const int lane = (int)threadIdx.x % FLM_WARP, g = lane / 4, t = lane % 4;
#pragma unroll
    for (int m = 0; m < M; m++)
#pragma unroll
        for (int i = 0; i < CHUNKS * 2; i++)
            *reinterpret_cast<uint32_t *>(flm_tile_at<D>(tile, band + m * 16 + g + i % 2 * 8, i / 2) + 4 * t) =
                flm_pack_pair(c[m][i / 2][i % 2 * 2] * factor[m][i % 2], c[m][i / 2][i % 2 * 2 + 1] * factor[m][i % 2]);
    __syncwarp();
    if (n.vector) {
#pragma unroll
        for (int turn = 0; turn < M * 16 * CHUNKS / FLM_WARP; turn++) {
            const int i = turn * FLM_WARP + lane, row = band + i / CHUNKS, chunk = i % CHUNKS;
            if (row < rows && chunk * 8 < n.h)
                *reinterpret_cast<uint4 *>(to + row * stride + chunk * 8) =
                    *reinterpret_cast<const uint4 *>(flm_tile_at<D>(tile, row, chunk));
        }
        return;
    }
#pragma unroll 1
    for (int i = lane; i < M * 16 * D; i += FLM_WARP) {
        const int row = band + i / D, column = i % D;
        if (row < rows && column < n.h)
            to[row * stride + column] =
                reinterpret_cast<const flm_bf16 *>(flm_tile_at<D>(tile, row, column / 8))[column % 8];
    }
}

/* flm_add_rows - out += s (rounded to bf16) times N * 8 rows of a tile of values or keys, from `row` on. */
template <int D, int M, int N>
FLM_DEVICE void flm_add_rows(float (&out)[M][D / 8][4], const float (&s)[M][N][4], const unsigned char *tile, int row)
{
    uint32_t b[4], left[M][4];
#pragma unroll
    for (int j = 0; j < N; j += 2) {
#pragma unroll
        for (int m = 0; m < M; m++) flm_left_of(left[m], s[m][j], s[m][j + 1]);
#pragma unroll
        for (int c = 0; c < D / 8; c += 2) {
            flm_right_trans<D>(b, tile, row + j * 8, c);
#pragma unroll
            for (int m = 0; m < M; m++) flm_mma_pair(out[m][c], out[m][c + 1], left[m], b);
        }
    }
}

#endif
