/* flow_sampler.h - samplers of all kinds of networks, one batch at a time (docs/model.md sections 8 and 9.3).
 *
 * n steps, t_i = i / n, g_i = gamma(t_i); z starts as x0 in embedded form, one array for each network. How a step moves
 * z, and the scores that the tokens are chosen by, are in the sampler's table and file (flow_sampler_flm.c,
 * flow_sampler_two_model.c, flow_sampler_map.c). Known tokens, of a prompt, are kept: before each step their state is
 * (1 - g) x0 E + g E[token], with their own x0, as a network without times of tokens has seen them in training; it is
 * noise alone in the first step, so one step cannot know them. Leaves files and the division over ranks to the caller.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_FLOW_SAMPLER_H
#define FLM_FLOW_SAMPLER_H

#include "flow/flow_objective.h"

/* What takes part; owned by the caller, must outlive the sampler. */
typedef struct flm_sampler_parts {
    const flm_kind *kind;                 /* of the sampled network; selects the sampler */
    flm_dit *dit;                         /* FLM_DIT_INFERENCE suffices; for two times if weights are */
    const flm_weights *weights;           /* of the sampled network */
    const flm_weights *frozen[FLM_ROLES]; /* as flm_sampler_ops.networks asks; NULL: none in this role */
    flm_noise_basis *basis;               /* of the frozen networks and the sampled one; updated with the weights before
                                             flm_sampler_run */
    const flm_gamma *gamma;
    bool known; /* sampling can be given known tokens: takes memory for the initial noise */
} flm_sampler_parts;

typedef struct flm_sampler flm_sampler;

/* In what order active tokens are filled in. All but FLOW need a sampler whose tokens have times of their own.
 * Source: model.md section 10. */
typedef enum flm_schedule {
    FLM_SCHEDULE_FLOW,   /* all together, in `steps` steps */
    FLM_SCHEDULE_BLOCKS, /* blocks of block_length positions in turn, `steps` steps each */
    FLM_SCHEDULE_REFINE  /* in `rounds` rounds of `steps` steps, each of which commits the most confident ones */
} flm_schedule;

enum { FLM_BUDGET_UNIFORM = -1 };

/* How tokens are chosen from the scores of the last step: flm_choose in backend_arguments.h. */
typedef struct flm_choice {
    double temperature; /* 0: the argmax */
    double top_p;
    int64_t top_k;
} flm_choice;

/* How samples are drawn. The initial noise of sample i is given, or a function of the stream and i alone; the fresh
 * noise of a step also of the step. */
typedef struct flm_sampling {
    int64_t steps;
    flm_schedule schedule;
    int64_t block_length;   /* of BLOCKS */
    int64_t rounds, budget; /* of REFINE: tokens of a sequence to commit a round at least, or FLM_BUDGET_UNIFORM: those
                               left divided by the rounds left, rounded up */
    double threshold;       /* of REFINE: confidence from which tokens are committed too; negative: none */
    bool fresh_noise;       /* of REFINE: tokens that are not committed start from new noise in every round */
    double *committed;      /* of REFINE: NULL, or [rounds]: += committed tokens of the batch after each round */
    double noise_level;     /* G in [0, 1]: share of fresh noise; not 0 only for samplers that have it */
    flm_choice choice;
    flm_noise_source noise;
    const int32_t *known;    /* NULL, or host [B, L]: tokens that are given; negative: the sampler's to fill in */
    const flm_tensor *fresh; /* NULL, or the xi of steps (of REFINE: rounds after the first) 0, 1, ..., basis->blocks
                                tensors f32 [B, L, width] each */
} flm_sampling;

/* Step `index` from t to t_end, with their gamma; after the last step only the scores are needed. */
typedef struct flm_sampler_step {
    int64_t index;
    double t, t_end, g, g_end, noise_level;
    bool last;
    const flm_sampling *sampling;
} flm_sampler_step;

/* The table of a sampler. create, destroy and bytes are NULL if there is nothing to do. */
typedef struct flm_sampler_ops {
    flm_kind_part networks[FLM_ROLES]; /* the frozen networks that it needs */
    bool noise_level;                  /* it can draw fresh noise */
    bool linear;                       /* its scores are weights, not logits */
    bool token_times;                  /* tokens have times of their own: known ones are the network's context */
    /* create - its own state in sampler->state, after the shared buffers exist. destroy also accepts what a failed
     * create leaves. bytes - the device memory of the state. */
    flm_status (*create)(flm_sampler *sampler);
    void (*destroy)(flm_sampler *sampler);
    size_t (*bytes)(const flm_sampler *sampler);
    /* step - evaluate the networks at t and move z to t_end; the last step keeps what scores needs instead. */
    flm_status (*step)(flm_sampler *sampler, int64_t B, const flm_sampler_step *step);
    /* scores - after the last step, the scores of rows [first, first + rows), at most dit->chunk rows, by which tokens
     * are chosen; logits before the cap, unless linear.   out dit->logits f32 [rows, V]. */
    flm_status (*scores)(flm_sampler *sampler, int64_t first, int64_t rows);
    /* run - NULL, or draws B samples, from the initial noise in z and initial to tokens host i32 [B, L]. */
    flm_status (*run)(flm_sampler *sampler, int64_t B, const flm_sampling *sampling, int32_t *tokens);
} flm_sampler_ops;

struct flm_sampler {
    flm_sampler_parts parts;
    const flm_sampler_ops *ops;
    flm_backend *be;
    const flm_weights *network[FLM_NOISE_NETWORKS]; /* in the order of the noise basis */
    int networks;
    flm_tensor xi[FLM_NOISE_NETWORKS];   /* basis->blocks, f32 [max_batch, L, width] */
    flm_tensor z[FLM_NOISE_NETWORKS];    /* f32 [max_batch, L, d]: the state of each network */
    flm_tensor mean[FLM_NOISE_NETWORKS]; /* f32 [max_batch, L, d]: p E of each network */
    flm_tensor
        E[FLM_NOISE_NETWORKS]; /* act [V, d]: the embeddings in the compute dtype; if it is f32, views of the weights */
    flm_tensor tokens, known;  /* i32 [max_batch, L]; known: only with parts.known or ops->run, as `initial` */
    flm_tensor confidence;     /* f32 [max_batch, L]: only with ops->run */
    flm_tensor initial[FLM_NOISE_NETWORKS]; /* f32 [max_batch, L, d]: x0 E of each network */
    float *host;                            /* [2 max_batch], from host_alloc */
    bool holds;                             /* the matrices of the heads */
    void *state;                            /* of this sampler; ops->create */
    flm_arena arena;
};

/* flm_sampler_create - a sampler for batches of up to dit->max_batch; the weights must outlive it and not change. Not
 * collective. Errors: FLM_E_ARG (parts that do not fit), FLM_E_NOMEM. */
flm_status flm_sampler_create(const flm_sampler_parts *parts, flm_sampler **out);
void flm_sampler_destroy(flm_sampler **sampler);

/* flm_sampler_bytes - device memory of its own arenas in bytes. */
size_t flm_sampler_bytes(const flm_sampler *sampler);

/* flm_sampler_run - draw B samples.   out tokens host i32 [B, L]; the known ones as they are. Not collective. Errors:
 * FLM_E_ARG (B, steps, a noise level that the sampler does not have, known tokens without parts.known or in one step),
 * FLM_E_NUMERIC, the backend's. Source: model.md sections 8 and 9.3. */
flm_status flm_sampler_run(flm_sampler *sampler, int64_t B, const flm_sampling *sampling, int32_t *tokens);

#endif
