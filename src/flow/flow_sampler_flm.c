/* flow_sampler_flm.c - the sampler of flow language models: z += (g_end - g) (p E - z) / (1 - g + 1e-5); tokens are the
 * argmax of p (docs/model.md section 8). SPDX-License-Identifier: Apache-2.0 */
#include "flow/flow_sampler_internal.h"

/* Added to the denominator: model.md section 8. */
static const double epsilon = 1e-5;

static flm_status step(flm_sampler *s, int64_t B, const flm_sampler_step *at)
{
    flm_status rc = FLM_OK;
    const flm_tensor z = flm_tensor_slice(&s->z[0], 0, B), mean = flm_tensor_slice(&s->mean[0], 0, B);
    const double k = (at->g_end - at->g) / (1 - at->g + epsilon);
    FLM_TRY(flm_sampler_evaluate(s, 0, B, at));
    if (at->last) goto done;
    FLM_TRY(flm_dit_head_mean_embedding(s->parts.dit, s->parts.weights, 1, s->E, s->mean));
    FLM_TRY(flm_op_axpby(s->be, &z, (float)k, &mean, (float)(1 - k)));
done:
    return rc;
}

/* Logits have the same argmax as p. */
static flm_status scores(flm_sampler *s, int64_t first, int64_t rows)
{
    return flm_dit_head_logits(s->parts.dit, s->parts.weights, first, rows);
}

const flm_sampler_ops flm_sampler_flm = {.step = step, .scores = scores};
