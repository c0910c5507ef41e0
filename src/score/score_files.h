/* score_files.h - files scored one after the other by all ranks; what flm_score does. Owns its options; leaves reading,
 * scoring and reports to the other parts of the module. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_SCORE_FILES_H
#define FLM_SCORE_FILES_H

#include "base/base_options.h"
#include "comm/comm.h"
#include "score/score_protocol.h"
#include "source/source.h"

typedef struct flm_score_options {
    const char *gpt2, *json, *steps, *scores_dir, *samples_dir, *shards, *reference;
    const char *noise_level, *temperature; /* "": none */
    int64_t batch, length, chunk, bootstrap, samples, sample_batch;
    flm_source_rules source;                   /* of files of texts */
    bool compare, sweep, token_nll, baselines; /* sweep implies compare */
    flm_score_protocol protocol;
    int device, precision, matmul;
    flm_comm_settings comm;
    int64_t seed, threads;
} flm_score_options;

/* flm_score_files_check - open the shards and the reference that the options name, so that a wrong one is refused
 * before checkpoints are sampled. Collective. Errors: FLM_E_USAGE, those of reading. */
flm_status flm_score_files_check(flm_comm *comm, const flm_score_options *options);

/* flm_score_files_run - score samples files and files of texts, print a table on stdout and write the JSON. Without
 * options->gpt2 nothing is scored, and the table shows the figures that samples files have recorded. With compare the
 * table has a column a file. stop_requested is called once a block of rows. Collective.
 * Errors: FLM_E_USAGE, FLM_E_INTERRUPTED (stored scores stay), those of files and devices. */
flm_status flm_score_files_run(flm_comm *comm, flm_backend *be, const flm_score_options *options,
                               const char *const *paths, int count, bool (*stop_requested)(void));

#endif
