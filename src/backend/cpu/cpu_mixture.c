/* cpu_mixture.c - cross entropy against a mixture of two softmaxes, and its gradient (model.md section 9.2).
 * A row is read for its maxima and for the exponentials, which stay in the cache until loss and gradient are computed.
 * SPDX-License-Identifier: Apache-2.0 */
#include "backend/cpu/cpu_rows.h"
#include "backend/cpu/cpu_softmax.h"

#include <omp.h>

/* Logits of one softmax, what they are shifted by, their exponentials, and what those are multiplied by. */
typedef struct softmax_side {
    const float *x;
    float *e; /* [V] */
    float max, factor;
} softmax_side;

typedef struct mixture_row {
    softmax_side own, first, second; /* second.x NULL: none */
    float *t;                        /* [V]: own capped logits / C */
    float scale;
    flm_logit_cap cap;
    int64_t V;
} mixture_row;

enum { ROWS = 4 }; /* the exponentials of all sides, and t */

FLM_INLINE double make_side(softmax_side *side, float *t, float weight, bool capped, const mixture_row *r)
{
    side->max = flm_row_maximum(side->x, r->V, capped, r->cap);
    const double sum = flm_row_exponentials(side->e, t, side->x, side->max, r->V, capped, r->cap);
    side->factor = (float)((double)weight / sum);
    return sum;
}

/* The sum of q (max - z) over the row with q the target; with `grad` (p - q) scale cap'(z). Rows are copied to locals:
 * as struct members they could alias the gradient, which would prevent vectorisation. */
FLM_INLINE double distance(const mixture_row *row, void *grad, bool bf16, bool backward, bool two, bool capped)
{
    const mixture_row r = *row;
    const float *z = r.own.x, *t = r.t, *own = r.own.e, *first = r.first.e, *second = r.second.e;
    double total = 0;
    for (int64_t at = 0; at < r.V; at += FLM_SUM_BLOCK) {
        const int64_t end = r.V - at < FLM_SUM_BLOCK ? r.V : at + FLM_SUM_BLOCK;
        float sum = 0;
#pragma omp simd reduction(+ : sum)
        for (int64_t j = at; j < end; j++) {
            float q = first[j] * r.first.factor;
            if (two) q += second[j] * r.second.factor;
            sum += q * (r.own.max - (capped ? r.cap.value * t[j] : z[j]));
            const float g = (own[j] * r.own.factor - q) * r.scale;
            if (backward) flm_store(grad, bf16, j, capped ? g * (1 - t[j] * t[j]) : g);
        }
        total += (double)sum;
    }
    return total;
}

FLM_INLINE double distance_of(const mixture_row *r, void *grad, bool bf16, bool capped)
{
    const bool two = r->second.x != NULL;
    if (grad == NULL)
        return two ? distance(r, NULL, false, false, true, capped) : distance(r, NULL, false, false, false, capped);
    if (bf16) return two ? distance(r, grad, true, true, true, capped) : distance(r, grad, true, true, false, capped);
    return two ? distance(r, grad, false, true, true, capped) : distance(r, grad, false, true, false, capped);
}

FLM_INLINE float row_loss(mixture_row *r, float weight, void *grad, bool bf16, bool capped)
{
    const double sum = make_side(&r->own, r->t, 1, capped, r);
    make_side(&r->first, NULL, weight, capped, r);
    if (r->second.x != NULL) make_side(&r->second, NULL, 1 - weight, capped, r);
    return (float)(log(sum) + distance_of(r, grad, bf16, capped));
}

FLM_SIMD static void mixture_any(mixture_row *r, float weight, float *loss, void *grad, bool bf16)
{
    *loss = r->cap.value > 0 ? row_loss(r, weight, grad, bf16, true) : row_loss(r, weight, grad, bf16, false);
}

flm_status flm_cpu_mixture_xent(flm_backend *be, const flm_mixture_xent *p)
{
    flm_status rc = FLM_OK;
    const int64_t R = p->logits->dim[0], V = p->logits->dim[1];
    const int64_t own = flm_tensor_row_stride(p->logits), first = flm_tensor_row_stride(p->first);
    const int64_t second = flm_tensor_row_stride(p->second);
    const size_t grad_bytes = (size_t)flm_tensor_row_stride(p->grad) * flm_dtype_size(p->grad->dtype);
    const float *weight = p->weight->data;
    float *rows;
    FLM_TRY(flm_softmax_rows(be, ROWS, V, &rows));
#pragma omp parallel for num_threads(flm_cpu_threads(be))
    for (int64_t r = 0; r < R; r++) {
        float *e = rows + omp_get_thread_num() * ROWS * V;
        mixture_row row = {.own = {.x = (const float *)p->logits->data + r * own, .e = e},
                           .first = {.x = (const float *)p->first->data + r * first, .e = e + V},
                           .second = {.e = e + 2 * V},
                           .t = e + 3 * V,
                           .scale = p->scale,
                           .cap = flm_logit_cap_make(p->logit_cap),
                           .V = V};
        if (p->second->data != NULL) row.second.x = (const float *)p->second->data + r * second;
        mixture_any(&row, p->second->data != NULL ? weight[r] : 1, (float *)p->loss->data + r,
                    p->grad->data ? (char *)p->grad->data + (size_t)r * grad_bytes : NULL,
                    p->grad->dtype == FLM_DTYPE_BF16);
    }
done:
    return rc;
}
