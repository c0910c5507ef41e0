/* train_optimizer.h - AdamW with its state divided over the ranks, and the collectives around it.
 *
 * A rank keeps, of each bucket of weights, its own slice of master weights, m, v and EMA. A step: gradients of a bucket
 * are reduce-scattered as soon as the backward pass has completed them, the own slice is updated, the new compute
 * weights are all-gathered. f32 buckets have no second master: it is the own slice of the compute copy.
 * Refuses: objectives, schedules, files. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_TRAIN_OPTIMIZER_H
#define FLM_TRAIN_OPTIMIZER_H

#include "comm/comm.h"
#include "flow/flow_noise.h"
#include "model/model_dit.h"

typedef struct flm_optimizer_settings {
    double beta1, beta2, eps, weight_decay, clip;
    double ema_decay; /* most; after n updates min(ema_decay, (1+n)/(10+n)) */
} flm_optimizer_settings;

/* One bucket's own slice, all [slice]. */
typedef struct flm_optimizer_slice {
    flm_tensor compute, grad;     /* views into the bucket */
    flm_tensor master, m, v, ema; /* f32; master is compute where that is f32 */
    flm_comm_request *request;    /* its collective under way */
} flm_optimizer_slice;

typedef struct flm_optimizer {
    flm_weights *weights;
    flm_comm *comm;
    flm_optimizer_settings settings;
    flm_optimizer_slice *slice; /* [weights->buckets] */
    flm_tensor norm_sq;         /* f64 [1] on the backend */
    flm_tensor scratch;         /* f32: pieces of a swap */
    bool ema_active;
    flm_arena arena;
} flm_optimizer;

/* flm_optimizer_create - zeroed state for weights with gradients, divided among comm's ranks. Not collective.
 * Errors: FLM_E_NOMEM, FLM_E_UNSUPPORTED (more buckets than requests). */
flm_status flm_optimizer_create(flm_weights *weights, flm_comm *comm, const flm_optimizer_settings *settings,
                                flm_optimizer **out);
void flm_optimizer_destroy(flm_optimizer **optimizer);

/* flm_optimizer_initialise - initial weights of a seed in master, EMA and compute copy; m = v = 0. Collective. */
flm_status flm_optimizer_initialise(flm_optimizer *optimizer, uint64_t seed);

/* flm_optimizer_gather - compute weights from the master slices (after they were set). Collective. */
flm_status flm_optimizer_gather(flm_optimizer *optimizer);

/* flm_optimizer_hook - for the last micro-batch of a step: begins the reduction of every bucket it is told of. */
flm_dit_hook flm_optimizer_hook(flm_optimizer *optimizer);

/* flm_optimizer_reduce - finish the reductions, add the noise part to the own rows of E's gradient, and measure.
 * in  sums [count] of this rank (losses, flags)   out sums over the ranks; *norm: the global gradient norm, which
 * is not finite where the gradient is not. Collective. Source: model.md sections 4 and 5. */
flm_status flm_optimizer_reduce(flm_optimizer *optimizer, flm_noise_basis *basis, double *sums, int count,
                                double *norm);

/* flm_optimizer_update - AdamW, EMA and the new compute weights; update: 0 for the first. After _reduce. Collective. */
flm_status flm_optimizer_update(flm_optimizer *optimizer, double lr, int64_t update);

/* flm_optimizer_swap_ema - let the compute weights be the EMA (true), or the master weights again (false): exact.
 * Collective. Until it is undone nothing else may be called. */
flm_status flm_optimizer_swap_ema(flm_optimizer *optimizer, bool ema);

/* The learning rate over the updates of a run. */
typedef struct flm_lr_schedule {
    double lr;
    int64_t warmup; /* updates of linear warm-up: update k of them uses lr k / warmup */
    int64_t decay;  /* 0, or the last so many of `steps` fall linearly: update k uses lr (steps - k) / decay */
    int64_t steps;
} flm_lr_schedule;

/* flm_lr_schedule_rate - the rate of an update (0 the first). Source: model.md section 5; the fall at the end is the
 * suite's own, and not part of the published runs. */
double flm_lr_schedule_rate(const flm_lr_schedule *schedule, int64_t update);

#endif
