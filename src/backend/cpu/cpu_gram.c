/* cpu_gram.c - G += F^T F in fp64 (model.md section 4), without the BLAS library: one that does not know the processor
 * falls back to its slowest kernels, and this is a product of every training step.
 *
 * A panel of rows of F is widened and laid out in strips of columns, so that both factors of a block of G are read in
 * order; a block stays in registers while it runs through the panel. The order of summation is that of the rows,
 * whatever the number of threads. SPDX-License-Identifier: Apache-2.0 */
#include "backend/cpu/cpu_internal.h"
#include "backend/cpu/cpu_tile.h"

#include <string.h>

enum {
    SLOT_ALGEBRA = 3,
    STRIP = 8,        /* columns of a strip: one register of AVX-512 */
    PANEL_ROWS = 256, /* a strip of a panel is 16 KiB: two and a third fit the first-level cache */
    PAIR = 2 * STRIP  /* columns of G's blocks */
};

#define GRAM_INLINE static inline __attribute__((always_inline))

typedef double vec8 __attribute__((vector_size(64), aligned(64), may_alias));
typedef double vec4 __attribute__((vector_size(32), aligned(32), may_alias));

/* sum [ROWS, COLUMNS VECs] over rows k of a[k, first_row ..] b[k]: a is a strip, b begins in a strip; both step STRIP. */
#define GRAM_KERNEL(NAME, VEC, ROWS)                                                                          \
    GRAM_INLINE void NAME(double *g, int64_t ld, const double *a, const double *b0, const double *b1, int64_t rows) \
    {                                                                                                         \
        VEC sum[ROWS][2];                                                                                     \
        _Pragma("GCC unroll 8") for (int i = 0; i < ROWS; i++) sum[i][0] = sum[i][1] = (VEC){0};              \
        for (int64_t k = 0; k < rows; k++) {                                                                  \
            const VEC v0 = *(const VEC *)(b0 + k * STRIP), v1 = *(const VEC *)(b1 + k * STRIP);               \
            _Pragma("GCC unroll 8") for (int i = 0; i < ROWS; i++)                                            \
            {                                                                                                 \
                sum[i][0] += a[k * STRIP + i] * v0;                                                           \
                sum[i][1] += a[k * STRIP + i] * v1;                                                           \
            }                                                                                                 \
        }                                                                                                     \
        for (int i = 0; i < ROWS; i++)                                                                        \
            for (size_t j = 0; j < sizeof(VEC) / sizeof(double); j++) {                                       \
                g[i * ld + (int64_t)j] += sum[i][0][j];                                                       \
                g[i * ld + (b1 - b0 < STRIP ? (int64_t)(b1 - b0) : STRIP) + (int64_t)j] += sum[i][1][j];      \
            }                                                                                                 \
    }

GRAM_KERNEL(kernel_8x16, vec8, 8)
GRAM_KERNEL(kernel_4x8, vec4, 4)

/* Block [i .. i + 8, j .. j + 16) of G, both multiples of a strip, from a panel's strips of `rows` rows. */
FLM_SIMD static void gram_block(bool wide, double *block, const double *panel, int64_t rows, int64_t i, int64_t j)
{
    const double *a = panel + i * PANEL_ROWS, *b0 = panel + j * PANEL_ROWS, *b1 = b0 + STRIP * PANEL_ROWS;
    if (wide) {
        kernel_8x16(block, PAIR, a, b0, b1, rows);
        return;
    }
    for (int m = 0; m < STRIP; m += 4) {
        kernel_4x8(block + m * PAIR, PAIR, a + m, b0, b0 + 4, rows);
        kernel_4x8(block + m * PAIR + STRIP, PAIR, a + m, b1, b1 + 4, rows);
    }
}

/* A strip of a panel: to [PANEL_ROWS, STRIP] = F[first .. + rows, column ..], zeros beyond K. */
FLM_SIMD static void pack_strip(double *to, const float *f, int64_t rows, int64_t K, int64_t column)
{
    const int64_t columns = K - column < STRIP ? K - column : STRIP;
    for (int64_t k = 0; k < rows; k++)
        for (int64_t j = 0; j < STRIP; j++) to[k * STRIP + j] = j < columns ? (double)f[k * K + column + j] : 0.0;
}

/* Strip i of G's lower triangle, its columns up to its own: += the panel's part. */
static void gram_strip(bool wide, double *g, const double *panel, int64_t rows, int64_t K, int64_t i)
{
    for (int64_t j = 0; j <= i; j += PAIR) {
        double block[STRIP * PAIR] __attribute__((aligned(64))) = {0};
        gram_block(wide, block, panel, rows, i, j);
        for (int64_t m = 0; m < STRIP && i + m < K; m++)
            for (int64_t n = 0; n < PAIR && j + n <= i + m; n++) g[(i + m) * K + j + n] += block[m * PAIR + n];
    }
}

flm_status flm_cpu_gram(flm_backend *be, const flm_tensor *G, const flm_tensor *F)
{
    flm_status rc = FLM_OK;
    const int64_t R = F->dim[0], K = F->dim[1], padded = flm_tile_round(K, PAIR), strips = padded / STRIP;
    const float *f = F->data;
    const bool wide = flm_tile_wide();
    double *g = G->data;
    void *scratch = NULL;

    FLM_TRY(flm_tensor_expect(F, "gram: F", FLM_DTYPE_F32, 2, (int64_t[]){R, K}));
    FLM_TRY(flm_tensor_expect(G, "gram: G", FLM_DTYPE_F64, 2, (int64_t[]){K, K}));
    FLM_TRY(flm_cpu_scratch(be, SLOT_ALGEBRA, (size_t)(PANEL_ROWS * padded) * sizeof(double), &scratch));
    double *panel = scratch;

    for (int64_t first = 0; first < R; first += PANEL_ROWS) {
        const int64_t rows = R - first < PANEL_ROWS ? R - first : PANEL_ROWS;
#pragma omp parallel num_threads(flm_cpu_threads(be))
        {
#pragma omp for
            for (int64_t s = 0; s < strips; s++)
                pack_strip(panel + s * STRIP * PANEL_ROWS, f + first * K, rows, K, s * STRIP);
            /* the long strips of the triangle first, so that the threads end together */
#pragma omp for schedule(dynamic)
            for (int64_t s = strips - 1; s >= 0; s--) gram_strip(wide, g, panel, rows, K, s * STRIP);
        }
    }
    for (int64_t i = 0; i < K; i++)
        for (int64_t j = 0; j < i; j++) g[j * K + i] = g[i * K + j];
done:
    return rc;
}
