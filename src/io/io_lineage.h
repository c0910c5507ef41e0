/* io_lineage.h - what a checkpoint was distilled from: files by hash, and where they were.
 * A record is a line "teacher|flow-map SHA256 STEP PATH" for each (attribute "parent" of a checkpoint).
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_IO_LINEAGE_H
#define FLM_IO_LINEAGE_H

#include "base/base_sha256.h"
#include "io/io_checkpoint.h"

/* flm_lineage_hash - SHA-256 of the whole file that is open, to sha256 [FLM_SHA256_BYTES]. Not collective. Errors:
 * FLM_E_IO, FLM_E_NOMEM. */
flm_status flm_lineage_hash(const flm_checkpoint *checkpoint, char *sha256);

/* flm_lineage_add - append a line to lineage [FLM_LINEAGE_BYTES]. Errors: FLM_E_ARG (no space). */
flm_status flm_lineage_add(char *lineage, const char *role, const char *sha256, int64_t step, const char *path);

/* flm_lineage_get - the line of a role: sha256 [FLM_SHA256_BYTES], path [FLM_CHECKPOINT_PATH_BYTES]; false when there
 * is none or it is not such a line. */
bool flm_lineage_get(const char *lineage, const char *role, char *sha256, char *path);

#endif
