/* cpu_attention.c - attention with capped scores, forward (model.md section 2), and the sizes that both directions
 * share.
 *
 * A task is one head of one sample, or some of its query tiles if there are fewer heads than threads. It widens keys
 * and values to fp32 once, keys transposed, and then multiplies a tile of queries by a tile of keys at a time. Because
 * |score| <= softcap, exp(score) is summed directly: the usual running maximum and its rescaling are not needed. The
 * sums of a row run over the keys in order, whichever thread computes them. SPDX-License-Identifier: Apache-2.0 */
#include "backend/cpu/cpu_attention.h"

#include "base/base_share.h"

#include <math.h>
#include <omp.h>

enum { QUERIES = FLM_ATTENTION_QUERIES, KEYS = FLM_ATTENTION_KEYS };

flm_attention_sizes flm_attention_sizes_of(const flm_tensor *qkv, int64_t H, float softcap)
{
    const int64_t B = qkv->dim[0], L = qkv->dim[1], h = qkv->dim[2] / 3 / H;
    return (flm_attention_sizes){.B = B,
                                 .L = L,
                                 .H = H,
                                 .h = h,
                                 .dtype = qkv->dtype,
                                 .softcap = softcap,
                                 .ld = flm_tile_round(h, FLM_TILE_COLUMNS),
                                 .padded_L = flm_tile_round(L, KEYS),
                                 .scale = (float)(1 / sqrt((double)h))};
}

/* Scratch of a thread. Keys are transposed, one tile of KEYS after the other. */
typedef struct forward_scratch {
    float *keys;    /* [padded_L / KEYS, ld, KEYS] */
    float *values;  /* [padded_L, ld] */
    float *queries; /* [QUERIES, ld]; while packing: a tile of keys */
    float *out;     /* [QUERIES, ld] */
    float *scores;  /* [QUERIES, KEYS] */
    float *sum;     /* [QUERIES] */
} forward_scratch;

static int64_t forward_scratch_floats(const flm_attention_sizes *n)
{
    return 2 * n->padded_L * n->ld + 2 * QUERIES * n->ld + QUERIES * KEYS + QUERIES;
}

static forward_scratch forward_scratch_at(float *base, const flm_attention_sizes *n)
{
    forward_scratch s = {.keys = base};
    s.values = s.keys + n->padded_L * n->ld;
    s.queries = s.values + n->padded_L * n->ld;
    s.out = s.queries + QUERIES * n->ld;
    s.scores = s.out + QUERIES * n->ld;
    s.sum = s.scores + QUERIES * KEYS;
    return s;
}

/* Scores q k become exp(softcap tanh(scale q k / softcap)); their sums by row are added to sum. */
FLM_SIMD static void scores_exponential(float *scores, float *sum, int64_t rows, int64_t keys, float scale,
                                        float softcap)
{
    float inner = scale / softcap;
    for (int64_t i = 0; i < rows; i++) {
        float *row = scores + i * KEYS, total = 0;
#pragma omp simd reduction(+ : total)
        for (int64_t j = 0; j < keys; j++) {
            row[j] = flm_math_exp_within(softcap * flm_math_tanh(row[j] * inner));
            total += row[j];
        }
        sum[i] += total;
    }
}

static void pack_keys_values(const flm_attention_sizes *n, const forward_scratch *s, const flm_tensor *qkv, int64_t b,
                             int64_t head)
{
    int64_t d = n->H * n->h;
    for (int64_t at = 0; at < n->L; at += KEYS) {
        int64_t count = n->L - at < KEYS ? n->L - at : KEYS;
        flm_tile_load(s->queries, n->ld, KEYS, flm_attention_at(qkv, b, at, d + head * n->h), n->dtype, 3 * d, count,
                      n->h);
        flm_tile_transpose(s->keys + at * n->ld, KEYS, s->queries, n->ld, KEYS, n->h);
        flm_tile_load(s->values + at * n->ld, n->ld, count, flm_attention_at(qkv, b, at, 2 * d + head * n->h), n->dtype,
                      3 * d, count, n->h);
    }
}

/* Queries [at, at + count) of one head against all keys. */
static void forward_tile(const flm_attention_sizes *n, const forward_scratch *s, const flm_tensor *o,
                         const flm_tensor *lse, const flm_tensor *qkv, int64_t b, int64_t head, int64_t at,
                         int64_t count)
{
    int64_t d = n->H * n->h;
    float *log_sum = (float *)lse->data + (b * n->H + head) * n->L + at;
    flm_tile_load(s->queries, n->ld, flm_tile_round(count, FLM_TILE_ROWS), flm_attention_at(qkv, b, at, head * n->h),
                  n->dtype, 3 * d, count, n->h);
    for (int64_t i = 0; i < count; i++) s->sum[i] = 0;
    for (int64_t key = 0; key < n->L; key += KEYS) {
        int64_t keys = n->L - key < KEYS ? n->L - key : KEYS;
        flm_tile_multiply(s->scores, KEYS, s->queries, n->ld, s->keys + key * n->ld, KEYS, count, keys, n->h, false);
        scores_exponential(s->scores, s->sum, count, keys, n->scale, n->softcap);
        flm_tile_multiply(s->out, n->ld, s->scores, KEYS, s->values + key * n->ld, n->ld, count, n->ld, keys, key > 0);
    }
    for (int64_t i = 0; i < count; i++) {
        log_sum[i] = logf(s->sum[i]);
        s->sum[i] = 1 / s->sum[i];
    }
    flm_tile_store(flm_attention_at(o, b, at, head * n->h), n->dtype, d, s->out, n->ld, s->sum, count, n->h);
}

int64_t flm_attention_parts(const flm_attention_sizes *n, int threads)
{
    int64_t tiles = (n->L + QUERIES - 1) / QUERIES, wanted = 4 * (int64_t)threads;
    int64_t parts = (wanted + n->B * n->H - 1) / (n->B * n->H);
    return parts < tiles ? parts : tiles;
}

flm_status flm_cpu_attention(flm_backend *be, const flm_tensor *o, const flm_tensor *lse, const flm_tensor *qkv,
                             int64_t H, float softcap)
{
    flm_status rc = FLM_OK;
    void *scratch = NULL;
    int threads = flm_cpu_threads(be);
    const flm_attention_sizes n = flm_attention_sizes_of(qkv, H, softcap);
    if (flm_tensor_elements(qkv) == 0) goto done;
    if (flm_attention_by_pairs(be, qkv, H)) return flm_attention_pairs(be, o, lse, qkv, H, softcap);
    int64_t floats = forward_scratch_floats(&n), parts = flm_attention_parts(&n, threads);
    int64_t tiles = (n.L + QUERIES - 1) / QUERIES;
    FLM_TRY(flm_cpu_scratch(be, FLM_CPU_ATTENTION, (size_t)threads * (size_t)floats * sizeof(float), &scratch));
#pragma omp parallel for num_threads(threads) schedule(dynamic)
    for (int64_t task = 0; task < n.B * H * parts; task++) {
        int64_t part = task % parts, head = task / parts % H, b = task / parts / H;
        forward_scratch s = forward_scratch_at((float *)scratch + omp_get_thread_num() * floats, &n);
        pack_keys_values(&n, &s, qkv, b, head);
        const flm_share own = flm_share_of(tiles, part, parts);
        for (int64_t tile = own.first; tile < own.first + own.count; tile++) {
            int64_t at = tile * QUERIES, count = n.L - at < QUERIES ? n.L - at : QUERIES;
            forward_tile(&n, &s, o, lse, qkv, b, head, at, count);
        }
    }
done:
    return rc;
}
