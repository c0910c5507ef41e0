/* model_dit.h - the DiT of docs/model.md section 2 on one micro-batch: forward pass, head, backward pass.
 *
 * Owns the activations of up to max_batch sequences, allocated once; no pass allocates. The trunk's residual stream is
 * f32, its branches have the compute dtype of the weights. The input is the embedded state x E, which the caller writes
 * to flm_dit.input. The head holds at most `chunk` rows of V logits. Leaves objectives and noise to flow, and ranks to
 * train. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_MODEL_DIT_H
#define FLM_MODEL_DIT_H

#include "backend/backend_ops.h"
#include "model/model_weights.h"

/* Which activations the blocks keep for the backward pass. */
typedef enum flm_dit_memory {
    FLM_DIT_INFERENCE,      /* none: the blocks share one set, there is no backward pass */
    FLM_DIT_STORE_ALL,      /* all */
    FLM_DIT_STORE_PRODUCTS, /* inputs of blocks and what matmuls and attention computed; the backward pass recomputes
                               what follows from them element by element, with equal bits. On the CPU. */
    FLM_DIT_RECOMPUTE /* inputs of blocks; the backward pass recomputes the rest with equal bits, one more forward pass
                       */
} flm_dit_memory;

/* Activations of one block. With FLM_DIT_INFERENCE the blocks share one set, and x and x_mid are the same memory; with
 * FLM_DIT_RECOMPUTE they share all but x, with FLM_DIT_STORE_PRODUCTS x_mid, y1, y2 and h_act. Conditions: one for each
 * sequence, or in a network with context and active tokens two, those of the active tokens of all sequences first. */
typedef struct flm_dit_block {
    flm_tensor x, x_mid;                   /* f32 [B, L, d]: input of the block, and after its first branch */
    flm_tensor mod;                        /* f32 [conditions, 6d]: shift1 scale1 gate1 shift2 scale2 gate2 */
    flm_tensor mean1, rstd1, mean2, rstd2; /* f32 [B, L] */
    flm_tensor y1, qkv, o, proj;           /* act [B, L, d | 3d | d | d]; q and k after RoPE */
    flm_tensor lse;                        /* f32 [B, H, L] */
    flm_tensor y2, h_pre, h_act, out;      /* act [B, L, d | 4d | 4d | d] */
} flm_dit_block;

typedef struct flm_dit {
    flm_backend *be;
    flm_model_shape shape;
    flm_dtype act;
    flm_dit_memory memory;
    int64_t max_batch, chunk; /* sequences; rows of logits at once */
    int64_t B;                /* of the last forward pass */
    int64_t conditions;       /* of that pass: B, or 2 B of a network with context and active tokens */
    flm_tensor input;         /* f32 [max_batch, L, d]: x E of the network; the first block's x */
    flm_tensor t, t_end;      /* f32 [max conditions]: the time, and the time that a two-time network jumps to */
    flm_tensor context;       /* i32 [max_batch, L]: 1 for context tokens, 0 for active ones; absent unless
                                 shape.network is FLM_NETWORK_ANY_ORDER */
    flm_tensor ones;          /* f32 [max_batch]: the times of context tokens; absent likewise */
    flm_tensor features, time_h, time_act, time_out, cond; /* f32 [conditions, F | c | c | c | c] */
    flm_tensor t_end_features, t_end_h,
        t_end_act;        /* f32 [conditions, F | c | c]; absent if shape.network has one time */
    flm_dit_block *block; /* [N] */
    flm_tensor x_out, mod_out, mean_out, rstd_out; /* head: f32 [B, L, d], [conditions, 2d], [B, L] x 2 */
    flm_tensor y;                                  /* act [B, L, d]: the last hidden state */
    flm_tensor logits;                             /* f32 [chunk, V], padded rows (backend_tensor.h) */
    flm_tensor probs;                              /* act [chunk, V], likewise; the same memory as logits in f32 */
    flm_tensor rope;                               /* f32 [L, h/2, 2] */
    flm_tensor grad_x;                             /* f32 [B, L, d]; after backward: the gradient of input */
    flm_tensor grad_y;                             /* act [B, L, d] */
    flm_tensor grad_branch;                        /* act [B, L, d] */
    flm_tensor grad_wide;                          /* act [B, L, 4d], and qkv's gradient */
    flm_tensor grad_mod, grad_mod_out, grad_cond, grad_c1, grad_c2; /* f32 [conditions, 6d | 2d | c | c | c] */
    flm_arena arena;
} flm_dit;

/* Dropout of a forward pass; the streams of its sites are derived from it (FLM_RANDOM_DROPOUT). p = 0: none. Passes of
 * one step draw independently if they differ in `pass`, 0 .. FLM_DIT_PASSES - 1. */
enum { FLM_DIT_PASSES = 3 };
typedef struct flm_dit_dropout {
    float p;
    uint64_t seed, step;
    int64_t first_sample; /* global index within the step */
    uint32_t pass;
} flm_dit_dropout;

/* Called when the gradient of a bucket is complete, in the order of the backward pass. */
typedef struct flm_dit_hook {
    flm_status (*ready)(void *context, int bucket);
    void *context;
} flm_dit_hook;

/* flm_dit_create - allocate the activations of up to max_batch sequences and of chunk rows of logits, at most
 * max_batch L. Activations for a two-time network also serve one-time networks of the same sizes, and those for
 * FLM_NETWORK_ANY_ORDER networks of all forms. act: compute dtype,
 * equal to that of the weights. Not collective. Errors: FLM_E_ARG, FLM_E_NOMEM naming the bytes. */
flm_status flm_dit_create(flm_backend *be, const flm_model_shape *shape, flm_dtype act, int64_t max_batch,
                          int64_t chunk, flm_dit_memory memory, flm_dit **out);

/* flm_dit_destroy - accepts NULL, nulls it. */
void flm_dit_destroy(flm_dit **dit);

/* flm_dit_forward - the last hidden state, into dit->y.
 * in  dit->input f32 [B, L, d], overwritten with FLM_DIT_INFERENCE; dit->t f32 [B]; dit->t_end f32 [B] if the weights
 *     are of a two-time network; dit->context i32 [B, L] if they are of FLM_NETWORK_ANY_ORDER: t and t_end are then the
 *     times of active tokens, and the pass itself sets those of context tokens, (1, 1), behind them; dropout, NULL for
 *     none   out dit->y act [B, L, d].
 * Errors: FLM_E_ARG (B; activations that do not serve the weights' form), the backend's. Source: model.md sections 2
 * and 10. */
flm_status flm_dit_forward(flm_dit *dit, const flm_weights *weights, int64_t B, const flm_dit_dropout *dropout);

/* flm_dit_backward - from dit->grad_y, the gradient of y, to dit->grad_x, that of the input; gradients of weights +=.
 * Must follow the forward pass of the same B, weights and dropout; not with FLM_DIT_INFERENCE. hook: NULL, or called
 * for every bucket except the embedding's and flm_bucket_two_time, which the caller completes; for those of the head
 * first, whose gradients flm_dit_head_backward has completed. */
flm_status flm_dit_backward(flm_dit *dit, const flm_weights *weights, const flm_dit_dropout *dropout,
                            const flm_dit_hook *hook);

/* flm_dit_head_logits - logits of rows [first, first + rows) of y flattened to [B L, d], rows at most dit->chunk.
 * out dit->logits f32 [rows, V]. */
flm_status flm_dit_head_logits(flm_dit *dit, const flm_weights *weights, int64_t first, int64_t rows);

/* flm_dit_head_backward - the gradients of rows [first, first + rows) of the logits y Wout^T + bout, y of the last
 * forward pass flattened to [B L, d].   in grad act [rows, V]   out dit->grad_y =, grad Wout, bout +=. */
flm_status flm_dit_head_backward(flm_dit *dit, const flm_weights *weights, const flm_tensor *grad, int64_t first);

/* flm_dit_head_loss - softmax cross entropy and its gradient for all rows, a chunk at a time.
 * in  tokens i32 [B, L]; scale: gradient of the total loss by one row's loss, e.g. 1 / (n L)
 * out loss f32 [B L]; with `backward`: dit->grad_y =, and grad Wout, bout +=. Source: model.md section 5. */
flm_status flm_dit_head_loss(flm_dit *dit, const flm_weights *weights, const flm_tensor *tokens, float scale,
                             const flm_tensor *loss, bool backward);

/* flm_dit_head_mean_embedding - p E_k with p = softmax(y Wout^T + bout), for all rows, a chunk at a time: the mean
 * embedding, in each of `count` embeddings with one softmax.
 * in  E count tensors act [V, d]   out mean count tensors f32 [B, L, d]. Source: model.md section 8. */
flm_status flm_dit_head_mean_embedding(flm_dit *dit, const flm_weights *weights, int count, const flm_tensor *E,
                                       const flm_tensor *mean);

/* flm_dit_head_mean_rows - the same for the first `rows` rows of y flattened to [B L, d] alone.
 * out mean count tensors f32 [max_batch, L, d], of which rows [0, rows) are written. */
flm_status flm_dit_head_mean_rows(flm_dit *dit, const flm_weights *weights, int64_t rows, int count,
                                  const flm_tensor *E, const flm_tensor *mean);

/* flm_dit_map_residual - the affine map from the last hidden state y of a residual network to its output times an
 * embedding: (y Wout^T + bout) E = y map + bias.
 * in  weights of FLM_NETWORK_RESIDUAL; E f32 [V, d]; E_act act [V, d], the same values, the same tensor if act is f32
 * out map act [d, d] = Wout^T E; bias f32 [1, d] = bout^T E. Source: model.md section 6. */
flm_status flm_dit_map_residual(flm_backend *be, const flm_weights *weights, const flm_tensor *E,
                                const flm_tensor *E_act, const flm_tensor *map, const flm_tensor *bias);

/* flm_dit_matmul - C = op(A) op(B) [+ C] [+ bias], and gelu = GELU(C): flm_op_matmul of tensors flattened to 2-D.
 * bias, gelu: NULL for none. */
flm_status flm_dit_matmul(flm_backend *be, const flm_tensor *a, bool transpose_a, const flm_tensor *b, bool transpose_b,
                          const flm_tensor *c, bool accumulate, const flm_tensor *bias, const flm_tensor *gelu);

#endif
