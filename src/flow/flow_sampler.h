/* flow_sampler.h - samplers of all kinds of networks, a batch at a time (docs/model.md section 8).
 *
 * n steps, t_i = i / n, g_i = gamma(t_i), z = x0 in embedded form, one array a network. How a step moves z and what the
 * tokens are chosen by is in the sampler's table and file (flow_sampler_flm.c, flow_sampler_two_model.c). Leaves files
 * and the division over ranks to the caller. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_FLOW_SAMPLER_H
#define FLM_FLOW_SAMPLER_H

#include "flow/flow_objective.h"

/* What takes part. All are the caller's and must outlive the sampler. */
typedef struct flm_sampler_parts {
    const flm_kind *kind;                 /* of the network: says which sampler this is */
    flm_dit *dit;                         /* need not have memory for training; for two times where weights are */
    const flm_weights *weights;           /* of the sampled network */
    const flm_weights *frozen[FLM_ROLES]; /* what flm_sampler_ops.networks asks for; NULL: none in this role */
    flm_noise_basis *basis;               /* of the frozen networks that are given, and the sampled one; must be up to
                                             date with the weights when samples are made */
    const flm_gamma *gamma;
} flm_sampler_parts;

typedef struct flm_sampler flm_sampler;

/* One step, from t to t_end with their gamma; the last one has no next state. */
typedef struct flm_sampler_step {
    double t, t_end, g, g_end;
    bool last;
} flm_sampler_step;

/* The table of a sampler. Slots that may be NULL: create, destroy and bytes, where there is nothing to do. */
typedef struct flm_sampler_ops {
    flm_kind_part networks[FLM_ROLES]; /* frozen networks that it needs */
    /* State of its own in sampler->state, made after the shared buffers; device memory of it in bytes. destroy accepts
     * what a failed create leaves. */
    flm_status (*create)(flm_sampler *sampler);
    void (*destroy)(flm_sampler *sampler);
    size_t (*bytes)(const flm_sampler *sampler);
    /* The networks at t; z moves to t_end, or after the last step what scores needs is kept. */
    flm_status (*step)(flm_sampler *sampler, int64_t B, const flm_sampler_step *step);
    /* What the tokens of rows [first, first + rows) are the argmax of, f32 [rows, V] in dit->logits, after the last
     * step; rows at most dit->chunk. */
    flm_status (*scores)(flm_sampler *sampler, int64_t first, int64_t rows);
} flm_sampler_ops;

struct flm_sampler {
    flm_sampler_parts parts;
    const flm_sampler_ops *ops;
    flm_backend *be;
    const flm_weights *network[FLM_NOISE_NETWORKS]; /* in the order of the noise basis, the sampled one last */
    int networks;
    flm_tensor xi[FLM_NOISE_NETWORKS];   /* basis->blocks, f32 [max_batch, L, width] */
    flm_tensor z[FLM_NOISE_NETWORKS];    /* f32 [max_batch, L, d]: the state of each network */
    flm_tensor mean[FLM_NOISE_NETWORKS]; /* f32 [max_batch, L, d]: p E of each */
    flm_tensor E[FLM_NOISE_NETWORKS];    /* act [V, d]: the embeddings in the compute dtype; weights' own in f32 */
    flm_tensor tokens;                   /* i32 [max_batch, L] */
    float *host;                         /* [2 max_batch], from host_alloc */
    void *state;                         /* the table's own */
    flm_arena arena;
};

/* flm_sampler_create - for batches of up to dit->max_batch. Not collective.
 * Errors: FLM_E_ARG (parts that do not fit), FLM_E_NOMEM. */
flm_status flm_sampler_create(const flm_sampler_parts *parts, flm_sampler **out);
void flm_sampler_destroy(flm_sampler **sampler);

/* flm_sampler_bytes - bytes of device memory of its own arenas. */
size_t flm_sampler_bytes(const flm_sampler *sampler);

/* flm_sampler_run - B samples of `steps` steps; tokens host i32 [B, L]. The noise of sample i is a function of the
 * stream and i alone, or given. Not collective. Errors: FLM_E_ARG, FLM_E_NUMERIC, the backend's. */
flm_status flm_sampler_run(flm_sampler *sampler, int64_t B, int64_t steps, const flm_noise_source *noise,
                           int32_t *tokens);

#endif
