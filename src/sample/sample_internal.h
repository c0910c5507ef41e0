/* sample_internal.h - what a generation holds while it lasts; for cmd_generate*.c alone.
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
    char path[FLM_LINEAGE_PATH_BYTES]; /* of the checkpoint */
    int64_t *steps;                    /* [steps_count] */
    int steps_count;
    flm_samples_info info;
    flm_checkpoint *checkpoint, *teacher_checkpoint; /* teacher: of a stage-one map alone */
    flm_samples *file;
    flm_weights *weights, *teacher;
    flm_noise_basis *basis;
    flm_gamma *gamma;
    flm_dit *dit;
    flm_sampler *sampler;
    int32_t *ids;  /* [batch, L] */
    bool *present; /* [batch] */
} flm_generation;

/* flm_generation_load - open the checkpoint and, of a stage-one map, its teacher (where it says, or --teacher; by its
 * hash), load the weights, make what sampling needs, and fill info. Collective. Errors: FLM_E_MISMATCH (a teacher that
 * changed, or is another), those of reading and of memory. */
flm_status flm_generation_load(flm_generation *g);

/* flm_generation_release_network - the networks and what sampling needs; flm_generation_release - all that is held. */
void flm_generation_release_network(flm_generation *g);
void flm_generation_release(flm_generation *g);

#endif
