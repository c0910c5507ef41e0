/* model_internal.h - private to the model module. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_MODEL_INTERNAL_H
#define FLM_MODEL_INTERNAL_H

#include "model/model_dit.h"

/* Columns of a block's modulation, in units of d: [shift1 scale1 gate1 shift2 scale2 gate2] (model.md section 2). */
enum { SHIFT1 = 0, SCALE1 = 1, GATE1 = 2, SHIFT2 = 3, SCALE2 = 4, GATE2 = 5, MODULATIONS = 6 };

/* The first B sequences of a tensor made for max_batch. */
static inline flm_tensor batch_of(const flm_dit *dit, const flm_tensor *t) { return flm_tensor_slice(t, 0, dit->B); }

/* Of a tensor with a row for each condition, those of the last forward pass. */
static inline flm_tensor conditions_of(const flm_dit *dit, const flm_tensor *t)
{
    return flm_tensor_slice(t, 0, dit->conditions);
}

/* The kinds of the tokens, absent if all have the sequence's condition: context of the operations. */
static inline flm_tensor context_of(const flm_dit *dit)
{
    return dit->conditions > dit->B ? batch_of(dit, &dit->context) : flm_tensor_none();
}

/* flm_dit_block_view - the tensors of block i, cut to the batch. */
flm_dit_block flm_dit_block_view(const flm_dit *dit, int64_t i);

/* flm_dit_block_forward - the activations of block i from its x, and its output x_next f32 [B, L, d], NULL to skip it.
 */
flm_status flm_dit_block_forward(flm_dit *dit, const flm_block_weights *w, int64_t i, const flm_tensor *x_next,
                                 const flm_dit_dropout *dropout);

/* flm_dit_block_mlp_input, flm_dit_block_attention_input - x_mid and y2, and y1, of block i from its x and proj. */
flm_status flm_dit_block_mlp_input(flm_dit *dit, const flm_block_weights *w, int64_t i, const flm_dit_dropout *dropout);
flm_status flm_dit_block_attention_input(flm_dit *dit, const flm_block_weights *w, int64_t i);

/* flm_dit_site - dropout of site 2 * block + branch (0 attention, 1 MLP); none if dropout is NULL. */
flm_dropout flm_dit_site(const flm_dit_dropout *dropout, int64_t block, int branch);

/* flm_dit_embed_time - out (+)= Linear(SiLU(Linear(features(t)))); w: W1 b1 W2 b2.
 * All f32: t [B], features [B, F], h, act, out [B, c]. */
flm_status flm_dit_embed_time(flm_backend *be, const flm_tensor *t, const flm_tensor *features, const flm_tensor *h,
                              const flm_tensor *act, const flm_tensor *const w[4], const flm_tensor *out,
                              bool accumulate);

/* flm_dit_embed_time_backward - from grad_out [B, c]: gradients of W1 b1 W2 b2 +=. grad_h [B, c] is scratch. */
flm_status flm_dit_embed_time_backward(flm_backend *be, const flm_tensor *grad_out, const flm_tensor *features,
                                       const flm_tensor *h, const flm_tensor *act, const flm_tensor *W2,
                                       const flm_tensor *const grad[4], const flm_tensor *grad_h);

/* flm_dit_condition - cond = SiLU(emb_s(t) [+ emb_u(t_end)]), and its backward pass from dit->grad_cond. */
flm_status flm_dit_condition(flm_dit *dit, const flm_weights *weights);
flm_status flm_dit_condition_backward(flm_dit *dit, const flm_weights *weights);

/* flm_dit_modulation - mod = cond A^T + a, and its backward pass: grad A, grad a +=, dit->grad_cond +=. */
flm_status flm_dit_modulation(flm_dit *dit, const flm_tensor *mod, const flm_tensor *A, const flm_tensor *a);
flm_status flm_dit_modulation_backward(flm_dit *dit, const flm_tensor *grad_mod, const flm_tensor *A,
                                       const flm_tensor *grad_A, const flm_tensor *grad_a);

#endif
