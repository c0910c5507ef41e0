/* attention_forward.cuh - one tile of queries of one head against its keys, on tensor cores: for attention.cu and
 * attention_causal.cu.
 *
 * For 16 queries and 16 keys of D = 64 a warp does 8 products of 16 x 8 x 16 for the scores and 8 for the output, and 4
 * reads of four 8 x 8 matrices of keys and 4 of values, which two bands share. The 256 scores are 8 for each thread,
 * each with some 7 fp32 operations for cap and sum, one comparison, one 2^x and half a conversion. On sm_80 the
 * products take 32 clocks (1024 multiplications a clock), the fp32 units 28 (64 a clock), the special functions 16 (16
 * a clock), the schedulers 25. The cap bounds the scores, so no running maximum is needed and nothing is rescaled.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_CUDA_ATTENTION_FORWARD_CUH
#define FLM_CUDA_ATTENTION_FORWARD_CUH

#include "cuda/kernel/attention_tensor.cuh"

/* Rows [row, row + n.L) of qkv are the sequence; first is the tile's first row in it. lse [.., H, L], not used if
 * causal. Pointers are computed from these few values when they are needed, to save registers. */
struct flm_forward_job {
    const flm_bf16 *qkv;
    flm_bf16 *o;
    float *lse;
    int64_t row;
    int head, first;
};

/* Of a thread's rows, g and g + 8 of each band: the sum of exponentials, and without a cap the largest score so far. */
template <int M> struct flm_forward_rows {
    float sum[M][2], max_value[M][2];
};

/* Capped scores become exponentials. Only the first `count` keys exist; the others' exponentials are 0. */
template <int M, int N>
FLM_DEVICE void flm_exponentials_capped(float (&s)[M][N][4], flm_forward_rows<M> &r, int count, const flm_capping &cap)
{
    const int t = (int)threadIdx.x % 4;
    flm_cap_all(s, cap);
#pragma unroll
    for (int m = 0; m < M; m++)
#pragma unroll
        for (int i = 0; i < N * 4; i++) s[m][i / 4][i % 4] = flm_exp2(s[m][i / 4][i % 4]);
    if (count < N * 8)
#pragma unroll
        for (int m = 0; m < M; m++)
#pragma unroll
            for (int i = 0; i < N * 4; i++)
                if (i / 4 * 8 + 2 * t + i % 2 >= count) s[m][i / 4][i % 4] = 0;
#pragma unroll
    for (int m = 0; m < M; m++)
#pragma unroll
        for (int i = 0; i < N * 4; i++) r.sum[m][i % 4 / 2] += s[m][i / 4][i % 4];
}

/* Scores become exponentials relative to the largest score so far; keys after the query are masked. seen: how many of
 * the keys the warp's first query attends to; each further query attends to one more. out and the sums are rescaled
 * only if some row has a new largest score; otherwise all factors are 1. */
template <int M, int N, int COLUMNS>
FLM_DEVICE void flm_exponentials_causal(float (&s)[M][N][4], flm_forward_rows<M> &r, float (&out)[M][COLUMNS][4],
                                        int seen, const flm_attention_shape &n)
{
    const float inner = n.scale * FLM_LOG2_E;
    const int g = (int)threadIdx.x % FLM_WARP / 4, t = (int)threadIdx.x % 4;
    if (seen < N * 8)
#pragma unroll
        for (int m = 0; m < M; m++)
#pragma unroll
            for (int i = 0; i < N * 4; i++)
                if (i / 4 * 8 + 2 * t + i % 2 >= seen + m * 16 + g + i % 4 / 2 * 8) s[m][i / 4][i % 4] = -INFINITY;
    float factor[M][2];
    bool same = true;
#pragma unroll
    for (int m = 0; m < M; m++)
#pragma unroll
        for (int half = 0; half < 2; half++) {
            float max_value = r.max_value[m][half];
#pragma unroll
            for (int i = 0; i < N * 2; i++) max_value = fmaxf(max_value, s[m][i / 2][half * 2 + i % 2]);
            max_value = fmaxf(max_value, __shfl_xor_sync(FLM_ALL, max_value, 1));
            max_value = fmaxf(max_value, __shfl_xor_sync(FLM_ALL, max_value, 2));
            factor[m][half] = flm_exp2((r.max_value[m][half] - max_value) * inner);
            same &= factor[m][half] == 1;
            r.max_value[m][half] = max_value;
            r.sum[m][half] *= factor[m][half];
#pragma unroll
            for (int i = 0; i < N * 2; i++) {
                float &x = s[m][i / 2][half * 2 + i % 2];
                x = flm_exp2((x - max_value) * inner);
                r.sum[m][half] += x;
            }
        }
    if (__all_sync(FLM_ALL, same)) return;
#pragma unroll
    for (int m = 0; m < M; m++)
#pragma unroll
        for (int i = 0; i < COLUMNS * 4; i++) out[m][i / 4][i % 4] *= factor[m][i % 4 / 2];
}

/* Adds N * 8 keys and values, from row `row` of their tiles. count: how many of the keys exist; if causal, how many the
 * warp's first query attends to. */
template <int D, int M, int N, bool CAUSAL>
FLM_DEVICE void flm_forward_keys(float (&out)[M][D / 8][4], flm_forward_rows<M> &r, const uint32_t (&q)[M][D / 16][4],
                                 const unsigned char *keys, const unsigned char *values, int row, int count,
                                 const flm_attention_shape &n, const flm_capping &cap)
{
    float s[M][N][4] = {};
    uint32_t b[4];
#pragma unroll
    for (int k = 0; k < D / 16; k++)
#pragma unroll
        for (int j = 0; j < N; j += 2) {
            flm_right<D>(b, keys, row + j * 8, k * 2);
#pragma unroll
            for (int m = 0; m < M; m++) flm_mma_pair(s[m][j], s[m][j + 1], q[m][k], b);
        }
    if (CAUSAL)
        flm_exponentials_causal(s, r, out, count, n);
    else
        flm_exponentials_capped(s, r, count, cap);
    flm_add_rows<D>(out, s, values, row);
}

template <int D, bool CAUSAL>
FLM_DEVICE void flm_forward_tile(const flm_forward_job &job, const flm_attention_shape &n, const flm_capping &cap)
{
    constexpr int M = flm_attention_bands(D), ROWS = flm_attention_rows(D), KEYS = FLM_ATTENTION_KEYS,
                  N = flm_attention_step(D) / 8;
    constexpr int TILE = flm_attention_tile_bytes(D, KEYS);
    static_assert(flm_attention_forward_shared(D) <= FLM_ATTENTION_SHARED_MAX, "shared memory of sm_80");
    static_assert(M * (D / 8 * 4 + D / 16 * 4 + N * 4) <= 176, "accumulators, queries and scores in registers");
    FLM_SHARED(unsigned char, queries);
    unsigned char *keys = queries + flm_attention_tile_bytes(D, ROWS), *values = keys + 2 * TILE;
    const int lane = (int)threadIdx.x % FLM_WARP, band = (int)threadIdx.x / FLM_WARP * 16 * M, query = job.first + band;
    const int seen = CAUSAL ? min(n.L, job.first + ROWS) : n.L, mine = CAUSAL ? min(seen, query + 16 * M) : seen;
    const int tiles = (seen + KEYS - 1) / KEYS;
    uint32_t q[M][D / 16][4];
    float out[M][D / 8][4] = {}, factor[M][2];
    flm_forward_rows<M> r;
#pragma unroll
    for (int m = 0; m < M; m++) r.sum[m][0] = r.sum[m][1] = 0, r.max_value[m][0] = r.max_value[m][1] = -INFINITY;
    const int64_t d = n.H * n.h;
    const flm_bf16 *at = job.qkv + job.row * 3 * d + job.head * n.h;
    flm_tile_load<D, ROWS>(queries, at + job.first * 3 * d, (int)(3 * d), n.L - job.first, n);
    flm_tile_load<D, KEYS>(keys, at + d, (int)(3 * d), n.L, n);
    flm_tile_load<D, KEYS>(values, at + 2 * d, (int)(3 * d), n.L, n);
    flm_copy_commit();
    flm_copy_wait<0>();
    __syncthreads();
#pragma unroll
    for (int i = 0; i < M * D / 16; i++)
        flm_left<D>(q[i / (D / 16)][i % (D / 16)], queries, band + i / (D / 16) * 16, i % (D / 16) * 2);
    for (int tile = 0; tile < tiles; tile++) {
        const int now = tile % 2 * TILE, next = TILE - now, next_key = (tile + 1) * KEYS;
        if (tile + 1 < tiles) {
            flm_tile_load<D, KEYS>(keys + next, at + next_key * 3 * d + d, (int)(3 * d), n.L - next_key, n);
            flm_tile_load<D, KEYS>(values + next, at + next_key * 3 * d + 2 * d, (int)(3 * d), n.L - next_key, n);
            flm_copy_commit();
        }
#pragma unroll 1
        for (int row = 0; row < KEYS; row += N * 8)
            if (const int key = tile * KEYS + row; key < mine)
                flm_forward_keys<D, M, N, CAUSAL>(out, r, q, keys + now, values + now, row,
                                                  CAUSAL ? query + 1 - key : n.L - key, n, cap);
        flm_copy_wait<0>();
        __syncthreads(); /* the next tiles have arrived, and all warps are done with these */
    }
#pragma unroll
    for (int i = 0; i < M * 2; i++) {
        float sum = r.sum[i / 2][i % 2];
        const int row = query + i / 2 * 16 + i % 2 * 8 + lane / 4;
        sum += __shfl_xor_sync(FLM_ALL, sum, 1);
        sum += __shfl_xor_sync(FLM_ALL, sum, 2);
        factor[i / 2][i % 2] = 1 / sum;
        if (!CAUSAL && lane % 4 == 0 && row < n.L) job.lse[job.row * n.H + (int64_t)job.head * n.L + row] = logf(sum);
    }
    flm_bands_store<D, M>(job.o + (job.row + job.first) * d + job.head * n.h, d, queries, out, factor, band,
                          n.L - job.first, n);
}

#endif
