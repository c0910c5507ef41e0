/* sample_generate.h - samples from a checkpoint into a samples file, block by block over all ranks.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_SAMPLE_GENERATE_H
#define FLM_SAMPLE_GENERATE_H

#include "backend/backend.h"
#include "base/base_options.h"
#include "comm/comm.h"

typedef struct flm_generate_options {
    const char *checkpoint, *teacher, *out, *steps;
    int64_t samples, batch, chunk;
    int weights; /* 0 ema, 1 raw */
    bool text;
    const char *score, *json; /* GPT-2's file; where the published evaluation's JSON goes; "": none */
    int64_t score_batch;
    int device, precision;
    int64_t seed, threads;
} flm_generate_options;

/* flm_generate_run - the rows that the samples file lacks, a table with the entropy on stdout, and the text where it is
 * asked for. Sample i is a function of (seed, i): of neither batch nor ranks. stop_requested: asked once a block.
 * Collective. Errors: FLM_E_USAGE, FLM_E_MISMATCH (a samples file of something else, another teacher),
 * FLM_E_INTERRUPTED (stopped early; what was made stays), and those of files and devices. Source: model.md section 8.
 */
flm_status flm_generate_run(flm_comm *comm, flm_backend *be, const flm_generate_options *options,
                            bool (*stop_requested)(void));

/* flm_generate_score - of a finished samples file (options->out): scores by options->score into the file and a table on
 * stdout, and options->json: generative_ppl (null without a score), entropy and generated_seqs; of several numbers of
 * steps an object of such objects, "steps_N". Collective. Errors: those of flm_score_samples_compute and of files. */
flm_status flm_generate_score(flm_comm *comm, flm_backend *be, const flm_generate_options *options,
                              const int64_t *steps, int count, bool (*stop_requested)(void));

#endif
