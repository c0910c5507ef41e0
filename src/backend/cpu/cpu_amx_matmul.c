/* cpu_amx_matmul.c - matmuls of bf16 operands by AMX tiles (FLM_MATMUL_AMX).
 *
 * b is first packed into tiles, once for all threads. A task is a block of c; it goes through k in blocks of DEPTH: 32
 * columns of b stay in the L1 cache while the task's rows of a pass from the L2 cache, in tiles as they are stored, or
 * packed where they are transposed or incomplete. Sums over k have one order, whatever the tasks.
 * SPDX-License-Identifier: Apache-2.0 */
#include "backend/cpu/cpu_amx.h"
#include "backend/cpu/cpu_internal.h"
#include "backend/cpu/cpu_tile.h"

#include <omp.h>
#include <string.h>

enum {
    STRIP = FLM_AMX_STRIP,
    LINE = 64,         /* bytes of a cache line */
    ROWS = 512,        /* of a at once: ROWS x DEPTH of them, and ROWS x COLUMNS sums, stay in the L2 cache */
    COLUMNS = 768,     /* of b at once, if there are several blocks of k */
    DEPTH = 512,       /* k at once */
    DEPTH_ALONE = 768, /* a k of up to this is one block */
    TASKS = 2          /* at least so many for each thread, if there are as many strips */
};

typedef struct product {
    flm_amx_source a, b;
    flm_amx_result to; /* of the first element */
    int64_t M, N, K;
    int64_t depth;         /* of a block of k */
    int64_t rows, columns; /* of a task's block of c: multiples of STRIP */
    char *packed_b;        /* blocks of k; in each, strips; in each, steps of two tiles */
} product;

static int64_t min(int64_t a, int64_t b) { return a < b ? a : b; }

static int64_t blocks_of(int64_t n, int64_t size) { return (n + size - 1) / size; }

/* A multiple of STRIP that divides n into about `parts` blocks. */
static int64_t block_size(int64_t n, int64_t parts) { return flm_tile_round(blocks_of(n, parts), STRIP); }

static flm_amx_source source_of(const flm_tensor *t, bool k_contiguous)
{
    return (flm_amx_source){t->data, flm_tensor_row_stride(t), k_contiguous};
}

static product describe(const flm_matmul *p, int threads)
{
    const bool bf16 = p->c->dtype == FLM_DTYPE_BF16;
    product q = {.a = source_of(p->a, !p->transpose_a), .b = source_of(p->b, p->transpose_b)};
    q.M = p->c->dim[0];
    q.N = p->c->dim[1];
    q.K = p->a->dim[p->transpose_a ? 0 : 1];
    q.to = (flm_amx_result){.at = p->c->data,
                            .row_bytes = (size_t)flm_tensor_row_stride(p->c) * flm_dtype_size(p->c->dtype),
                            .bf16 = bf16,
                            .accumulate = p->accumulate,
                            .bias = p->bias ? p->bias->data : NULL};
    q.depth = q.K <= DEPTH_ALONE ? flm_tile_round(q.K, FLM_AMX_DEPTH) : DEPTH;
    const int64_t wanted = TASKS * (int64_t)threads;
    int64_t down = blocks_of(q.M, ROWS), right = blocks_of(q.N, q.K <= q.depth ? q.N : COLUMNS);
    if (down * right < 2 * wanted) down = flm_tile_round(down, threads); /* few tasks: the same for each thread */
    q.rows = block_size(q.M, down);
    down = blocks_of(q.M, q.rows);
    if (down * right < wanted) right = blocks_of(wanted, down);
    q.columns = block_size(q.N, right);
    return q;
}

/* Bytes of a strip of b in a block of k. */
static size_t strip_bytes(int64_t depth) { return (size_t)(2 * blocks_of(depth, FLM_AMX_DEPTH)) * FLM_AMX_TILE; }

/* The strip of b from column n on, in the block of k that begins at k and is `depth` deep. */
static char *packed_strip(const product *q, int64_t k, int64_t depth, int64_t n)
{
    const int64_t strips = blocks_of(q->N, STRIP);
    return q->packed_b + strip_bytes(k) * (size_t)strips + strip_bytes(depth) * (size_t)(n / STRIP);
}

static void pack_b(const product *q, int threads)
{
    const int64_t strips = blocks_of(q->N, STRIP), blocks = blocks_of(q->K, q->depth);
#pragma omp parallel for num_threads(threads)
    for (int64_t i = 0; i < strips * blocks; i++) {
        const int64_t k = i / strips * q->depth, n = i % strips * STRIP, depth = min(q->depth, q->K - k);
        flm_amx_pack(packed_strip(q, k, depth, n), FLM_AMX_TILE, 2 * FLM_AMX_TILE, &q->b, true, n, min(STRIP, q->N - n),
                     k, depth);
    }
}

/* What a thread needs: tiles of its rows of a, and the sums of its block of c. */
typedef struct work {
    char *a;
    float *sums;
} work;

static size_t work_bytes(const product *q, size_t *a_bytes)
{
    const size_t sums = (size_t)(q->K > q->depth ? q->rows * q->columns : 2 * STRIP * STRIP) * sizeof(float);
    *a_bytes = (size_t)q->rows * (size_t)q->depth * sizeof(uint16_t);
    return *a_bytes + sums;
}

/* A block of c: rows [m, m + rows), columns [n, n + columns). */
typedef struct block {
    int64_t m, rows, n, columns;
} block;

/* Rows of a that are used as they are stored: whole strips of a block of k without a rest. */
static int64_t rows_as_stored(const product *q, const block *t, int64_t depth)
{
    return q->a.k_contiguous && depth % FLM_AMX_DEPTH == 0 ? t->rows / STRIP * STRIP : 0;
}

static flm_amx_strip strip_of_a(const product *q, const block *t, const work *w, int64_t k, int64_t depth, int64_t m)
{
    const size_t row = (size_t)q->a.stride * sizeof(uint16_t);
    const size_t group = (size_t)blocks_of(depth, FLM_AMX_DEPTH) * FLM_AMX_TILE;
    if (m < rows_as_stored(q, t, depth))
        return (flm_amx_strip){(const char *)(q->a.data + (t->m + m) * q->a.stride + k), FLM_AMX_ROWS * row,
                               FLM_AMX_DEPTH * sizeof(uint16_t), row};
    return (flm_amx_strip){w->a + (size_t)(m / FLM_AMX_ROWS) * group, group, FLM_AMX_TILE, FLM_AMX_TILE / FLM_AMX_ROWS};
}

/* The result of the block at rows m and columns n of a task. */
static flm_amx_result result_of(const product *q, const block *t, int64_t m, int64_t n)
{
    flm_amx_result to = q->to;
    const size_t element = to.bf16 ? sizeof(uint16_t) : sizeof(float);
    to.at = (char *)to.at + (size_t)(t->m + m) * to.row_bytes + (size_t)(t->n + n) * element;
    to.rows = min(STRIP, t->rows - m);
    to.columns = min(STRIP, t->columns - n);
    if (to.bias) to.bias += t->n + n;
    return to;
}

/* Sums of the block at rows m and columns n. Where each is stored as soon as it is complete, two take turns. */
static float *sums_of(const product *q, const block *t, const work *w, int64_t m, int64_t n)
{
    if (q->K > q->depth) return w->sums + (n * flm_tile_round(t->rows, STRIP) + m * STRIP);
    return w->sums + m / STRIP % 2 * STRIP * STRIP;
}

/* One strip of b against all rows of the task. A block is stored while the next one is computed. */
static void multiply_strip(const product *q, const block *t, const work *w, int64_t k, int64_t depth, int64_t n)
{
    const bool last = k + depth == q->K;
    const size_t bytes = strip_bytes(depth);
    const char *b_data = packed_strip(q, k, depth, t->n + n);
    const flm_amx_strip b = {b_data, FLM_AMX_TILE, 2 * FLM_AMX_TILE, FLM_AMX_TILE / FLM_AMX_ROWS};
    const int64_t lines = n + STRIP < t->columns ? (int64_t)bytes / LINE : 0;
    const int64_t share = blocks_of(lines, blocks_of(t->rows, STRIP));
    flm_amx_result to[2];
    const float *done = NULL;
    for (int64_t m = 0; m < t->rows; m += STRIP) {
        const int64_t turn = m / STRIP % 2, line = m / STRIP * share;
        const flm_amx_strip a = strip_of_a(q, t, w, k, depth, m);
        float *sums = sums_of(q, t, w, m, n);
        to[turn] = result_of(q, t, m, n);
        flm_amx_multiply(sums, &a, &b, blocks_of(depth, FLM_AMX_DEPTH), k > 0,
                         &(flm_amx_aside){.to = done ? &to[1 - turn] : NULL,
                                          .sums = done,
                                          .ahead = b_data + bytes + line * LINE,
                                          .lines = min(share, lines - line),
                                          .next = last ? &to[turn] : NULL});
        if (last) done = sums;
    }
    if (done) flm_amx_store(&to[(t->rows - 1) / STRIP % 2], done);
}

static void multiply_block(const product *q, const block *t, const work *w)
{
    for (int64_t k = 0; k < q->K; k += q->depth) {
        const int64_t depth = min(q->depth, q->K - k), stored = rows_as_stored(q, t, depth);
        const size_t group = (size_t)blocks_of(depth, FLM_AMX_DEPTH) * FLM_AMX_TILE;
        flm_amx_pack(w->a + (size_t)(stored / FLM_AMX_ROWS) * group, group, FLM_AMX_TILE, &q->a, false, t->m + stored,
                     t->rows - stored, k, depth);
        for (int64_t n = 0; n < t->columns; n += STRIP) multiply_strip(q, t, w, k, depth, n);
    }
}

/* For flm_cpu_packed: b as it is stored, and transposed. The tiles depend on b alone. */
static const char layouts[2];

flm_status flm_cpu_amx_matmul(flm_backend *be, const flm_matmul *p)
{
    flm_status rc = FLM_OK;
    const int threads = flm_cpu_threads(be);
    product q = describe(p, threads);
    size_t a_bytes;
    const size_t bytes = work_bytes(&q, &a_bytes);
    void *b = NULL, *scratch = NULL;
    bool packed;
    FLM_TRY(flm_cpu_packed(be, p->b, p->transpose_b ? &layouts[1] : &layouts[0],
                           strip_bytes(flm_tile_round(q.K, FLM_AMX_DEPTH)) * (size_t)blocks_of(q.N, STRIP), &b,
                           &packed));
    FLM_TRY(flm_cpu_scratch(be, FLM_CPU_ONEDNN, (size_t)threads * bytes, &scratch));
    q.packed_b = b;
    if (!packed) {
        pack_b(&q, threads);
        flm_cpu_keep_packed(be, b);
    }
    const int64_t down = blocks_of(q.M, q.rows), right = blocks_of(q.N, q.columns);
#pragma omp parallel num_threads(threads)
    {
        char *own = (char *)scratch + (size_t)omp_get_thread_num() * bytes;
        const work w = {own, (float *)(void *)(own + a_bytes)};
        flm_amx_begin();
#pragma omp for schedule(dynamic)
        for (int64_t i = 0; i < down * right; i++) {
            const int64_t m = i % down * q.rows, n = i / down * q.columns;
            multiply_block(&q, &(block){m, min(q.rows, q.M - m), n, min(q.columns, q.N - n)}, &w);
        }
        flm_amx_end();
    }
done:
    return rc;
}
