/* train_checkpoint.h - an optimiser's divided state to and from a checkpoint file.
 *
 * Datasets: weights/NAME (master), ema/NAME, optimizer/m/NAME, optimizer/v/NAME, f32. A file written on any number of
 * ranks is read on any other. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_TRAIN_CHECKPOINT_H
#define FLM_TRAIN_CHECKPOINT_H

#include "io/io_checkpoint.h"
#include "train/train_optimizer.h"

/* flm_train_checkpoint_write - the whole state into directory (flm_checkpoint_write). Collective.
 * Errors: as flm_checkpoint_write. */
flm_status flm_train_checkpoint_write(flm_optimizer *optimizer, const char *directory, const flm_checkpoint_info *info,
                                      const flm_setting *settings, int settings_count, int keep);

/* flm_train_checkpoint_read - the own slices of the state, then the compute weights. Collective.
 * Errors: FLM_E_FORMAT, FLM_E_CHECKSUM; FLM_E_MISMATCH where a tensor is missing or has other sizes. */
flm_status flm_train_checkpoint_read(flm_optimizer *optimizer, const flm_checkpoint *checkpoint);

/* flm_train_checkpoint_init_student - a student's first weights: those of the set ("ema", "weights") of its teacher's
 * checkpoint in master and EMA, where the parameter does not begin anew (flm_parameter.reinit: those keep what
 * flm_optimizer_initialise gave); then the compute weights. Collective. Errors: as flm_train_checkpoint_read. Source:
 * model.md sections 6 and 7. */
flm_status flm_train_checkpoint_init_student(flm_optimizer *optimizer, const flm_checkpoint *teacher, const char *set);

#endif
