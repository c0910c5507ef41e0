/* sample_generate.h - samples drawn from a checkpoint into a samples file, in blocks over all ranks: what flm_generate
 * does. Owns its options; leaves the samplers to flow and the layout of the file to io_samples.h.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_SAMPLE_GENERATE_H
#define FLM_SAMPLE_GENERATE_H

#include "backend/backend.h"
#include "base/base_options.h"
#include "comm/comm.h"
#include "score/score_protocol.h"

typedef struct flm_generate_options {
    const char *checkpoint, *teacher, *out, *steps;
    int64_t samples, batch, chunk;
    int weights;        /* 0 ema, 1 raw */
    double noise_level; /* G in [0, 1]; 0: none */
    bool text;
    const char *score, *json;    /* GPT-2's file; the JSON file in the format of the published evaluation; "": none */
    flm_score_protocol protocol; /* its batch is also what is scored at once */
    int device, precision, matmul;
    int64_t seed, threads;
} flm_generate_options;

/* flm_generate_run - make the rows that the samples file lacks, print their entropy as a table on stdout, and the texts
 * if options->text; then flm_generate_score. Sample i depends on (seed, i) alone, not on batch or ranks.
 * stop_requested is called once a block. Collective.
 * Errors: FLM_E_USAGE, FLM_E_MISMATCH (the samples file is from another checkpoint or command; another teacher),
 * FLM_E_INTERRUPTED (the samples made so far stay in the file), those of files and devices.
 * Source: model.md section 8. */
flm_status flm_generate_run(flm_comm *comm, flm_backend *be, const flm_generate_options *options,
                            bool (*stop_requested)(void));

/* flm_generate_score - score a complete samples file (options->out). With options->score the scores go into the file
 * and a table to stdout; with options->json a JSON object with generative_ppl (null without a score), entropy,
 * generated_seqs and, with a score, protocol is written, or for several numbers of steps an object "steps_N" for each.
 * steps [count]. Collective. Errors: those of flm_score_samples_compute and of files. */
flm_status flm_generate_score(flm_comm *comm, flm_backend *be, const flm_generate_options *options,
                              const int64_t *steps, int count, bool (*stop_requested)(void));

#endif
