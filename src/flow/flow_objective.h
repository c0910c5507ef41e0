/* flow_objective.h - training objectives on micro-batches: state, forward passes, loss, gradients.
 *
 * One interface for one training loop. What is specific to an objective is in its table and its file (flow_flm.c,
 * flow_two_model.c, flow_two_stage.c, flow_psd.c; docs/model.md sections 5 to 7, 9.2, 10). Owns the buffers between
 * networks and noise. The loss is the mean over the rows of the global batch, all B L, or those of active tokens where
 * there are context tokens; each micro-batch adds its part. A
 * step: zero the gradients; flm_objective_begin; flm_objective_times; flm_objective_micro_batch for every micro-batch,
 *     for the last one with the hook; flm_objective_total; flm_noise_reduce; flm_noise_gradient for the rank's rows of
 * E. Leaves the optimiser and the division over ranks to train. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_FLOW_OBJECTIVE_H
#define FLM_FLOW_OBJECTIVE_H

#include "backend/backend_stage.h"
#include "base/base_philox.h"
#include "flow/flow_gamma.h"
#include "flow/flow_kind.h"
#include "flow/flow_noise.h"
#include "flow/flow_time.h"
#include "model/model_dit.h"

/* Where xi comes from: given, or drawn for samples first_sample, ... of a stream (FLM_RANDOM_NOISE, _VALIDATION). */
typedef struct flm_noise_source {
    const flm_tensor *given; /* NULL, or basis->blocks tensors f32 [B, L, width] on the backend */
    uint64_t stream;
    int64_t first_sample;
} flm_noise_source;

/* What takes part; owned by the caller, must outlive the objective. */
typedef struct flm_objective_parts {
    const flm_kind *kind;   /* of the trained network; selects the objective */
    flm_dit *dit;           /* of the trained network; for backward not FLM_DIT_INFERENCE */
    flm_noise_basis *basis; /* of the embeddings of the frozen networks, in order of roles, and the trained one */
    const flm_gamma *gamma;
    flm_dit *inference; /* activations of the passes without gradient, for two times, of at least the sizes of
                           flm_objective_inference_size; NULL if the objective has no such passes */
    const flm_weights *frozen[FLM_ROLES]; /* as flm_objective_ops.networks asks; NULL: none in this role */
    flm_psd_law psd;                      /* of the one-network flow map */
} flm_objective_parts;

typedef struct flm_micro_batch {
    int64_t B;
    const int32_t *tokens;  /* host [B, L] */
    const double *t;        /* host [B], in [0, 1]; of a jump, its start */
    const double *d;        /* host [B]: lengths of jumps, 0 on the diagonal; not read by an objective without jumps */
    const int32_t *context; /* host [B, L] of flm_time_context; read if ops->context */
    flm_noise_source noise;
    const flm_dit_dropout *dropout; /* of the passes of the trained network, with pass 0; NULL: none */
    double scale;                   /* 1 / the rows of the global batch that have a loss, n L or at least 1 */
    bool backward;
    const flm_dit_hook *hook; /* of the last micro-batch with backward; else NULL */
} flm_micro_batch;

typedef struct flm_objective flm_objective;

/* The table of an objective. create, destroy, bytes and begin are NULL if there is nothing to do. */
typedef struct flm_objective_ops {
    flm_kind_part networks[FLM_ROLES]; /* the frozen networks that it needs */
    bool inference;                    /* it has passes without gradient */
    bool halves;                      /* of at most half the sequences and rows of the pass with gradient, rounded up */
    bool context;                     /* its tokens are context or active, and only active ones have a loss */
    bool diagonal;                    /* it has diagonal samples, whose losses flm_objective_total reports apart */
    bool squared_error;               /* its loss is computed from a squared error, which flm_objective_total reports */
    bool weighted;                    /* its loss is that error with learned weights */
    double trunk_passes, head_passes; /* cost of a step, a backward pass counted as two */
    /* create - its own state in objective->state, after the shared buffers exist. destroy also accepts what a failed
     * create leaves. bytes - the device memory of the state. */
    flm_status (*create)(flm_objective *objective);
    void (*destroy)(flm_objective *objective);
    size_t (*bytes)(const flm_objective *objective);
    /* begin - what is computed once a step. */
    flm_status (*begin)(flm_objective *objective, const flm_weights *weights);
    /* sample_times, micro_batch - as flm_objective_times and flm_objective_micro_batch. */
    void (*sample_times)(const flm_objective *objective, uint64_t seed, flm_random_purpose purpose, uint64_t step,
                         int64_t n, int64_t first, int64_t count, double *t, double *d);
    flm_status (*micro_batch)(flm_objective *objective, const flm_weights *weights, const flm_micro_batch *batch);
} flm_objective_ops;

/* Elements of flm_objective.total: cross entropies or squared errors, those of diagonal samples, weighted losses. */
enum { FLM_TOTAL_ALL, FLM_TOTAL_DIAGONAL, FLM_TOTAL_WEIGHTED, FLM_TOTALS };

struct flm_objective {
    flm_objective_parts parts;
    const flm_objective_ops *ops;
    flm_backend *be;
    flm_tensor xi[FLM_NOISE_NETWORKS]; /* basis->blocks, f32 [max_batch, L, width] */
    flm_tensor noise;                  /* f32 [max_batch, L, d]: (1-g) grad_x in the backward pass */
    flm_tensor g;                      /* f32 [max_batch], or [max_batch, L] with ops->context */
    flm_tensor tokens;                 /* i32 [max_batch, L] */
    flm_tensor loss;                   /* f32 [max_batch L] */
    flm_tensor total;                  /* f64 [FLM_TOTALS]: sums over rows since flm_objective_begin */
    int64_t rows, diagonal_rows;       /* with a loss since flm_objective_begin; those of diagonal samples */
    float *host;                       /* t [max_batch], and like g */
    double *result;                    /* [FLM_TOTALS] from host_alloc: total, after flm_objective_fetch and a wait */
    flm_stage stage;                   /* inputs on their way to the device */
    void *state;                       /* of this objective; ops->create */
    flm_arena arena;
};

/* flm_objective_inference_size - the sequences and rows of logits that the passes without gradient of an objective
 * process at once, from those of the pass with gradient. */
void flm_objective_inference_size(const flm_objective_ops *ops, int64_t *max_batch, int64_t *chunk);

/* flm_objective_create - allocate buffers for dit->max_batch sequences. Not collective.
 * Errors: FLM_E_ARG (parts that do not fit), FLM_E_NOMEM. */
flm_status flm_objective_create(const flm_objective_parts *parts, flm_objective **out);
void flm_objective_destroy(flm_objective **objective);

/* flm_objective_bytes - device memory of its own arenas in bytes. */
size_t flm_objective_bytes(const flm_objective *objective);

/* flm_objective_begin - begin a step with these weights of the trained network, equal on all ranks: update the noise
 * basis and reset the losses. Collective. Errors: FLM_E_NUMERIC (an embedding not finite; on a device an error of
 * flm_objective_sums_of), the backend's. */
flm_status flm_objective_begin(flm_objective *objective, flm_comm *comm, const flm_weights *weights);

/* flm_objective_times - times of samples [first, first + count) of a global batch of n: flm_time_stratified for an FLM
 * (d is not touched and may be NULL), flm_time_jumps or flm_time_psd for flow maps. Arguments as there.
 * out t, d host [count]. Not collective. */
void flm_objective_times(const flm_objective *objective, uint64_t seed, flm_random_purpose purpose, uint64_t step,
                         int64_t n, int64_t first, int64_t count, double *t, double *d);

/* flm_objective_micro_batch - one micro-batch, after begin with the same weights: adds its losses, and with backward
 * all gradients except the noise part of E's, which flm_noise_reduce and flm_noise_gradient add. Calls the hook once
 * for every bucket: head, blocks from the last, time, flm_bucket_two_time if there is one, embedding. Not collective.
 * Errors: FLM_E_ARG (B not in 1..max_batch, token outside 0..V-1), the backend's. */
flm_status flm_objective_micro_batch(flm_objective *objective, const flm_weights *weights,
                                     const flm_micro_batch *batch);

/* Sums over all rows since flm_objective_begin, not scaled. */
typedef struct flm_objective_sums {
    double loss;  /* that is minimised */
    double rows;  /* that have a loss */
    double error; /* squared error that it is computed from; NaN unless ops->squared_error */
    double diagonal,
        diagonal_rows; /* losses of the rows of diagonal samples, and their number; 0 unless ops->diagonal */
} flm_objective_sums;

/* flm_objective_fetch - queue the copy of the sums to the host. flm_objective_sums_of - the sums, after a wait for the
 * device. Errors: FLM_E_NUMERIC, what the device found in flm_objective_begin. flm_objective_total - both, with the
 * wait.
 */
flm_status flm_objective_fetch(flm_objective *objective);
flm_status flm_objective_sums_of(const flm_objective *objective, flm_objective_sums *sums);
flm_status flm_objective_total(flm_objective *objective, flm_objective_sums *sums);

#endif
