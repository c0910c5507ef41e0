/* model_weights.h - the memory of a network's parameters, in buckets.
 *
 * A bucket is a run of parameters that are communicated and updated together: the embedding E; the timestep embedding;
 * for each block its matrices and its small tensors; Wout; the head's small tensors; what only a two-time network has
 * (last, so that everything else is where it is in an FLM). A bucket is padded so that it divides into `size` equal
 * slices, one for each rank; slices of the embedding hold whole rows. The matrices of trunk and head have the compute
 * dtype, everything else is f32, and gradients are always f32.
 * Owns the full compute copy and, for training, the full gradients. Leaves optimiser state and files to others.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_MODEL_WEIGHTS_H
#define FLM_MODEL_WEIGHTS_H

#include "backend/backend_arena.h"
#include "model/model_parameter.h"

typedef struct flm_bucket {
    flm_dtype dtype;    /* of compute */
    int64_t slice;      /* elements of one rank; the bucket has size * slice */
    int first, count;   /* its parameters */
    flm_tensor compute; /* [size * slice] */
    flm_tensor grad;    /* f32 [size * slice], or absent */
} flm_bucket;

/* One block's tensors, named as in model.md; the same struct for weights and for gradients. */
typedef struct flm_block_weights {
    flm_tensor A, a, w1, w2, Wqkv, Wo, W1, b1, W2, b2;
} flm_block_weights;

typedef struct flm_dit_weights {
    flm_tensor E;                                  /* [V, d] */
    flm_tensor time_W1, time_b1, time_W2, time_b2; /* emb_s: Linear(F->c), Linear(c->c) */
    flm_block_weights *block;                      /* [N] */
    flm_tensor wf, Af, af, Wout, bout;             /* head */
    /* absent from one-time networks: emb_u */
    flm_tensor t_end_W1, t_end_b1, t_end_W2, t_end_b2;
    /* of FLM_NETWORK_RESIDUAL alone: the loss-weighting network's embedding and its two layers */
    flm_tensor weighting_time_W1, weighting_time_b1, weighting_time_W2, weighting_time_b2;
    flm_tensor weighting_W1, weighting_b1, weighting_W2, weighting_b2;
} flm_dit_weights;

typedef struct flm_weights {
    flm_backend *be;
    flm_model_shape shape;
    flm_dtype compute;        /* f32 or bf16 */
    int size;                 /* ranks that share the buckets */
    flm_parameter *parameter; /* in the order of the network, the embedding first */
    int parameters;
    flm_bucket *bucket;
    int buckets;
    flm_dit_weights w, grad; /* views; grad's tensors are absent without gradients */
    flm_arena arena;
} flm_weights;

/* flm_weights_create - lay out and allocate the weights of a network, zeroed. compute: f32 or bf16.
 * size: number of ranks that share the buckets, 1 or more. Not collective. Errors: FLM_E_ARG, FLM_E_NOMEM. */
flm_status flm_weights_create(flm_backend *be, const flm_model_shape *shape, flm_dtype compute, int size,
                              bool gradients, flm_weights **out);

/* flm_weights_destroy - accepts NULL, nulls it. */
void flm_weights_destroy(flm_weights **weights);

/* flm_weights_zero_grad - set all gradients to zero. Errors: FLM_E_DEVICE. */
flm_status flm_weights_zero_grad(flm_weights *weights);

/* flm_weights_set - set parameter `index` from f32 host values [count], converted to the dtype of its bucket.
 * Errors: FLM_E_NOMEM, FLM_E_DEVICE. */
flm_status flm_weights_set(flm_weights *weights, int index, const float *values);

#endif
