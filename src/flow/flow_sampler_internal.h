/* flow_sampler_internal.h - the tables of the samplers, and what their files share. SPDX-License-Identifier: Apache-2.0
 */
#ifndef FLM_FLOW_SAMPLER_INTERNAL_H
#define FLM_FLOW_SAMPLER_INTERNAL_H

#include "flow/flow_sampler.h"

/* The tables, each in the file of its sampler: flm_sampler_flm, flm_sampler_two_model, flm_sampler_map. */
#define FLM_KIND(id, name, old_name, network, objective, sampler) extern const flm_sampler_ops flm_sampler_##sampler;
#include "flow/flow_kind.def"

/* flm_sampler_evaluate - evaluate network j at its state z and the times of the step; the last hidden state is in
 * dit->y. */
flm_status flm_sampler_evaluate(flm_sampler *s, int j, int64_t B, const flm_sampler_step *step);

/* flm_sampler_fresh_noise - noise f32 [max_batch, L, d] = eps E of every network, in its first B sequences, with eps of
 * this step alone. */
flm_status flm_sampler_fresh_noise(flm_sampler *s, int64_t B, const flm_sampler_step *step, const flm_tensor *noise);

/* flm_sampler_steps - all steps, from the states in z to what the scores are made of. */
flm_status flm_sampler_steps(flm_sampler *s, int64_t B, const flm_sampling *sampling);

/* flm_sampler_put_known - the states of the tokens in s->known that are not negative: (1 - g) initial + g E[token]. */
flm_status flm_sampler_put_known(flm_sampler *s, int64_t B, double g);

/* flm_sampler_choose - tokens i32 [R] of R rows by their scores, with numbers of this round; confidence: absent, or f32
 * [R]; place: absent, or i32 [at least R], the rows' places in the batch, otherwise 0, 1, ... */
flm_status flm_sampler_choose(flm_sampler *s, const flm_sampling *sampling, int64_t round, const flm_tensor *tokens,
                              const flm_tensor *confidence, const flm_tensor *place);

/* flm_sampler_check_tokens - FLM_E_NUMERIC where a device has reported scores that are NaN. tokens host i32 [B, L]. */
flm_status flm_sampler_check_tokens(const int32_t *tokens, int64_t B, int64_t L);

#endif
