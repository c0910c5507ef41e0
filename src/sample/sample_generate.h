/* sample_generate.h - samples drawn from a checkpoint into a samples file, in blocks over all ranks: what flm_generate
 * does. Owns its options; leaves the samplers to flow and the layout of the file to io_samples.h.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_SAMPLE_GENERATE_H
#define FLM_SAMPLE_GENERATE_H

#include "backend/backend.h"
#include "base/base_options.h"
#include "comm/comm.h"
#include "io/io_samples_setting.h"
#include "score/score_protocol.h"

/* Values of --sampler; AUTO: refine where tokens have times of their own, otherwise flow. The others are those of
 * flm_samples_sampler, plus 1. */
typedef enum flm_generate_sampler { FLM_GENERATE_AUTO } flm_generate_sampler;
extern const char *const flm_generate_sampler_names[];

typedef struct flm_generate_options {
    const char *checkpoint, *teacher, *out, *steps;
    int64_t samples, batch, chunk;
    bool samples_given;         /* not the default */
    const char *prompts, *mask; /* file of prompts, "": none; what stands for a token to fill in */
    int64_t samples_per_prompt;
    int weights;             /* 0 ema, 1 raw */
    const char *noise_level; /* G in [0, 1], a list; 0: none */
    int sampler;             /* flm_generate_sampler */
    int64_t block_length, rounds;
    const char *budget; /* "uniform", or a number */
    double threshold;
    bool fresh_noise;
    const char *temperature; /* of the choice of tokens, a list; 0: argmax */
    double top_p;
    int64_t top_k;
    bool text;
    const char *score, *json;    /* GPT-2's file; the JSON file in the format of the published evaluation; "": none */
    flm_score_protocol protocol; /* its batch is also what is scored at once */
    int device, precision, matmul;
    flm_comm_settings comm;
    int64_t seed, threads;
} flm_generate_options;

/* flm_generate_run - make the rows that the samples file lacks, print their entropy as a table on stdout, and the texts
 * if options->text; then flm_generate_score. Sample i depends on (seed, i) alone, and on its prompt (sample_prompts.h),
 * not on batch or ranks.
 * stop_requested is called once a block. Collective.
 * Errors: FLM_E_USAGE, FLM_E_MISMATCH (the samples file is from another checkpoint or command; another teacher),
 * FLM_E_INTERRUPTED (the samples made so far stay in the file), those of files and devices.
 * Source: model.md section 8. */
flm_status flm_generate_run(flm_comm *comm, flm_backend *be, const flm_generate_options *options,
                            bool (*stop_requested)(void));

/* flm_generate_score - score the sets [count] of a complete samples file (options->out). With options->score the scores
 * go into the file and a table to stdout; with options->json a JSON object with generative_ppl (null without a score),
 * entropy, generated_seqs, how the samples were made and, with a score, scorer and protocol is written, or for several
 * sets an object of each under its name. Collective. Errors: those of flm_score_samples_compute and of files. */
flm_status flm_generate_score(flm_comm *comm, flm_backend *be, const flm_generate_options *options,
                              const flm_samples_setting *settings, int count, bool (*stop_requested)(void));

#endif
