/* model_dit.h - the DiT of docs/model.md section 2 on one micro-batch: forward, head, backward.
 *
 * Owns the activations of up to max_batch sequences, measured and allocated once; nothing in a pass allocates. The
 * trunk's residual stream is f32, branches have the weights' compute dtype. The input is the embedded state x E, made
 * by the flow room in flm_dit.input; the head never holds more than `chunk` rows of V logits. Refuses: objectives,
 * noise, ranks. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_MODEL_DIT_H
#define FLM_MODEL_DIT_H

#include "backend/backend_ops.h"
#include "model/model_weights.h"

/* What a network's blocks keep of a forward pass. */
typedef enum flm_dit_memory {
    FLM_DIT_INFERENCE, /* nothing: one set for all, no backward pass */
    FLM_DIT_STORE_ALL, /* all that the backward pass needs */
    FLM_DIT_RECOMPUTE  /* their inputs; the backward pass makes the rest again, the same bits, a forward pass more */
} flm_dit_memory;

/* What one block has for its backward pass. FLM_DIT_INFERENCE: all share one set, and x, x_mid are one;
 * FLM_DIT_RECOMPUTE: all share one set but for x. */
typedef struct flm_dit_block {
    flm_tensor x, x_mid;                   /* f32 [B, L, d]: the block's input, and between its two branches */
    flm_tensor mod;                        /* f32 [B, 6d]: shift1 scale1 gate1 shift2 scale2 gate2 */
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
    int64_t max_batch, chunk; /* sequences; rows of the head at once */
    int64_t B;                /* of the last forward */
    flm_tensor input;         /* f32 [max_batch, L, d]: x E of the network; the first block's x */
    flm_tensor t, t_end;      /* f32 [max_batch]: the time, and the time that a two-time network jumps to */
    flm_tensor features, time_h, time_act, time_out, cond; /* f32 [B, F | c | c | c | c] */
    flm_tensor t_end_features, t_end_h, t_end_act;         /* f32 [B, F | c | c], of shape.network with two times */
    flm_dit_block *block;                                  /* [N] */
    flm_tensor x_out, mod_out, mean_out, rstd_out;         /* head: f32 [B, L, d], [B, 2d], [B, L] x 2 */
    flm_tensor y;                                          /* act [B, L, d]: the last hidden state */
    flm_tensor logits;                                     /* f32 [chunk, V], padded rows (backend_tensor.h) */
    flm_tensor probs;       /* act [chunk, V], likewise; the same memory as logits in f32 */
    flm_tensor rope;        /* f32 [L, h/2, 2] */
    flm_tensor grad_x;      /* f32 [B, L, d]; after backward: the gradient of input */
    flm_tensor grad_y;      /* act [B, L, d] */
    flm_tensor grad_branch; /* act [B, L, d] */
    flm_tensor grad_wide;   /* act [B, L, 4d], and qkv's gradient */
    flm_tensor grad_mod, grad_mod_out, grad_cond, grad_c1, grad_c2; /* f32 [B, 6d | 2d | c | c | c] */
    flm_arena arena;
} flm_dit;

/* Dropout of a whole pass: sites are derived from it (FLM_RANDOM_DROPOUT). p = 0: none. Several passes of a step draw
 * independently when `pass`, 0 .. FLM_DIT_PASSES - 1, differs. */
enum { FLM_DIT_PASSES = 3 };
typedef struct flm_dit_dropout {
    float p;
    uint64_t seed, step;
    int64_t first_sample; /* global index within the step */
    uint32_t pass;
} flm_dit_dropout;

/* Told when the gradient of a bucket is complete, in the order of the backward pass. */
typedef struct flm_dit_hook {
    flm_status (*ready)(void *context, int bucket);
    void *context;
} flm_dit_hook;

/* flm_dit_create - allocate the activations of up to max_batch sequences; chunk rows of logits at once (1..max_batch
 * L). shape.network: one-time networks alone, or both kinds; what a head's output means is the caller's. act: compute
 * dtype, as the weights'. Not collective. Errors: FLM_E_ARG, FLM_E_NOMEM with the bytes asked. */
flm_status flm_dit_create(flm_backend *be, const flm_model_shape *shape, flm_dtype act, int64_t max_batch,
                          int64_t chunk, flm_dit_memory memory, flm_dit **out);

/* flm_dit_destroy - accepts NULL, nulls it. */
void flm_dit_destroy(flm_dit **dit);

/* flm_dit_forward - the last hidden state y [B, L, d] of the sequences in dit->input[0..B) at times dit->t[0..B) (and
 * dit->t_end, where the weights are of a two-time network; one dit serves networks of both kinds).
 * dropout: NULL for none. Errors: FLM_E_ARG (B; two-time weights in a one-time dit), the backend's.
 * Source: model.md section 2. */
flm_status flm_dit_forward(flm_dit *dit, const flm_weights *weights, int64_t B, const flm_dit_dropout *dropout);

/* flm_dit_backward - from dit->grad_y (gradient of y) to dit->grad_x (gradient of input); weights' gradients +=.
 * Needs the memory for it, the forward of the same B just before, the same weights and the same dropout. hook: NULL, or
 * told of each bucket but the embedding's and flm_bucket_two_time, which flow completes; the head's buckets are
 * complete before this begins and told first. */
flm_status flm_dit_backward(flm_dit *dit, const flm_weights *weights, const flm_dit_dropout *dropout,
                            const flm_dit_hook *hook);

/* flm_dit_head_logits - logits f32 [rows, V] of rows [first, first + rows) of y flattened to [B L, d], in dit->logits.
 * rows is at most chunk. */
flm_status flm_dit_head_logits(flm_dit *dit, const flm_weights *weights, int64_t first, int64_t rows);

/* flm_dit_head_backward - the gradients of rows [first, first + rows) of the logits y Wout^T + bout, y of the last
 * forward pass flattened to [B L, d].   in grad act [rows, V]   out dit->grad_y =, grad Wout, bout +=. */
flm_status flm_dit_head_backward(flm_dit *dit, const flm_weights *weights, const flm_tensor *grad, int64_t first);

/* flm_dit_head_loss - softmax, cross entropy and their gradient over all rows, a chunk at a time.
 * in  tokens i32 [B, L]; scale: gradient of the total loss by one row's loss, e.g. 1 / (n L)
 * out loss f32 [B L]; with `backward`: dit->grad_y =, and grad Wout, bout +=. Source: model.md section 5. */
flm_status flm_dit_head_loss(flm_dit *dit, const flm_weights *weights, const flm_tensor *tokens, float scale,
                             const flm_tensor *loss, bool backward);

/* flm_dit_head_mean_embedding - softmax(y Wout^T + bout) E over all rows, a chunk at a time: the mean embedding, in
 * each of `count` embeddings by one soft max. in  E count tensors act [V, d] (of the compute dtype)   out mean count
 * tensors f32 [B, L, d]. Source: model.md section 8. */
flm_status flm_dit_head_mean_embedding(flm_dit *dit, const flm_weights *weights, int count, const flm_tensor *E,
                                       const flm_tensor *mean);

/* flm_dit_map_residual - what turns a residual network's last hidden state y into its output times an embedding:
 * (y Wout^T + bout) E = y map + offset.
 * in  weights of FLM_NETWORK_RESIDUAL; E f32 [V, d], E_act act [V, d]: the same (one tensor in f32)
 * out map act [d, d] = Wout^T E; offset f32 [1, d] = bout^T E. Source: model.md section 6. */
flm_status flm_dit_map_residual(flm_backend *be, const flm_weights *weights, const flm_tensor *E,
                                const flm_tensor *E_act, const flm_tensor *map, const flm_tensor *offset);

/* flm_dit_matmul - C = op(A) op(B) [+ C] [+ bias] [then gelu]: flm_ops.matmul with tensors flattened to 2-D.
 * bias, gelu: NULL for none. */
flm_status flm_dit_matmul(flm_backend *be, const flm_tensor *a, bool transpose_a, const flm_tensor *b, bool transpose_b,
                          const flm_tensor *c, bool accumulate, const flm_tensor *bias, const flm_tensor *gelu);

#endif
