/* cpu_activation.c - GELU by tanh and by erf, SiLU and the timestep features (model.md sections 2 and 6).
 *
 * GELU uses the identity (1 + tanh u) / 2 = s(2u), s(z) = 1 / (1 + exp(-z)), which loses no digits where x is negative.
 * SiLU, GELU by erf and the features take a few thousand numbers a step: in double, by the C library.
 * SPDX-License-Identifier: Apache-2.0 */
#include "backend/cpu/cpu_rows.h"

/* exp(-2u), u = sqrt(2/pi) (x + 0.044715 x^3). x must be clamped to [-9.9, 9.9]: there the value is e^85 or e^-85, and
 * s(2u) is 0 or 1 in fp32. */
static const float max = 9.9f;

FLM_INLINE float gelu_exp(float x) { return flm_math_exp_within(-1.5957691216f * (x + 0.044715f * x * x * x)); }

FLM_INLINE void gelu_row(void *y, const void *x, bool bf16, int64_t n)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        float v = flm_load(x, bf16, i);
        flm_store(y, bf16, i, v / (1 + gelu_exp(flm_math_clamp(v, max))));
    }
}

FLM_SIMD static void gelu_block(char *y, const char *x, bool bf16, int64_t n)
{
    enum { PART = 1024 };
    const size_t size = bf16 ? sizeof(uint16_t) : sizeof(float);
    for (int64_t at = 0; at < n; at += PART, x += PART * size, y += PART * size) {
        const int64_t count = n - at < PART ? n - at : PART;
        if (at + 2 * PART <= n) flm_prefetch(x + PART * size, PART * size);
        if (bf16)
            gelu_row(y, x, true, count);
        else
            gelu_row(y, x, false, count);
    }
}

flm_status flm_cpu_gelu(flm_backend *be, const flm_tensor *y, const flm_tensor *x)
{
    const int64_t n = flm_tensor_elements(x);
    const size_t size = flm_dtype_size(x->dtype);
#pragma omp parallel for num_threads(flm_cpu_threads(be))
    for (int64_t at = 0; at < n; at += FLM_BLOCK)
        gelu_block((char *)y->data + (size_t)at * size, (const char *)x->data + (size_t)at * size,
                   x->dtype == FLM_DTYPE_BF16, n - at < FLM_BLOCK ? n - at : FLM_BLOCK);
    return FLM_OK;
}

/* gelu'(x) = s + x s (1 - s) 2u', which is 0 or 1 in fp32 beyond 9.9. */
FLM_INLINE void gelu_backward_row(void *grad_x, float *sum, const void *x, const void *grad_y, bool bf16, int64_t n)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        float v = flm_math_clamp(flm_load(x, bf16, i), max);
        float e = gelu_exp(v), s = 1 / (1 + e);
        float slope = s + v * (s * (e * s)) * (1.5957691216f + 0.2140644488f * v * v); /* 6 sqrt(2/pi) 0.044715 */
        float g = flm_load(grad_y, bf16, i) * slope;
        sum[i] += g;
        flm_store(grad_x, bf16, i, g);
    }
}

FLM_SIMD static void gelu_block_backward(char *grad_x, float *sum, const char *x, const char *grad_y, bool bf16,
                                         int64_t n, int64_t rows)
{
    const size_t row_bytes = (size_t)n * (bf16 ? sizeof(uint16_t) : sizeof(float));
    for (int64_t i = 0; i < n; i++) sum[i] = 0;
    for (int64_t row = 0; row < rows; row++, grad_x += row_bytes, x += row_bytes, grad_y += row_bytes) {
        if (row + 1 < rows) flm_prefetch(x + row_bytes, row_bytes);
        if (row + 1 < rows) flm_prefetch(grad_y + row_bytes, row_bytes);
        if (bf16)
            gelu_backward_row(grad_x, sum, x, grad_y, true, n);
        else
            gelu_backward_row(grad_x, sum, x, grad_y, false, n);
    }
}

flm_status flm_cpu_gelu_backward(flm_backend *be, const flm_tensor *grad_x, const flm_tensor *grad_b,
                                 const flm_tensor *x, const flm_tensor *grad_y)
{
    flm_status rc = FLM_OK;
    const int64_t M = x->dim[0], N = x->dim[1], blocks = flm_cpu_row_blocks(M);
    void *scratch = NULL;
    FLM_TRY(flm_cpu_scratch(be, FLM_CPU_SUMS, (size_t)(blocks * N) * sizeof(float), &scratch));
    float *sums = scratch;
    const size_t size = flm_dtype_size(x->dtype);
#pragma omp parallel for num_threads(flm_cpu_threads(be))
    for (int64_t block = 0; block < blocks; block++) {
        const int64_t row = block * FLM_ROW_BLOCK;
        const size_t at = (size_t)(row * N) * size;
        gelu_block_backward((char *)grad_x->data + at, sums + block * N, (const char *)x->data + at,
                            (const char *)grad_y->data + at, x->dtype == FLM_DTYPE_BF16, N,
                            M - row < FLM_ROW_BLOCK ? M - row : FLM_ROW_BLOCK);
    }
    flm_cpu_fold(be, grad_b->data, sums, blocks, N, N, true);
done:
    return rc;
}

flm_status flm_cpu_silu(flm_backend *be, const flm_tensor *y, const flm_tensor *x)
{
    const float *from = x->data;
    float *to = y->data;
    const int64_t n = flm_tensor_elements(x);
#pragma omp parallel for num_threads(flm_cpu_threads(be))
    for (int64_t i = 0; i < n; i++) to[i] = (float)((double)from[i] / (1 + exp(-(double)from[i])));
    return FLM_OK;
}

flm_status flm_cpu_silu_backward(flm_backend *be, const flm_tensor *grad_x, const flm_tensor *grad_y,
                                 const flm_tensor *x)
{
    const float *at = x->data, *from = grad_y->data;
    float *to = grad_x->data;
    const int64_t n = flm_tensor_elements(x);
#pragma omp parallel for num_threads(flm_cpu_threads(be))
    for (int64_t i = 0; i < n; i++) {
        double v = (double)at[i], s = 1 / (1 + exp(-v));
        to[i] = (float)((double)from[i] * s * (1 + v * (1 - s)));
    }
    return FLM_OK;
}

flm_status flm_cpu_gelu_erf(flm_backend *be, const flm_tensor *y, const flm_tensor *x)
{
    const float *from = x->data;
    float *to = y->data;
    const int64_t n = flm_tensor_elements(x);
#pragma omp parallel for num_threads(flm_cpu_threads(be))
    for (int64_t i = 0; i < n; i++) to[i] = (float)(0.5 * (double)from[i] * erfc(-(double)from[i] * M_SQRT1_2));
    return FLM_OK;
}

flm_status flm_cpu_gelu_erf_backward(flm_backend *be, const flm_tensor *grad_x, const flm_tensor *grad_y,
                                     const flm_tensor *x)
{
    const float *at = x->data, *from = grad_y->data;
    float *to = grad_x->data;
    const int64_t n = flm_tensor_elements(x);
    const double root = sqrt(0.5 / M_PI);
#pragma omp parallel for num_threads(flm_cpu_threads(be))
    for (int64_t i = 0; i < n; i++) {
        double v = (double)at[i];
        to[i] = (float)((double)from[i] * (0.5 * erfc(-v * M_SQRT1_2) + v * root * exp(-0.5 * v * v)));
    }
    return FLM_OK;
}

flm_status flm_cpu_timestep_features(flm_backend *be, const flm_tensor *out, const flm_tensor *t)
{
    const int64_t B = t->dim[0], F = out->dim[1];
#pragma omp parallel for num_threads(flm_cpu_threads(be))
    for (int64_t b = 0; b < B; b++) {
        float *row = (float *)out->data + b * F;
        for (int64_t j = 0; j < F / 2; j++) {
            double angle = (double)((const float *)t->data)[b] * pow(10000, -2.0 * (double)j / (double)F);
            row[j] = (float)cos(angle);
            row[F / 2 + j] = (float)sin(angle);
        }
    }
    return FLM_OK;
}
