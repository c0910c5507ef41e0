/* cpu_softmax.c - softmax, its cross-entropy, and argmax over the vocabulary.
 * A row is read twice, for its maximum and for the exponentials, which stay in the cache until they are scaled.
 * SPDX-License-Identifier: Apache-2.0 */
#include "backend/cpu/cpu_softmax.h"
#include "backend/cpu/cpu_rows.h"

#include <omp.h>

/* One row: its logits and what is computed of them. */
typedef struct softmax_row {
    const float *x;
    int64_t V;
    flm_logit_cap cap;
    void *out; /* probabilities, f32 or bf16; may be x */
    bool bf16;
    float *e, *t; /* [V]: see flm_row_exponentials */
} softmax_row;

enum { ROWS = 2 }; /* e and t */

/* out = e * factor; with `slope` times the derivative of the cap. */
FLM_INLINE void scale_exponentials(const softmax_row *row, bool bf16, bool slope, float factor)
{
    const softmax_row r = *row;
#pragma omp simd
    for (int64_t j = 0; j < r.V; j++) {
        const float p = r.e[j] * factor;
        flm_store(r.out, bf16, j, slope ? p * (1 - r.t[j] * r.t[j]) : p);
    }
}

/* The row's softmax times scale, its maximum and sum. No out: only those two. */
FLM_INLINE void softmax_of(const softmax_row *r, bool capped, bool slope, float scale, float *max, double *sum)
{
    *max = flm_row_maximum(r->x, r->V, capped, r->cap);
    if (r->out == NULL) {
        *sum = flm_row_exponentials(NULL, NULL, r->x, *max, r->V, capped, r->cap);
        return;
    }
    *sum = flm_row_exponentials(r->e, slope ? r->t : NULL, r->x, *max, r->V, capped, r->cap);
    const float factor = (float)((double)scale / *sum);
    if (r->bf16)
        scale_exponentials(r, true, capped && slope, factor);
    else
        scale_exponentials(r, false, capped && slope, factor);
}

flm_status flm_softmax_rows(flm_backend *be, int count, int64_t V, float **out)
{
    flm_status rc = FLM_OK;
    void *rows;
    FLM_TRY(flm_cpu_scratch(be, FLM_CPU_SOFTMAX, (size_t)(flm_cpu_threads(be) * count * V) * sizeof **out, &rows));
    *out = rows;
done:
    return rc;
}

FLM_SIMD static void softmax_any(const softmax_row *r)
{
    float max;
    double sum;
    if (r->cap.value > 0)
        softmax_of(r, true, false, 1, &max, &sum);
    else
        softmax_of(r, false, false, 1, &max, &sum);
}

FLM_SIMD static void xent_row(const softmax_row *r, float *loss, int32_t target, float scale)
{
    float max, slope, hit; /* hit is read first: out may be x */
    double sum;
    if (r->cap.value > 0) {
        hit = flm_logit_cap_apply(r->x[target], true, r->cap, &slope);
        softmax_of(r, true, true, scale, &max, &sum);
    } else {
        hit = flm_logit_cap_apply(r->x[target], false, r->cap, &slope);
        softmax_of(r, false, true, scale, &max, &sum);
    }
    const double below = (double)max - (double)hit;
    *loss = (float)(log(sum) + below);
    if (r->out) flm_store(r->out, r->bf16, target, (float)((exp(-below) / sum - 1) * (double)scale * (double)slope));
}

flm_status flm_cpu_softmax_xent(flm_backend *be, const flm_tensor *loss, const flm_tensor *grad,
                                const flm_tensor *logits, const flm_tensor *target, float scale, float logit_cap)
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
    float *rows;
    FLM_TRY(flm_softmax_rows(be, ROWS, V, &rows));
#pragma omp parallel for num_threads(flm_cpu_threads(be))
    for (int64_t r = 0; r < R; r++) {
        float *e = rows + omp_get_thread_num() * ROWS * V;
        xent_row(&(softmax_row){.x = (const float *)logits->data + r * step,
                                .V = V,
                                .cap = flm_logit_cap_make(logit_cap),
                                .out = grad->data ? (char *)grad->data + (size_t)r * grad_bytes : NULL,
                                .bf16 = grad->dtype == FLM_DTYPE_BF16,
                                .e = e,
                                .t = e + V},
                 (float *)loss->data + r, token[r], scale);
    }
done:
    return rc;
}

flm_status flm_cpu_softmax(flm_backend *be, const flm_tensor *p, const flm_tensor *logits, float logit_cap)
{
    flm_status rc = FLM_OK;
    const int64_t R = logits->dim[0], V = logits->dim[1];
    if (V == 0) goto done;
    const size_t p_bytes = (size_t)flm_tensor_row_stride(p) * flm_dtype_size(p->dtype);
    const int64_t step = flm_tensor_row_stride(logits);
    float *rows;
    FLM_TRY(flm_softmax_rows(be, 1, V, &rows));
#pragma omp parallel for num_threads(flm_cpu_threads(be))
    for (int64_t r = 0; r < R; r++)
        softmax_any(&(softmax_row){.x = (const float *)logits->data + r * step,
                                   .V = V,
                                   .cap = flm_logit_cap_make(logit_cap),
                                   .out = (char *)p->data + (size_t)r * p_bytes,
                                   .bf16 = p->dtype == FLM_DTYPE_BF16,
                                   .e = rows + omp_get_thread_num() * V});
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
