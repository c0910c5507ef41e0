/* cpu_gram.c - G += A^T B in fp64 (model.md section 4), without BLAS: a library that does not know the processor falls
 * back to its slowest kernels, and this matmul is part of every training step. Of A^T A the lower triangle is computed
 * and mirrored.
 *
 * A panel of rows of each factor is widened and stored in strips of columns, so that both factors of a block of G are
 * read contiguously; a block stays in registers for the whole panel. Sums run in the order of the rows, whatever the
 * number of threads. SPDX-License-Identifier: Apache-2.0 */
#include "backend/cpu/cpu_internal.h"
#include "backend/cpu/cpu_tile.h"

#include <string.h>

enum {
    STRIP = 8,        /* columns of a strip: one register of AVX-512 */
    PANEL_ROWS = 256, /* a strip of a panel is 16 KiB: two and part of a third fit in the L1 cache */
    PAIR = 2 * STRIP  /* columns of G's blocks */
};

#define GRAM_INLINE static inline __attribute__((always_inline))

typedef double vec8 __attribute__((vector_size(64), aligned(64), may_alias));
typedef double vec4 __attribute__((vector_size(32), aligned(32), may_alias));

/* sum [ROWS, COLUMNS VECs] over rows k of a[k, first_row ..] b[k]: a is a strip, b begins in a strip; both have row
 * stride STRIP.
 */
#define GRAM_KERNEL(NAME, VEC, ROWS)                                                                                \
    GRAM_INLINE void NAME(double *g, int64_t ld, const double *a, const double *b0, const double *b1, int64_t rows) \
    {                                                                                                               \
        VEC sum[ROWS][2];                                                                                           \
        _Pragma("GCC unroll 8") for (int i = 0; i < ROWS; i++) sum[i][0] = sum[i][1] = (VEC){0};                    \
        for (int64_t k = 0; k < rows; k++) {                                                                        \
            const VEC v0 = *(const VEC *)(b0 + k * STRIP), v1 = *(const VEC *)(b1 + k * STRIP);                     \
            _Pragma("GCC unroll 8") for (int i = 0; i < ROWS; i++)                                                  \
            {                                                                                                       \
                sum[i][0] += a[k * STRIP + i] * v0;                                                                 \
                sum[i][1] += a[k * STRIP + i] * v1;                                                                 \
            }                                                                                                       \
        }                                                                                                           \
        for (int i = 0; i < ROWS; i++)                                                                              \
            for (size_t j = 0; j < sizeof(VEC) / sizeof(double); j++) {                                             \
                g[i * ld + (int64_t)j] += sum[i][0][j];                                                             \
                g[i * ld + (b1 - b0 < STRIP ? (int64_t)(b1 - b0) : STRIP) + (int64_t)j] += sum[i][1][j];            \
            }                                                                                                       \
    }

GRAM_KERNEL(kernel_8x16, vec8, 8)
GRAM_KERNEL(kernel_4x8, vec4, 4)

/* A block [8, 16) of G from rows of strips a, b: the strip after b's is the block's second half. */
FLM_SIMD static void gram_block(bool wide, double *block, const double *a, const double *b, int64_t rows)
{
    const double *b0 = b, *b1 = b + STRIP * PANEL_ROWS;
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

/* What all panels have in common. */
typedef struct gram {
    double *g, *a, *b; /* G [Ka, Kb], and the panels of A and B; b is a where the factors are the same */
    int64_t Ka, Kb;
    bool wide;
} gram;

/* Strip i of G += the contribution of the panels, up to the diagonal if both factors are the same. */
static void gram_strip(const gram *p, int64_t rows, int64_t i)
{
    const bool same = p->a == p->b;
    for (int64_t j = 0; j < (same ? i + 1 : p->Kb); j += PAIR) {
        double block[STRIP * PAIR] __attribute__((aligned(64))) = {0};
        gram_block(p->wide, block, p->a + i * PANEL_ROWS, p->b + j * PANEL_ROWS, rows);
        for (int64_t m = 0; m < STRIP && i + m < p->Ka; m++)
            for (int64_t n = 0; n < PAIR && j + n < (same ? i + m + 1 : p->Kb); n++)
                p->g[(i + m) * p->Kb + j + n] += block[m * PAIR + n];
    }
}

static int64_t strips_of(int64_t K) { return flm_tile_round(K, PAIR) / STRIP; }

/* One panel of rows of both factors. */
static void gram_panel(const flm_backend *be, const gram *p, const float *a, const float *b, int64_t rows)
{
    const int64_t of_a = strips_of(p->Ka), of_b = p->a == p->b ? 0 : strips_of(p->Kb);
#pragma omp parallel num_threads(flm_cpu_threads(be))
    {
#pragma omp for
        for (int64_t s = 0; s < of_a + of_b; s++)
            if (s < of_a)
                pack_strip(p->a + s * STRIP * PANEL_ROWS, a, rows, p->Ka, s * STRIP);
            else
                pack_strip(p->b + (s - of_a) * STRIP * PANEL_ROWS, b, rows, p->Kb, (s - of_a) * STRIP);
                /* long strips of a triangle first, which balances the threads */
#pragma omp for schedule(dynamic)
        for (int64_t s = of_a - 1; s >= 0; s--) gram_strip(p, rows, s * STRIP);
    }
}

flm_status flm_cpu_gram(flm_backend *be, const flm_tensor *G, const flm_tensor *A, const flm_tensor *B)
{
    flm_status rc = FLM_OK;
    const int64_t R = A->dim[0];
    const bool same = A->data == B->data && A->dim[1] == B->dim[1];
    gram p = {.g = G->data, .Ka = A->dim[1], .Kb = B->dim[1], .wide = flm_tile_wide()};
    void *scratch = NULL;

    const int64_t of_a = strips_of(p.Ka) * STRIP * PANEL_ROWS, of_b = strips_of(p.Kb) * STRIP * PANEL_ROWS;
    FLM_TRY(flm_cpu_scratch(be, FLM_CPU_ALGEBRA, (size_t)(of_a + (same ? 0 : of_b)) * sizeof(double), &scratch));
    p.a = scratch;
    p.b = same ? p.a : p.a + of_a;

    for (int64_t first = 0; first < R; first += PANEL_ROWS)
        gram_panel(be, &p, (const float *)A->data + first * p.Ka, (const float *)B->data + first * p.Kb,
                   R - first < PANEL_ROWS ? R - first : PANEL_ROWS);
    for (int64_t i = 0; same && i < p.Ka; i++)
        for (int64_t j = 0; j < i; j++) p.g[j * p.Ka + i] = p.g[i * p.Ka + j];
done:
    return rc;
}
