/* flow_objective.h - the FLM objective on micro-batches: state, forward, loss, gradients (docs/model.md section 5).
 *
 * Owns the buffers between network and noise: xi, times, tokens, losses. The global loss is the mean over all B L
 * of the global batch; a micro-batch adds its part. Refuses: optimiser, ranks' schedule.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_FLOW_OBJECTIVE_H
#define FLM_FLOW_OBJECTIVE_H

#include "flow/flow_gamma.h"
#include "flow/flow_noise.h"
#include "model/model_dit.h"

/* Where xi comes from: given, or drawn for samples first_sample, ... of a stream (FLM_RANDOM_NOISE, _VALIDATION). */
typedef struct flm_noise_source {
    const flm_tensor *given; /* NULL, or f32 [B, L, K] on the backend */
    uint64_t stream;
    int64_t first_sample;
} flm_noise_source;

typedef struct flm_objective {
    flm_backend *be;
    flm_dit *dit;
    flm_noise_basis *basis;
    const flm_gamma *gamma;
    flm_tensor xi;       /* f32 [B_most, L, K] */
    flm_tensor noise;    /* f32 [B_most, L, d]: (1-g) grad_x in the backward pass */
    flm_tensor g;        /* f32 [B_most] */
    flm_tensor tokens;   /* i32 [B_most, L] */
    flm_tensor loss;     /* f32 [B_most L] */
    flm_tensor total;    /* f64 [1]: sum of losses since flm_objective_begin */
    float *host;         /* [2 B_most] */
    flm_arena arena;
} flm_objective;

typedef struct flm_micro_batch {
    int64_t B;
    const int32_t *tokens;           /* host [B, L] */
    const double *t;                 /* host [B], in [0, 1] */
    flm_noise_source noise;
    const flm_dit_dropout *dropout;  /* NULL: none */
    double scale;                    /* 1 / (n L) of the global batch */
    bool backward;
    const flm_dit_hook *hook;        /* with backward, in the last micro-batch; else NULL */
} flm_micro_batch;

/* flm_objective_create - buffers for dit->B_most sequences; dit, basis and gamma stay the caller's. Not collective. */
flm_status flm_objective_create(flm_dit *dit, flm_noise_basis *basis, const flm_gamma *gamma, flm_objective **out);
void flm_objective_destroy(flm_objective **objective);

/* flm_objective_begin - forget the losses summed so far. */
flm_status flm_objective_begin(flm_objective *objective);

/* flm_objective_micro - one micro-batch: x = (1-g) xi T + g E[token], loss, and with backward every gradient but the
 * noise part of E's, which flm_noise_reduce and flm_noise_gradient add. The hook's last call is for the embedding.
 * Not collective. Errors: FLM_E_ARG (B not in 1..B_most, token outside 0..V-1), the backend's. */
flm_status flm_objective_micro(flm_objective *objective, const flm_weights *weights, const flm_micro_batch *batch);

/* flm_objective_total - the sum of the losses (not scaled) of all rows since begin; waits for the device. */
flm_status flm_objective_total(flm_objective *objective, double *sum);

#endif
