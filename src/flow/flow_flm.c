/* flow_flm.c - the objective of a flow language model: cross entropy at one time (docs/model.md section 5).
 * SPDX-License-Identifier: Apache-2.0 */
#include "flow/flow_objective_internal.h"

#include "flow/flow_time.h"

static void sample_times(const flm_objective *o, uint64_t seed, flm_random_purpose purpose, uint64_t step, int64_t n,
                         int64_t first, int64_t count, double *t, double *d)
{
    (void)o;
    (void)d; /* there are no jumps */
    flm_time_stratified(seed, purpose, step, n, first, count, t);
}

/* x = (1-g) xi T + g E[token], cross entropy, gradients. */
static flm_status micro_batch(flm_objective *o, const flm_weights *weights, const flm_micro_batch *batch)
{
    flm_status rc = FLM_OK;
    flm_dit *dit = o->parts.dit;
    const int64_t B = batch->B;
    const flm_tensor tokens = flm_tensor_slice(&o->tokens, 0, B);
    const flm_tensor loss = flm_tensor_slice(&o->loss, 0, B * dit->shape.L);
    float *g = o->host + dit->max_batch;
    for (int64_t i = 0; i < B; i++) g[i] = (float)flm_gamma_at(o->parts.gamma, batch->t[i]);
    FLM_TRY(flm_objective_load(o, batch, g));
    FLM_TRY(flm_objective_state(o, 0, &dit->input, &weights->w.E, B));
    FLM_TRY(flm_dit_forward(dit, weights, B, batch->dropout));
    FLM_TRY(flm_dit_head_loss(dit, weights, &tokens, (float)batch->scale, &loss, batch->backward));
    FLM_TRY(flm_objective_add_loss(o, B * dit->shape.L));
    if (batch->backward) {
        FLM_TRY(flm_dit_backward(dit, weights, batch->dropout, batch->hook));
        FLM_TRY(flm_objective_embedding(o, weights, batch));
    }
done:
    return rc;
}

const flm_objective_ops flm_objective_flm = {
    .trunk_passes = 3, .head_passes = 3, .sample_times = sample_times, .micro_batch = micro_batch};
