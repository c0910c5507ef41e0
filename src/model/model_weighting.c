/* model_weighting.c - see model_weighting.h. SPDX-License-Identifier: Apache-2.0 */
#include "model/model_weighting.h"

#include "model/model_internal.h"

#include <assert.h>
#include <stdlib.h>

static void layout(flm_weighting *w, const flm_model_shape *s)
{
    flm_arena *at = &w->arena;
    const int64_t B = w->max_batch, width = FLM_WEIGHTING_WIDTH;
    w->features = flm_arena_2d(at, FLM_DTYPE_F32, B, s->F);
    w->h = flm_arena_2d(at, FLM_DTYPE_F32, B, s->c);
    w->act = flm_arena_2d(at, FLM_DTYPE_F32, B, s->c);
    w->embedded = flm_arena_2d(at, FLM_DTYPE_F32, B, s->c);
    w->mid = flm_arena_2d(at, FLM_DTYPE_F32, B, width);
    w->mid_act = flm_arena_2d(at, FLM_DTYPE_F32, B, width);
    w->l = flm_arena_2d(at, FLM_DTYPE_F32, B, 1);
    w->grad_mid = flm_arena_2d(at, FLM_DTYPE_F32, B, width);
    w->grad_embedded = flm_arena_2d(at, FLM_DTYPE_F32, B, s->c);
    w->grad_h = flm_arena_2d(at, FLM_DTYPE_F32, B, s->c);
}

flm_status flm_weighting_create(flm_backend *be, const flm_model_shape *shape, int64_t max_batch, flm_weighting **out)
{
    flm_status rc = FLM_OK;
    flm_weighting *w = calloc(1, sizeof *w);
    if (w == NULL) FLM_FAIL(FLM_E_NOMEM, "no memory for the loss-weighting network");
    *w = (flm_weighting){.be = be, .max_batch = max_batch, .arena = flm_arena_begin(be)};
    layout(w, shape);
    FLM_TRY(flm_arena_commit(&w->arena, "loss weighting"));
    layout(w, shape);
    *out = w;
    w = NULL;
done:
    flm_weighting_destroy(&w);
    return rc;
}

void flm_weighting_destroy(flm_weighting **weighting)
{
    if (*weighting == NULL) return;
    flm_arena_release(&(*weighting)->arena);
    free(*weighting);
    *weighting = NULL;
}

static flm_tensor of_batch(const flm_weighting *w, const flm_tensor *t) { return flm_tensor_slice(t, 0, w->B); }

flm_status flm_weighting_forward(flm_weighting *w, const flm_weights *weights, const flm_tensor *s)
{
    flm_status rc = FLM_OK;
    const flm_dit_weights *p = &weights->w;
    const flm_tensor *const time[] = {&p->weighting_time_W1, &p->weighting_time_b1, &p->weighting_time_W2,
                                      &p->weighting_time_b2};
    assert(weights->shape.network == FLM_NETWORK_RESIDUAL && s->dim[0] <= w->max_batch);
    w->B = s->dim[0];
    const flm_tensor features = of_batch(w, &w->features), h = of_batch(w, &w->h), act = of_batch(w, &w->act);
    const flm_tensor embedded = of_batch(w, &w->embedded), mid = of_batch(w, &w->mid);
    const flm_tensor mid_act = of_batch(w, &w->mid_act), l = of_batch(w, &w->l);
    FLM_TRY(flm_dit_embed_time(w->be, s, &features, &h, &act, time, &embedded, false));
    FLM_TRY(flm_dit_matmul(w->be, &embedded, false, &p->weighting_W1, true, &mid, false, &p->weighting_b1, NULL));
    FLM_TRY(flm_op_gelu_erf(w->be, &mid_act, &mid));
    FLM_TRY(flm_dit_matmul(w->be, &mid_act, false, &p->weighting_W2, true, &l, false, &p->weighting_b2, NULL));
done:
    return rc;
}

flm_status flm_weighting_backward(flm_weighting *w, const flm_weights *weights, const flm_tensor *grad_l)
{
    flm_status rc = FLM_OK;
    flm_backend *be = w->be;
    const flm_dit_weights *p = &weights->w, *grad = &weights->grad;
    const flm_tensor *const time[] = {&grad->weighting_time_W1, &grad->weighting_time_b1, &grad->weighting_time_W2,
                                      &grad->weighting_time_b2};
    const flm_tensor features = of_batch(w, &w->features), h = of_batch(w, &w->h), act = of_batch(w, &w->act);
    const flm_tensor embedded = of_batch(w, &w->embedded), mid = of_batch(w, &w->mid);
    const flm_tensor mid_act = of_batch(w, &w->mid_act), grad_mid = of_batch(w, &w->grad_mid);
    const flm_tensor grad_embedded = of_batch(w, &w->grad_embedded), grad_h = of_batch(w, &w->grad_h);
    FLM_TRY(flm_dit_matmul(be, grad_l, true, &mid_act, false, &grad->weighting_W2, true, NULL, NULL));
    FLM_TRY(flm_op_column_sum(be, &grad->weighting_b2, grad_l));
    FLM_TRY(flm_dit_matmul(be, grad_l, false, &p->weighting_W2, false, &grad_mid, false, NULL, NULL));
    FLM_TRY(flm_op_gelu_erf_backward(be, &grad_mid, &grad_mid, &mid));
    FLM_TRY(flm_dit_matmul(be, &grad_mid, true, &embedded, false, &grad->weighting_W1, true, NULL, NULL));
    FLM_TRY(flm_op_column_sum(be, &grad->weighting_b1, &grad_mid));
    FLM_TRY(flm_dit_matmul(be, &grad_mid, false, &p->weighting_W1, false, &grad_embedded, false, NULL, NULL));
    FLM_TRY(flm_dit_embed_time_backward(be, &grad_embedded, &features, &h, &act, &p->weighting_time_W2, time, &grad_h));
done:
    return rc;
}
