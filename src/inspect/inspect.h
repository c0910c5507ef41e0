/* inspect.h - what flm_inspect prints and checks, a function for each kind of file.
 * All print to stdout, are not collective, and fail with a message that names the path.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_INSPECT_H
#define FLM_INSPECT_H

#include "io/io_checkpoint.h"

typedef struct flm_inspect_options {
    int verify;   /* 0 or 1 */
    int64_t rows; /* to print, decoded; 0: none */
} flm_inspect_options;

/* flm_inspect_run - describe a file or directory, whatever it is, and verify it as the options say.
 * Errors: FLM_E_IO, FLM_E_FORMAT, FLM_E_CHECKSUM. */
flm_status flm_inspect_run(const char *path, const flm_inspect_options *options);

/* flm_inspect_structure - "PATH: KIND, BYTES bytes", then every attribute and dataset of a file that fits the schema of
 * its kind. Errors: FLM_E_IO, FLM_E_FORMAT. */
flm_status flm_inspect_structure(const char *path, const char *kind);

/* flm_inspect_checkpoint, flm_inspect_samples, flm_inspect_shard - one file whole: structure, and what the options ask
 * for. Errors: also FLM_E_CHECKSUM, FLM_E_FORMAT (rows of an unknown tokenizer). */
flm_status flm_inspect_checkpoint(const char *path, const flm_inspect_options *options);
flm_status flm_inspect_samples(const char *path, const flm_inspect_options *options);
flm_status flm_inspect_shard(const char *path, const flm_inspect_options *options);

/* flm_inspect_shards - a shard directory, which holds index.h5; flm_inspect_checkpoints - a folder with `latest` and
 * step-*.h5. Errors: as above. */
flm_status flm_inspect_shards(const char *directory, const flm_inspect_options *options);
flm_status flm_inspect_checkpoints(const char *directory, const flm_inspect_options *options);

/* flm_inspect_rows - decoded rows, a line each: "  row FIRST: text", with control characters escaped.
 * in  ids i32 [count, L], each in 0..V-1. Errors: FLM_E_FORMAT, FLM_E_MISMATCH (another vocabulary). */
flm_status flm_inspect_rows(const char *path, const flm_vocabulary *vocabulary, const int32_t *ids, int64_t first,
                            int64_t count, int64_t L);

#endif
