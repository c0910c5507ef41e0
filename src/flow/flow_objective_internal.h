/* flow_objective_internal.h - shared by the objectives' files. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_FLOW_OBJECTIVE_INTERNAL_H
#define FLM_FLOW_OBJECTIVE_INTERNAL_H

#include "flow/flow_objective.h"

/* Tokens, xi, the times t in dit->t and g in o->g to the device; host arrays are free again. g: host [B]. */
flm_status flm_objective_load(flm_objective *o, const flm_micro_batch *batch, const float *g);

/* x f32 [max_batch, L, d] = (1-g) xi T_j + g E[token] of network j in its first B sequences. */
flm_status flm_objective_state(flm_objective *o, int j, const flm_tensor *x, const flm_tensor *E, int64_t B);

/* From dit->grad_x: E's gradient, the data part by scatter, the noise part as M += xi^T ((1-g) grad_x); the hook. */
flm_status flm_objective_embedding(flm_objective *o, const flm_weights *weights, const flm_micro_batch *batch);

/* A pass without gradient: the last hidden state of x f32 [max_batch, L, d] at times t, until (absent: none), left in
 * parts.frozen->y. x may be frozen->input. */
flm_status flm_objective_pass(flm_objective *o, const flm_weights *weights, int64_t B, const flm_tensor *x,
                              const flm_tensor *t, const flm_tensor *until, const flm_dit_dropout *dropout);

/* logits f32 [rows, V] = y Wout^T [+ bout] of rows [first, first + rows) of y act [max_batch, L, d]. */
flm_status flm_objective_logits(flm_objective *o, const flm_weights *weights, const flm_tensor *y, int64_t first,
                                const flm_tensor *logits, bool bias);

/* grad act [rows, V] of the logits of those rows of dit->y: Wout's and bout's gradients +=, dit->grad_y =. */
flm_status flm_objective_head(flm_objective *o, const flm_weights *weights, const flm_tensor *grad, int64_t first);

/* Rows [first, first + rows) of a tensor [max_batch, L, d] as [rows, d]. */
flm_tensor flm_objective_rows(const flm_tensor *t, int64_t first, int64_t rows);

/* The stages: their own buffers, what they make once a step, and a micro-batch. */
flm_status flm_stage_one_create(flm_objective *o, struct flm_stage_one **out);
void flm_stage_one_destroy(struct flm_stage_one **one);
size_t flm_stage_one_bytes(const struct flm_stage_one *one);
flm_status flm_stage_one_begin(flm_objective *o, const flm_weights *weights);
flm_status flm_stage_one_micro(flm_objective *o, const flm_weights *weights, const flm_micro_batch *batch);

flm_status flm_stage_two_create(flm_objective *o, struct flm_stage_two **out);
void flm_stage_two_destroy(struct flm_stage_two **two);
size_t flm_stage_two_bytes(const struct flm_stage_two *two);
flm_status flm_stage_two_micro(flm_objective *o, const flm_weights *weights, const flm_micro_batch *batch);

#endif
