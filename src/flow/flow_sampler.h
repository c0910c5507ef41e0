/* flow_sampler.h - the samplers of all three kinds of network (docs/model.md section 8), a batch at a time.
 *
 * n steps, t_i = i / n, g_i = gamma(t_i), z = x0 in embedded form, one array a network. An FLM and a stage-two map move
 * by z += (g_{i+1} - g_i) (p E - z) / (1 - g_i + 1e-5); a stage-one map moves both its own state and its teacher's by
 * z_j += k (p E_j - z_j) + (dg^2 / 2) (residual E_j). Refuses: files, ranks. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_FLOW_SAMPLER_H
#define FLM_FLOW_SAMPLER_H

#include "flow/flow_objective.h"

typedef struct flm_sampler {
    flm_backend *be;
    flm_dit *dit;
    const flm_weights *weights, *teacher; /* teacher: NULL but for a stage-one map */
    flm_noise_basis *basis;
    const flm_gamma *gamma;
    flm_tensor xi[FLM_NOISE_NETWORKS]; /* basis->blocks, f32 [max_batch, L, width] */
    flm_tensor z[2], mean[2];          /* f32 [max_batch, L, d]: of the teacher and the map, or of the only network */
    flm_tensor E[2];                   /* act [V, d]: the embeddings in the compute dtype; weights' own in f32 */
    flm_tensor tokens;                 /* i32 [max_batch, L] */
    /* of a stage-one map: */
    flm_tensor product;           /* f32 [max_batch, L, d] */
    flm_tensor y_teacher;         /* act [max_batch, L, d], of the last step */
    flm_tensor map[2], offset[2]; /* flm_residual_maps */
    flm_tensor residual;          /* f32 [chunk, V] */
    double k, jump;               /* of the last step */
    float *host;                  /* [2 max_batch] */
    flm_arena arena;
} flm_sampler;

/* flm_sampler_create - for batches of up to dit->max_batch (a network without training memory serves; made for two
 * times where weights are). weights: an FLM's or a stage-two map's, with teacher NULL and a basis of their own
 * embedding; or a stage-one map's, with its teacher and the basis of [teacher, map]. The basis must be up to date with
 * the weights when samples are made. Not collective. Errors: FLM_E_ARG (networks that do not fit), FLM_E_NOMEM. */
flm_status flm_sampler_create(flm_dit *dit, const flm_weights *weights, const flm_weights *teacher,
                              flm_noise_basis *basis, const flm_gamma *gamma, flm_sampler **out);
void flm_sampler_destroy(flm_sampler **sampler);

/* flm_sampler_run - B samples of `steps` steps; tokens host i32 [B, L]. The noise of sample i is a function of the
 * stream and i alone, or given. Not collective. Errors: FLM_E_ARG, FLM_E_NUMERIC, the backend's. */
flm_status flm_sampler_run(flm_sampler *sampler, int64_t B, int64_t steps, const flm_noise_source *noise,
                           int32_t *tokens);

/* flm_sampler_scores - what the arg max of the last step is taken of, for rows [first, first + rows), f32 [rows, V] in
 * host memory: p, or k p + (dg^2 / 2) residual. rows at most dit->chunk. For tests. */
flm_status flm_sampler_scores(flm_sampler *sampler, int64_t first, int64_t rows, float *scores);

#endif
