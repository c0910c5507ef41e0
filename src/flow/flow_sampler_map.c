/* flow_sampler_map.c - the sampler of flow maps in one network with a softmax head, with fresh noise of level G at
 * every step: p = D(z; t, tau); z = keep z + mean p E + noise eps E; tokens are the argmax of p (docs/model.md
 * section 9.3). G = 0 is the plain map. SPDX-License-Identifier: Apache-2.0 */
#include "flow/flow_sampler_internal.h"

#include <math.h>

/* Added to the denominator in files of version 0.1, whose logits are not capped: model.md section 8. */
static const double uncapped_epsilon = 1e-5;

/* From t to t_end the network jumps to tau, and noise takes the state back to t_end. */
typedef struct map_step {
    double tau, keep, mean, noise;
} map_step;

static map_step step_make(const flm_sampler *s, const flm_sampler_step *at)
{
    const double G = at->noise_level, sigma = 1 - at->g_end;
    if (G == 0) {
        const double epsilon =
            s->parts.weights->shape.logit_cap > 0 || s->parts.kind == &flm_kinds[FLM_KIND_FMLM] ? 0 : uncapped_epsilon;
        const double k = (at->g_end - at->g) / (1 - at->g + epsilon);
        return (map_step){at->t_end, 1 - k, k, 0};
    }
    const double rest = sigma * sqrt(fmax(1 - G * G, 0)), g = 1 - rest;
    return (map_step){.tau = at->last ? 1 : flm_gamma_alpha(s->parts.gamma, g),
                      .keep = rest / (1 - at->g),
                      .mean = (g - at->g) / (1 - at->g) + rest - sigma,
                      .noise = G * sigma};
}

static flm_status step(flm_sampler *s, int64_t B, const flm_sampler_step *at)
{
    flm_status rc = FLM_OK;
    const flm_tensor z = flm_tensor_slice(&s->z[0], 0, B), mean = flm_tensor_slice(&s->mean[0], 0, B);
    const map_step c = step_make(s, at);
    flm_sampler_step jump = *at;
    jump.t_end = c.tau;
    FLM_TRY(flm_sampler_evaluate(s, 0, B, &jump));
    if (at->last) goto done;
    FLM_TRY(flm_dit_head_mean_embedding(s->parts.dit, s->parts.weights, 1, s->E, s->mean));
    FLM_TRY(flm_op_axpby(s->be, &z, (float)c.mean, &mean, (float)c.keep));
    if (c.noise == 0) goto done;
    FLM_TRY(flm_sampler_fresh_noise(s, B, at, s->mean));
    FLM_TRY(flm_op_axpby(s->be, &z, (float)c.noise, &mean, 1.0f));
done:
    return rc;
}

/* Logits have the same argmax as p: a cap does not change their order. */
static flm_status scores(flm_sampler *s, int64_t first, int64_t rows)
{
    return flm_dit_head_logits(s->parts.dit, s->parts.weights, first, rows);
}

const flm_sampler_ops flm_sampler_map = {.noise_level = true, .step = step, .scores = scores};
