/* train_optimizer.h - AdamW with its state sharded over the ranks, and the collectives of a step.
 *
 * Of each bucket of weights a rank keeps one slice of master weights, m, v and EMA. In a step the gradients of a bucket
 * are reduce-scattered as soon as the backward pass has completed them, the rank updates its slice, and the new compute
 * weights are all-gathered. The master weights of an f32 bucket are the rank's slice of its compute weights.
 * Objectives belong to flow/, files to train_checkpoint.h. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_TRAIN_OPTIMIZER_H
#define FLM_TRAIN_OPTIMIZER_H

#include "comm/comm.h"
#include "flow/flow_noise.h"
#include "model/model_dit.h"

typedef struct flm_optimizer_settings {
    double beta1, beta2, eps, weight_decay, clip;
    double ema_decay; /* upper bound: after n updates the decay is min(ema_decay, (1 + n) / (10 + n)) */
} flm_optimizer_settings;

/* This rank's slice of a bucket; all tensors [slice]. */
typedef struct flm_optimizer_slice {
    flm_tensor compute, grad;     /* views of the bucket */
    flm_tensor master, m, v, ema; /* f32; master is compute where compute is f32 */
    flm_comm_request *request;    /* its collective in progress */
} flm_optimizer_slice;

typedef struct flm_optimizer {
    flm_weights *weights;
    flm_comm *comm;
    flm_optimizer_settings settings;
    flm_optimizer_slice *slice; /* [weights->buckets] */
    flm_tensor norm_sq;         /* f64 [1] on the backend */
    double *result;             /* [2] from host_alloc: norm_sq of this rank; of all ranks, on its way back */
    flm_tensor scratch;         /* f32: buffer of a swap */
    bool ema_active;            /* flm_optimizer_swap_ema */
    flm_arena arena;
} flm_optimizer;

/* flm_optimizer_create - state, all zero, for weights with gradients, sharded over comm's ranks. Not collective.
 * Errors: FLM_E_NOMEM, FLM_E_UNSUPPORTED (more buckets than FLM_COMM_REQUESTS allows).
 * flm_optimizer_destroy - accepts NULL, sets it to NULL. Not collective. */
flm_status flm_optimizer_create(flm_weights *weights, flm_comm *comm, const flm_optimizer_settings *settings,
                                flm_optimizer **out);
void flm_optimizer_destroy(flm_optimizer **optimizer);

/* flm_optimizer_initialise - set master, EMA and compute weights to the initial weights of a seed; m = v = 0.
 * Collective. Errors: FLM_E_NOMEM, those of comm. Source: model.md section 2. */
flm_status flm_optimizer_initialise(flm_optimizer *optimizer, uint64_t seed);

/* flm_optimizer_gather - set the compute weights from the master slices. Collective. */
flm_status flm_optimizer_gather(flm_optimizer *optimizer);

/* flm_optimizer_gather_average - set the compute weights of another network of the same layout (flm_weights_create with
 * the same shape, dtype and size) to the EMA. Collective. */
flm_status flm_optimizer_gather_average(flm_optimizer *optimizer, flm_weights *average);

/* flm_optimizer_hook - the hook for the last micro-batch of a step: it begins the reduction of each completed bucket.
 */
flm_dit_hook flm_optimizer_hook(flm_optimizer *optimizer);

/* flm_optimizer_reduce - finish the reductions, add the noise part to this rank's rows of E's gradient, and queue the
 * copy of its squared norm to the host. Collective. Source: model.md sections 4 and 5. */
flm_status flm_optimizer_reduce(flm_optimizer *optimizer, flm_noise_basis *basis);

/* flm_optimizer_norm - after flm_optimizer_reduce and a wait for the device: the gradient norm. in sums [count] of this
 * rank (losses, flags), count <= 8   out sums over the ranks; *norm: the global norm, which is not finite where the
 * gradient is not. Does not wait for the device. Collective. */
flm_status flm_optimizer_norm(flm_optimizer *optimizer, double *sums, int count, double *norm);

/* flm_optimizer_update - AdamW, EMA and new compute weights, after flm_optimizer_norm. update: the number of updates
 * before this one. Collective. Source: model.md section 5. */
flm_status flm_optimizer_update(flm_optimizer *optimizer, double lr, int64_t update);

/* flm_optimizer_swap_ema - set the compute weights to the EMA (true), or back to the master weights (false), bit for
 * bit. Between the two calls no other function of the optimiser may be called. Collective. */
flm_status flm_optimizer_swap_ema(flm_optimizer *optimizer, bool ema);

/* Learning rate as a function of the update, 0 the first. */
typedef enum flm_lr_shape { FLM_LR_CONSTANT, FLM_LR_LINEAR, FLM_LR_COSINE } flm_lr_shape;

typedef struct flm_lr_schedule {
    double lr;
    int64_t warmup; /* linear warm-up: update k < warmup uses lr * k / warmup */
    int64_t decay;  /* over the last `decay` of `steps` updates the rate goes to min, on a line or half a cosine.
                       0: over all after the warm-up; of shape constant: none, and otherwise a line */
    int64_t steps;  /* of the run; not used without a decay */
    double min;     /* rate that the decay ends with */
    int shape;      /* flm_lr_shape */
} flm_lr_schedule;

/* flm_lr_schedule_rate - the learning rate of an update. Source: model.md section 5; the decay is the suite's own and
 * not part of the published runs. */
double flm_lr_schedule_rate(const flm_lr_schedule *schedule, int64_t update);

#endif
