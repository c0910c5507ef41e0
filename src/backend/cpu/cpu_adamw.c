/* cpu_adamw.c - one update of AdamW with the moving average of the weights (model.md section 5), in one pass over
 * memory. Source: Loshchilov and Hutter, "Decoupled weight decay regularization", 2019, algorithm 2.
 * SPDX-License-Identifier: Apache-2.0 */
#include "backend/backend_adamw.h"
#include "backend/cpu/cpu_rows.h"

/* min(1, clip / (norm + 1e-6)): the gradient is multiplied by it. */
static float clip_factor_of(const flm_adamw *p)
{
    const double ratio = (double)p->clip / (sqrt(*p->norm_sq) + 1e-6);
    return (float)(ratio < 1 ? ratio : 1);
}

/* ema and cast may be NULL. */
FLM_INLINE void update(const flm_adamw_factors *f, float clip_factor, float *w, float *m, float *v, float *ema,
                       uint16_t *cast, const float *grad, int64_t n)
{
    const flm_adamw_factors k = *f;
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        float g = grad[i] * clip_factor;
        float first = k.m * m[i] + k.m_new * g, second = k.v * v[i] + k.v_new * g * g;
        float next = k.decay * w[i] - k.step_size * first / (sqrtf(second * k.v_correction) + k.eps);
        m[i] = first;
        v[i] = second;
        w[i] = next;
        if (ema) ema[i] = k.ema * ema[i] + k.ema_new * next;
        if (cast) cast[i] = flm_bf16_from_f32(next);
    }
}

FLM_SIMD static void adamw_block(const flm_adamw_factors *f, float clip_factor, float *w, float *m, float *v,
                                 float *ema, uint16_t *cast, const float *grad, int64_t n)
{
    if (ema && cast)
        update(f, clip_factor, w, m, v, ema, cast, grad, n);
    else if (ema)
        update(f, clip_factor, w, m, v, ema, NULL, grad, n);
    else if (cast)
        update(f, clip_factor, w, m, v, NULL, cast, grad, n);
    else
        update(f, clip_factor, w, m, v, NULL, NULL, grad, n);
}

flm_status flm_cpu_adamw(flm_backend *be, const flm_adamw *p)
{
    flm_status rc = FLM_OK;
    const int64_t n = p->w.dim[0];
    if (!isfinite(*p->norm_sq)) goto done;
    const flm_adamw_factors f = flm_adamw_factors_make(p);
    const float clip_factor = clip_factor_of(p);
    float *w = p->w.data, *m = p->m.data, *v = p->v.data, *ema = p->ema.data;
    uint16_t *cast = p->cast.data;
#pragma omp parallel for num_threads(flm_cpu_threads(be))
    for (int64_t at = 0; at < n; at += FLM_BLOCK)
        adamw_block(&f, clip_factor, w + at, m + at, v + at, ema ? ema + at : NULL, cast ? cast + at : NULL,
                    (const float *)p->grad.data + at, n - at < FLM_BLOCK ? n - at : FLM_BLOCK);
done:
    return rc;
}
