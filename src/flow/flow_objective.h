/* flow_objective.h - the three objectives on micro-batches: FLM training and the two stages of distillation.
 *
 * One interface for one training loop (docs/model.md sections 5, 6 and 7): state, forward passes, loss, gradients. Owns
 * the buffers between networks and noise. The global loss is the mean over all B L of the global batch; a micro-batch
 * adds its part. A step:
 *     zero the gradients; flm_objective_begin; flm_objective_times; flm_objective_micro_batch for every micro-batch,
 * the last with the hook; flm_objective_total; flm_noise_reduce; flm_noise_gradient for the own rows of E. Refuses:
 * optimiser, ranks' schedule. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_FLOW_OBJECTIVE_H
#define FLM_FLOW_OBJECTIVE_H

#include "base/base_philox.h"
#include "flow/flow_gamma.h"
#include "flow/flow_noise.h"
#include "model/model_dit.h"

/* Where xi comes from: given, or drawn for samples first_sample, ... of a stream (FLM_RANDOM_NOISE, _VALIDATION). */
typedef struct flm_noise_source {
    const flm_tensor *given; /* NULL, or basis->blocks tensors f32 [B, L, width] on the backend */
    uint64_t stream;
    int64_t first_sample;
} flm_noise_source;

/* Who takes part. All stay the caller's and must outlive the objective. What is NULL says which objective it is:
 * no teacher, the FLM's; a teacher and no flow_map, stage one; both, stage two. */
typedef struct flm_objective_parts {
    flm_dit *dit;           /* of the trained network; with training for backward */
    flm_noise_basis *basis; /* of the embeddings [teacher, flow_map, trained], as many as there are */
    const flm_gamma *gamma;
    flm_dit *frozen; /* NULL without teacher: activations for passes without gradient, two times, max_batch and
                        chunk at least dit's */
    const flm_weights *teacher;  /* f: FLM_NETWORK_ONE_TIME */
    const flm_weights *flow_map; /* g of stage two: FLM_NETWORK_RESIDUAL */
} flm_objective_parts;

typedef struct flm_objective {
    flm_objective_parts parts;
    flm_backend *be;
    flm_tensor xi[FLM_NOISE_NETWORKS]; /* basis->blocks, f32 [max_batch, L, width] */
    flm_tensor noise;                  /* f32 [max_batch, L, d]: (1-g) grad_x in the backward pass */
    flm_tensor g;                      /* f32 [max_batch] */
    flm_tensor tokens;                 /* i32 [max_batch, L] */
    flm_tensor loss;                   /* f32 [max_batch L] */
    flm_tensor total;          /* f64 [1]: sum of rows' cross entropies or squared errors since flm_objective_begin */
    double weighted;           /* stage one: sum of rows' weighted losses since then */
    float *host;               /* [2 max_batch], from host_alloc */
    int32_t *ids;              /* [max_batch, L], from host_alloc: tokens on their way */
    struct flm_stage_one *one; /* one of these, or neither */
    struct flm_stage_two *two;
    flm_arena arena;
} flm_objective;

typedef struct flm_micro_batch {
    int64_t B;
    const int32_t *tokens; /* host [B, L] */
    const double *t;       /* host [B], in [0, 1]; of a jump, its start s */
    const double *d;       /* host [B]: of a jump, its length; NULL for an FLM */
    flm_noise_source noise;
    const flm_dit_dropout *dropout; /* NULL: none; pass 0; of the trained network's passes */
    double scale;                   /* 1 / (n L) of the global batch */
    bool backward;
    const flm_dit_hook *hook; /* with backward, in the last micro-batch; else NULL */
} flm_micro_batch;

/* flm_objective_create - buffers for dit->max_batch sequences. Not collective.
 * Errors: FLM_E_ARG (parts that do not fit), FLM_E_NOMEM. */
flm_status flm_objective_create(const flm_objective_parts *parts, flm_objective **out);
void flm_objective_destroy(flm_objective **objective);

/* flm_objective_bytes - bytes of device memory of its own arenas. */
size_t flm_objective_bytes(const flm_objective *objective);

/* flm_objective_begin - a step with these weights of the trained network, equal on all ranks: the noise basis, what is
 * made once a step, and no losses yet. Collective. Errors: FLM_E_NUMERIC (an embedding not finite), the backend's. */
flm_status flm_objective_begin(flm_objective *objective, flm_comm *comm, const flm_weights *weights);

/* flm_objective_times - times of samples [first, first + count) of a global batch of n: flm_time_stratified for an FLM
 * (d is not touched and may be NULL), flm_time_jumps for the others. Arguments as there.
 * out t, d host [count]. Not collective. */
void flm_objective_times(const flm_objective *objective, uint64_t seed, flm_random_purpose purpose, uint64_t step,
                         int64_t n, int64_t first, int64_t count, double *t, double *d);

/* flm_objective_micro_batch - one micro-batch, after begin with the same weights: loss, and with backward every
 * gradient but the noise part of E's, which flm_noise_reduce and flm_noise_gradient add. The hook is told of every
 * bucket once: head, blocks from the last, time, flm_bucket_two_time where there is one, the embedding. Not collective.
 * Errors: FLM_E_ARG (B not in 1..max_batch, token outside 0..V-1), the backend's. */
flm_status flm_objective_micro_batch(flm_objective *objective, const flm_weights *weights,
                                     const flm_micro_batch *batch);

/* flm_objective_total - sums over all rows since begin, not scaled; waits for the device.
 * out *sum: the loss that is minimised; *error (NULL: not asked): the cross entropy or squared error behind it, which
 * differs from it in stage one alone, whose loss is weighted. */
flm_status flm_objective_total(flm_objective *objective, double *sum, double *error);

#endif
