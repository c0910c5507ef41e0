/* cpu_elementwise.c - column sums, a x + b y, casts, and sums in fp64.
 * Sums are taken over blocks of fixed size, whose results are added in order. SPDX-License-Identifier: Apache-2.0 */
#include "backend/cpu/cpu_rows.h"

enum { COLUMNS = 2048 }; /* columns that one task sums over a block of rows; the sums stay in the L1 cache */

FLM_INLINE void add_rows(float *sum, const void *x, bool bf16, int64_t rows, int64_t stride, int64_t n)
{
    for (int64_t j = 0; j < n; j++) sum[j] = 0;
    for (int64_t i = 0; i < rows; i++)
#pragma omp simd
        for (int64_t j = 0; j < n; j++) sum[j] += flm_load(x, bf16, i * stride + j);
}

FLM_SIMD static void column_sum_block(float *sum, const void *x, bool bf16, int64_t rows, int64_t stride, int64_t n)
{
    if (bf16)
        add_rows(sum, x, true, rows, stride, n);
    else
        add_rows(sum, x, false, rows, stride, n);
}

flm_status flm_cpu_column_sum(flm_backend *be, const flm_tensor *out, const flm_tensor *x)
{
    flm_status rc = FLM_OK;
    const int64_t M = x->dim[0], N = x->dim[1], blocks = flm_cpu_row_blocks(M), parts = (N + COLUMNS - 1) / COLUMNS,
                  step = flm_tensor_row_stride(x);
    void *scratch = NULL;
    FLM_TRY(flm_cpu_scratch(be, FLM_CPU_SUMS, (size_t)(blocks * N) * sizeof(float), &scratch));
    float *sums = scratch;
    const size_t size = flm_dtype_size(x->dtype);
#pragma omp parallel for num_threads(flm_cpu_threads(be))
    for (int64_t task = 0; task < blocks * parts; task++) {
        const int64_t block = task / parts, row = block * FLM_ROW_BLOCK, at = task % parts * COLUMNS;
        column_sum_block(sums + block * N + at, (const char *)x->data + (size_t)(row * step + at) * size,
                         x->dtype == FLM_DTYPE_BF16, M - row < FLM_ROW_BLOCK ? M - row : FLM_ROW_BLOCK, step,
                         N - at < COLUMNS ? N - at : COLUMNS);
    }
    flm_cpu_fold(be, out->data, sums, blocks, N, N, true);
done:
    return rc;
}

/* flm_tensor_runs, of `blocks` blocks each. */
typedef struct runs {
    int64_t count, n, blocks;
} runs;

static runs runs_of(const flm_tensor *to, const flm_tensor *from)
{
    runs r;
    flm_tensor_runs(to, from, &r.count, &r.n);
    r.blocks = (r.n + FLM_BLOCK - 1) / FLM_BLOCK;
    return r;
}

FLM_SIMD static void axpby_block(float *y, float a, const float *x, float b, int64_t n)
{
    if (b == 0)
#pragma omp simd
        for (int64_t i = 0; i < n; i++) y[i] = a * x[i];
    else
#pragma omp simd
        for (int64_t i = 0; i < n; i++) y[i] = a * x[i] + b * y[i];
}

flm_status flm_cpu_axpby(flm_backend *be, const flm_tensor *y, float a, const flm_tensor *x, float b)
{
    const runs r = runs_of(y, x);
    const int64_t y_step = flm_tensor_row_stride(y), x_step = flm_tensor_row_stride(x);
#pragma omp parallel for num_threads(flm_cpu_threads(be))
    for (int64_t task = 0; task < r.count * r.blocks; task++) {
        const int64_t row = task / r.blocks, at = task % r.blocks * FLM_BLOCK;
        axpby_block((float *)y->data + row * y_step + at, a, (const float *)x->data + row * x_step + at, b,
                    r.n - at < FLM_BLOCK ? r.n - at : FLM_BLOCK);
    }
    return FLM_OK;
}

flm_status flm_cpu_axpby_scaled(flm_backend *be, const flm_tensor *y, float a, const flm_tensor *x, const flm_tensor *b)
{
    return flm_cpu_axpby(be, y, a, x, *(const float *)b->data);
}

/* fp64 to bf16 with a single rounding: first to fp32 with rounding to odd, which preserves what the rounding to bf16
 * depends on (Boldo and Melquiond, "Emulation of FMA and correctly rounded sums", 2008). */
FLM_INLINE uint16_t bf16_from_f64(double x)
{
    flm_bits v = {(float)x};
    if ((double)v.f != x && (v.u & 1) == 0) v.u += fabs((double)v.f) < fabs(x) ? 1u : UINT32_MAX;
    return flm_bf16_from_f32(v.f);
}

FLM_SIMD static void cast_block(void *to, flm_dtype to_dtype, const void *from, flm_dtype from_dtype, int64_t n)
{
    const bool bf16 = from_dtype == FLM_DTYPE_BF16;
    if (from_dtype == FLM_DTYPE_F64 && to_dtype == FLM_DTYPE_F64)
        for (int64_t i = 0; i < n; i++) ((double *)to)[i] = ((const double *)from)[i];
    else if (from_dtype == FLM_DTYPE_F64 && to_dtype == FLM_DTYPE_F32)
        for (int64_t i = 0; i < n; i++) ((float *)to)[i] = (float)((const double *)from)[i];
    else if (from_dtype == FLM_DTYPE_F64)
        for (int64_t i = 0; i < n; i++) ((uint16_t *)to)[i] = bf16_from_f64(((const double *)from)[i]);
    else if (to_dtype == FLM_DTYPE_F64 && bf16)
        for (int64_t i = 0; i < n; i++) ((double *)to)[i] = (double)flm_load(from, true, i);
    else if (to_dtype == FLM_DTYPE_F64)
        for (int64_t i = 0; i < n; i++) ((double *)to)[i] = (double)flm_load(from, false, i);
    else if (to_dtype == FLM_DTYPE_F32 && bf16)
        for (int64_t i = 0; i < n; i++) flm_store(to, false, i, flm_load(from, true, i));
    else if (to_dtype == FLM_DTYPE_F32)
        for (int64_t i = 0; i < n; i++) flm_store(to, false, i, flm_load(from, false, i));
    else if (bf16)
        for (int64_t i = 0; i < n; i++) ((uint16_t *)to)[i] = ((const uint16_t *)from)[i];
    else
        for (int64_t i = 0; i < n; i++) flm_store(to, true, i, flm_load(from, false, i));
}

flm_status flm_cpu_cast(flm_backend *be, const flm_tensor *to, const flm_tensor *from)
{
    const runs r = runs_of(to, from);
    const int64_t to_step = flm_tensor_row_stride(to), from_step = flm_tensor_row_stride(from);
    const size_t to_size = flm_dtype_size(to->dtype), from_size = flm_dtype_size(from->dtype);
#pragma omp parallel for num_threads(flm_cpu_threads(be))
    for (int64_t task = 0; task < r.count * r.blocks; task++) {
        const int64_t row = task / r.blocks, at = task % r.blocks * FLM_BLOCK;
        cast_block((char *)to->data + (size_t)(row * to_step + at) * to_size, to->dtype,
                   (const char *)from->data + (size_t)(row * from_step + at) * from_size, from->dtype,
                   r.n - at < FLM_BLOCK ? r.n - at : FLM_BLOCK);
    }
    return FLM_OK;
}

FLM_SIMD static double sum_block(const float *x, int64_t n, bool squares)
{
    double sum = 0;
    if (squares)
#pragma omp simd reduction(+ : sum)
        for (int64_t i = 0; i < n; i++) sum += (double)x[i] * (double)x[i];
    else
#pragma omp simd reduction(+ : sum)
        for (int64_t i = 0; i < n; i++) sum += (double)x[i];
    return sum;
}

/* The arguments have been checked. */
static flm_status sum_all(flm_backend *be, const flm_tensor *out, const flm_tensor *x, bool squares)
{
    flm_status rc = FLM_OK;
    const int64_t n = flm_tensor_elements(x), blocks = (n + FLM_BLOCK - 1) / FLM_BLOCK;
    void *scratch = NULL;
    FLM_TRY(flm_cpu_scratch(be, FLM_CPU_SUMS, (size_t)blocks * sizeof(double), &scratch));
    double *sums = scratch, total = *(const double *)out->data;
#pragma omp parallel for num_threads(flm_cpu_threads(be))
    for (int64_t block = 0; block < blocks; block++) {
        const int64_t at = block * FLM_BLOCK;
        sums[block] = sum_block((const float *)x->data + at, n - at < FLM_BLOCK ? n - at : FLM_BLOCK, squares);
    }
    for (int64_t block = 0; block < blocks; block++) total += sums[block];
    *(double *)out->data = total;
done:
    return rc;
}

flm_status flm_cpu_sum(flm_backend *be, const flm_tensor *out, const flm_tensor *x)
{
    flm_status rc = FLM_OK;
    FLM_TRY(sum_all(be, out, x, false));
done:
    return rc;
}

flm_status flm_cpu_sum_squares(flm_backend *be, const flm_tensor *out, const flm_tensor *x)
{
    flm_status rc = FLM_OK;
    FLM_TRY(sum_all(be, out, x, true));
done:
    return rc;
}
