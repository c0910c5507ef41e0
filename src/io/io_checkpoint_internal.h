/* io_checkpoint_internal.h - private: a checkpoint directory's names, and the open file.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_IO_CHECKPOINT_INTERNAL_H
#define FLM_IO_CHECKPOINT_INTERNAL_H

#include "io/io_checkpoint.h"
#include "io/io_internal.h"

_Static_assert(FLM_CHECKPOINT_BLOCK * sizeof(float) == FLM_IO_BLOCK_BYTES, "one checksum a block of f32");

enum { FLM_CHECKPOINT_NAME_BYTES = 32 }; /* "step-00020000.h5" */

/* flm_checkpoint_file_name, flm_checkpoint_temporary_name - the file of a step; the name it is written under. */
void flm_checkpoint_file_name(int64_t step, char name[FLM_CHECKPOINT_NAME_BYTES]);
void flm_checkpoint_temporary_name(int64_t step, char name[FLM_CHECKPOINT_NAME_BYTES]);

/* flm_checkpoint_list - the steps that a directory has files of, ascending; *steps is malloc'd. A directory that does
 * not exist has none. Errors: FLM_E_IO, FLM_E_NOMEM. */
flm_status flm_checkpoint_list(const char *directory, int64_t **steps, int *count);

/* flm_checkpoint_read_latest - the step that `latest` names, -1 when there is no such link or it names no checkpoint.
 */
int64_t flm_checkpoint_read_latest(const char *directory);

/* flm_checkpoint_sweep - remove what killed runs left: temporary files. Failures are warnings. */
void flm_checkpoint_sweep(const char *directory);

/* flm_checkpoint_publish - give the complete temporary file of a step its name and point `latest` at it. Everything
 * that needs space is done first, so that a failure leaves the previous checkpoint and `latest` unchanged. */
flm_status flm_checkpoint_publish(const char *directory, int64_t step);

/* flm_checkpoint_prune - leave `keep` checkpoints (0: all), `step` among them. Those of later steps (a run that went
 * back) go first, then the oldest. Failures are warnings. */
void flm_checkpoint_prune(const char *directory, int64_t step, int keep);

/* flm_checkpoint_get_descriptor - the open file's descriptor; path: for messages. Owned by the checkpoint. */
int flm_checkpoint_get_descriptor(const flm_checkpoint *checkpoint, const char **path);

/* flm_checkpoint_verify_share - verify every parts-th block of the file, beginning with `part`. */
flm_status flm_checkpoint_verify_share(const flm_checkpoint *checkpoint, int part, int parts);

/* flm_checkpoint_lay_out - create the file with its structure, but without data: attributes, datasets, checksums of
 * zero. offset [datasets_count] of the data in the file. A disk without space for all of it is detected first. */
flm_status flm_checkpoint_lay_out(const char *path, const flm_checkpoint_info *info, const flm_setting *settings,
                                  int settings_count, const flm_checkpoint_dataset *datasets, int datasets_count,
                                  int64_t *offset);

/* flm_checkpoint_write_checksums - replace the checksums, when the data are written, and sync the file. crc: CRC-32C of
 * every block, of one dataset after the other. The file does not grow. */
flm_status flm_checkpoint_write_checksums(const char *path, const flm_checkpoint_dataset *datasets, int datasets_count,
                                          const uint32_t *crc);

/* flm_checkpoint_blocks - blocks of 4 MiB of a dataset; the last one may be shorter. */
int64_t flm_checkpoint_blocks(const flm_checkpoint_dataset *dataset);

#endif
