/* sample_checkpoints.h - samples of the checkpoints among the files that flm_score --compare is given.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_SAMPLE_CHECKPOINTS_H
#define FLM_SAMPLE_CHECKPOINTS_H

#include "score/score_files.h"

/* flm_sample_checkpoints_generate - for each checkpoint among paths [count], make samples as the options say and set
 * files[i] to the path of the samples file; other paths are copied. The strings are malloc'd; the caller frees those
 * that are not NULL, after a failure too. Collective. Errors: FLM_E_USAGE (a checkpoint without --compare, or options
 * missing), those of flm_generate_run. */
flm_status flm_sample_checkpoints_generate(flm_comm *comm, flm_backend *be, const flm_score_options *options,
                                           const char *const *paths, int count, char **files,
                                           bool (*stop_requested)(void));

#endif
