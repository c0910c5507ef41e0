/* attention_plain_backward.cu - the gradient of capped attention in fp32: one kernel computes grad_k and grad_v by
 * tiles of keys, another grad_q by tiles of queries; both recompute the probabilities. Formulas:
 * cpu_attention_backward.c. Every sum has a fixed order. See attention_plain.cuh. SPDX-License-Identifier: Apache-2.0
 */
#include "cuda/kernel/attention_plain.cuh"

namespace
{

constexpr int OWN = FLM_PLAIN_OWN, ROWS = FLM_PLAIN_ROWS, LD = FLM_SCORES_LD;

/* Rows are queries. s: q k becomes the probability; ds: grad_o v becomes the gradient of q k. Both are 0 for a query or
 * a key beyond the sequence. */
FLM_DEVICE void scores_gradient(float (&s)[OWN][OWN], float (&ds)[OWN][OWN], const float2 *pairs, int query, int key,
                                const flm_attention_shape &n)
{
    const float inner = n.scale / n.softcap;
#pragma unroll
    for (int i = 0; i < OWN; i++) {
        const int row = query + flm_plain_y() + i * FLM_SIDE;
        const float2 pair = row < n.L ? pairs[row] : make_float2(0, 0);
#pragma unroll
        for (int j = 0; j < OWN; j++) {
            const bool valid = row < n.L && key + flm_plain_x() + j * FLM_SIDE < n.L;
            const float t = tanhf(s[i][j] * inner), p = expf(n.softcap * t - pair.x);
            s[i][j] = valid ? p : 0;
            ds[i][j] = valid ? p * (ds[i][j] - pair.y) * ((1 - t * t) * n.scale) : 0;
        }
    }
}

/* Turns the gradients of rotated queries or keys into those of the unrotated ones: columns i and i + h/2 of a row are
 * multiplied by the transpose of its rotation. They pass through a tile that is no longer needed; each row belongs to
 * one half of a warp. angles: of the tile's first row, [h/2] pairs of cosine and sine for each row. */
template <int D>
FLM_DEVICE void rotate_back(float (&c)[OWN][D / FLM_SIDE], float *tile, const float2 *angles, int rows, int h)
{
    const int half = h / 2;
#pragma unroll
    for (int i = 0; i < OWN; i++)
#pragma unroll
        for (int j = 0; j < D / FLM_SIDE; j++)
            tile[(flm_plain_y() + i * FLM_SIDE) * (D + 1) + flm_plain_x() + j * FLM_SIDE] = c[i][j];
    __syncwarp();
    for (int row = flm_plain_y(); row < ROWS && row < rows; row += FLM_SIDE)
        for (int i = flm_plain_x(); i < half; i += FLM_SIDE) {
            float *first = tile + row * (D + 1) + i, *second = first + half;
            const float2 turn = angles[row * half + i]; /* cos, sin */
            const float x = *first, y = *second;
            *first = x * turn.x + y * turn.y;
            *second = y * turn.x - x * turn.y;
        }
    __syncwarp();
#pragma unroll
    for (int i = 0; i < OWN; i++)
#pragma unroll
        for (int j = 0; j < D / FLM_SIDE; j++)
            c[i][j] = tile[(flm_plain_y() + i * FLM_SIDE) * (D + 1) + flm_plain_x() + j * FLM_SIDE];
}

/* A block's four tiles and its scores. */
struct tiles {
    float *queries, *grads, *keys, *values, *scores;
};

FLM_DEVICE tiles tiles_at(float *shared, int tile)
{
    return {shared, shared + tile, shared + 2 * tile, shared + 3 * tile, shared + 4 * tile};
}

template <int D>
__global__ void __launch_bounds__(FLM_PLAIN_THREADS, 1)
    plain_backward_kv(float *grad_qkv, const float *grad_o, const float *qkv, const float2 *pairs,
                      flm_attention_shape n, const float2 *rope)
{
    constexpr int N = D / FLM_SIDE, COLUMNS = D + 1;
    FLM_SHARED(float, shared);
    const tiles t = tiles_at(shared, ROWS * COLUMNS);
    const flm_attention_tile at = flm_attention_block(n, ROWS);
    const int64_t d = n.H * n.h, row = at.b * n.L;
    const float *q = qkv + row * 3 * d + at.head * n.h, *grads = grad_o + row * d + at.head * n.h;
    float *out = grad_qkv + (row + at.first) * 3 * d + at.head * n.h;
    float grad_k[OWN][N] = {}, grad_v[OWN][N] = {}, factor[OWN];
    flm_plain_load<D>(t.keys, q + d + at.first * 3 * d, 3 * d, n.L - at.first, n.h);
    flm_plain_load<D>(t.values, q + 2 * d + at.first * 3 * d, 3 * d, n.L - at.first, n.h);
    for (int query = 0; query < n.L; query += ROWS) {
        float s[OWN][OWN] = {}, ds[OWN][OWN] = {};
        __syncthreads(); /* all threads are done with the previous tiles and scores */
        flm_plain_load<D>(t.queries, q + query * 3 * d, 3 * d, n.L - query, n.h);
        flm_plain_load<D>(t.grads, grads + query * d, d, n.L - query, n.h);
        __syncthreads();
        flm_plain_matmul(s, t.queries, COLUMNS, 1, t.keys, COLUMNS, 1, D);
        flm_plain_matmul(ds, t.grads, COLUMNS, 1, t.values, COLUMNS, 1, D);
        scores_gradient(s, ds, pairs + (at.b * n.H + at.head) * n.L, query, at.first, n);
        flm_plain_keep(t.scores, s);
        __syncthreads();
        flm_plain_matmul(grad_v, t.scores, 1, LD, t.grads, 1, COLUMNS, ROWS);
        __syncthreads();
        flm_plain_keep(t.scores, ds);
        __syncthreads();
        flm_plain_matmul(grad_k, t.scores, 1, LD, t.queries, 1, COLUMNS, ROWS);
    }
    if (rope != nullptr) rotate_back<D>(grad_k, t.keys, rope + (int64_t)at.first * (n.h / 2), n.L - at.first, n.h);
    for (int i = 0; i < OWN; i++) factor[i] = 1;
    flm_plain_store(out + d, 3 * d, grad_k, factor, n.L - at.first, n.h);
    flm_plain_store(out + 2 * d, 3 * d, grad_v, factor, n.L - at.first, n.h);
}

template <int D>
__global__ void __launch_bounds__(FLM_PLAIN_THREADS, 1)
    plain_backward_q(float *grad_qkv, const float *grad_o, const float *qkv, const float2 *pairs, flm_attention_shape n,
                     const float2 *rope)
{
    constexpr int N = D / FLM_SIDE, COLUMNS = D + 1;
    FLM_SHARED(float, shared);
    const tiles t = tiles_at(shared, ROWS * COLUMNS);
    const flm_attention_tile at = flm_attention_block(n, ROWS);
    const int64_t d = n.H * n.h, row = at.b * n.L;
    const float *q = qkv + row * 3 * d + at.head * n.h;
    float grad_q[OWN][N] = {}, factor[OWN];
    flm_plain_load<D>(t.queries, q + at.first * 3 * d, 3 * d, n.L - at.first, n.h);
    flm_plain_load<D>(t.grads, grad_o + (row + at.first) * d + at.head * n.h, d, n.L - at.first, n.h);
    for (int key = 0; key < n.L; key += ROWS) {
        float s[OWN][OWN] = {}, ds[OWN][OWN] = {};
        __syncthreads();
        flm_plain_load<D>(t.keys, q + d + key * 3 * d, 3 * d, n.L - key, n.h);
        flm_plain_load<D>(t.values, q + 2 * d + key * 3 * d, 3 * d, n.L - key, n.h);
        __syncthreads();
        flm_plain_matmul(s, t.queries, COLUMNS, 1, t.keys, COLUMNS, 1, D);
        flm_plain_matmul(ds, t.grads, COLUMNS, 1, t.values, COLUMNS, 1, D);
        scores_gradient(s, ds, pairs + (at.b * n.H + at.head) * n.L, at.first, key, n);
        flm_plain_keep(t.scores, ds);
        __syncthreads();
        flm_plain_matmul(grad_q, t.scores, LD, 1, t.keys, 1, COLUMNS, ROWS);
    }
    if (rope != nullptr) rotate_back<D>(grad_q, t.queries, rope + (int64_t)at.first * (n.h / 2), n.L - at.first, n.h);
    for (int i = 0; i < OWN; i++) factor[i] = 1;
    flm_plain_store(grad_qkv + (row + at.first) * 3 * d + at.head * n.h, 3 * d, grad_q, factor, n.L - at.first, n.h);
}

template <int D>
int launch(float *grad_qkv, const float *grad_o, const float *qkv, const float2 *pairs, int64_t B,
           const flm_attention_shape &n, const float2 *rope, void *stream)
{
    const dim3 blocks((unsigned)(flm_attention_tiles(n.L, ROWS) * B * n.H)), threads(FLM_PLAIN_THREADS);
    const size_t shared = (size_t)flm_plain_shared(D, 4);
    const int code =
        flm_launch(plain_backward_kv<D>, blocks, threads, shared, stream, grad_qkv, grad_o, qkv, pairs, n, rope);
    if (code != 0) return code;
    return flm_launch(plain_backward_q<D>, blocks, threads, shared, stream, grad_qkv, grad_o, qkv, pairs, n, rope);
}

} // namespace

int flm_cuda_launch_attention_plain_backward(float *grad_qkv, const float *grad_o, const float *qkv, const void *pairs,
                                             int64_t B, int64_t L, int64_t H, int64_t h, float softcap,
                                             const float *rope, void *stream)
{
    const flm_attention_shape n = {H, (int)L, (int)h, 1 / sqrtf((float)h), softcap, false};
    const float2 *rows = (const float2 *)pairs, *angles = (const float2 *)rope;
    return flm_by_plain_head(
        h, [&](auto head) { return launch<head.columns>(grad_qkv, grad_o, qkv, rows, B, n, angles, stream); });
}
