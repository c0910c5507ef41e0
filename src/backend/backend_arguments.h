/* backend_arguments.h - argument structs of the operations that take many; the conventions of backend_ops.h apply.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_BACKEND_ARGUMENTS_H
#define FLM_BACKEND_ARGUMENTS_H

#include "backend/backend.h"

/* A matmul with its fused epilogue: C = op(A) op(B) [+ C] [+ bias], then optionally GELU. Rows of a may be padded, and
 * rows of c if there is no gelu. */
typedef struct flm_matmul {
    const flm_tensor *a, *b;       /* act, 2-D, of the same dtype: op(a) is [M, K], op(b) is [K, N] */
    bool transpose_a, transpose_b; /* stored as [K, M], [N, K] */
    const flm_tensor *c;           /* [M, N] f32 or bf16; accumulation is always fp32 */
    bool accumulate;               /* C += (f32 C only) */
    const flm_tensor *bias;        /* NULL, or f32 [N] added to every row; a backend may round it to c's dtype first */
    const flm_tensor *gelu;        /* NULL, or [M, N] like c: gelu = gelu_tanh(c, rounded or not), c keeps the value
                                      before it */
    bool in_parts;                 /* f32 operands may be taken as sums of two bf16 numbers, where that is faster: an
                                      error of 2^-15 |a| |b| beside that of summation */
} flm_matmul;

/* Dropout of one site: element (b, l, i) is kept if 16 bits of Philox (stream; sample first_sample + b, position l,
 * component i) are at least p * 65536 rounded; kept elements are divided by the exact keep probability. */
typedef struct flm_dropout {
    float p;              /* 0: none; at least 0 and below 1, rounded to 1/65536: FLM_E_ARG otherwise */
    uint64_t stream;      /* flm_philox_stream(seed, FLM_RANDOM_DROPOUT, step, site) */
    int64_t first_sample; /* global index of the batch's first sample, counted within the step */
} flm_dropout;

/* One AdamW update with EMA over a flat slice, all [n]. Source: model.md section 5. */
typedef struct flm_adamw {
    flm_tensor w, m, v, ema; /* f32 [n], updated; ema may be absent */
    flm_tensor grad;         /* f32 [n] */
    flm_tensor cast;         /* absent, or bf16 [n] = the new w */
    const double *norm_sq;   /* on the backend: squared global gradient norm; the gradient is scaled by
                                min(1, clip / (sqrt(norm_sq) + 1e-6)); nothing changes where it is not finite */
    float clip, lr, beta1, beta2, eps, weight_decay, ema_decay;
    int64_t update; /* 0 for the first update: bias corrections use update + 1 */
} flm_adamw;

/* The range of a cap of logits that is not 0 (none). The published one is 30: model.md section 9.1. */
#define FLM_LOGIT_CAP_MIN 0.1
#define FLM_LOGIT_CAP_MAX 1000.0

/* Squared error of a distillation by rows, and its gradient. With c = coefficient[r], p = softmax of capped logits:
 *     err = c[0] (p(to) - p(from)) + c[1] residual + c[2] bias
 *     loss[r] = sum over V of err^2
 *     grad = c[3] err, or with `softmax_backward` of from's logits: c[3] p(from) (err - sum of p(from) err) cap'(from)
 * residual holds err afterwards, unless it is grad. Padded rows: all [R, V]. Source: model.md sections 6 and 7. */
typedef struct flm_distill_error {
    const flm_tensor *loss;        /* f32 [R] */
    const flm_tensor *grad;        /* absent, or act [R, V]; f32: may be residual, with `softmax_backward` from */
    const flm_tensor *from, *to;   /* f32 [R, V]: logits */
    const flm_tensor *residual;    /* f32 [R, V] */
    const flm_tensor *bias;        /* f32 [V] */
    const flm_tensor *coefficient; /* f32 [R, FLM_DISTILL_COEFFICIENTS] */
    float logit_cap;               /* of from and to; 0: none */
    bool softmax_backward;
} flm_distill_error;

/* Cross entropy of a softmax against a mixture of softmaxes by rows, and its gradient. With p = softmax of capped
 * logits, q = weight[r] p(first) + (1 - weight[r]) p(second), or without `second` q = p(first): loss[r] = - sum over V
 * of q log p(logits) grad = (p(logits) - q) scale cap'(logits) Padded rows: all [R, V]. Source: model.md section 9.2.
 */
typedef struct flm_mixture_xent {
    const flm_tensor *loss;           /* f32 [R] */
    const flm_tensor *grad;           /* absent, or act [R, V]; f32: may be logits */
    const flm_tensor *logits;         /* f32 [R, V] */
    const flm_tensor *first, *second; /* f32 [R, V]: logits; second may be absent */
    const flm_tensor *weight;         /* f32 [R]; absent without second */
    float scale, logit_cap;           /* the cap is that of all three; 0: none */
} flm_mixture_xent;

/* The range of a temperature that is not 0 (argmax). */
#define FLM_TEMPERATURE_MIN 0.001
#define FLM_TEMPERATURE_MAX 100.0

/* A token of each row, and its confidence. With y = cap(x), or y = log(max(x, 0)) where scores are linear: temperature
 * 0 chooses the first of the largest x; another draws with probabilities in proportion to exp(y / temperature), of the
 * top_k largest, and of these of the fewest that have the share top_p of their sum; of equal ones the lower ids. The
 * number of row r is flm_philox_uniform of words 0 and 1 of flm_philox_at(stream, first_sample + place / L, place % L,
 * 0) with its place in the batch, place[r] or first_row + r. Sums are fp64. Source of top-p: Holtzman et al.,
 * arXiv:1904.09751. */
typedef struct flm_choose {
    const flm_tensor *index;         /* i32 [R] */
    const flm_tensor *confidence;    /* absent, or f32 [R]: softmax(y) of the token, whatever the temperature */
    const flm_tensor *place;         /* absent, or i32 [R] */
    const flm_tensor *x;             /* f32 [R, V], padded rows: scores; undefined afterwards if temperature > 0 */
    float logit_cap;                 /* of x; 0: none; none if linear */
    bool linear;                     /* scores are weights, negative ones count as 0; not logits */
    double temperature, top_p;       /* 0, or FLM_TEMPERATURE_MIN to _MAX; in (0, 1] if temperature > 0 */
    int64_t top_k;                   /* 0: all */
    int64_t first_sample, first_row; /* of the batch; of x within it */
    int64_t L;                       /* positions, rows of a sample */
    uint64_t stream;
} flm_choose;

/* The Gram matrix of scaled factors F_0, F_1 / s_1, ... from the Gram matrices of the factors, all with d columns:
 * block (i, j) of R = gram of F_i and F_j / (s_i s_j), or 0 where s_i s_j = 0; s_0 = 1, s_j = ||F_j|| / ||F_0||, or 0
 * where that is below 1e-30 or F_0 = 0. Its diagonal grows by ridge ||F_0||^2 / d, that of the last block, if s is not
 * 0, by last_ridge / s^2 of the same. Source: model.md section 4. */
typedef struct flm_gram_scale {
    const flm_tensor *R;     /* f64 [k d, k d]: the lower triangle is written */
    const flm_tensor *scale; /* f32 [k, 2] out: s_j and 1 / s_j, or 0 and 0 */
    const flm_tensor *gram;  /* f64 [k (k + 1) / 2, d, d]: F_i^T F_j, j <= i, is number i (i + 1) / 2 + j */
    double ridge, last_ridge;
} flm_gram_scale;

enum { FLM_GRAM_FACTORS = 3 }; /* max k */
#define FLM_GRAM_SCALE_MIN 1e-30

enum { FLM_DISTILL_COEFFICIENTS = 4, FLM_COMBINE_MAX = 4 };

#endif
