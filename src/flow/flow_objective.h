/* flow_objective.h - training objectives on micro-batches: state, forward passes, loss, gradients.
 *
 * One interface for one training loop; what an objective does of its own is in its table and its file (flow_flm.c,
 * flow_two_model.c, flow_two_stage.c; docs/model.md sections 5 to 7). Owns the buffers between networks and noise. The
 * global loss is the mean over all B L of the global batch; a micro-batch adds its part. A step:
 *     zero the gradients; flm_objective_begin; flm_objective_times; flm_objective_micro_batch for every micro-batch,
 *     the last with the hook; flm_objective_total; flm_noise_reduce; flm_noise_gradient for the own rows of E.
 * Leaves the optimiser and the division over ranks to train. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_FLOW_OBJECTIVE_H
#define FLM_FLOW_OBJECTIVE_H

#include "base/base_philox.h"
#include "flow/flow_gamma.h"
#include "flow/flow_kind.h"
#include "flow/flow_noise.h"
#include "model/model_dit.h"

/* Where xi comes from: given, or drawn for samples first_sample, ... of a stream (FLM_RANDOM_NOISE, _VALIDATION). */
typedef struct flm_noise_source {
    const flm_tensor *given; /* NULL, or basis->blocks tensors f32 [B, L, width] on the backend */
    uint64_t stream;
    int64_t first_sample;
} flm_noise_source;

/* What takes part. All are the caller's and must outlive the objective. */
typedef struct flm_objective_parts {
    const flm_kind *kind;   /* of the trained network: says which objective this is */
    flm_dit *dit;           /* of the trained network; with training for backward */
    flm_noise_basis *basis; /* of the embeddings of the frozen networks, in the order of their roles, and the trained */
    const flm_gamma *gamma;
    flm_dit *inference; /* activations for passes without gradient, for two times, max_batch and chunk at least dit's;
                           where the objective has such passes (flm_objective_ops.inference), else NULL */
    const flm_weights *frozen[FLM_ROLES]; /* what flm_objective_ops.networks asks for; NULL: none in this role */
} flm_objective_parts;

typedef struct flm_micro_batch {
    int64_t B;
    const int32_t *tokens; /* host [B, L] */
    const double *t;       /* host [B], in [0, 1]; start of a jump */
    const double *d;       /* host [B]: length of a jump; not read where there are no jumps */
    flm_noise_source noise;
    const flm_dit_dropout *dropout; /* of the trained network's passes; NULL: none; its pass must be 0 */
    double scale;                   /* 1 / (n L) of the global batch */
    bool backward;
    const flm_dit_hook *hook; /* with backward, in the last micro-batch; else NULL */
} flm_micro_batch;

typedef struct flm_objective flm_objective;

/* The table of an objective. Slots that may be NULL: create, destroy, bytes and begin, where there is nothing to do. */
typedef struct flm_objective_ops {
    flm_kind_part networks[FLM_ROLES]; /* frozen networks that take part */
    bool inference;                    /* whether it has passes without gradient */
    bool squared_error;                /* the loss is made of a squared error, which flm_objective_total gives too */
    double trunk_passes, head_passes;  /* cost of a step in forward passes, of which a backward pass is two */
    /* State of its own in objective->state, made after the shared buffers; device memory of it in bytes. destroy
     * accepts what a failed create leaves. */
    flm_status (*create)(flm_objective *objective);
    void (*destroy)(flm_objective *objective);
    size_t (*bytes)(const flm_objective *objective);
    /* What is made once a step. */
    flm_status (*begin)(flm_objective *objective, const flm_weights *weights);
    /* flm_objective_times and flm_objective_micro_batch. */
    void (*sample_times)(uint64_t seed, flm_random_purpose purpose, uint64_t step, int64_t n, int64_t first,
                         int64_t count, double *t, double *d);
    flm_status (*micro_batch)(flm_objective *objective, const flm_weights *weights, const flm_micro_batch *batch);
    /* Sum of the losses since begin; total: that of the rows in objective->total. NULL: the same. */
    double (*loss_sum)(const flm_objective *objective, double total);
} flm_objective_ops;

struct flm_objective {
    flm_objective_parts parts;
    const flm_objective_ops *ops;
    flm_backend *be;
    flm_tensor xi[FLM_NOISE_NETWORKS]; /* basis->blocks, f32 [max_batch, L, width] */
    flm_tensor noise;                  /* f32 [max_batch, L, d]: (1-g) grad_x in the backward pass */
    flm_tensor g;                      /* f32 [max_batch] */
    flm_tensor tokens;                 /* i32 [max_batch, L] */
    flm_tensor loss;                   /* f32 [max_batch L] */
    flm_tensor total; /* f64 [1]: sum of rows' cross entropies or squared errors since flm_objective_begin */
    float *host;      /* [2 max_batch], from host_alloc */
    int32_t *ids;     /* [max_batch, L], from host_alloc: tokens on their way to the device */
    void *state;      /* the table's own */
    flm_arena arena;
};

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
 * (d is not touched and may be NULL), flm_time_jumps for flow maps. Arguments as there.
 * out t, d host [count]. Not collective. */
void flm_objective_times(const flm_objective *objective, uint64_t seed, flm_random_purpose purpose, uint64_t step,
                         int64_t n, int64_t first, int64_t count, double *t, double *d);

/* flm_objective_micro_batch - one micro-batch, after begin with the same weights: loss, and with backward every
 * gradient but the noise part of E's, which flm_noise_reduce and flm_noise_gradient add. The hook is called for every
 * bucket once: head, blocks from the last, time, flm_bucket_two_time where there is one, the embedding. Not collective.
 * Errors: FLM_E_ARG (B not in 1..max_batch, token outside 0..V-1), the backend's. */
flm_status flm_objective_micro_batch(flm_objective *objective, const flm_weights *weights,
                                     const flm_micro_batch *batch);

/* flm_objective_total - sums over all rows since begin, not scaled; waits for the device.
 * out *sum: the loss that is minimised; *error (NULL: not asked): the squared error that it is made of, NaN where it is
 * made of none. */
flm_status flm_objective_total(flm_objective *objective, double *sum, double *error);

#endif
