/* model_weights.h - the parameters of a network by name, and their memory in buckets.
 *
 * A bucket is a run of parameters that are communicated and updated together: the embedding E; the timestep embedding;
 * for each block its matrices and its small tensors; Wout; the head's small tensors; what a two-time network has beside
 * these (last, so that all else is where it is in an FLM). A bucket is padded so that it
 * falls into `size` equal slices, one a rank (the embedding's slices hold whole rows). The matrices of trunk and head
 * have the compute dtype; everything else is f32. Gradients are f32 always.
 * Owns the full compute copy and, for training, the full gradients. Refuses: optimiser state, files.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_MODEL_WEIGHTS_H
#define FLM_MODEL_WEIGHTS_H

#include "backend/backend_arena.h"
#include "model/model.h"

enum { FLM_PARAMETER_NAME = 64 };

typedef enum flm_init { FLM_INIT_ZERO, FLM_INIT_ONE, FLM_INIT_UNIFORM } flm_init;

typedef struct flm_parameter {
    char name[FLM_PARAMETER_NAME]; /* "blocks.3.attn_qkv.weight", ...: model.md section 2 */
    int ndim;
    int64_t dim[2]; /* [out, in], [V, d] or [n] */
    flm_init init;
    double bound; /* of FLM_INIT_UNIFORM: U(-bound, bound) */
    bool reinit;  /* a distillation begins with the initial value, not with the teacher's */
    int bucket;
    int64_t offset, count; /* elements within the bucket */
} flm_parameter;

typedef struct flm_bucket {
    flm_dtype dtype;    /* of compute */
    int64_t slice;      /* elements a rank: the bucket has size * slice */
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

/* The buckets by what they hold, for those who announce that a bucket's gradient is complete. */
enum { FLM_BUCKET_EMBEDDING = 0, FLM_BUCKET_TIME = 1 };
static inline int flm_bucket_block_matrices(int64_t block) { return 2 + 2 * (int)block; }
static inline int flm_bucket_block_small(int64_t block) { return 3 + 2 * (int)block; }
static inline int flm_bucket_head_matrix(int64_t N) { return 2 + 2 * (int)N; }
static inline int flm_bucket_head_small(int64_t N) { return 3 + 2 * (int)N; }
static inline int flm_bucket_two_time(int64_t N) { return 4 + 2 * (int)N; } /* emb_u, and the weighting network */

enum { FLM_WEIGHTING_WIDTH = 128 }; /* hidden units of the loss-weighting network: model.md section 6 */

/* flm_weights_create - lay out and allocate a network's weights, zeroed. compute: f32 or bf16.
 * size: number of ranks that divide the buckets, 1 or more. Not collective. Errors: FLM_E_ARG, FLM_E_NOMEM. */
flm_status flm_weights_create(flm_backend *be, const flm_model_shape *shape, flm_dtype compute, int size,
                              bool gradients, flm_weights **out);

/* flm_weights_destroy - accepts NULL, nulls it. */
void flm_weights_destroy(flm_weights **weights);

/* flm_weights_zero_grad - all gradients to zero. Errors: FLM_E_DEVICE. */
flm_status flm_weights_zero_grad(flm_weights *weights);

/* flm_weights_set - the whole of parameter `index` from f32 host values [count], converted to the bucket's dtype.
 * Errors: FLM_E_NOMEM, FLM_E_DEVICE. */
flm_status flm_weights_set(flm_weights *weights, int index, const float *values);

/* flm_weights_find - index of a parameter by name, or -1. */
int flm_weights_find(const flm_weights *weights, const char *name);

/* flm_weights_get_grad - the gradient of parameter `index` as f32 host values [count]. Errors: FLM_E_DEVICE. */
flm_status flm_weights_get_grad(const flm_weights *weights, int index, float *values);

/* flm_parameter_initial - elements [first, first + count) of a parameter's initial values, a function of (seed, index,
 * element) alone: any rank makes any part. index: of the parameter. Host memory. A distillation's student begins with
 * the teacher's values but where parameter->reinit. Source: model.md sections 2, 6 and 7. */
void flm_parameter_initial(const flm_parameter *parameter, int index, uint64_t seed, int64_t first, int64_t count,
                           float *values);

#endif
