/* flow_objective_internal.h - the tables of the objectives, and what their files share. SPDX-License-Identifier:
 * Apache-2.0
 */
#ifndef FLM_FLOW_OBJECTIVE_INTERNAL_H
#define FLM_FLOW_OBJECTIVE_INTERNAL_H

#include "flow/flow_objective.h"

/* The tables, each in the file of its objective: flm_objective_flm, flm_objective_two_model, ... */
#define FLM_KIND(id, name, old_name, network, objective, sampler) \
    extern const flm_objective_ops flm_objective_##objective;
#include "flow/flow_kind.def"

/* flm_objective_load - copy tokens, xi, times (to dit->t) and g (to o->g) to the device; the host arrays may change
 * afterwards. in g host, like o->g of B sequences; o->host + max_batch has room for it. */
flm_status flm_objective_load(flm_objective *o, const flm_micro_batch *batch, const float *g);

/* flm_objective_state - x f32 [max_batch, L, d] = (1-g) xi T_j + g E[token] of network j of the noise basis, in its
 * first B sequences. */
flm_status flm_objective_state(flm_objective *o, int j, const flm_tensor *x, const flm_tensor *E, int64_t B);

/* flm_objective_embedding - the end of a backward pass, from dit->grad_x: E's gradient, the data part by scatter, the
 * noise part as M += xi^T ((1-g) grad_x). Calls the hook for flm_bucket_two_time, if there is one, and the embedding.
 */
flm_status flm_objective_embedding(flm_objective *o, const flm_weights *weights, const flm_micro_batch *batch);

/* flm_objective_pass - a pass without gradient: the last hidden state of x f32 [max_batch, L, d] at times t and t_end
 * (absent: one time), into parts.inference->y. x may be inference->input. */
flm_status flm_objective_pass(flm_objective *o, const flm_weights *weights, int64_t B, const flm_tensor *x,
                              const flm_tensor *t, const flm_tensor *t_end, const flm_dit_dropout *dropout);

/* flm_objective_logits - logits f32 [rows, V] = y Wout^T [+ bout] of rows [first, first + rows) of y act
 * [max_batch, L, d]. */
flm_status flm_objective_logits(flm_objective *o, const flm_weights *weights, const flm_tensor *y, int64_t first,
                                const flm_tensor *logits, bool bias);

/* flm_objective_add_loss - add the first `rows` of o->loss to the total, and their number to o->rows. */
flm_status flm_objective_add_loss(flm_objective *o, int64_t rows);

#endif
