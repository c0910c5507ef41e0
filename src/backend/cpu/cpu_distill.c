/* cpu_distill.c - squared errors between two softmaxes and a residual, and their gradient (model.md sections 6, 7).
 * A row is read for two maxima and for the exponentials, which stay in the cache until error and gradient are computed.
 * SPDX-License-Identifier: Apache-2.0 */
#include "backend/cpu/cpu_rows.h"
#include "backend/cpu/cpu_softmax.h"

#include <math.h>
#include <omp.h>

/* One row: its logits, their exponentials and what those are multiplied by, its coefficients. */
typedef struct error_row {
    const float *from, *to, *bias;
    float *residual;
    float *e_from, *t, *e_to; /* [V]: see flm_row_exponentials; t of from */
    float factor_from, factor_to;
    float c[FLM_DISTILL_COEFFICIENTS];
    flm_logit_cap cap;
} error_row;

enum { ROWS = 3 }; /* e_from, t, e_to */

/* The exponentials of x [V]; returns what makes them probabilities. */
FLM_INLINE float make_exponentials(float *e, float *t, const float *x, bool capped, flm_logit_cap cap, int64_t V)
{
    const float max = flm_row_maximum(x, V, capped, cap);
    return (float)(1 / flm_row_exponentials(e, t, x, max, V, capped, cap));
}

/* err into residual; its sum of squares, and with `softmax_backward` the sum of p(from) err into *dot. The row's
 * numbers are copied to locals: as struct members they could alias residual, which would prevent vectorisation. */
FLM_INLINE double errors(const error_row *row, bool softmax_backward, int64_t V, double *dot)
{
    const error_row r = *row;
    const float *from = r.e_from, *to = r.e_to, *bias = r.bias;
    const float c0 = r.c[0], c1 = r.c[1], c2 = r.c[2];
    float *residual = r.residual;
    double total = 0, along = 0;
    for (int64_t at = 0; at < V; at += FLM_SUM_BLOCK) {
        const int64_t end = V - at < FLM_SUM_BLOCK ? V : at + FLM_SUM_BLOCK;
        float squares = 0, products = 0;
#pragma omp simd reduction(+ : squares, products)
        for (int64_t j = at; j < end; j++) {
            const float p = from[j] * r.factor_from, q = to[j] * r.factor_to;
            const float err = c0 * (q - p) + c1 * residual[j] + c2 * bias[j];
            squares += err * err;
            if (softmax_backward) products += p * err;
            residual[j] = err;
        }
        total += (double)squares;
        along += (double)products;
    }
    *dot = along;
    return total;
}

FLM_INLINE void gradient(const error_row *row, void *grad, bool bf16, int64_t V)
{
    const float *residual = row->residual;
    const float c3 = row->c[3];
#pragma omp simd
    for (int64_t j = 0; j < V; j++) flm_store(grad, bf16, j, c3 * residual[j]);
}

/* The gradient through the softmax, and through the cap of its logits. */
FLM_INLINE void gradient_of_logits(const error_row *row, void *grad, bool bf16, bool capped, float dot, int64_t V)
{
    const error_row r = *row;
    const float *from = r.e_from, *t = r.t, *residual = r.residual;
    const float c3 = r.c[3];
#pragma omp simd
    for (int64_t j = 0; j < V; j++) {
        const float g = c3 * (from[j] * r.factor_from) * (residual[j] - dot);
        flm_store(grad, bf16, j, capped ? g * (1 - t[j] * t[j]) : g);
    }
}

FLM_INLINE void distill_row(error_row *r, float *loss, void *grad, bool bf16, bool softmax_backward, bool capped,
                            int64_t V)
{
    double dot;
    r->factor_from = make_exponentials(r->e_from, r->t, r->from, capped, r->cap, V);
    r->factor_to = make_exponentials(r->e_to, NULL, r->to, capped, r->cap, V);
    *loss = (float)(softmax_backward ? errors(r, true, V, &dot) : errors(r, false, V, &dot));
    if (!grad) return;
    if (bf16 && softmax_backward)
        gradient_of_logits(r, grad, true, capped, (float)dot, V);
    else if (bf16)
        gradient(r, grad, true, V);
    else if (softmax_backward)
        gradient_of_logits(r, grad, false, capped, (float)dot, V);
    else
        gradient(r, grad, false, V);
}

FLM_SIMD static void distill_any(error_row *r, float *loss, void *grad, bool bf16, bool softmax_backward, int64_t V)
{
    if (r->cap.value > 0)
        distill_row(r, loss, grad, bf16, softmax_backward, true, V);
    else
        distill_row(r, loss, grad, bf16, softmax_backward, false, V);
}

flm_status flm_cpu_distill_error(flm_backend *be, const flm_distill_error *p)
{
    flm_status rc = FLM_OK;
    const int64_t R = p->from->dim[0], V = p->from->dim[1];
    const int64_t from = flm_tensor_row_stride(p->from), to = flm_tensor_row_stride(p->to),
                  residual = flm_tensor_row_stride(p->residual);
    const size_t grad_bytes = (size_t)flm_tensor_row_stride(p->grad) * flm_dtype_size(p->grad->dtype);
    const float *coefficient = p->coefficient->data;
    float *rows;
    FLM_TRY(flm_softmax_rows(be, ROWS, V, &rows));
#pragma omp parallel for num_threads(flm_cpu_threads(be))
    for (int64_t r = 0; r < R; r++) {
        float *e = rows + omp_get_thread_num() * ROWS * V;
        error_row row = {.from = (const float *)p->from->data + r * from,
                         .to = (const float *)p->to->data + r * to,
                         .bias = p->bias->data,
                         .residual = (float *)p->residual->data + r * residual,
                         .e_from = e,
                         .t = e + V,
                         .e_to = e + 2 * V,
                         .cap = flm_logit_cap_make(p->logit_cap)};
        for (int k = 0; k < FLM_DISTILL_COEFFICIENTS; k++) row.c[k] = coefficient[r * FLM_DISTILL_COEFFICIENTS + k];
        distill_any(&row, (float *)p->loss->data + r,
                    p->grad->data ? (char *)p->grad->data + (size_t)r * grad_bytes : NULL,
                    p->grad->dtype == FLM_DTYPE_BF16, p->softmax_backward, V);
    }
done:
    return rc;
}

flm_status flm_cpu_distill_weigh(flm_backend *be, const flm_tensor *coefficient, const flm_tensor *l,
                                 const flm_tensor *factor, double scale)
{
    const int64_t rows = coefficient->dim[0], L = rows / l->dim[0];
    float *to = coefficient->data;
    (void)be;
    for (int64_t row = 0; row < rows; row++) {
        const double weight = exp(-(double)((const float *)l->data)[row / L]);
        to[row * FLM_DISTILL_COEFFICIENTS + 3] = (float)(((const double *)factor->data)[row / L] * weight * scale);
    }
    return FLM_OK;
}

flm_status flm_cpu_distill_loss(flm_backend *be, const flm_tensor *total, const flm_tensor *grad_l,
                                const flm_tensor *loss, const flm_tensor *l, double scale)
{
    const int64_t B = l->dim[0], L = loss->dim[0] / B;
    const float *error = loss->data, *of = l->data;
    (void)be;
    for (int64_t b = 0; b < B; b++) {
        double sum = 0;
        for (int64_t i = 0; i < L; i++) sum += (double)error[b * L + i];
        sum *= exp(-(double)of[b]);
        *(double *)total->data += sum + (double)L * (double)of[b];
        ((float *)grad_l->data)[b] = (float)(((double)L - sum) * scale);
    }
    return FLM_OK;
}
