/* cpu_attention_backward.c - the gradient of attention with capped scores (model.md section 2).
 *
 * With s = q k / sqrt(h), c = softcap tanh(s / softcap), p = exp(c - lse), o = sum of p v:
 *   grad_v = sum over queries of p grad_o;   dc = p (grad_o v - grad_o o);   ds = dc (1 - (c / softcap)^2)
 *   grad_q = sum over keys of ds k / sqrt(h);   grad_k = sum over queries of ds q / sqrt(h).
 * If q and k were rotated (rope), grad_q and grad_k are rotated back in the tiles in which they are summed.
 * A task is one head of one sample. Its queries and grad_o are widened once; keys and values are processed one tile at
 * a time, with grad_k and grad_v in cache, while grad_q of the whole head accumulates in scratch. Every sum has a fixed
 * order. SPDX-License-Identifier: Apache-2.0 */
#include "backend/cpu/cpu_attention.h"

#include <omp.h>

enum { QUERIES = FLM_ATTENTION_QUERIES, KEYS = FLM_ATTENTION_KEYS };

typedef struct backward_scratch {
    float *queries, *grad_out, *grad_queries;       /* [padded_L, ld] */
    float *dot;                                     /* [padded_L]: grad_o o */
    float *keys, *values, *grad_keys, *grad_values; /* [KEYS, ld] */
    float *keys_t, *values_t;                       /* [ld, KEYS] */
    float *p, *ds;                                  /* [QUERIES, KEYS] */
} backward_scratch;

static int64_t backward_scratch_floats(const flm_attention_sizes *n)
{
    return n->padded_L * (3 * n->ld + 1) + 6 * KEYS * n->ld + 2 * QUERIES * KEYS;
}

static backward_scratch backward_scratch_at(float *base, const flm_attention_sizes *n)
{
    backward_scratch s = {.queries = base};
    s.grad_out = s.queries + n->padded_L * n->ld;
    s.grad_queries = s.grad_out + n->padded_L * n->ld;
    s.dot = s.grad_queries + n->padded_L * n->ld;
    s.keys = s.dot + n->padded_L;
    s.values = s.keys + KEYS * n->ld;
    s.grad_keys = s.values + KEYS * n->ld;
    s.grad_values = s.grad_keys + KEYS * n->ld;
    s.keys_t = s.grad_values + KEYS * n->ld;
    s.values_t = s.keys_t + KEYS * n->ld;
    s.p = s.values_t + KEYS * n->ld;
    s.ds = s.p + QUERIES * KEYS;
    return s;
}

FLM_SIMD static void rows_dot(float *dot, const float *a, const float *b, int64_t ld, int64_t rows)
{
    for (int64_t i = 0; i < rows; i++) {
        float total = 0;
#pragma omp simd reduction(+ : total)
        for (int64_t j = 0; j < ld; j++) total += a[i * ld + j] * b[i * ld + j];
        dot[i] = total;
    }
}

/* p holds q k and becomes the probabilities; ds holds grad_o v and becomes the gradient of q k. */
FLM_SIMD static void scores_gradient(float *p, float *ds, const float *lse, const float *dot, int64_t rows,
                                     int64_t keys, float scale, float softcap)
{
    float inner = scale / softcap;
    for (int64_t i = 0; i < rows; i++) {
        float *prow = p + i * KEYS, *drow = ds + i * KEYS;
        float row_lse = lse[i], row_dot = dot[i];
#pragma omp simd
        for (int64_t j = 0; j < keys; j++) {
            float t = flm_math_tanh(prow[j] * inner);
            float prob = flm_math_exp(softcap * t - row_lse);
            prow[j] = prob;
            drow[j] = prob * (drow[j] - row_dot) * ((1 - t * t) * scale);
        }
    }
}

/* rows [count, ld] of positions whose cosines and sines begin at angles [count, half, 2]: times the transposed
 * rotations. angles NULL: unchanged. */
FLM_SIMD static void rotate_back(float *rows, int64_t ld, const float *angles, int64_t count, int64_t half)
{
    if (angles == NULL) return;
    for (int64_t l = 0; l < count; l++) {
        float *x = rows + l * ld, *y = x + half;
        const float *turn = angles + l * half * 2;
#pragma omp simd
        for (int64_t i = 0; i < half; i++) {
            float a = x[i], b = y[i];
            x[i] = a * turn[2 * i] + b * turn[2 * i + 1];
            y[i] = b * turn[2 * i] - a * turn[2 * i + 1];
        }
    }
}

void flm_attention_store_keys(const flm_attention_sizes *n, const flm_tensor *grad_qkv, float *grad_keys,
                              const float *grad_values, const float *angles, int64_t b, int64_t head, int64_t key,
                              int64_t keys)
{
    const int64_t d = n->H * n->h, column = head * n->h;
    rotate_back(grad_keys, n->ld, angles ? angles + key * (n->h / 2 * 2) : NULL, keys, n->h / 2);
    flm_tile_store(flm_attention_at(grad_qkv, b, key, d + column), n->dtype, 3 * d, grad_keys, n->ld, NULL, keys, n->h);
    flm_tile_store(flm_attention_at(grad_qkv, b, key, 2 * d + column), n->dtype, 3 * d, grad_values, n->ld, NULL, keys,
                   n->h);
}

void flm_attention_store_queries(const flm_attention_sizes *n, const flm_tensor *grad_qkv, float *grad_queries,
                                 const float *angles, int64_t b, int64_t head)
{
    rotate_back(grad_queries, n->ld, angles, n->L, n->h / 2);
    flm_tile_store(flm_attention_at(grad_qkv, b, 0, head * n->h), n->dtype, 3 * n->H * n->h, grad_queries, n->ld, NULL,
                   n->L, n->h);
}

/* Queries, grad_o and their dot products with o, of one head; grad_queries is used as scratch for o. */
static void pack_queries(const flm_attention_sizes *n, const backward_scratch *s, const flm_tensor *qkv,
                         const flm_tensor *grad_o, const flm_tensor *o, int64_t b, int64_t head)
{
    int64_t d = n->H * n->h, column = head * n->h;
    flm_tile_load(s->queries, n->ld, n->padded_L, flm_attention_at(qkv, b, 0, column), n->dtype, 3 * d, n->L, n->h);
    flm_tile_load(s->grad_out, n->ld, n->padded_L, flm_attention_at(grad_o, b, 0, column), n->dtype, d, n->L, n->h);
    flm_tile_load(s->grad_queries, n->ld, n->L, flm_attention_at(o, b, 0, column), n->dtype, d, n->L, n->h);
    rows_dot(s->dot, s->grad_out, s->grad_queries, n->ld, n->L);
}

/* Keys [key, key + keys) of one head against all queries. */
static void backward_tile(const flm_attention_sizes *n, const backward_scratch *s, const flm_tensor *grad_qkv,
                          const flm_tensor *qkv, const float *lse, const float *angles, int64_t b, int64_t head,
                          int64_t key, int64_t keys)
{
    int64_t d = n->H * n->h, ld = n->ld, column = head * n->h;
    flm_tile_load(s->keys, ld, KEYS, flm_attention_at(qkv, b, key, d + column), n->dtype, 3 * d, keys, n->h);
    flm_tile_load(s->values, ld, KEYS, flm_attention_at(qkv, b, key, 2 * d + column), n->dtype, 3 * d, keys, n->h);
    flm_tile_transpose(s->keys_t, KEYS, s->keys, ld, KEYS, n->h);
    flm_tile_transpose(s->values_t, KEYS, s->values, ld, KEYS, n->h);
    for (int64_t at = 0; at < n->L; at += QUERIES) {
        int64_t count = n->L - at < QUERIES ? n->L - at : QUERIES;
        const float *q = s->queries + at * ld, *grad_out = s->grad_out + at * ld;
        flm_tile_multiply(s->p, KEYS, q, ld, s->keys_t, KEYS, count, keys, n->h, false);
        flm_tile_multiply(s->ds, KEYS, grad_out, ld, s->values_t, KEYS, count, keys, n->h, false);
        scores_gradient(s->p, s->ds, lse + at, s->dot + at, count, keys, n->scale, n->softcap);
        flm_tile_multiply_transposed(s->grad_values, ld, s->p, KEYS, grad_out, ld, keys, ld, count, at > 0);
        flm_tile_multiply_transposed(s->grad_keys, ld, s->ds, KEYS, q, ld, keys, ld, count, at > 0);
        flm_tile_multiply(s->grad_queries + at * ld, ld, s->ds, KEYS, s->keys, ld, count, ld, keys, key > 0);
    }
    flm_attention_store_keys(n, grad_qkv, s->grad_keys, s->grad_values, angles, b, head, key, keys);
}

flm_status flm_cpu_attention_backward(flm_backend *be, const flm_tensor *grad_qkv, const flm_tensor *grad_o,
                                      const flm_tensor *o, const flm_tensor *qkv, const flm_tensor *lse, int64_t H,
                                      float softcap, const flm_tensor *rope)
{
    flm_status rc = FLM_OK;
    void *scratch = NULL;
    int threads = flm_cpu_threads(be);
    const flm_attention_sizes n = flm_attention_sizes_of(qkv, H, softcap);
    const float *angles = rope->data;
    if (flm_tensor_elements(qkv) == 0) goto done;
    if (flm_attention_by_pairs(be, qkv, H))
        return flm_attention_pairs_backward(be, grad_qkv, grad_o, o, qkv, lse, H, softcap, angles);
    int64_t floats = backward_scratch_floats(&n);
    FLM_TRY(flm_cpu_scratch(be, FLM_CPU_ATTENTION, (size_t)threads * (size_t)floats * sizeof(float), &scratch));
#pragma omp parallel for num_threads(threads) schedule(dynamic)
    for (int64_t task = 0; task < n.B * H; task++) {
        int64_t head = task % H, b = task / H;
        const float *head_lse = (const float *)lse->data + task * n.L;
        backward_scratch s = backward_scratch_at((float *)scratch + omp_get_thread_num() * floats, &n);
        pack_queries(&n, &s, qkv, grad_o, o, b, head);
        for (int64_t key = 0; key < n.L; key += KEYS)
            backward_tile(&n, &s, grad_qkv, qkv, head_lse, angles, b, head, key, n.L - key < KEYS ? n.L - key : KEYS);
        flm_attention_store_queries(&n, grad_qkv, s.grad_queries, angles, b, head);
    }
done:
    return rc;
}
