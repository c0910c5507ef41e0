/* attention_plain.cu - attention in fp32, forward: with capped scores over all keys, and causal over sequences that are
 * stored one after the other. See attention_plain.cuh. SPDX-License-Identifier: Apache-2.0 */
#include "cuda/kernel/attention_plain.cuh"

namespace
{

constexpr int OWN = FLM_PLAIN_OWN, ROWS = FLM_PLAIN_ROWS, LD = FLM_SCORES_LD;

/* Of a thread's rows: the sum of exponentials, and without a cap the largest score so far. */
struct running {
    float sum[OWN], max_value[OWN];
};

/* Capped scores are bounded, so their exponentials are summed without a running maximum (cpu_attention.c). */
FLM_DEVICE void exponentials_capped(float (&s)[OWN][OWN], running &r, const flm_attention_shape &n, int key, int seen)
{
    const float inner = n.scale / n.softcap;
#pragma unroll
    for (int i = 0; i < OWN; i++)
#pragma unroll
        for (int j = 0; j < OWN; j++) {
            const bool valid = key + flm_plain_x() + j * FLM_SIDE < seen;
            s[i][j] = valid ? expf(n.softcap * tanhf(s[i][j] * inner)) : 0;
            r.sum[i] += s[i][j];
        }
}

/* first: the position of the tile's first query. out is rescaled when a row has a new largest score. */
template <int N>
FLM_DEVICE void exponentials_causal(float (&s)[OWN][OWN], running &r, float (&out)[OWN][N],
                                    const flm_attention_shape &n, int key, int first)
{
#pragma unroll
    for (int i = 0; i < OWN; i++) {
        const int row = first + flm_plain_y() + i * FLM_SIDE;
        float max_value = r.max_value[i];
#pragma unroll
        for (int j = 0; j < OWN; j++) {
            if (key + flm_plain_x() + j * FLM_SIDE > row) s[i][j] = -INFINITY;
            max_value = fmaxf(max_value, s[i][j]);
        }
        max_value = flm_side_max(max_value);
        const float factor = expf((r.max_value[i] - max_value) * n.scale);
        r.max_value[i] = max_value;
        r.sum[i] *= factor;
#pragma unroll
        for (int j = 0; j < N; j++) out[i][j] *= factor;
#pragma unroll
        for (int j = 0; j < OWN; j++) {
            s[i][j] = expf((s[i][j] - max_value) * n.scale);
            r.sum[i] += s[i][j];
        }
    }
}

/* Queries [first, first + ROWS) of a sequence of n.L rows, one head; q, k, v and o begin at the sequence. */
template <int D, bool CAUSAL>
FLM_DEVICE void forward_tile(float *o, int64_t o_stride, float *lse, const float *q, const float *k, const float *v,
                             int64_t stride, int first, const flm_attention_shape &n)
{
    constexpr int N = D / FLM_SIDE;
    FLM_SHARED(float, shared);
    float *queries = shared, *keys = queries + ROWS * (D + 1), *values = keys + ROWS * (D + 1);
    float *scores = values + ROWS * (D + 1), out[OWN][N] = {}, factor[OWN];
    const int seen = CAUSAL ? min(n.L, first + ROWS) : n.L;
    running r;
    for (int i = 0; i < OWN; i++) r.sum[i] = 0, r.max_value[i] = -INFINITY;
    flm_plain_load<D>(queries, q + first * stride, stride, n.L - first, n.h);
    for (int key = 0; key < seen; key += ROWS) {
        float s[OWN][OWN] = {};
        __syncthreads(); /* all threads are done with the previous tiles */
        flm_plain_load<D>(keys, k + key * stride, stride, n.L - key, n.h);
        flm_plain_load<D>(values, v + key * stride, stride, n.L - key, n.h);
        __syncthreads();
        flm_plain_matmul(s, queries, D + 1, 1, keys, D + 1, 1, D);
        if (CAUSAL)
            exponentials_causal(s, r, out, n, key, first);
        else
            exponentials_capped(s, r, n, key, seen);
        flm_plain_keep(scores, s);
        __syncthreads();
        flm_plain_matmul(out, scores, LD, 1, values, 1, D + 1, ROWS);
    }
#pragma unroll
    for (int i = 0; i < OWN; i++) {
        const int row = first + flm_plain_y() + i * FLM_SIDE;
        r.sum[i] = flm_side_sum(r.sum[i]);
        factor[i] = 1 / r.sum[i];
        if (!CAUSAL && flm_plain_x() == 0 && row < n.L) lse[row] = logf(r.sum[i]);
    }
    flm_plain_store(o + first * o_stride, o_stride, out, factor, n.L - first, n.h);
}

template <int D>
__global__ void __launch_bounds__(FLM_PLAIN_THREADS, 1)
    attention_plain(float *o, float *lse, const float *qkv, flm_attention_shape n)
{
    const flm_attention_tile at = flm_attention_block(n, ROWS);
    const int64_t d = n.H * n.h;
    const float *q = qkv + at.b * n.L * 3 * d + at.head * n.h;
    forward_tile<D, false>(o + at.b * n.L * d + at.head * n.h, d, lse + (at.b * n.H + at.head) * n.L, q, q + d,
                           q + 2 * d, 3 * d, at.first, n);
}

template <int D>
__global__ void __launch_bounds__(FLM_PLAIN_THREADS, 1)
    attention_causal_plain(float *o, const float *qkv, const int32_t *starts, int64_t B, int64_t R,
                           flm_attention_shape n)
{
    const int64_t head = (int64_t)blockIdx.x % n.H, slot = (int64_t)blockIdx.x / n.H, d = n.H * n.h;
    const flm_causal_tile at = flm_causal_block(starts, B, R, slot, ROWS);
    const float *q = qkv + at.start * 3 * d + head * n.h;
    float *out = o + at.start * d + head * n.h;
    if (at.length == 0) return; /* all threads of the block */
    if (at.b == B) {
        const float none[OWN][D / FLM_SIDE] = {}, factor[OWN] = {};
        flm_plain_store(out + at.first * d, d, none, factor, at.length - at.first, n.h);
        return;
    }
    n.L = at.length;
    forward_tile<D, true>(out, d, nullptr, q, q + d, q + 2 * d, 3 * d, at.first, n);
}

template <int D>
int launch(float *o, float *lse, const float *qkv, int64_t B, const flm_attention_shape &n, void *stream)
{
    const unsigned blocks = (unsigned)(flm_attention_tiles(n.L, ROWS) * B * n.H);
    return flm_launch(attention_plain<D>, dim3(blocks), dim3(FLM_PLAIN_THREADS), (size_t)flm_plain_shared(D, 3), stream,
                      o, lse, qkv, n);
}

template <int D>
int launch_causal(float *o, const float *qkv, const int32_t *starts, int64_t B, int64_t R, const flm_attention_shape &n,
                  void *stream)
{
    const unsigned blocks = (unsigned)(flm_causal_slots(R, B, ROWS) * n.H);
    return flm_launch(attention_causal_plain<D>, dim3(blocks), dim3(FLM_PLAIN_THREADS), (size_t)flm_plain_shared(D, 3),
                      stream, o, qkv, starts, B, R, n);
}

} // namespace

int flm_cuda_launch_attention_plain(float *o, float *lse, const float *qkv, int64_t B, int64_t L, int64_t H, int64_t h,
                                    float softcap, void *stream)
{
    const flm_attention_shape n = {H, (int)L, (int)h, 1 / sqrtf((float)h), softcap, false};
    return flm_by_plain_head(h, [&](auto head) { return launch<head.columns>(o, lse, qkv, B, n, stream); });
}

int flm_cuda_launch_attention_causal_plain(float *o, const float *qkv, const int32_t *starts, int64_t B, int64_t R,
                                           int64_t H, int64_t h, void *stream)
{
    const flm_attention_shape n = {H, 0, (int)h, 1 / sqrtf((float)h), 0, false};
    return flm_by_plain_head(h,
                             [&](auto head) { return launch_causal<head.columns>(o, qkv, starts, B, R, n, stream); });
}
