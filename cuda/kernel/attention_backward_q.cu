/* attention_backward_q.cu - grad_q of capped attention, bf16. A block holds a tile of queries and grad_o and loops over
 * the keys and values in order. SPDX-License-Identifier: Apache-2.0 */
#include "cuda/kernel/attention_backward.cuh"

namespace
{

constexpr int KEYS = FLM_ATTENTION_KEYS;

/* A warp's bands of queries and grad_o as fragments. */
template <int D, int M> struct bands {
    uint32_t q[M][D / 16][4], grads[M][D / 16][4];
    flm_query_pair pair[M][2]; /* statistics of the thread's rows */
};

/* Adds the gradients by N * 8 keys and values, from row `row` of their tiles. count: how many of them exist. */
template <int D, int M, int N>
FLM_DEVICE void gradient_add(float (&grad_q)[M][D / 8][4], const bands<D, M> &mine, const unsigned char *keys,
                             const unsigned char *values, int row, int count, const flm_attention_shape &n,
                             const flm_capping &cap)
{
    const int t = (int)threadIdx.x % 4;
    float s[M][N][4] = {}, ds[M][N][4] = {};
    uint32_t b[4];
#pragma unroll
    for (int k = 0; k < D / 16; k++)
#pragma unroll
        for (int j = 0; j < N; j += 2) {
            flm_right<D>(b, keys, row + j * 8, k * 2);
#pragma unroll
            for (int m = 0; m < M; m++) flm_mma_pair(s[m][j], s[m][j + 1], mine.q[m][k], b);
            flm_right<D>(b, values, row + j * 8, k * 2);
#pragma unroll
            for (int m = 0; m < M; m++) flm_mma_pair(ds[m][j], ds[m][j + 1], mine.grads[m][k], b);
        }
    flm_cap_all(s, cap);
#pragma unroll
    for (int m = 0; m < M; m++)
#pragma unroll
        for (int i = 0; i < N * 4; i++) {
            float p;
            flm_score_gradient(&p, &ds[m][i / 4][i % 4], s[m][i / 4][i % 4], ds[m][i / 4][i % 4],
                               mine.pair[m][i % 4 / 2], n.softcap * FLM_LOG2_E);
        }
    if (count < N * 8) /* the zeros of missing keys do not suffice: their gradient can be infinite */
#pragma unroll
        for (int m = 0; m < M; m++)
#pragma unroll
            for (int i = 0; i < N * 4; i++)
                if (i / 4 * 8 + 2 * t + i % 2 >= count) ds[m][i / 4][i % 4] = 0;
    flm_add_rows<D>(grad_q, ds, keys, row);
}

template <int D>
__global__ void __launch_bounds__(FLM_TENSOR_THREADS, flm_attention_backward_blocks(D))
    backward_q(flm_bf16 *grad_qkv, const flm_bf16 *grad_o, const flm_bf16 *qkv, const flm_query_pair *pairs,
               flm_attention_shape n, flm_capping cap, const float2 *rope)
{
    constexpr int M = flm_attention_bands(D), ROWS = flm_attention_rows(D), N = flm_attention_q_step(D) / 8;
    constexpr int TILE = flm_attention_tile_bytes(D, KEYS), OWN = flm_attention_tile_bytes(D, ROWS);
    static_assert(flm_attention_q_shared(D) <= FLM_ATTENTION_SHARED_MAX, "shared memory of sm_80");
    static_assert(M * (D / 8 * 4 + 2 * D / 16 * 4 + 2 * N * 4) <= 176,
                  "accumulators, fragments and scores in registers");
    static_assert(FLM_ATTENTION_WARPS * flm_attention_band_bytes(D) <= 4 * TILE,
                  "the memory of keys and values holds a band of every warp");
    FLM_SHARED(unsigned char, queries);
    unsigned char *grads = queries + OWN, *keys = grads + OWN, *values = keys + 2 * TILE;
    const flm_attention_tile at = flm_attention_block(n, ROWS);
    const int64_t d = n.H * n.h, row = at.b * n.L;
    const int column = (int)at.head * n.h, lane = (int)threadIdx.x % FLM_WARP;
    const int band = (int)threadIdx.x / FLM_WARP * 16 * M, tiles = (n.L + KEYS - 1) / KEYS;
    const flm_bf16 *q = qkv + row * 3 * d + column;
    float grad_q[M][D / 8][4] = {}, factor[M][2];
    bands<D, M> mine;
    flm_tile_load<D, ROWS>(queries, q + at.first * 3 * d, (int)(3 * d), n.L - at.first, n);
    flm_tile_load<D, ROWS>(grads, grad_o + (row + at.first) * d + column, (int)d, n.L - at.first, n);
    flm_tile_load<D, KEYS>(keys, q + d, (int)(3 * d), n.L, n);
    flm_tile_load<D, KEYS>(values, q + 2 * d, (int)(3 * d), n.L, n);
    flm_copy_commit();
#pragma unroll
    for (int i = 0; i < M * 2; i++) {
        const int query = at.first + band + i * 8 + lane / 4;
        mine.pair[i / 2][i % 2] = query < n.L ? pairs[row * n.H + at.head * n.L + query] : make_float2(0, 0);
        factor[i / 2][i % 2] = n.scale;
    }
    flm_copy_wait<0>();
    __syncthreads();
#pragma unroll
    for (int m = 0; m < M; m++)
#pragma unroll
        for (int k = 0; k < D / 16; k++) {
            flm_left<D>(mine.q[m][k], queries, band + m * 16, k * 2);
            flm_left<D>(mine.grads[m][k], grads, band + m * 16, k * 2);
        }
    for (int tile = 0; tile < tiles; tile++) {
        const int now = tile % 2 * TILE, next = TILE - now, next_key = (tile + 1) * KEYS;
        if (tile + 1 < tiles) {
            flm_tile_load<D, KEYS>(keys + next, q + next_key * 3 * d + d, (int)(3 * d), n.L - next_key, n);
            flm_tile_load<D, KEYS>(values + next, q + next_key * 3 * d + 2 * d, (int)(3 * d), n.L - next_key, n);
            flm_copy_commit();
        }
#pragma unroll 1
        for (int at_row = 0; at_row < KEYS && tile * KEYS + at_row < n.L; at_row += N * 8)
            gradient_add<D, M, N>(grad_q, mine, keys + now, values + now, at_row, n.L - tile * KEYS - at_row, n, cap);
        flm_copy_wait<0>();
        __syncthreads(); /* the next tiles have arrived, and all warps are done with these */
    }
    if (rope != nullptr)
        flm_bands_rotate<D, M>(grad_q, keys + band / (16 * M) * flm_attention_band_bytes(D),
                               rope + (int64_t)(at.first + band) * (n.h / 2), n.L - at.first - band, n.h);
    flm_bands_store<D, M>(grad_qkv + (row + at.first) * 3 * d + column, 3 * d, queries, grad_q, factor, band,
                          n.L - at.first, n);
}

template <int D>
int launch(flm_bf16 *grad_qkv, const flm_bf16 *grad_o, const flm_bf16 *qkv, const flm_query_pair *pairs, int64_t B,
           const flm_attention_shape &n, const float2 *rope, void *stream)
{
    const unsigned blocks = (unsigned)(flm_attention_tiles(n.L, flm_attention_rows(D)) * B * n.H);
    return flm_launch(backward_q<D>, dim3(blocks), dim3(FLM_TENSOR_THREADS), (size_t)flm_attention_q_shared(D), stream,
                      grad_qkv, grad_o, qkv, pairs, n, flm_capping_of(n.scale / n.softcap, 1), rope);
}

} // namespace

int flm_cuda_launch_attention_backward_q(void *grad_qkv, const void *grad_o, const void *qkv, const void *pairs,
                                         bool vector, int64_t B, int64_t L, int64_t H, int64_t h, float softcap,
                                         const float *rope, void *stream)
{
    const flm_attention_shape n = {H, (int)L, (int)h, 1 / sqrtf((float)h), softcap, vector};
    flm_bf16 *to = (flm_bf16 *)grad_qkv;
    const flm_bf16 *grads = (const flm_bf16 *)grad_o, *in = (const flm_bf16 *)qkv;
    const flm_query_pair *rows = (const flm_query_pair *)pairs;
    const float2 *angles = (const float2 *)rope;
    return flm_by_tensor_head(
        h, [&](auto head) { return launch<head.columns>(to, grads, in, rows, B, n, angles, stream); });
}
