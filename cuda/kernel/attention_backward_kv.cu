/* attention_backward_kv.cu - grad_k and grad_v of capped attention, bf16. A block holds a tile of keys and values and
 * loops over the queries and grad_o in order. Scores are computed transposed, so that keys are rows: the probabilities
 * and the gradients of scores are then in the registers of the left factors of grad_v and grad_k.
 * SPDX-License-Identifier: Apache-2.0 */
#include "cuda/kernel/attention_backward.cuh"

namespace
{

constexpr int KEYS = FLM_ATTENTION_KEYS;
static_assert(KEYS == 16 * FLM_ATTENTION_WARPS, "a warp has one band of keys");

/* A tile of queries, their grad_o and statistics: two are in shared memory. */
struct stage {
    unsigned char *queries, *grads;
    flm_query_pair *pairs;
};

template <int D> FLM_DEVICE stage stage_at(unsigned char *shared, int number)
{
    constexpr int Q = flm_attention_queries(D), TILE = flm_attention_tile_bytes(D, Q),
                  FIXED = flm_attention_tile_bytes(D, 2 * KEYS);
    return {shared + FIXED + number * 2 * TILE, shared + FIXED + (number * 2 + 1) * TILE,
            reinterpret_cast<flm_query_pair *>(shared + FIXED + 4 * TILE) + number * Q};
}

template <int D>
FLM_DEVICE void stage_load(const stage &to, const flm_bf16 *q, const flm_bf16 *grad_o, const flm_query_pair *pairs,
                           int query, const flm_attention_shape &n)
{
    constexpr int Q = flm_attention_queries(D);
    const int64_t d = n.H * n.h;
    const int i = (int)threadIdx.x;
    flm_tile_load<D, Q>(to.queries, q + query * 3 * d, (int)(3 * d), n.L - query, n);
    flm_tile_load<D, Q>(to.grads, grad_o + query * d, (int)d, n.L - query, n);
    if (i < Q) flm_copy_async_8(to.pairs + i, query + i < n.L ? pairs + query + i : pairs, query + i < n.L);
    flm_copy_commit();
}

/* A warp's band of keys and values as fragments; narrow heads keep them in registers. */
template <int D> struct band {
    static constexpr bool KEPT = D <= 64;
    uint32_t k[KEPT ? D / 16 : 1][4], v[KEPT ? D / 16 : 1][4];
};

/* Adds the gradients of N * 8 queries, from row `row` of the stage. */
template <int D, int N>
FLM_DEVICE void gradients_add(float (&grad_k)[1][D / 8][4], float (&grad_v)[1][D / 8][4], band<D> &mine,
                              const unsigned char *keys, const unsigned char *values, const stage &at, int row,
                              const flm_attention_shape &n, const flm_capping &cap)
{
    const int t = (int)threadIdx.x % 4, first = (int)threadIdx.x / FLM_WARP * 16;
    float s[1][N][4] = {}, ds[N][4] = {};
    uint32_t b[4], p_left[4], ds_left[4];
#pragma unroll
    for (int k = 0; k < D / 16; k++) {
        const int kept = band<D>::KEPT ? k : 0;
        if (!band<D>::KEPT) {
            flm_left<D>(mine.k[kept], keys, first, k * 2);
            flm_left<D>(mine.v[kept], values, first, k * 2);
        }
#pragma unroll
        for (int j = 0; j < N; j += 2) {
            flm_right<D>(b, at.queries, row + j * 8, k * 2);
            flm_mma_pair(s[0][j], s[0][j + 1], mine.k[kept], b);
            flm_right<D>(b, at.grads, row + j * 8, k * 2);
            flm_mma_pair(ds[j], ds[j + 1], mine.v[kept], b);
        }
    }
    flm_cap_all(s, cap);
#pragma unroll
    for (int j = 0; j < N; j++) {
        const float4 two =
            *reinterpret_cast<const float4 *>(at.pairs + row + j * 8 + 2 * t); /* this thread's queries */
        const flm_query_pair pair[2] = {make_float2(two.x, two.y), make_float2(two.z, two.w)};
#pragma unroll
        for (int i = 0; i < 4; i++)
            flm_score_gradient(&s[0][j][i], &ds[j][i], s[0][j][i], ds[j][i], pair[i % 2], n.softcap * FLM_LOG2_E);
    }
#pragma unroll
    for (int j = 0; j < N; j += 2) {
        flm_left_of(p_left, s[0][j], s[0][j + 1]);
        flm_left_of(ds_left, ds[j], ds[j + 1]);
#pragma unroll
        for (int c = 0; c < D / 8; c += 2) {
            flm_right_trans<D>(b, at.grads, row + j * 8, c);
            flm_mma_pair(grad_v[0][c], grad_v[0][c + 1], p_left, b);
            flm_right_trans<D>(b, at.queries, row + j * 8, c);
            flm_mma_pair(grad_k[0][c], grad_k[0][c + 1], ds_left, b);
        }
    }
}

template <int D>
__global__ void __launch_bounds__(FLM_TENSOR_THREADS, flm_attention_backward_blocks(D))
    backward_kv(flm_bf16 *grad_qkv, const flm_bf16 *grad_o, const flm_bf16 *qkv, const flm_query_pair *pairs,
                flm_attention_shape n, flm_capping cap, const float2 *rope)
{
    constexpr int Q = flm_attention_queries(D), STEP = flm_attention_kv_step(D);
    static_assert(flm_attention_kv_shared(D) <= FLM_ATTENTION_SHARED_MAX, "shared memory of sm_80");
    static_assert(2 * D / 8 * 4 + (band<D>::KEPT ? 2 * D / 16 * 4 : 8) + 2 * STEP / 8 * 4 <= 176,
                  "accumulators, fragments and scores in registers");
    static_assert(FLM_ATTENTION_WARPS * flm_attention_band_bytes(D) <= 4 * flm_attention_tile_bytes(D, Q),
                  "the stages' memory holds a band of every warp");
    FLM_SHARED(unsigned char, keys);
    unsigned char *values = keys + flm_attention_tile_bytes(D, KEYS);
    const flm_attention_tile at = flm_attention_block(n, KEYS);
    const int64_t d = n.H * n.h, row = at.b * n.L;
    const int column = (int)at.head * n.h, first = (int)threadIdx.x / FLM_WARP * 16;
    const flm_bf16 *q = qkv + row * 3 * d + column, *grads = grad_o + row * d + column;
    const flm_query_pair *mine_pairs = pairs + row * n.H + at.head * n.L;
    float grad_k[1][D / 8][4] = {}, grad_v[1][D / 8][4] = {};
    band<D> mine;
    flm_tile_load<D, KEYS>(keys, q + at.first * 3 * d + d, (int)(3 * d), n.L - at.first, n);
    flm_tile_load<D, KEYS>(values, q + at.first * 3 * d + 2 * d, (int)(3 * d), n.L - at.first, n);
    stage_load<D>(stage_at<D>(keys, 0), q, grads, mine_pairs, 0, n);
    flm_copy_wait<0>();
    __syncthreads();
    if (band<D>::KEPT)
#pragma unroll
        for (int k = 0; k < D / 16; k++) {
            const int kept = band<D>::KEPT ? k : 0;
            flm_left<D>(mine.k[kept], keys, first, k * 2);
            flm_left<D>(mine.v[kept], values, first, k * 2);
        }
    for (int query = 0, number = 0; query < n.L; query += Q, number ^= 1) {
        if (query + Q < n.L) stage_load<D>(stage_at<D>(keys, number ^ 1), q, grads, mine_pairs, query + Q, n);
#pragma unroll 1
        for (int at_row = 0; at_row < Q; at_row += STEP)
            if (query + at_row < n.L)
                gradients_add<D, STEP / 8>(grad_k, grad_v, mine, keys, values, stage_at<D>(keys, number), at_row, n,
                                           cap);
        flm_copy_wait<0>();
        __syncthreads(); /* the next stage has arrived, and all warps are done with this one */
    }
    flm_bf16 *out = grad_qkv + (row + at.first) * 3 * d + column;
    if (rope != nullptr)
        flm_bands_rotate<D, 1>(grad_k, stage_at<D>(keys, 0).queries + first / 16 * flm_attention_band_bytes(D),
                               rope + (int64_t)(at.first + first) * (n.h / 2), n.L - at.first - first, n.h);
    const float scale[1][2] = {{n.scale, n.scale}}, one[1][2] = {{1, 1}};
    flm_bands_store<D, 1>(out + d, 3 * d, keys, grad_k, scale, first, n.L - at.first, n);
    flm_bands_store<D, 1>(out + 2 * d, 3 * d, values, grad_v, one, first, n.L - at.first, n);
}

template <int D>
int launch(flm_bf16 *grad_qkv, const flm_bf16 *grad_o, const flm_bf16 *qkv, const flm_query_pair *pairs, int64_t B,
           const flm_attention_shape &n, const float2 *rope, void *stream)
{
    const unsigned blocks = (unsigned)(flm_attention_tiles(n.L, KEYS) * B * n.H);
    return flm_launch(backward_kv<D>, dim3(blocks), dim3(FLM_TENSOR_THREADS), (size_t)flm_attention_kv_shared(D),
                      stream, grad_qkv, grad_o, qkv, pairs, n, flm_capping_of(n.scale / n.softcap, 1), rope);
}

} // namespace

int flm_cuda_launch_attention_backward_kv(void *grad_qkv, const void *grad_o, const void *qkv, const void *pairs,
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
