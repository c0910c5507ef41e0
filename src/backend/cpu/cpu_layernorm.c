/* cpu_layernorm.c - layer normalisation with a condition's own scale and shift (model.md section 2): that of the
 * sample, or where `context` is not absent one of its two.
 *
 * Backward, with x^ = (x - mean) rstd and g = grad_y w (1 + scale):
 *   grad_x += rstd (g - mean(g) - x^ mean(g x^));   grad_shift = sum over the condition's rows of grad_y =: S;
 *   grad_scale = w A and grad_w += sum over conditions of (1 + scale) A, where A = the sum of grad_y x^.
 * A task is a block of one sample's rows; S and A of the blocks are added in order. SPDX-License-Identifier: Apache-2.0
 */
#include "backend/cpu/cpu_rows.h"

enum { FOLD = 128 }; /* columns of the blocks' sums added together */

static const float epsilon = 1e-5f; /* model.md section 2 */

FLM_INLINE void forward_row(void *y, bool bf16, float *mean, float *rstd, const float *x, const float *w,
                            const float *shift, const float *scale, int64_t d)
{
    float sum = 0, square = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t j = 0; j < d; j++) sum += x[j];
    float m = sum / (float)d;
#pragma omp simd reduction(+ : square)
    for (int64_t j = 0; j < d; j++) square += (x[j] - m) * (x[j] - m);
    float r = 1 / sqrtf(square / (float)d + epsilon);
#pragma omp simd
    for (int64_t j = 0; j < d; j++) flm_store(y, bf16, j, (x[j] - m) * r * w[j] * (1 + scale[j]) + shift[j]);
    *mean = m;
    *rstd = r;
}

FLM_SIMD static void layernorm_row(void *y, bool bf16, float *mean, float *rstd, const float *x, const float *w,
                                   const float *shift, const float *scale, int64_t d)
{
    if (bf16)
        forward_row(y, true, mean, rstd, x, w, shift, scale, d);
    else
        forward_row(y, false, mean, rstd, x, w, shift, scale, d);
}

flm_status flm_cpu_layernorm_modulate(flm_backend *be, const flm_tensor *y, const flm_tensor *mean,
                                      const flm_tensor *rstd, const flm_tensor *x, const flm_tensor *w,
                                      const flm_tensor *mod, const flm_tensor *context, int64_t shift_at,
                                      int64_t scale_at)
{
    int64_t B = x->dim[0], L = x->dim[1], d = x->dim[2];
    const bool bf16 = y->dtype == FLM_DTYPE_BF16;
    const size_t size = flm_dtype_size(y->dtype);
#pragma omp parallel for num_threads(flm_cpu_threads(be))
    for (int64_t row = 0; row < B * L; row++) {
        const float *sample = (const float *)mod->data + flm_cpu_condition(context, B, L, row) * mod->dim[1];
        layernorm_row((char *)y->data + (size_t)(row * d) * size, bf16, (float *)mean->data + row,
                      (float *)rstd->data + row, (const float *)x->data + row * d, w->data, sample + shift_at,
                      sample + scale_at, d);
    }
    return FLM_OK;
}

/* Arguments that the rows of a block share, of one condition. */
typedef struct backward_block {
    float *S, *A; /* [d] */
    const float *w, *scale;
    int64_t d;
} backward_block;

FLM_INLINE void backward_row(const backward_block *p, float *grad_x, const void *grad_y, bool bf16, const float *x,
                             float mean, float rstd)
{
    float *S = p->S, *A = p->A, mean_g = 0, mean_gx = 0;
    const float *w = p->w, *scale = p->scale;
    const int64_t d = p->d;
#pragma omp simd reduction(+ : mean_g, mean_gx)
    for (int64_t j = 0; j < d; j++) {
        float gy = flm_load(grad_y, bf16, j), hat = (x[j] - mean) * rstd, g = gy * w[j] * (1 + scale[j]);
        S[j] += gy;
        A[j] += gy * hat;
        mean_g += g;
        mean_gx += g * hat;
    }
    mean_g /= (float)d;
    mean_gx /= (float)d;
#pragma omp simd
    for (int64_t j = 0; j < d; j++) {
        float hat = (x[j] - mean) * rstd, g = flm_load(grad_y, bf16, j) * w[j] * (1 + scale[j]);
        grad_x[j] += rstd * (g - mean_g - hat * mean_gx);
    }
}

/* context: NULL, or which of two conditions a row has. */
FLM_SIMD static void layernorm_block_backward(const backward_block *conditions, const int32_t *context, float *grad_x,
                                              const void *grad_y, bool bf16, const float *x, const float *mean,
                                              const float *rstd, int64_t rows)
{
    const int64_t d = conditions->d;
    for (int k = 0; k < (context != NULL ? 2 : 1); k++)
        for (int64_t j = 0; j < d; j++) conditions[k].S[j] = conditions[k].A[j] = 0;
    for (int64_t i = 0; i < rows; i++) {
        const backward_block *p = &conditions[context != NULL && context[i] != 0];
        if (bf16)
            backward_row(p, grad_x + i * d, (const uint16_t *)grad_y + i * d, true, x + i * d, mean[i], rstd[i]);
        else
            backward_row(p, grad_x + i * d, (const float *)grad_y + i * d, false, x + i * d, mean[i], rstd[i]);
    }
}

/* Destinations of the blocks' sums, and their factors. */
typedef struct fold_into {
    float *grad_w, *grad_shift, *grad_scale; /* the last two of row 0; M floats from one to the next */
    const float *w, *scale;
    int64_t rows, blocks, M, d; /* rows: of mod */
} fold_into;

/* Columns [at, at + n) of the sums [rows, blocks, 2, d]. */
FLM_SIMD static void fold_blocks(const fold_into *p, const float *sums, int64_t at, int64_t n)
{
    double S[FOLD], A[FOLD], total[FOLD];
    for (int64_t j = 0; j < n; j++) total[j] = (double)p->grad_w[at + j];
    for (int64_t b = 0; b < p->rows; b++) {
        const int64_t column = b * p->M + at;
        for (int64_t j = 0; j < n; j++) S[j] = A[j] = 0;
        for (int64_t k = 0; k < p->blocks; k++) {
            const float *from = sums + (b * p->blocks + k) * 2 * p->d + at;
#pragma omp simd
            for (int64_t j = 0; j < n; j++) {
                S[j] += (double)from[j];
                A[j] += (double)from[p->d + j];
            }
        }
#pragma omp simd
        for (int64_t j = 0; j < n; j++) {
            p->grad_shift[column + j] = (float)S[j];
            p->grad_scale[column + j] = (float)(A[j] * (double)p->w[at + j]);
            total[j] += A[j] * (1 + (double)p->scale[column + j]);
        }
    }
    for (int64_t j = 0; j < n; j++) p->grad_w[at + j] = (float)total[j];
}

flm_status flm_cpu_layernorm_modulate_backward(flm_backend *be, const flm_tensor *grad_x, const flm_tensor *grad_w,
                                               const flm_tensor *grad_mod, const flm_tensor *grad_y,
                                               const flm_tensor *x, const flm_tensor *mean, const flm_tensor *rstd,
                                               const flm_tensor *w, const flm_tensor *mod, const flm_tensor *context,
                                               int64_t shift_at, int64_t scale_at)
{
    flm_status rc = FLM_OK;
    const int64_t B = x->dim[0], L = x->dim[1], d = x->dim[2], blocks = flm_cpu_row_blocks(L);
    const int64_t mod_rows = mod->dim[0];
    const int threads = flm_cpu_threads(be);
    void *scratch = NULL;
    FLM_TRY(flm_cpu_scratch(be, FLM_CPU_SUMS, (size_t)(mod_rows * blocks * 2 * d) * sizeof(float), &scratch));
    float *sums = scratch;
    const size_t size = flm_dtype_size(grad_y->dtype);
#pragma omp parallel for num_threads(threads)
    for (int64_t task = 0; task < B * blocks; task++) {
        const int64_t b = task / blocks, l = task % blocks * FLM_ROW_BLOCK, row = b * L + l;
        const int32_t *own = context->data != NULL ? (const int32_t *)context->data + row : NULL;
        backward_block condition[2] = {{NULL}};
        for (int64_t k = 0; k < mod_rows / B; k++)
            condition[k] =
                (backward_block){sums + (k * B * blocks + task) * 2 * d, sums + ((k * B * blocks + task) * 2 + 1) * d,
                                 w->data, (const float *)mod->data + (k * B + b) * mod->dim[1] + scale_at, d};
        layernorm_block_backward(condition, own, (float *)grad_x->data + row * d,
                                 (const char *)grad_y->data + (size_t)(row * d) * size, grad_y->dtype == FLM_DTYPE_BF16,
                                 (const float *)x->data + row * d, (const float *)mean->data + row,
                                 (const float *)rstd->data + row, L - l < FLM_ROW_BLOCK ? L - l : FLM_ROW_BLOCK);
    }
    const fold_into p = {grad_w->data,
                         (float *)grad_mod->data + shift_at,
                         (float *)grad_mod->data + scale_at,
                         w->data,
                         (const float *)mod->data + scale_at,
                         mod_rows,
                         blocks,
                         mod->dim[1],
                         d};
#pragma omp parallel for num_threads(threads)
    for (int64_t at = 0; at < d; at += FOLD) fold_blocks(&p, sums, at, d - at < FOLD ? d - at : FOLD);
done:
    return rc;
}
