/* train_checkpoint.h - writes the sharded optimiser state to a checkpoint file and reads it back.
 *
 * Datasets: weights/NAME (master weights), ema/NAME, optimizer/m/NAME, optimizer/v/NAME, all f32. A file can be read on
 * another number of ranks than it was written on. The file format belongs to io/io_checkpoint.h.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_TRAIN_CHECKPOINT_H
#define FLM_TRAIN_CHECKPOINT_H

#include "io/io_checkpoint.h"
#include "train/train_optimizer.h"

/* flm_train_checkpoint_write - write the complete state to a file in directory. Collective.
 * Errors: as flm_checkpoint_write. */
flm_status flm_train_checkpoint_write(flm_optimizer *optimizer, const char *directory, const flm_checkpoint_info *info,
                                      const flm_setting *settings, int settings_count, int keep);

/* flm_train_checkpoint_read - read this rank's slices of the state, then gather the compute weights. Collective.
 * Errors: FLM_E_FORMAT, FLM_E_CHECKSUM; FLM_E_MISMATCH where a tensor is missing or has another shape. */
flm_status flm_train_checkpoint_read(flm_optimizer *optimizer, const flm_checkpoint *checkpoint);

/* flm_train_checkpoint_init_student - initial weights of a student: one set ("ema" or "weights") of another network's
 * checkpoint becomes both master weights and EMA. Parameters marked reinit (flm_parameter) keep the values that
 * flm_optimizer_initialise gave them, unless `all` says that the checkpoint has them. Then gathers the compute weights.
 * Collective. Errors: as flm_train_checkpoint_read. Source: model.md sections 6, 7 and 9.2. */
flm_status flm_train_checkpoint_init_student(flm_optimizer *optimizer, const flm_checkpoint *teacher, const char *set,
                                             bool all);

#endif
