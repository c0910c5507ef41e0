/* io_lineage.h - what a checkpoint was distilled from: files by hash, and where they were.
 * A record is a line "teacher|flow-map SHA256 STEP PATH" for each (attribute "parent" of a checkpoint).
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_IO_LINEAGE_H
#define FLM_IO_LINEAGE_H

#include "base/base_sha256.h"
#include "io/io_checkpoint.h"

enum { FLM_LINEAGE_PATH_BYTES = 1024 };

/* flm_checkpoint_find - the checkpoint that a path means: the file itself, or of a run directory or its checkpoints'
 * directory what `latest` names. Absolute, without links. path [FLM_LINEAGE_PATH_BYTES]. Not collective.
 * Errors: FLM_E_IO with errno, FLM_E_FORMAT (a directory without checkpoints), FLM_E_ARG (too long). */
flm_status flm_checkpoint_find(const char *given, char *path);

/* flm_checkpoint_find_common - the same on every rank: rank 0 looks, since `latest` may move meanwhile. Collective. */
flm_status flm_checkpoint_find_common(flm_comm *comm, const char *given, char *path);

/* flm_lineage_hash - SHA-256 of a whole file, to sha256 [FLM_SHA256_BYTES]. Not collective. Errors: FLM_E_IO,
 * FLM_E_NOMEM. */
flm_status flm_lineage_hash(const char *path, char *sha256);

/* flm_lineage_add - append a line to lineage [FLM_LINEAGE_BYTES]. Errors: FLM_E_ARG (no room). */
flm_status flm_lineage_add(char *lineage, const char *role, const char *sha256, int64_t step, const char *path);

/* flm_lineage_get - the line of a role: sha256 [FLM_SHA256_BYTES], path [FLM_LINEAGE_PATH_BYTES]; false when there is
 * none or it is not such a line. */
bool flm_lineage_get(const char *lineage, const char *role, char *sha256, char *path);

#endif
