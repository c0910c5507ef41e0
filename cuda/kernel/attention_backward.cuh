/* attention_backward.cuh - shared by the two bf16 kernels of attention's gradient; the formulas are in
 * cpu_attention_backward.c.
 *
 * For 16 x 16 scores of D = 64 the kernel of grad_k and grad_v does 32 products of 16 x 8 x 16, that of grad_q 24:
 * together 7/3 of the forward pass (without atomics both compute the scores). In each a score takes some 14 fp32
 * operations and one 2^x: 56 clocks on sm_80, where the products take 64 and 48. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_CUDA_ATTENTION_BACKWARD_CUH
#define FLM_CUDA_ATTENTION_BACKWARD_CUH

#include "cuda/kernel/attention_tensor.cuh"

/* The statistics of a query: lse times log2(e), and the sum of grad_o o. Zeros for a query beyond the sequence: its
 * probabilities are then 1 and their gradients 0, and its rows of queries and grad_o, which they multiply, are zeros.
 */
typedef float2 flm_query_pair;

/* flm_score_gradient - with t = tanh(q k / (sqrt(h) cap)) and dp = grad_o v: *p becomes the probability, *ds the
 * gradient of q k / sqrt(h). outer: cap times log2(e). */
FLM_DEVICE void flm_score_gradient(float *p, float *ds, float t, float dp, const flm_query_pair &pair, float outer)
{
    *p = flm_exp2(t * outer - pair.x);
    *ds = *p * (dp - pair.y) * (1 - t * t);
}

/* flm_band_at - the address of an element of a band of fp32. */
template <int D> FLM_DEVICE float *flm_band_at(unsigned char *band, int row, int column)
{
    return reinterpret_cast<float *>(flm_tile_at<2 * D>(band, row, column / 4)) + column % 4;
}

/* flm_bands_rotate - turns the gradients of rotated queries or keys (a warp's M bands of 16 rows) into those of the
 * unrotated ones: columns i and i + h/2 of a row are multiplied by the transpose of its rotation. The same thread has
 * both columns only if h/2 is a multiple of 8, so each band passes through `buffer`: flm_attention_band_bytes(D) of
 * shared memory that belong to this warp alone. angles: of the first row, [h/2] pairs of cosine and sine for each row;
 * rows: how many rows exist. */
template <int D, int M>
FLM_DEVICE void flm_bands_rotate(float (&c)[M][D / 8][4], unsigned char *buffer, const float2 *angles, int rows, int h)
{
    const int lane = (int)threadIdx.x % FLM_WARP, g = lane / 4, t = lane % 4, half = h / 2;
#pragma unroll
    for (int m = 0; m < M; m++) {
#pragma unroll
        for (int i = 0; i < D / 8 * 2; i++)
            *reinterpret_cast<float2 *>(flm_band_at<D>(buffer, g + i % 2 * 8, i / 2 * 8 + 2 * t)) =
                make_float2(c[m][i / 2][i % 2 * 2], c[m][i / 2][i % 2 * 2 + 1]);
        __syncwarp();
#pragma unroll 1
        for (int row = g; row < 16 && m * 16 + row < rows; row += 8) {
            const float2 *turns = angles + (m * 16 + row) * half;
#pragma unroll 8
            for (int i = t; i < half; i += 4) {
                float *first = flm_band_at<D>(buffer, row, i), *second = flm_band_at<D>(buffer, row, i + half);
                const float2 turn = turns[i]; /* cos, sin */
                const float x = *first, y = *second;
                *first = x * turn.x + y * turn.y;
                *second = y * turn.x - x * turn.y;
            }
        }
        __syncwarp();
#pragma unroll
        for (int i = 0; i < D / 8 * 2;
             i++) { /* the same elements that this thread stored: the next band overwrites them */
            const float2 two =
                *reinterpret_cast<const float2 *>(flm_band_at<D>(buffer, g + i % 2 * 8, i / 2 * 8 + 2 * t));
            c[m][i / 2][i % 2 * 2] = two.x;
            c[m][i / 2][i % 2 * 2 + 1] = two.y;
        }
    }
}

#endif
