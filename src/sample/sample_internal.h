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
    int64_t *steps;                       /* [steps_count] */
    int steps_count;
    const flm_kind *kind;
    flm_samples_info info;
    flm_checkpoint *checkpoint, *teacher_checkpoint; /* teacher: NULL unless the sampler needs one */
    flm_samples *file;
    flm_weights *weights, *teacher;
    flm_noise_basis *basis;
    flm_gamma *gamma;
    flm_dit *dit;
    flm_sampler *sampler;
    int32_t *ids;  /* [batch, L] */
    bool *present; /* [batch] */
} flm_generation;

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
