/* cpu_attention_causal.c - causal attention: a query against the keys of its own sequence up to itself, without a
 * cap on the scores.
 *
 * A task is one head of one sequence. It widens keys and values to fp32 once, keys transposed, and then takes a tile of
 * queries against all keys that any of them may see. The scores of the tile are complete before exponentials are taken,
 * so that a row's maximum is known. The sums of a row run over the keys in order, whichever thread computes them and
 * whatever other sequences are in the batch. SPDX-License-Identifier: Apache-2.0 */
#include "backend/cpu/cpu_attention.h"

#include <math.h>
#include <omp.h>
#include <string.h>

enum { QUERIES = FLM_ATTENTION_QUERIES, KEYS = FLM_ATTENTION_KEYS };
_Static_assert(QUERIES == KEYS, "a tile of queries ends in the tile of keys with its own number");

typedef struct causal_sizes {
    int64_t R, d, H, h, B;
    int64_t ld;      /* h rounded up to FLM_TILE_COLUMNS */
    int64_t longest; /* sequence, rounded up to KEYS */
    const int32_t *starts;
    flm_dtype dtype;
    float scale; /* 1 / sqrt(h) */
} causal_sizes;

/* Sizes of checked arguments; the values of starts are checked here. */
static flm_status causal_sizes_of(const flm_tensor *qkv, const flm_tensor *starts, int64_t H, causal_sizes *n)
{
    flm_status rc = FLM_OK;
    const int64_t R = qkv->dim[0], d = qkv->dim[1] / 3, B = starts->dim[0] - 1;
    const int32_t *at = starts->data;
    int64_t longest = 0;
    if (at[0] != 0 || at[B] > R) FLM_FAIL(FLM_E_ARG, "starts must begin at 0 and end at %lld or below", (long long)R);
    for (int64_t b = 0; b < B; b++) {
        if (at[b + 1] < at[b]) FLM_FAIL(FLM_E_ARG, "starts must ascend; they descend at entry %lld", (long long)b);
        if (at[b + 1] - at[b] > longest) longest = at[b + 1] - at[b];
    }
    *n = (causal_sizes){.R = R, .d = d, .H = H, .h = d / H, .B = B, .starts = at, .dtype = qkv->dtype};
    n->ld = flm_tile_round(n->h, FLM_TILE_COLUMNS);
    n->longest = flm_tile_round(longest, KEYS);
    n->scale = (float)(1 / sqrt((double)n->h));
done:
    return rc;
}

/* Scratch of a thread. Keys are transposed, one tile of KEYS after the other. */
typedef struct causal_scratch {
    float *keys;    /* [longest / KEYS, ld, KEYS] */
    float *values;  /* [longest, ld] */
    float *queries; /* [QUERIES, ld]; while packing: a tile of keys */
    float *out;     /* [QUERIES, ld] */
    float *scores;  /* [longest / KEYS, QUERIES, KEYS] */
    float *sum;     /* [QUERIES] */
} causal_scratch;

static int64_t causal_scratch_floats(const causal_sizes *n)
{
    return n->longest * (2 * n->ld + QUERIES) + 2 * QUERIES * n->ld + QUERIES;
}

static causal_scratch causal_scratch_at(float *base, const causal_sizes *n)
{
    causal_scratch s = {.keys = base};
    s.values = s.keys + n->longest * n->ld;
    s.queries = s.values + n->longest * n->ld;
    s.out = s.queries + QUERIES * n->ld;
    s.scores = s.out + QUERIES * n->ld;
    s.sum = s.scores + n->longest * QUERIES;
    return s;
}

/* Element (row, column) of an activation [R, columns]. */
static char *row_at(const flm_tensor *t, int64_t row, int64_t column)
{
    return (char *)t->data + (size_t)(row * t->dim[1] + column) * flm_dtype_size(t->dtype);
}

static void pack_sequence(const causal_sizes *n, const causal_scratch *s, const flm_tensor *qkv, int64_t first,
                          int64_t L, int64_t head)
{
    for (int64_t at = 0; at < L; at += KEYS) {
        const int64_t count = L - at < KEYS ? L - at : KEYS, column = n->d + head * n->h;
        flm_tile_load(s->queries, n->ld, KEYS, row_at(qkv, first + at, column), n->dtype, 3 * n->d, count, n->h);
        flm_tile_transpose(s->keys + at * n->ld, KEYS, s->queries, n->ld, KEYS, n->h);
        flm_tile_load(s->values + at * n->ld, n->ld, count, row_at(qkv, first + at, column + n->d), n->dtype, 3 * n->d,
                      count, n->h);
    }
}

/* One row of a tile's scores, `keys` of them seen, becomes exp(scale (score - maximum)), with zeros up to the end of
 * the last tile; returns their sum. A row has KEYS contiguous scores in each tile; tiles are QUERIES rows apart. */
FLM_SIMD static float row_exponential(float *row, int64_t keys, float scale)
{
    float max = -INFINITY, total = 0;
    for (int64_t at = 0; at < keys; at += KEYS) {
        const float *x = row + at * QUERIES;
        const int64_t count = keys - at < KEYS ? keys - at : KEYS;
#pragma omp simd reduction(max : max)
        for (int64_t j = 0; j < count; j++) max = x[j] > max ? x[j] : max;
    }
    for (int64_t at = 0; at < keys; at += KEYS) {
        float *x = row + at * QUERIES;
        const int64_t count = keys - at < KEYS ? keys - at : KEYS;
#pragma omp simd reduction(+ : total)
        for (int64_t j = 0; j < count; j++) {
            x[j] = flm_math_exp(scale * (x[j] - max));
            total += x[j];
        }
        for (int64_t j = count; j < KEYS; j++) x[j] = 0;
    }
    return total;
}

/* Queries [at, at + count) of the sequence that begins at row `first`. */
static void causal_tile(const causal_sizes *n, const causal_scratch *s, const flm_tensor *o, const flm_tensor *qkv,
                        int64_t first, int64_t head, int64_t at, int64_t count)
{
    const int64_t seen = at + count;
    flm_tile_load(s->queries, n->ld, flm_tile_round(count, FLM_TILE_ROWS), row_at(qkv, first + at, head * n->h),
                  n->dtype, 3 * n->d, count, n->h);
    for (int64_t key = 0; key < seen; key += KEYS) {
        const int64_t keys = seen - key < KEYS ? seen - key : KEYS;
        flm_tile_multiply(s->scores + key * QUERIES, KEYS, s->queries, n->ld, s->keys + key * n->ld, KEYS, count, keys,
                          n->h, false);
    }
    for (int64_t i = 0; i < count; i++) s->sum[i] = 1 / row_exponential(s->scores + i * KEYS, at + i + 1, n->scale);
    for (int64_t key = 0; key < seen; key += KEYS) {
        const int64_t keys = seen - key < KEYS ? seen - key : KEYS;
        flm_tile_multiply(s->out, n->ld, s->scores + key * QUERIES, KEYS, s->values + key * n->ld, n->ld, count, n->ld,
                          keys, key > 0);
    }
    flm_tile_store(row_at(o, first + at, head * n->h), n->dtype, n->d, s->out, n->ld, s->sum, count, n->h);
}

flm_status flm_cpu_attention_causal(flm_backend *be, const flm_tensor *o, const flm_tensor *qkv,
                                    const flm_tensor *starts, int64_t H)
{
    flm_status rc = FLM_OK;
    causal_sizes n;
    void *scratch = NULL;
    const int threads = flm_cpu_threads(be);
    FLM_TRY(causal_sizes_of(qkv, starts, H, &n));
    const int64_t floats = causal_scratch_floats(&n), end = n.starts[n.B];
    FLM_TRY(flm_cpu_scratch(be, FLM_CPU_ATTENTION, (size_t)threads * (size_t)floats * sizeof(float), &scratch));
    if (end < n.R) memset(row_at(o, end, 0), 0, (size_t)((n.R - end) * n.d) * flm_dtype_size(n.dtype));
#pragma omp parallel for num_threads(threads) schedule(dynamic)
    for (int64_t task = 0; task < n.B * H; task++) {
        const int64_t head = task % H, first = n.starts[task / H], L = n.starts[task / H + 1] - first;
        const causal_scratch s = causal_scratch_at((float *)scratch + omp_get_thread_num() * floats, &n);
        pack_sequence(&n, &s, qkv, first, L, head);
        for (int64_t at = 0; at < L; at += QUERIES)
            causal_tile(&n, &s, o, qkv, first, head, at, L - at < QUERIES ? L - at : QUERIES);
    }
done:
    return rc;
}
