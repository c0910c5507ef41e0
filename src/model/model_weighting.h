/* model_weighting.h - the loss-weighting network of the two-model flow map: l = weighting(s), one value per sequence.
 *
 * emb(F->c->c) of s, Linear(c->128), exact GELU (erf), Linear(128->1); all f32. Source: model.md section 6. The use of
 * l is in flow_two_model.c. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_MODEL_WEIGHTING_H
#define FLM_MODEL_WEIGHTING_H

#include "backend/backend_ops.h"
#include "model/model_weights.h"

typedef struct flm_weighting {
    flm_backend *be;
    int64_t max_batch, B;                       /* B: of the last forward pass */
    flm_tensor features, h, act;                /* f32 [B, F | c | c] */
    flm_tensor embedded;                        /* f32 [B, c] */
    flm_tensor mid, mid_act;                    /* f32 [B, 128] */
    flm_tensor l;                               /* f32 [B, 1] */
    flm_tensor grad_mid, grad_embedded, grad_h; /* f32 [B, 128 | c | c] */
    flm_arena arena;
} flm_weighting;

/* flm_weighting_create - for up to max_batch sequences. Not collective. Errors: FLM_E_NOMEM. */
flm_status flm_weighting_create(flm_backend *be, const flm_model_shape *shape, int64_t max_batch, flm_weighting **out);

/* flm_weighting_destroy - accepts NULL, nulls it. */
void flm_weighting_destroy(flm_weighting **weighting);

/* flm_weighting_forward - l of times s f32 [B], into weighting->l. weights: of FLM_NETWORK_RESIDUAL. */
flm_status flm_weighting_forward(flm_weighting *weighting, const flm_weights *weights, const flm_tensor *s);

/* flm_weighting_backward - gradients of weights += from grad_l f32 [B, 1], after the forward pass of the same B. */
flm_status flm_weighting_backward(flm_weighting *weighting, const flm_weights *weights, const flm_tensor *grad_l);

#endif
