/* flow_sampler_any_order.c - the flow sampler of any-order flow maps: all tokens are active, with times i/n to (i+1)/n;
 * z = (1-k) z + k p E with k = (1/n) / (1 - i/n); tokens are the argmax of p (docs/model.md section 10.3).
 * SPDX-License-Identifier: Apache-2.0 */
#include "flow/flow_sampler_internal.h"

static flm_status step(flm_sampler *s, int64_t B, const flm_sampler_step *at)
{
    flm_status rc = FLM_OK;
    const flm_tensor z = flm_tensor_slice(&s->z[0], 0, B), mean = flm_tensor_slice(&s->mean[0], 0, B);
    const flm_tensor context = flm_tensor_slice(&s->parts.dit->context, 0, B);
    const double k = (at->t_end - at->t) / (1 - at->t);
    FLM_TRY(s->be->memory->zero(s->be, context.data, flm_tensor_bytes(&context)));
    FLM_TRY(flm_sampler_evaluate(s, 0, B, at));
    if (at->last) goto done;
    FLM_TRY(flm_dit_head_mean_embedding(s->parts.dit, s->parts.weights, 1, s->E, s->mean));
    FLM_TRY(flm_op_axpby(s->be, &z, (float)k, &mean, (float)(1 - k)));
done:
    return rc;
}

/* Logits have the same argmax as p: a cap does not change their order. */
static flm_status scores(flm_sampler *s, int64_t first, int64_t rows)
{
    return flm_dit_head_logits(s->parts.dit, s->parts.weights, first, rows);
}

const flm_sampler_ops flm_sampler_any_order = {.step = step, .scores = scores};
