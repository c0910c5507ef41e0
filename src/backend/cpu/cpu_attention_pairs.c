/* cpu_attention_pairs.c - attention with capped scores by bf16 products, where the processor has them (cpu_pair.h,
 * cpu_amx.h): forward and backward.
 *
 * The formulas and the order of the work are those of cpu_attention.c and cpu_attention_backward.c. Operands of
 * products are the activations as they are stored; probabilities, and in the backward pass the gradients of scores, are
 * rounded to bf16 before they are multiplied, as on GPUs. The backward pass computes both transposed, [keys, queries],
 * because two of their three products sum over queries. SPDX-License-Identifier: Apache-2.0 */
#include "backend/cpu/cpu_amx.h"
#include "backend/cpu/cpu_attention.h"
#include "backend/cpu/cpu_pair.h"

#include "base/base_share.h"

#include <math.h>
#include <omp.h>
#include <string.h>

enum { QUERIES = FLM_ATTENTION_QUERIES, KEYS = FLM_ATTENTION_KEYS };

bool flm_attention_by_pairs(const flm_backend *be, const flm_tensor *qkv, int64_t H)
{
    return qkv->dtype == FLM_DTYPE_BF16 && ((const flm_cpu *)be->state)->matmul != FLM_MATMUL_FP32 &&
           qkv->dim[2] / 3 / H % 2 == 0 && flm_pair_supported();
}

static flm_attention_sizes sizes_of(const flm_backend *be, const flm_tensor *qkv, int64_t H, float softcap)
{
    flm_attention_sizes n = flm_attention_sizes_of(qkv, H, softcap);
    n.amx = ((const flm_cpu *)be->state)->matmul == FLM_MATMUL_AMX;
    return n;
}

/* flm_pair_multiply; by tiles where these are used and the sizes are whole ones. k_step: of a. */
static void multiply(const flm_attention_sizes *n, float *c, int64_t ldc, const uint32_t *a, int64_t row_step,
                     int64_t k_step, const uint32_t *b, int64_t ldb, int64_t M, int64_t N, int64_t K, bool accumulate)
{
    if (n->amx && k_step == 1 && N % FLM_AMX_STRIP == 0 && K % (FLM_AMX_DEPTH / 2) == 0)
        flm_amx_multiply_pairs(c, ldc, a, row_step, b, ldb, M, N, K, accumulate);
    else
        flm_pair_multiply(c, ldc, a, row_step, k_step, b, ldb, M, N, K, accumulate);
}

static const uint16_t *at(const flm_tensor *t, int64_t b, int64_t l, int64_t column)
{
    return (const uint16_t *)(const void *)flm_attention_at(t, b, l, column);
}

/* Rows [first, first + count) of columns [column, column + h) as pairs along the columns, transposed, one tile of TILE
 * after the other: to [padded_L / TILE, h / 2, TILE]. rows: scratch [TILE, h / 2]. */
static void pack_transposed(const flm_attention_sizes *n, uint32_t *to, uint32_t *rows, const flm_tensor *t, int64_t b,
                            int64_t column)
{
    enum { TILE = KEYS };
    const int64_t h2 = n->h / 2;
    for (int64_t first = 0; first < n->L; first += TILE) {
        flm_pair_load(rows, TILE, at(t, b, first, column), t->dim[2], n->L - first < TILE ? n->L - first : TILE, n->h);
        flm_pair_transpose(to + first * h2, TILE, rows, TILE, h2);
    }
}

/* ---- forward ---- */

typedef struct forward_scratch {
    uint32_t *keys;    /* [padded_L / KEYS, h / 2, KEYS] */
    uint32_t *values;  /* [padded_L / 2, ld] */
    uint32_t *queries; /* [QUERIES, h / 2]; while packing: a tile of keys */
    uint32_t *p;       /* [QUERIES, KEYS / 2] */
    float *scores;     /* [QUERIES, KEYS] */
    float *out;        /* [QUERIES, ld] */
    float *sum;        /* [QUERIES] */
} forward_scratch;

static int64_t forward_words(const flm_attention_sizes *n)
{
    return n->padded_L * (n->h + n->ld) / 2 + QUERIES * (n->h / 2 + KEYS / 2 + KEYS + n->ld + 1);
}

static forward_scratch forward_scratch_at(void *base, const flm_attention_sizes *n)
{
    forward_scratch s = {.keys = base};
    s.values = s.keys + n->padded_L * n->h / 2;
    s.queries = s.values + n->padded_L * n->ld / 2;
    s.p = s.queries + QUERIES * n->h / 2;
    s.scores = (float *)(void *)(s.p + QUERIES * KEYS / 2);
    s.out = s.scores + QUERIES * KEYS;
    s.sum = s.out + QUERIES * n->ld;
    return s;
}

/* p = exp(softcap tanh(scale q k / softcap)), with a zero behind an odd number of keys; sums by row are added to sum.
 */
FLM_SIMD static void scores_exponential(uint16_t *p, float *sum, const float *scores, int64_t rows, int64_t keys,
                                        float scale, float softcap)
{
    float inner = scale / softcap;
    for (int64_t i = 0; i < rows; i++) {
        const float *row = scores + i * KEYS;
        float total = 0;
#pragma omp simd reduction(+ : total)
        for (int64_t j = 0; j < keys; j++) {
            const float e = flm_math_exp_within(softcap * flm_math_tanh(row[j] * inner));
            p[i * KEYS + j] = flm_bf16_from_f32(e);
            total += e;
        }
        if (keys % 2 == 1) p[i * KEYS + keys] = 0;
        sum[i] += total;
    }
}

/* Queries [first, first + count) of one head against all keys. */
static void forward_tile(const flm_attention_sizes *n, const forward_scratch *s, const flm_tensor *o,
                         const flm_tensor *lse, const flm_tensor *qkv, int64_t b, int64_t head, int64_t first,
                         int64_t count)
{
    const int64_t d = n->H * n->h, h2 = n->h / 2;
    float *log_sum = (float *)lse->data + (b * n->H + head) * n->L + first;
    flm_pair_load(s->queries, QUERIES, at(qkv, b, first, head * n->h), 3 * d, count, n->h);
    memset(s->sum, 0, QUERIES * sizeof *s->sum);
    for (int64_t key = 0; key < n->L; key += KEYS) {
        const int64_t keys = n->L - key < KEYS ? n->L - key : KEYS;
        multiply(n, s->scores, KEYS, s->queries, h2, 1, s->keys + key * h2, KEYS, count, keys, h2, false);
        scores_exponential((uint16_t *)s->p, s->sum, s->scores, count, keys, n->scale, n->softcap);
        multiply(n, s->out, n->ld, s->p, KEYS / 2, 1, s->values + key / 2 * n->ld, n->ld, count, n->ld, (keys + 1) / 2,
                 key > 0);
    }
    for (int64_t i = 0; i < count; i++) {
        log_sum[i] = logf(s->sum[i]);
        s->sum[i] = 1 / s->sum[i];
    }
    flm_tile_store(flm_attention_at(o, b, first, head * n->h), n->dtype, d, s->out, n->ld, s->sum, count, n->h);
}

flm_status flm_attention_pairs(flm_backend *be, const flm_tensor *o, const flm_tensor *lse, const flm_tensor *qkv,
                               int64_t H, float softcap)
{
    flm_status rc = FLM_OK;
    void *scratch = NULL;
    const int threads = flm_cpu_threads(be);
    const flm_attention_sizes n = sizes_of(be, qkv, H, softcap);
    const int64_t words = forward_words(&n), parts = flm_attention_parts(&n, threads), d = H * n.h;
    const int64_t tiles = (n.L + QUERIES - 1) / QUERIES;
    FLM_TRY(flm_cpu_scratch(be, FLM_CPU_ATTENTION, (size_t)(threads * words) * sizeof(uint32_t), &scratch));
#pragma omp parallel for num_threads(threads) schedule(dynamic)
    for (int64_t task = 0; task < n.B * H * parts; task++) {
        const int64_t part = task % parts, head = task / parts % H, b = task / parts / H;
        const forward_scratch s = forward_scratch_at((uint32_t *)scratch + omp_get_thread_num() * words, &n);
        if (n.amx) flm_amx_begin();
        pack_transposed(&n, s.keys, s.queries, qkv, b, d + head * n.h);
        flm_pair_interleave(s.values, n.ld, n.padded_L, at(qkv, b, 0, 2 * d + head * n.h), 3 * d, n.L, n.h);
        const flm_share own = flm_share_of(tiles, part, parts);
        for (int64_t tile = own.first; tile < own.first + own.count; tile++) {
            const int64_t first = tile * QUERIES;
            forward_tile(&n, &s, o, lse, qkv, b, head, first, n.L - first < QUERIES ? n.L - first : QUERIES);
        }
        if (n.amx) flm_amx_end();
    }
done:
    return rc;
}

/* ---- backward ---- */

typedef struct backward_scratch {
    uint32_t *queries_t, *grad_out_t; /* [padded_L / QUERIES, h / 2, QUERIES]: B of the scores and their gradients */
    uint32_t *queries, *grad_out;     /* [padded_L / 2, ld]: B of grad_k and grad_v */
    uint32_t *keys, *values;          /* [KEYS, h / 2] */
    uint32_t *keys_b;                 /* [KEYS / 2, ld]: B of grad_q */
    uint32_t *p, *ds;                 /* [KEYS, QUERIES / 2] */
    uint32_t *ds_a;                   /* [KEYS / 2, QUERIES]: A of grad_q */
    float *scores, *grad_scores;      /* [KEYS, QUERIES] */
    float *dot;                       /* [padded_L]: grad_o o */
    float *grad_queries;              /* [padded_L, ld] */
    float *grad_keys, *grad_values;   /* [KEYS, ld] */
} backward_scratch;

static int64_t backward_words(const flm_attention_sizes *n)
{
    return n->padded_L * (n->h + 2 * n->ld + 1) + KEYS * (n->h + n->ld / 2 + QUERIES + QUERIES / 2) +
           2 * KEYS * (QUERIES + n->ld);
}

static backward_scratch backward_scratch_at(void *base, const flm_attention_sizes *n)
{
    const int64_t padded = n->padded_L, h2 = n->h / 2;
    backward_scratch s = {.queries_t = base};
    s.grad_out_t = s.queries_t + padded * h2;
    s.queries = s.grad_out_t + padded * h2;
    s.grad_out = s.queries + padded / 2 * n->ld;
    s.keys = s.grad_out + padded / 2 * n->ld;
    s.values = s.keys + KEYS * h2;
    s.keys_b = s.values + KEYS * h2;
    s.p = s.keys_b + KEYS / 2 * n->ld;
    s.ds = s.p + KEYS * QUERIES / 2;
    s.ds_a = s.ds + KEYS * QUERIES / 2;
    s.scores = (float *)(void *)(s.ds_a + KEYS / 2 * QUERIES);
    s.grad_scores = s.scores + KEYS * QUERIES;
    s.dot = s.grad_scores + KEYS * QUERIES;
    s.grad_queries = s.dot + padded;
    s.grad_keys = s.grad_queries + padded * n->ld;
    s.grad_values = s.grad_keys + KEYS * n->ld;
    return s;
}

FLM_SIMD static void rows_dot(float *dot, const uint16_t *x, const uint16_t *y, int64_t stride, int64_t rows,
                              int64_t columns)
{
    for (int64_t i = 0; i < rows; i++) {
        float total = 0;
#pragma omp simd reduction(+ : total)
        for (int64_t j = 0; j < columns; j++)
            total += flm_bf16_to_f32(x[i * stride + j]) * flm_bf16_to_f32(y[i * stride + j]);
        dot[i] = total;
    }
}

/* From scores k q and their gradients v grad_o: p, and the gradients ds of q k; columns up to an even number are zeros.
 */
FLM_SIMD static void scores_gradient(uint16_t *p, uint16_t *ds, const float *scores, const float *grad,
                                     const float *lse, const float *dot, int64_t keys, int64_t queries, float scale,
                                     float softcap)
{
    float inner = scale / softcap;
    for (int64_t j = 0; j < keys; j++) {
        const float *s = scores + j * QUERIES, *g = grad + j * QUERIES;
#pragma omp simd
        for (int64_t i = 0; i < queries; i++) {
            const float t = flm_math_tanh(s[i] * inner), prob = flm_math_exp(softcap * t - lse[i]);
            p[j * QUERIES + i] = flm_bf16_from_f32(prob);
            ds[j * QUERIES + i] = flm_bf16_from_f32(prob * (g[i] - dot[i]) * ((1 - t * t) * scale));
        }
        if (queries % 2 == 1) p[j * QUERIES + queries] = ds[j * QUERIES + queries] = 0;
    }
}

static void pack_queries(const flm_attention_sizes *n, const backward_scratch *s, const flm_tensor *qkv,
                         const flm_tensor *grad_o, const flm_tensor *o, int64_t b, int64_t head)
{
    const int64_t d = n->H * n->h, column = head * n->h;
    pack_transposed(n, s->queries_t, s->keys, qkv, b, column);
    pack_transposed(n, s->grad_out_t, s->keys, grad_o, b, column);
    flm_pair_interleave(s->queries, n->ld, n->padded_L, at(qkv, b, 0, column), 3 * d, n->L, n->h);
    flm_pair_interleave(s->grad_out, n->ld, n->padded_L, at(grad_o, b, 0, column), d, n->L, n->h);
    rows_dot(s->dot, at(grad_o, b, 0, column), at(o, b, 0, column), d, n->L, n->h);
}

/* Keys [key, key + keys) of one head against queries [first, first + count). */
static void backward_queries(const flm_attention_sizes *n, const backward_scratch *s, const float *lse, int64_t keys,
                             int64_t first, int64_t count, bool first_keys)
{
    const int64_t h2 = n->h / 2, ld = n->ld;
    multiply(n, s->scores, QUERIES, s->keys, h2, 1, s->queries_t + first * h2, QUERIES, keys, count, h2, false);
    multiply(n, s->grad_scores, QUERIES, s->values, h2, 1, s->grad_out_t + first * h2, QUERIES, keys, count, h2, false);
    scores_gradient((uint16_t *)s->p, (uint16_t *)s->ds, s->scores, s->grad_scores, lse + first, s->dot + first, keys,
                    count, n->scale, n->softcap);
    multiply(n, s->grad_values, ld, s->p, QUERIES / 2, 1, s->grad_out + first / 2 * ld, ld, keys, ld, (count + 1) / 2,
             first > 0);
    multiply(n, s->grad_keys, ld, s->ds, QUERIES / 2, 1, s->queries + first / 2 * ld, ld, keys, ld, (count + 1) / 2,
             first > 0);
    flm_pair_interleave(s->ds_a, QUERIES, flm_tile_round(keys, 2), (const uint16_t *)s->ds, QUERIES, keys, QUERIES);
    multiply(n, s->grad_queries + first * ld, ld, s->ds_a, 1, QUERIES, s->keys_b, ld, count, ld, (keys + 1) / 2,
             !first_keys);
}

/* Keys [key, key + keys) of one head against all queries. */
static void backward_tile(const flm_attention_sizes *n, const backward_scratch *s, const flm_tensor *grad_qkv,
                          const flm_tensor *qkv, const float *lse, const float *angles, int64_t b, int64_t head,
                          int64_t key, int64_t keys)
{
    const int64_t d = n->H * n->h, ld = n->ld, column = head * n->h;
    flm_pair_load(s->keys, KEYS, at(qkv, b, key, d + column), 3 * d, keys, n->h);
    flm_pair_load(s->values, KEYS, at(qkv, b, key, 2 * d + column), 3 * d, keys, n->h);
    flm_pair_interleave(s->keys_b, ld, KEYS, at(qkv, b, key, d + column), 3 * d, keys, n->h);
    for (int64_t first = 0; first < n->L; first += QUERIES)
        backward_queries(n, s, lse, keys, first, n->L - first < QUERIES ? n->L - first : QUERIES, key == 0);
    flm_attention_store_keys(n, grad_qkv, s->grad_keys, s->grad_values, angles, b, head, key, keys);
}

flm_status flm_attention_pairs_backward(flm_backend *be, const flm_tensor *grad_qkv, const flm_tensor *grad_o,
                                        const flm_tensor *o, const flm_tensor *qkv, const flm_tensor *lse, int64_t H,
                                        float softcap, const float *angles)
{
    flm_status rc = FLM_OK;
    void *scratch = NULL;
    const int threads = flm_cpu_threads(be);
    const flm_attention_sizes n = sizes_of(be, qkv, H, softcap);
    const int64_t words = backward_words(&n);
    FLM_TRY(flm_cpu_scratch(be, FLM_CPU_ATTENTION, (size_t)(threads * words) * sizeof(uint32_t), &scratch));
#pragma omp parallel for num_threads(threads) schedule(dynamic)
    for (int64_t task = 0; task < n.B * H; task++) {
        const int64_t head = task % H, b = task / H;
        const float *head_lse = (const float *)lse->data + task * n.L;
        const backward_scratch s = backward_scratch_at((uint32_t *)scratch + omp_get_thread_num() * words, &n);
        if (n.amx) flm_amx_begin();
        pack_queries(&n, &s, qkv, grad_o, o, b, head);
        for (int64_t key = 0; key < n.L; key += KEYS)
            backward_tile(&n, &s, grad_qkv, qkv, head_lse, angles, b, head, key, n.L - key < KEYS ? n.L - key : KEYS);
        flm_attention_store_queries(&n, grad_qkv, s.grad_queries, angles, b, head);
        if (n.amx) flm_amx_end();
    }
done:
    return rc;
}
