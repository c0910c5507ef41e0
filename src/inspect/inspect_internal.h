/* inspect_internal.h - private to inspect/: a function for each kind of file and directory. All print to stdout, are
 * not collective, and fail as flm_inspect_run does. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_INSPECT_INTERNAL_H
#define FLM_INSPECT_INTERNAL_H

#include "inspect/inspect.h"
#include "io/io_checkpoint.h"

/* flm_inspect_structure - check a file against the schema of its kind, then print "PATH: KIND, BYTES bytes" and every
 * group, attribute and dataset. */
flm_status flm_inspect_structure(const char *path, const char *kind);

/* flm_inspect_checkpoint, flm_inspect_samples, flm_inspect_shard - the structure of one file, then its checksums and
 * rows as the options say. */
flm_status flm_inspect_checkpoint(const char *path, const flm_inspect_options *options);
flm_status flm_inspect_samples(const char *path, const flm_inspect_options *options);
flm_status flm_inspect_shard(const char *path, const flm_inspect_options *options);

/* flm_inspect_shards - a shard directory: index.h5, then every split. */
flm_status flm_inspect_shards(const char *directory, const flm_inspect_options *options);

/* flm_inspect_checkpoints - a directory of step-*.h5 files, the oldest first, and the target of `latest`. */
flm_status flm_inspect_checkpoints(const char *directory, const flm_inspect_options *options);

/* flm_inspect_rows - rows as text, a line each: "  row NUMBER: TEXT", with control characters escaped; the first row
 * has the number `first`. in  ids i32 [count, L], each in 0..V-1. */
flm_status flm_inspect_rows(const char *path, const flm_vocabulary *vocabulary, const int32_t *ids, int64_t first,
                            int64_t count, int64_t L);

#endif
