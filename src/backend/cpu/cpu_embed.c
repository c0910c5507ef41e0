/* cpu_embed.c - states in embedded form, their gradients, and normal random numbers (model.md section 4).
 * SPDX-License-Identifier: Apache-2.0 */
#include "backend/cpu/cpu_rows.h"
#include "base/base_philox.h"

#include <string.h>

enum {
    SCATTER_COLUMNS = 128, /* columns of the embedding that one task accumulates */
    NORMAL_BLOCKS = 16,    /* counter blocks drawn together */
    NORMALS = NORMAL_BLOCKS * FLM_PHILOX_WORDS
};

/* Every token [B, L] is a row of E. */
static flm_status check_tokens(const flm_tensor *tokens, const flm_tensor *E)
{
    flm_status rc = FLM_OK;
    const int64_t B = tokens->dim[0], L = tokens->dim[1], V = E->dim[0];
    const int32_t *token = tokens->data;
    for (int64_t i = 0; i < B * L; i++)
        if (token[i] < 0 || token[i] >= V)
            FLM_FAIL(FLM_E_ARG, "token %ld at [%lld, %lld] is outside the vocabulary of %lld", (long)token[i],
                     (long long)(i / L), (long long)(i % L), (long long)V);
done:
    return rc;
}

/* Rows that share an element of g: the positions of a sequence, or 1. */
static int64_t rows_per(const flm_tensor *g, const flm_tensor *x) { return g->ndim == 1 ? x->dim[1] : 1; }

FLM_SIMD static void embed_row(float *x, const float *noise, const float *E, float g, int64_t d)
{
#pragma omp simd
    for (int64_t j = 0; j < d; j++) x[j] = (1 - g) * noise[j] + g * E[j];
}

flm_status flm_cpu_embed_state(flm_backend *be, const flm_tensor *x, const flm_tensor *noise, const flm_tensor *E,
                               const flm_tensor *tokens, const flm_tensor *g)
{
    flm_status rc = FLM_OK;
    FLM_TRY(check_tokens(tokens, E));
    const int64_t rows = flm_tensor_rows(x), per_g = rows_per(g, x), d = x->dim[2];
    const int32_t *token = tokens->data;
#pragma omp parallel for num_threads(flm_cpu_threads(be))
    for (int64_t row = 0; row < rows; row++)
        embed_row((float *)x->data + row * d, (const float *)noise->data + row * d,
                  (const float *)E->data + token[row] * d, ((const float *)g->data)[row / per_g], d);
done:
    return rc;
}

flm_status flm_cpu_embed_known(flm_backend *be, const flm_tensor *x, const flm_tensor *noise, const flm_tensor *E,
                               const flm_tensor *tokens, float g)
{
    flm_status rc = FLM_OK;
    const int64_t rows = flm_tensor_rows(x), L = x->dim[1], d = x->dim[2], V = E->dim[0];
    const int32_t *token = tokens->data;
    for (int64_t i = 0; i < rows; i++)
        if (token[i] >= V)
            FLM_FAIL(FLM_E_ARG, "token %ld at [%lld, %lld] is outside the vocabulary of %lld", (long)token[i],
                     (long long)(i / L), (long long)(i % L), (long long)V);
#pragma omp parallel for num_threads(flm_cpu_threads(be))
    for (int64_t row = 0; row < rows; row++)
        if (token[row] >= 0)
            embed_row((float *)x->data + row * d, (const float *)noise->data + row * d,
                      (const float *)E->data + token[row] * d, g, d);
done:
    return rc;
}

/* Every index [n] within a table of `rows` rows. */
static flm_status check_index(const flm_tensor *index, int64_t n, int64_t rows, const char *what)
{
    flm_status rc = FLM_OK;
    const int32_t *at = index->data;
    for (int64_t i = 0; i < n; i++)
        if (at[i] < 0 || at[i] >= rows)
            FLM_FAIL(FLM_E_ARG, "%s %ld at index %lld is outside the table of %lld", what, (long)at[i], (long long)i,
                     (long long)rows);
done:
    return rc;
}

FLM_SIMD static void add_row(float *x, const float *a, const float *b, int64_t d)
{
#pragma omp simd
    for (int64_t j = 0; j < d; j++) x[j] = a[j] + b[j];
}

flm_status flm_cpu_embed_learned(flm_backend *be, const flm_tensor *x, const flm_tensor *E, const flm_tensor *P,
                                 const flm_tensor *tokens, const flm_tensor *positions)
{
    flm_status rc = FLM_OK;
    const int64_t R = x->dim[0], d = x->dim[1];
    FLM_TRY(check_index(tokens, R, E->dim[0], "token"));
    FLM_TRY(check_index(positions, R, P->dim[0], "position"));
#pragma omp parallel for num_threads(flm_cpu_threads(be))
    for (int64_t row = 0; row < R; row++)
        add_row((float *)x->data + row * d, (const float *)E->data + ((const int32_t *)tokens->data)[row] * d,
                (const float *)P->data + ((const int32_t *)positions->data)[row] * d, d);
done:
    return rc;
}

FLM_SIMD static void scatter_columns(float *grad_E, const float *grad_x, const int32_t *token, const float *g,
                                     int64_t rows, int64_t per_g, int64_t d, int64_t n)
{
    for (int64_t row = 0; row < rows; row++) {
        float *to = grad_E + token[row] * d, factor = g[row / per_g];
        const float *from = grad_x + row * d;
#pragma omp simd
        for (int64_t j = 0; j < n; j++) to[j] += factor * from[j];
    }
}

flm_status flm_cpu_embed_scatter(flm_backend *be, const flm_tensor *grad_E, const flm_tensor *grad_x,
                                 const flm_tensor *tokens, const flm_tensor *g)
{
    flm_status rc = FLM_OK;
    FLM_TRY(check_tokens(tokens, grad_E));
    const int64_t rows = flm_tensor_rows(grad_x), per_g = rows_per(g, grad_x), d = grad_x->dim[2];
    /* Each thread owns columns, so that repeated tokens are added in order. */
#pragma omp parallel for num_threads(flm_cpu_threads(be))
    for (int64_t at = 0; at < d; at += SCATTER_COLUMNS)
        scatter_columns((float *)grad_E->data + at, (const float *)grad_x->data + at, tokens->data, g->data, rows,
                        per_g, d, d - at < SCATTER_COLUMNS ? d - at : SCATTER_COLUMNS);
done:
    return rc;
}

FLM_SIMD static void scale_block(float *y, const float *x, float factor, int64_t n)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++) y[i] = factor * x[i];
}

flm_status flm_cpu_sample_scale(flm_backend *be, const flm_tensor *y, const flm_tensor *x, const flm_tensor *g)
{
    const int64_t B = flm_tensor_elements(g), n = B ? flm_tensor_elements(x) / B : 0;
    const int64_t blocks = (n + FLM_BLOCK - 1) / FLM_BLOCK;
#pragma omp parallel for num_threads(flm_cpu_threads(be))
    for (int64_t task = 0; task < B * blocks; task++) {
        const int64_t b = task / blocks, first = task % blocks * FLM_BLOCK, at = b * n + first;
        scale_block((float *)y->data + at, (const float *)x->data + at, 1 - ((const float *)g->data)[b],
                    n - first < FLM_BLOCK ? n - first : FLM_BLOCK);
    }
    return FLM_OK;
}

/* bf16 and count are compile-time constants in the callers. */
FLM_INLINE void combine(void *y, bool bf16, const float *c, const void *const *x, int count, int64_t at, int64_t n)
{
    const float c0 = c[0], c1 = count > 1 ? c[1] : 0, c2 = count > 2 ? c[2] : 0, c3 = count > 3 ? c[3] : 0;
    const void *x0 = x[0], *x1 = x[1], *x2 = x[2], *x3 = x[3];
#pragma omp simd
    for (int64_t i = at; i < at + n; i++) {
        float sum = c0 * flm_load(x0, bf16, i);
        if (count > 1) sum += c1 * flm_load(x1, bf16, i);
        if (count > 2) sum += c2 * flm_load(x2, bf16, i);
        if (count > 3) sum += c3 * flm_load(x3, bf16, i);
        flm_store(y, bf16, i, sum);
    }
}

FLM_INLINE void combine_as(void *y, bool bf16, const float *c, const void *const *x, int count, int64_t at, int64_t n)
{
    switch (count) {
    case 1: combine(y, bf16, c, x, 1, at, n); break;
    case 2: combine(y, bf16, c, x, 2, at, n); break;
    case 3: combine(y, bf16, c, x, 3, at, n); break;
    default: combine(y, bf16, c, x, FLM_COMBINE_MAX, at, n);
    }
}

FLM_SIMD static void combine_block(void *y, bool bf16, const float *c, const void *const *x, int count, int64_t at,
                                   int64_t n)
{
    if (bf16)
        combine_as(y, true, c, x, count, at, n);
    else
        combine_as(y, false, c, x, count, at, n);
}

flm_status flm_cpu_sample_combine(flm_backend *be, const flm_tensor *y, const flm_tensor *coefficient,
                                  const flm_tensor *x, int count)
{
    const void *from[FLM_COMBINE_MAX] = {NULL};
    const int64_t B = y->dim[0];
    for (int k = 0; k < count; k++) from[k] = x[k].data;
    const int64_t n = B ? flm_tensor_elements(y) / B : 0, blocks = (n + FLM_BLOCK - 1) / FLM_BLOCK;
#pragma omp parallel for num_threads(flm_cpu_threads(be))
    for (int64_t task = 0; task < B * blocks; task++) {
        const int64_t b = task / blocks, first = task % blocks * FLM_BLOCK;
        combine_block(y->data, y->dtype == FLM_DTYPE_BF16, (const float *)coefficient->data + b * count, from, count,
                      b * n + first, n - first < FLM_BLOCK ? n - first : FLM_BLOCK);
    }
    return FLM_OK;
}

flm_status flm_cpu_gather_rows(flm_backend *be, const flm_tensor *y, const flm_tensor *x, const flm_tensor *index)
{
    flm_status rc = FLM_OK;
    const int64_t R = y->dim[0];
    const int32_t *from = index->data;
    const size_t bytes = (size_t)y->dim[1] * flm_dtype_size(y->dtype);
    FLM_TRY(check_index(index, R, x->dim[0], "row"));
#pragma omp parallel for num_threads(flm_cpu_threads(be))
    for (int64_t r = 0; r < R; r++)
        memcpy((char *)y->data + (size_t)r * bytes, (const char *)x->data + (size_t)from[r] * bytes, bytes);
done:
    return rc;
}

flm_status flm_cpu_scatter_rows(flm_backend *be, const flm_tensor *y, const flm_tensor *x, const flm_tensor *index)
{
    flm_status rc = FLM_OK;
    const int64_t R = x->dim[0];
    const int32_t *to = index->data;
    const size_t bytes = (size_t)x->dim[1] * flm_dtype_size(x->dtype);
    FLM_TRY(check_index(index, R, y->dim[0], "row"));
#pragma omp parallel for num_threads(flm_cpu_threads(be))
    for (int64_t r = 0; r < R; r++)
        memcpy((char *)y->data + (size_t)to[r] * bytes, (const char *)x->data + (size_t)r * bytes, bytes);
done:
    return rc;
}

/* Box and Muller, "A note on the generation of random normal deviates", 1958: sqrt(-2 ln u) times the cosine and sine
 * of a random turn. u = (w + 1/2) / 2^32 in fp32 is in (0, 1]: the largest normal is 6.8, and none is infinite. */
FLM_INLINE void normal_pair(uint32_t w, uint32_t turn, float *first, float *second)
{
    float radius = sqrtf(-2 * flm_math_log((float)w * 0x1p-32f + 0x1p-33f)), cosine, sine;
    flm_math_turn(turn, &cosine, &sine);
    *first = radius * cosine;
    *second = radius * sine;
}

/* The K components of one position. Always complete groups of counter blocks, so that a value depends neither on the
 * length of the row nor on its offset. */
FLM_SIMD static void normal_row(float *row, uint64_t stream, uint64_t sample, uint32_t position, int64_t K)
{
    for (int64_t at = 0; at < K; at += NORMALS) {
        float value[NORMALS];
        const uint32_t first = (uint32_t)(at / FLM_PHILOX_WORDS);
#pragma omp simd
        for (uint32_t k = 0; k < NORMAL_BLOCKS; k++) {
            const flm_philox4 r = flm_philox_at(stream, sample, position, first + k);
            normal_pair(r.v[0], r.v[1], &value[4 * k], &value[4 * k + 1]);
            normal_pair(r.v[2], r.v[3], &value[4 * k + 2], &value[4 * k + 3]);
        }
        memcpy(row + at, value, (size_t)(K - at < NORMALS ? K - at : NORMALS) * sizeof *row);
    }
}

flm_status flm_cpu_normal(flm_backend *be, const flm_tensor *out, uint64_t stream, int64_t first_sample)
{
    const int64_t B = out->dim[0], L = out->dim[1], K = out->dim[2];
#pragma omp parallel for num_threads(flm_cpu_threads(be))
    for (int64_t row = 0; row < B * L; row++)
        normal_row((float *)out->data + row * K, stream, (uint64_t)(first_sample + row / L), (uint32_t)(row % L), K);
    return FLM_OK;
}
