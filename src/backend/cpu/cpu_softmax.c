/* cpu_softmax.c - softmax, its cross-entropy, and argmax over the vocabulary.
 * A row is read three times, after the first from cache: maximum, sum of exponentials, result.
 * SPDX-License-Identifier: Apache-2.0 */
#include "backend/cpu/cpu_softmax.h"
#include "backend/cpu/cpu_rows.h"

FLM_INLINE void exponentials(void *p, bool bf16, const float *x, float max, float factor, int64_t V)
{
#pragma omp simd
    for (int64_t j = 0; j < V; j++) flm_store(p, bf16, j, flm_math_exp(x[j] - max) * factor);
}

/* Softmax times scale, with its maximum and sum. p NULL: only those two. */
FLM_SIMD static void softmax_row(void *p, bool bf16, const float *x, float scale, int64_t V, float *max, double *sum)
{
    *max = flm_row_maximum(x, V);
    *sum = flm_row_exponential_sum(x, *max, V);
    float factor = (float)((double)scale / *sum);
    if (p && bf16)
        exponentials(p, true, x, *max, factor, V);
    else if (p)
        exponentials(p, false, x, *max, factor, V);
}

static void xent_row(float *loss, void *grad, bool bf16, const float *x, int32_t target, float scale, int64_t V)
{
    float max, hit = x[target]; /* grad may be x */
    double sum;
    softmax_row(grad, bf16, x, scale, V, &max, &sum);
    double below = (double)max - (double)hit;
    *loss = (float)(log(sum) + below);
    if (grad) flm_store(grad, bf16, target, (float)((exp(-below) / sum - 1) * (double)scale));
}

flm_status flm_cpu_softmax_xent(flm_backend *be, const flm_tensor *loss, const flm_tensor *grad,
                                const flm_tensor *logits, const flm_tensor *target, float scale)
{
    flm_status rc = FLM_OK;
    const int64_t R = logits->dim[0], V = logits->dim[1];
    const int32_t *token = target->data;
    for (int64_t r = 0; r < R; r++)
        if (token[r] < 0 || token[r] >= V)
            FLM_FAIL(FLM_E_ARG, "target %ld of row %lld is outside 0..%lld", (long)token[r], (long long)r,
                     (long long)(V - 1));
    const size_t grad_bytes = (size_t)flm_tensor_row_stride(grad) * flm_dtype_size(grad->dtype);
    const int64_t step = flm_tensor_row_stride(logits);
#pragma omp parallel for num_threads(flm_cpu_threads(be))
    for (int64_t r = 0; r < R; r++)
        xent_row((float *)loss->data + r, grad->data ? (char *)grad->data + (size_t)r * grad_bytes : NULL,
                 grad->dtype == FLM_DTYPE_BF16, (const float *)logits->data + r * step, token[r], scale, V);
done:
    return rc;
}

flm_status flm_cpu_softmax(flm_backend *be, const flm_tensor *p, const flm_tensor *logits)
{
    flm_status rc = FLM_OK;
    const int64_t R = logits->dim[0], V = logits->dim[1];
    if (V == 0) goto done;
    const size_t p_bytes = (size_t)flm_tensor_row_stride(p) * flm_dtype_size(p->dtype);
    const int64_t step = flm_tensor_row_stride(logits);
#pragma omp parallel for num_threads(flm_cpu_threads(be))
    for (int64_t r = 0; r < R; r++) {
        float max;
        double sum;
        softmax_row((char *)p->data + (size_t)r * p_bytes, p->dtype == FLM_DTYPE_BF16,
                    (const float *)logits->data + r * step, 1, V, &max, &sum);
    }
done:
    return rc;
}

/* The argmax of the row; -1 if it has a NaN. */
FLM_SIMD static int64_t argmax_row(const float *x, int64_t V)
{
    float max = x[0];
    int nan = 0;
#pragma omp simd reduction(| : nan) reduction(max : max)
    for (int64_t k = 0; k < V; k++) {
        nan |= x[k] != x[k];
        max = x[k] > max ? x[k] : max;
    }
    if (nan) return -1;
    int64_t j = 0;
    while (x[j] != max) j++;
    return j;
}

flm_status flm_cpu_argmax(flm_backend *be, const flm_tensor *index, const flm_tensor *x)
{
    flm_status rc = FLM_OK;
    const int64_t R = x->dim[0], V = x->dim[1], step = flm_tensor_row_stride(x);
    int64_t bad = R;
#pragma omp parallel for num_threads(flm_cpu_threads(be)) reduction(min : bad)
    for (int64_t r = 0; r < R; r++) {
        int64_t at = argmax_row((const float *)x->data + r * step, V);
        if (at < 0 && r < bad) bad = r;
        ((int32_t *)index->data)[r] = (int32_t)at;
    }
    if (bad < R) FLM_FAIL(FLM_E_NUMERIC, "row %lld contains a NaN", (long long)bad);
done:
    return rc;
}
