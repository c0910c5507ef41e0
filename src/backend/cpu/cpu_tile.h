/* cpu_tile.h - small fp32 matrices ("tiles") in scratch memory: loading and storing activations, and their products.
 *
 * Attention is built from these. A tile is row-major with a leading dimension; its rows are padded with zeros to a
 * multiple of FLM_TILE_ROWS and its columns to a multiple of FLM_TILE_COLUMNS, so that the matmuls need no tails.
 * Everything is fp32; bf16 is widened on loading and rounded to nearest even on storing.
 * Leaves to others: threads, tensors and checks. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_CPU_TILE_H
#define FLM_CPU_TILE_H

#include "backend/backend_tensor.h"

enum { FLM_TILE_ROWS = 8, FLM_TILE_COLUMNS = 16 };

/* flm_tile_wide - whether the AVX-512 versions of FLM_SIMD functions run: the wide kernels need its 32 registers. */
bool flm_tile_wide(void);

/* flm_tile_round - x rounded up to a multiple of step. */
static inline int64_t flm_tile_round(int64_t n, int64_t step) { return (n + step - 1) / step * step; }

/* flm_tile_load - to[i, j] = from[i * stride + j] for i < rows, j < columns; zeros up to ld columns and padded rows.
 * to f32 [padded_rows, ld]   from: first element, of dtype f32 or bf16; stride in elements. */
void flm_tile_load(float *to, int64_t ld, int64_t padded_rows, const void *from, flm_dtype dtype, int64_t stride,
                   int64_t rows, int64_t columns);

/* flm_tile_transpose - to[j, i] = from[i, j].   from f32 [rows, ld_from] of which columns are used, rows a multiple of
 * FLM_TILE_ROWS   to f32 [columns, ld_to], ld_to >= rows; its columns from rows on are left as they are. */
void flm_tile_transpose(float *to, int64_t ld_to, const float *from, int64_t ld_from, int64_t rows, int64_t columns);

/* flm_tile_store - to[i * stride + j] = from[i, j] * factor[i] for i < rows, j < columns.   factor NULL: ones. */
void flm_tile_store(void *to, flm_dtype dtype, int64_t stride, const float *from, int64_t ld, const float *factor,
                    int64_t rows, int64_t columns);

/* flm_tile_multiply - c = a b, or c += a b.
 * a [M, K], ld lda   b [K, N], ld ldb   c [M, N], ld ldc.   M is rounded up to FLM_TILE_ROWS and N to FLM_TILE_COLUMNS:
 * a, b and c must have that much memory, whose contents reach c's padding alone. K is taken as it is. */
void flm_tile_multiply(float *c, int64_t ldc, const float *a, int64_t lda, const float *b, int64_t ldb, int64_t M,
                       int64_t N, int64_t K, bool accumulate);

/* flm_tile_multiply_transposed - the same with a stored as [K, M]: c = a^T b. */
void flm_tile_multiply_transposed(float *c, int64_t ldc, const float *a, int64_t lda, const float *b, int64_t ldb,
                                  int64_t M, int64_t N, int64_t K, bool accumulate);

#endif
