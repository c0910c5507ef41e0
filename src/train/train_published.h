/* train_published.h - early notice of a setting that differs from that of a published run.
 *
 * The settings of the published runs are those of jobs/NAME.slurm; tests/cmd/published.t checks that they agree.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_TRAIN_PUBLISHED_H
#define FLM_TRAIN_PUBLISHED_H

#include "train/train_run.h"

/* More differences than this are an experiment of the user's own, which needs no notice. */
enum { FLM_PUBLISHED_DIFFERENCES_MAX = 2 };

/* flm_published_warn - log a warning that names the differences, if a new run has the corpus, the objective (kind, and
 * teacher or data) and the network size of a published run, but one to FLM_PUBLISHED_DIFFERENCES_MAX other settings:
 * tokeniser and length of the rows, batch, learning rate, optimiser, EMA, dropout, cap, jumps. Nothing is logged with
 * --init-from. --steps is not compared: the published learning rate is constant, so a shorter run is the beginning of
 * the published one. Not collective. */
void flm_published_warn(const flm_shard_info *data, const flm_train_options *options,
                        const flm_trainer_settings *settings);

#endif
