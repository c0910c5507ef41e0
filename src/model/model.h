/* model.h - the shape of a network, its presets, and its cost in FLOPs. Letters as in docs/model.md.
 * Owns no memory; parameters are in model_parameter.h. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_MODEL_H
#define FLM_MODEL_H

#include "base/base_err.h"

#include <stdbool.h>
#include <stdint.h>

/* The form of a network: model.md sections 2, 6, 7 and 10. */
typedef enum flm_network {
    FLM_NETWORK_ONE_TIME, /* one time, a softmax head */
    FLM_NETWORK_TWO_TIME, /* two times, a softmax head */
    FLM_NETWORK_RESIDUAL, /* two times, a residual as its output, and the loss-weighting network */
    FLM_NETWORK_ANY_ORDER /* two times of active tokens, others for context tokens, a softmax head; the parameters of
                             FLM_NETWORK_TWO_TIME */
} flm_network;

typedef struct flm_model_shape {
    int64_t L, V;      /* positions, vocabulary */
    int64_t d, H;      /* hidden size, heads; h = d / H */
    int64_t c, N;      /* condition size, blocks */
    int64_t F;         /* timestep features, cos and sin together (256) */
    int64_t mlp_ratio; /* MLP width over d (4) */
    double softcap;    /* of attention scores (50) */
    double logit_cap;  /* of the logits in every softmax over the vocabulary; 0: none. Source: section 9.1 */
    flm_network network;
} flm_model_shape;

/* flm_model_preset - the shape "small", "mini" or "tiny" of model.md section 2, with L and V 0. Errors: FLM_E_ARG. */
flm_status flm_model_preset(const char *name, flm_model_shape *out);

/* flm_model_check - check that every size is in its range, so that no product of sizes overflows, that H divides d, and
 * that h and F are even. Errors: FLM_E_ARG naming the size and its range. */
flm_status flm_model_check(const flm_model_shape *shape);

/* flm_model_same_sizes - whether two networks have equal sizes; their form and the cap of their logits may differ. */
bool flm_model_same_sizes(const flm_model_shape *a, const flm_model_shape *b);

/* flm_model_flops - model FLOPs of the forward pass for one token: trunk 24 N d^2 (with mlp_ratio 4), attention
 * 4 N L d, head 2 V d. Source: model.md section 11. */
double flm_model_flops(const flm_model_shape *shape);

#endif
