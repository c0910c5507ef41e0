/* cpu_amx_parts.c - matmuls of f32 operands as sums of products of bf16 parts, by AMX tiles.
 *
 * With x = high + low, both bf16 (x - high - low is below 2^-17 |x|): a b = high_a high_b + low_a high_b + high_a
 * low_b, and the rest is below 2^-15 |a| |b|. That is one bf16 product of three times the depth: [high_a low_a high_a]
 * [high_b high_b low_b]. Where tiles are the fastest kind of matmul, it takes about half the time of one in fp32.
 * SPDX-License-Identifier: Apache-2.0 */
#include "backend/cpu/cpu_internal.h"

/* Parts along k, and how many rows of a are converted at once. */
enum { PARTS = 3, PIECE = 2048 };

static uint16_t low_of(float x) { return flm_bf16_from_f32(x - flm_bf16_to_f32(flm_bf16_from_f32(x))); }

/* n values of a row to their three parts, `step` apart: high, low, high; or of b high, high, low. */
FLM_SIMD static void split_row(uint16_t *to, int64_t step, const float *from, int64_t n, bool b)
{
    uint16_t *second = to + step, *third = second + step;
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        const uint16_t high = flm_bf16_from_f32(from[i]), low = low_of(from[i]);
        to[i] = high;
        second[i] = b ? high : low;
        third[i] = b ? low : high;
    }
}

/* The parts of t [rows, columns] one after the other along k, which is its rows or its columns: a bf16 tensor in `to`.
 */
static flm_tensor split(const flm_backend *be, uint16_t *to, const flm_tensor *t, bool k_is_rows, bool b)
{
    const int64_t rows = t->dim[0], columns = t->dim[1], stride = flm_tensor_row_stride(t);
    const int64_t step = k_is_rows ? rows * columns : columns, own = k_is_rows ? columns : PARTS * columns;
    const float *from = t->data;
#pragma omp parallel for num_threads(flm_cpu_threads(be))
    for (int64_t r = 0; r < rows; r++) split_row(to + r * own, step, from + r * stride, columns, b);
    return flm_tensor_2d(to, FLM_DTYPE_BF16, k_is_rows ? PARTS * rows : rows, own);
}

/* The contribution of rows [first, first + rows) of a as it is stored: these rows of c, or if a is transposed, what
 * this part of k adds to all of c. */
static flm_status multiply_piece(flm_backend *be, const flm_matmul *p, uint16_t *scratch, int64_t first, int64_t rows)
{
    flm_matmul q = *p;
    flm_tensor a = flm_tensor_slice(p->a, first, rows), b = *p->b, c = *p->c;
    uint16_t *rest = scratch + PARTS * rows * p->a->dim[1];
    a = split(be, scratch, &a, p->transpose_a, false);
    if (!p->transpose_a)
        c = flm_tensor_slice(p->c, first, rows);
    else if (first > 0) {
        q.accumulate = true;
        q.bias = NULL;
    }
    if (p->transpose_a && !p->transpose_b) b = flm_tensor_slice(p->b, first, rows);
    b = split(be, rest, &b, !p->transpose_b, true);
    q.a = &a;
    q.b = &b;
    q.c = &c;
    return flm_cpu_amx_matmul(be, &q);
}

flm_status flm_cpu_amx_parts(flm_backend *be, const flm_matmul *p)
{
    flm_status rc = FLM_OK;
    const int64_t rows = p->a->dim[0];
    /* Of a^T b^T all at once: a part of k is not rows of b. */
    const int64_t piece = p->transpose_a && p->transpose_b ? rows : PIECE;
    const int64_t max = rows < piece ? rows : piece, of_b = p->transpose_a && !p->transpose_b ? max : p->b->dim[0];
    void *scratch;
    FLM_TRY(flm_cpu_scratch(be, FLM_CPU_CONVERTED,
                            (size_t)(PARTS * (max * p->a->dim[1] + of_b * p->b->dim[1])) * sizeof(uint16_t), &scratch));
    for (int64_t first = 0; first < rows; first += piece)
        FLM_TRY(multiply_piece(be, p, scratch, first, rows - first < piece ? rows - first : piece));
done:
    return rc;
}
