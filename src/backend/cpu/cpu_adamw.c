/* cpu_adamw.c - one update of AdamW with the moving average of the weights (model.md section 5), in one pass over
 * memory. Source: Loshchilov and Hutter, "Decoupled weight decay regularization", 2019, algorithm 2.
 * SPDX-License-Identifier: Apache-2.0 */
#include "backend/cpu/cpu_rows.h"

/* Factors that all elements share, computed in fp64 and rounded once. */
typedef struct factors {
    float gradient;              /* min(1, clip / (norm + 1e-6)) */
    float m, m_new, v, v_new;    /* beta and 1 - beta */
    float step, correction, eps; /* lr / (1 - beta1^t), 1 / (1 - beta2^t) */
    float keep, ema, ema_new;    /* 1 - lr weight_decay; the average's decay and its complement */
} factors;

static factors make_factors(const flm_adamw *p)
{
    const double beta1 = (double)p->beta1, beta2 = (double)p->beta2, t = (double)p->update + 1, lr = (double)p->lr;
    const double ratio = (double)p->clip / (sqrt(*p->norm_sq) + 1e-6);
    return (factors){.gradient = (float)(ratio < 1 ? ratio : 1),
                     .m = p->beta1,
                     .m_new = (float)(1 - beta1),
                     .v = p->beta2,
                     .v_new = (float)(1 - beta2),
                     .step = (float)(lr / (1 - pow(beta1, t))),
                     .correction = (float)(1 / (1 - pow(beta2, t))),
                     .eps = p->eps,
                     .keep = (float)(1 - lr * (double)p->weight_decay),
                     .ema = p->ema_decay,
                     .ema_new = (float)(1 - (double)p->ema_decay)};
}

/* ema and cast may be NULL. */
FLM_INLINE void update(const factors *f, float *w, float *m, float *v, float *ema, uint16_t *cast, const float *grad,
                       int64_t n)
{
    const factors k = *f;
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        float g = grad[i] * k.gradient;
        float first = k.m * m[i] + k.m_new * g, second = k.v * v[i] + k.v_new * g * g;
        float next = k.keep * w[i] - k.step * first / (sqrtf(second * k.correction) + k.eps);
        m[i] = first;
        v[i] = second;
        w[i] = next;
        if (ema) ema[i] = k.ema * ema[i] + k.ema_new * next;
        if (cast) cast[i] = flm_bf16_from_f32(next);
    }
}

FLM_SIMD static void adamw_block(const factors *f, float *w, float *m, float *v, float *ema, uint16_t *cast,
                                 const float *grad, int64_t n)
{
    if (ema && cast)
        update(f, w, m, v, ema, cast, grad, n);
    else if (ema)
        update(f, w, m, v, ema, NULL, grad, n);
    else if (cast)
        update(f, w, m, v, NULL, cast, grad, n);
    else
        update(f, w, m, v, NULL, NULL, grad, n);
}

flm_status flm_cpu_adamw(flm_backend *be, const flm_adamw *p)
{
    flm_status rc = FLM_OK;
    const int64_t n = p->w.dim[0];
    if (!isfinite(*p->norm_sq)) goto done;
    const factors f = make_factors(p);
    float *w = p->w.data, *m = p->m.data, *v = p->v.data, *ema = p->ema.data;
    uint16_t *cast = p->cast.data;
#pragma omp parallel for num_threads(flm_cpu_threads(be))
    for (int64_t at = 0; at < n; at += FLM_BLOCK)
        adamw_block(&f, w + at, m + at, v + at, ema ? ema + at : NULL, cast ? cast + at : NULL,
                    (const float *)p->grad.data + at, n - at < FLM_BLOCK ? n - at : FLM_BLOCK);
done:
    return rc;
}
