/* sample_internal.h - private to sample/: the networks and buffers of one call of flm_generate_run.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_SAMPLE_INTERNAL_H
#define FLM_SAMPLE_INTERNAL_H

#include "flow/flow_sampler.h"
#include "io/io_lineage.h"
#include "io/io_samples.h"
#include "sample/sample_generate.h"

typedef struct flm_generation {
    flm_comm *comm;
    flm_backend *be;
    const flm_generate_options *o;
    char path[FLM_CHECKPOINT_PATH_BYTES]; /* of the checkpoint */
    flm_samples_setting *settings;        /* [count] */
    int *sets;                            /* [count] of the samples file */
    int count;
    const flm_kind *kind;
    flm_samples_info info;
    flm_checkpoint *checkpoint, *teacher_checkpoint; /* teacher: NULL unless the sampler needs one */
    flm_samples_prompts prompts;                     /* count 0: none */
    flm_samples *file;
    flm_weights *weights, *teacher;
    flm_noise_basis *basis;
    flm_gamma *gamma;
    flm_dit *dit;
    flm_sampler *sampler;
    int32_t *ids;   /* [batch, L] */
    int32_t *known; /* [batch, L]: the prompts of a block; NULL: none */
    bool *present;  /* [batch] */
} flm_generation;

/* flm_generation_check_options - what can be checked before the checkpoint is read. Errors: FLM_E_USAGE.
 * flm_generation_make_settings - the settings of the sampler that the options ask for, once the kind is known.
 * Errors: FLM_E_USAGE (what the sampler of the kind does not have). */
flm_status flm_generation_check_options(const flm_generate_options *options);
flm_status flm_generation_make_settings(flm_generation *g);

/* flm_generation_check_prompts - FLM_E_USAGE where a setting cannot know the tokens of a prompt. */
flm_status flm_generation_check_prompts(const flm_generation *g);

/* flm_generation_sampling - how samples [first, first + count) of a setting are drawn; their prompts are in g->known.
 */
flm_sampling flm_generation_sampling(flm_generation *g, const flm_samples_setting *setting, int64_t first,
                                     int64_t count);

/* flm_generation_print_text - the samples of all settings as text, on stdout. To be called by one rank.
 * Errors: FLM_E_FORMAT, FLM_E_MISMATCH (another vocabulary than this release's), those of reading. */
flm_status flm_generation_print_text(flm_generation *g);

/* flm_generation_load - open the checkpoint, load its weights, create what sampling needs, and fill info. A
 * sampler may also need the teacher: --teacher, or the file that the checkpoint records; its SHA-256 must be the
 * recorded one. Collective. Errors: FLM_E_MISMATCH (the teacher is missing in the record, or is another file), those of
 * reading and of memory. */
flm_status flm_generation_load(flm_generation *g);

/* flm_generation_name_weights - put the checkpoint and the set of weights before the message of a failure
 * FLM_E_NUMERIC, since values that are not finite come from there; returns rc. */
flm_status flm_generation_name_weights(const flm_generation *g, flm_status rc);

/* flm_generation_release_network - release the networks and the sampler; flm_generation_release - everything. */
void flm_generation_release_network(flm_generation *g);
void flm_generation_release(flm_generation *g);

#endif
