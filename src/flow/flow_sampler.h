/* flow_sampler.h - the Euler sampler of an FLM (docs/model.md section 8), a batch at a time.
 *
 * t_i = i / n, g_i = gamma(t_i), z = x0 in embedded form; z += (g_{i+1} - g_i) (p E - z) / (1 - g_i + 1e-5);
 * the last step's tokens are the arg max of p. Refuses: files, ranks. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_FLOW_SAMPLER_H
#define FLM_FLOW_SAMPLER_H

#include "flow/flow_objective.h"

typedef struct flm_sampler {
    flm_backend *be;
    flm_dit *dit;
    const flm_weights *weights;
    flm_noise_basis *basis;
    const flm_gamma *gamma;
    flm_tensor xi;     /* f32 [B_most, L, K] */
    flm_tensor z, mean;/* f32 [B_most, L, d] */
    flm_tensor E;      /* act [V, d]: the embedding in the compute dtype; weights' own in f32 */
    flm_tensor tokens; /* i32 [B_most, L] */
    float *host;       /* [B_most] */
    flm_arena arena;
} flm_sampler;

/* flm_sampler_create - for batches of up to dit->B_most (a network without training memory serves). The basis must be
 * up to date with the weights. Not collective. */
flm_status flm_sampler_create(flm_dit *dit, const flm_weights *weights, flm_noise_basis *basis,
                              const flm_gamma *gamma, flm_sampler **out);
void flm_sampler_destroy(flm_sampler **sampler);

/* flm_sampler_run - B samples of `steps` steps; tokens host i32 [B, L]. The noise of sample i is a function of the
 * stream and i alone, or given. Not collective. Errors: FLM_E_ARG, FLM_E_NUMERIC, the backend's. */
flm_status flm_sampler_run(flm_sampler *sampler, int64_t B, int64_t steps, const flm_noise_source *noise,
                           int32_t *tokens);

/* flm_sampler_scores - p of rows [first, first + rows) of the last step, f32 [rows, V] in host memory; rows at most
 * dit->chunk. For tests. */
flm_status flm_sampler_scores(flm_sampler *sampler, int64_t first, int64_t rows, float *scores);

#endif
