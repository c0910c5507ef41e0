/* cpu_pair.h - products of small bf16 matrices with fp32 sums, by the instructions of AVX512-BF16.
 *
 * These multiply pairs: c += a[0] b[0] + a[1] b[1]. So a matrix is an array of pairs, two neighbours along the summed
 * dimension in one uint32_t, the lower index in the lower half. Like tiles (cpu_tile.h), operands are padded instead of
 * having tails. Leaves to others: threads, tensors, checks. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_CPU_PAIR_H
#define FLM_CPU_PAIR_H

#include "backend/backend_tensor.h"

/* flm_pair_supported - whether this processor has AVX512-BF16, and the build its instructions. */
bool flm_pair_supported(void);

/* flm_pair_multiply - c = a b, or c += a b, with K pairs summed.   Pair (i, k) of a is a[i * row_step + k * k_step]; b
 * [K, ldb] pairs; c f32 [M, N], ld ldc.   M is rounded up to FLM_TILE_ROWS and N to FLM_TILE_COLUMNS: a, b and c must
 * have that much memory, whose contents reach c's padding alone. */
void flm_pair_multiply(float *c, int64_t ldc, const uint32_t *a, int64_t row_step, int64_t k_step, const uint32_t *b,
                       int64_t ldb, int64_t M, int64_t N, int64_t K, bool accumulate);

/* flm_pair_load - to[i, k] = columns 2k and 2k + 1 of row i of a bf16 matrix; zeros in rows up to padded_rows.
 * from: first element, stride in elements, columns even   to [padded_rows, columns / 2]. */
void flm_pair_load(uint32_t *to, int64_t padded_rows, const uint16_t *from, int64_t stride, int64_t rows,
                   int64_t columns);

/* flm_pair_transpose - to[k, i] = from[i, k].   from [rows, columns], rows a multiple of FLM_TILE_ROWS
 * to [columns, ld]. */
void flm_pair_transpose(uint32_t *to, int64_t ld, const uint32_t *from, int64_t rows, int64_t columns);

/* flm_pair_interleave - to[k, j] = rows 2k and 2k + 1 of column j of a bf16 matrix; zeros in rows up to padded_rows
 * (even) and columns up to ld.   to [padded_rows / 2, ld]. */
void flm_pair_interleave(uint32_t *to, int64_t ld, int64_t padded_rows, const uint16_t *from, int64_t stride,
                         int64_t rows, int64_t columns);

#endif
