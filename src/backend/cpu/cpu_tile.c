/* cpu_tile.c - see cpu_tile.h. The matmuls keep a block of c in registers for all of K, and are written with the
 * compiler's vector types: 8 x 32 for the 32 registers of AVX-512, 4 x 16 for the 16 of AVX2. SPDX-License-Identifier:
 * Apache-2.0 */
#include "backend/cpu/cpu_tile.h"

#include "backend/cpu/cpu_internal.h"

#include <string.h>

#define FLM_TILE_INLINE static inline __attribute__((always_inline))

typedef float vec16 __attribute__((vector_size(64), aligned(4), may_alias));
typedef float vec8 __attribute__((vector_size(32), aligned(4), may_alias));

/* A kernel of ROWS x (VECTORS of VEC): element (i, k) of a is a[i * row_step + k * k_step]. The pragmas turn the
 * accumulators of the block into scalar variables, which puts them into registers. */
#define TILE_KERNEL(NAME, VEC, ROWS, VECTORS)                                                                          \
    FLM_TILE_INLINE void NAME(float *c, int64_t ldc, const float *a, int64_t row_step, int64_t k_step, const float *b, \
                              int64_t ldb, int64_t K, bool accumulate)                                                 \
    {                                                                                                                  \
        enum { WIDTH = sizeof(VEC) / sizeof(float) };                                                                  \
        VEC sum[ROWS][VECTORS];                                                                                        \
        _Pragma("GCC unroll 8") for (int i = 0; i < ROWS; i++)                                                         \
            _Pragma("GCC unroll 2") for (int v = 0; v < VECTORS; v++) sum[i][v] = (VEC){0};                            \
        for (int64_t k = 0; k < K; k++) {                                                                              \
            const float *ak = a + k * k_step, *bk = b + k * ldb;                                                       \
            VEC bv[VECTORS];                                                                                           \
            _Pragma("GCC unroll 2") for (int v = 0; v < VECTORS; v++) bv[v] = *(const VEC *)(bk + v * WIDTH);          \
            _Pragma("GCC unroll 8") for (int i = 0; i < ROWS; i++)                                                     \
                _Pragma("GCC unroll 2") for (int v = 0; v < VECTORS; v++) sum[i][v] += ak[i * row_step] * bv[v];       \
        }                                                                                                              \
        _Pragma("GCC unroll 8") for (int i = 0; i < ROWS; i++)                                                         \
            _Pragma("GCC unroll 2") for (int v = 0; v < VECTORS; v++)                                                  \
        {                                                                                                              \
            VEC *out = (VEC *)(c + i * ldc + v * WIDTH);                                                               \
            if (accumulate)                                                                                            \
                *out += sum[i][v];                                                                                     \
            else                                                                                                       \
                *out = sum[i][v];                                                                                      \
        }                                                                                                              \
    }

TILE_KERNEL(kernel_8x32, vec16, 8, 2)
TILE_KERNEL(kernel_8x16, vec16, 8, 1)
TILE_KERNEL(kernel_4x16, vec8, 4, 2)

bool flm_tile_wide(void)
{
#if defined(__x86_64__) && defined(__GNUC__) && !FLM_SANITIZE
    return __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512cd");
#else
    return false;
#endif
}

FLM_TILE_INLINE void tile_product(bool wide, float *c, int64_t ldc, const float *a, int64_t row_step, int64_t k_step,
                                  const float *b, int64_t ldb, int64_t M, int64_t N, int64_t K, bool accumulate)
{
    int64_t n = 0;
    if (!wide) {
        for (; n < N; n += 16)
            for (int64_t m = 0; m < M; m += 4)
                kernel_4x16(c + m * ldc + n, ldc, a + m * row_step, row_step, k_step, b + n, ldb, K, accumulate);
        return;
    }
    for (; n + 16 < N; n += 32)
        for (int64_t m = 0; m < M; m += 8)
            kernel_8x32(c + m * ldc + n, ldc, a + m * row_step, row_step, k_step, b + n, ldb, K, accumulate);
    if (n < N)
        for (int64_t m = 0; m < M; m += 8)
            kernel_8x16(c + m * ldc + n, ldc, a + m * row_step, row_step, k_step, b + n, ldb, K, accumulate);
}

FLM_SIMD static void product_by_rows(bool wide, float *c, int64_t ldc, const float *a, int64_t lda, const float *b,
                                     int64_t ldb, int64_t M, int64_t N, int64_t K, bool accumulate)
{
    tile_product(wide, c, ldc, a, lda, 1, b, ldb, M, N, K, accumulate);
}

FLM_SIMD static void product_by_columns(bool wide, float *c, int64_t ldc, const float *a, int64_t lda, const float *b,
                                        int64_t ldb, int64_t M, int64_t N, int64_t K, bool accumulate)
{
    tile_product(wide, c, ldc, a, 1, lda, b, ldb, M, N, K, accumulate);
}

void flm_tile_multiply(float *c, int64_t ldc, const float *a, int64_t lda, const float *b, int64_t ldb, int64_t M,
                       int64_t N, int64_t K, bool accumulate)
{
    product_by_rows(flm_tile_wide(), c, ldc, a, lda, b, ldb, M, N, K, accumulate);
}

void flm_tile_multiply_transposed(float *c, int64_t ldc, const float *a, int64_t lda, const float *b, int64_t ldb,
                                  int64_t M, int64_t N, int64_t K, bool accumulate)
{
    product_by_columns(flm_tile_wide(), c, ldc, a, lda, b, ldb, M, N, K, accumulate);
}

FLM_SIMD static void load_bf16(float *to, int64_t ld, const uint16_t *from, int64_t stride, int64_t rows,
                               int64_t columns)
{
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < columns; j++) to[i * ld + j] = flm_bf16_to_f32(from[i * stride + j]);
}

void flm_tile_load(float *to, int64_t ld, int64_t padded_rows, const void *from, flm_dtype dtype, int64_t stride,
                   int64_t rows, int64_t columns)
{
    if (dtype == FLM_DTYPE_BF16)
        load_bf16(to, ld, from, stride, rows, columns);
    else
        for (int64_t i = 0; i < rows; i++)
            memcpy(to + i * ld, (const float *)from + i * stride, (size_t)columns * sizeof *to);
    if (columns < ld)
        for (int64_t i = 0; i < rows; i++) memset(to + i * ld + columns, 0, (size_t)(ld - columns) * sizeof *to);
    memset(to + rows * ld, 0, (size_t)((padded_rows - rows) * ld) * sizeof *to);
}

FLM_SIMD void flm_tile_transpose(float *to, int64_t ld_to, const float *from, int64_t ld_from, int64_t rows,
                                 int64_t columns)
{
    for (int64_t i = 0; i < rows; i += FLM_TILE_ROWS)
        for (int64_t j = 0; j < columns; j++)
            for (int64_t n = 0; n < FLM_TILE_ROWS; n++) to[j * ld_to + i + n] = from[(i + n) * ld_from + j];
}

FLM_SIMD static void store_f32(float *to, int64_t stride, const float *from, int64_t ld, const float *factor,
                               int64_t rows, int64_t columns)
{
    for (int64_t i = 0; i < rows; i++) {
        float f = factor ? factor[i] : 1;
        for (int64_t j = 0; j < columns; j++) to[i * stride + j] = from[i * ld + j] * f;
    }
}

FLM_SIMD static void store_bf16(uint16_t *to, int64_t stride, const float *from, int64_t ld, const float *factor,
                                int64_t rows, int64_t columns)
{
    for (int64_t i = 0; i < rows; i++) {
        float f = factor ? factor[i] : 1;
        for (int64_t j = 0; j < columns; j++) to[i * stride + j] = flm_bf16_from_f32(from[i * ld + j] * f);
    }
}

void flm_tile_store(void *to, flm_dtype dtype, int64_t stride, const float *from, int64_t ld, const float *factor,
                    int64_t rows, int64_t columns)
{
    if (dtype == FLM_DTYPE_BF16)
        store_bf16(to, stride, from, ld, factor, rows, columns);
    else
        store_f32(to, stride, from, ld, factor, rows, columns);
}
