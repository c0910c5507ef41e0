/* cpu_pair.c - see cpu_pair.h. A product keeps 8 x 32 elements of c in registers for all of K. SPDX-License-Identifier:
 * Apache-2.0 */
#include "backend/cpu/cpu_pair.h"

#include "backend/cpu/cpu_internal.h"
#include "backend/cpu/cpu_tile.h"

#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__)

#include <immintrin.h>

#define PAIR_TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512bf16")))

bool flm_pair_supported(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bf16");
}

#define PAIR_KERNEL(NAME, VECTORS)                                                                           \
    PAIR_TARGET static void NAME(float *c, int64_t ldc, const uint32_t *a, int64_t row_step, int64_t k_step, \
                                 const uint32_t *b, int64_t ldb, int64_t K, bool accumulate)                 \
    {                                                                                                        \
        enum { WIDTH = 16 };                                                                                 \
        __m512 sum[FLM_TILE_ROWS][VECTORS];                                                                  \
        _Pragma("GCC unroll 8") for (int i = 0; i < FLM_TILE_ROWS; i++)                                      \
            _Pragma("GCC unroll 2") for (int v = 0; v < VECTORS; v++) sum[i][v] =                            \
                accumulate ? _mm512_loadu_ps(c + i * ldc + v * WIDTH) : _mm512_setzero_ps();                 \
        for (int64_t k = 0; k < K; k++) {                                                                    \
            __m512i column[VECTORS];                                                                         \
            _Pragma("GCC unroll 2") for (int v = 0; v < VECTORS; v++) column[v] =                            \
                _mm512_loadu_si512(b + k * ldb + v * WIDTH);                                                 \
            _Pragma("GCC unroll 8") for (int i = 0; i < FLM_TILE_ROWS; i++)                                  \
            {                                                                                                \
                const __m512i row = _mm512_set1_epi32((int)a[i * row_step + k * k_step]);                    \
                _Pragma("GCC unroll 2") for (int v = 0; v < VECTORS; v++) sum[i][v] =                        \
                    _mm512_dpbf16_ps(sum[i][v], (__m512bh)row, (__m512bh)column[v]);                         \
            }                                                                                                \
        }                                                                                                    \
        _Pragma("GCC unroll 8") for (int i = 0; i < FLM_TILE_ROWS; i++)                                      \
            _Pragma("GCC unroll 2") for (int v = 0; v < VECTORS; v++)                                        \
                _mm512_storeu_ps(c + i * ldc + v * WIDTH, sum[i][v]);                                        \
    }

PAIR_KERNEL(kernel_8x32, 2)
PAIR_KERNEL(kernel_8x16, 1)

#else

bool flm_pair_supported(void) { return false; }

static void kernel_8x16(float *c, int64_t ldc, const uint32_t *a, int64_t row_step, int64_t k_step, const uint32_t *b,
                        int64_t ldb, int64_t K, bool accumulate)
{
    (void)c, (void)ldc, (void)a, (void)row_step, (void)k_step, (void)b, (void)ldb, (void)K, (void)accumulate;
}
#define kernel_8x32 kernel_8x16

#endif

void flm_pair_multiply(float *c, int64_t ldc, const uint32_t *a, int64_t row_step, int64_t k_step, const uint32_t *b,
                       int64_t ldb, int64_t M, int64_t N, int64_t K, bool accumulate)
{
    int64_t n = 0;
    for (; n + FLM_TILE_COLUMNS < N; n += 2 * FLM_TILE_COLUMNS)
        for (int64_t m = 0; m < M; m += FLM_TILE_ROWS)
            kernel_8x32(c + m * ldc + n, ldc, a + m * row_step, row_step, k_step, b + n, ldb, K, accumulate);
    if (n < N)
        for (int64_t m = 0; m < M; m += FLM_TILE_ROWS)
            kernel_8x16(c + m * ldc + n, ldc, a + m * row_step, row_step, k_step, b + n, ldb, K, accumulate);
}

void flm_pair_load(uint32_t *to, int64_t padded_rows, const uint16_t *from, int64_t stride, int64_t rows,
                   int64_t columns)
{
    const int64_t pairs = columns / 2;
    for (int64_t i = 0; i < rows; i++) memcpy(to + i * pairs, from + i * stride, (size_t)pairs * sizeof *to);
    memset(to + rows * pairs, 0, (size_t)((padded_rows - rows) * pairs) * sizeof *to);
}

FLM_SIMD void flm_pair_transpose(uint32_t *to, int64_t ld, const uint32_t *from, int64_t rows, int64_t columns)
{
    for (int64_t i = 0; i < rows; i += FLM_TILE_ROWS)
        for (int64_t k = 0; k < columns; k++)
            for (int64_t n = 0; n < FLM_TILE_ROWS; n++) to[k * ld + i + n] = from[(i + n) * columns + k];
}

FLM_SIMD static void interleave(uint32_t *to, const uint16_t *low, const uint16_t *high, int64_t columns)
{
    for (int64_t j = 0; j < columns; j++) to[j] = low[j] | (uint32_t)high[j] << 16;
}

void flm_pair_interleave(uint32_t *to, int64_t ld, int64_t padded_rows, const uint16_t *from, int64_t stride,
                         int64_t rows, int64_t columns)
{
    int64_t k = 0;
    for (; 2 * k + 1 < rows; k++) {
        interleave(to + k * ld, from + 2 * k * stride, from + (2 * k + 1) * stride, columns);
        memset(to + k * ld + columns, 0, (size_t)(ld - columns) * sizeof *to);
    }
    memset(to + k * ld, 0, (size_t)((padded_rows / 2 - k) * ld) * sizeof *to);
    if (rows % 2 == 1)
        for (int64_t j = 0; j < columns; j++) to[k * ld + j] = from[2 * k * stride + j];
}
