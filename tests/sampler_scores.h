/* sampler_scores.h - the scores by which a sampler chose its tokens, as golden files give them.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_TESTS_SAMPLER_SCORES_H
#define FLM_TESTS_SAMPLER_SCORES_H

#include "flow/flow_sampler.h"

/* sampler_scores - of the batch just sampled, rows [first, first + rows), at most dit->chunk, f32 [rows, V] in host
 * memory: p of a network with a softmax head, whose sampler takes the argmax of its logits; k p + (dg^2 / 2) residual
 * of a residual (model.md section 8). */
static inline flm_status sampler_scores(flm_sampler *s, int64_t first, int64_t rows, float *scores)
{
    flm_status rc = FLM_OK;
    const flm_tensor logits = flm_tensor_slice(&s->parts.dit->logits, 0, rows);
    FLM_TRY(s->ops->scores(s, first, rows));
    if (s->parts.kind->network != FLM_NETWORK_RESIDUAL)
        FLM_TRY(flm_op_softmax(s->be, &logits, &logits, (float)s->parts.weights->shape.logit_cap));
    FLM_TRY(flm_backend_to_host(s->be, scores, &logits));
    FLM_TRY(s->be->stream->sync(s->be));
done:
    return rc;
}

#endif
