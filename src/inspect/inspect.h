/* inspect.h - what flm_inspect does: identify a file or directory of the suite, print its structure to stdout, and
 * verify its checksums. Owns the output; leaves the file formats to io. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_INSPECT_H
#define FLM_INSPECT_H

#include "base/base_err.h"

#include <stdint.h>

typedef struct flm_inspect_options {
    int verify;   /* 1: read all data and verify their checksums; 0: the structure only */
    int64_t rows; /* number of rows to print as text; 0: none */
} flm_inspect_options;

/* flm_inspect_run - a checkpoint, samples file, shard or index, or a shard directory, a checkpoint directory or a run
 * directory with all files in it. Not collective.
 * Errors: FLM_E_FORMAT (not a file or directory of the suite; not as its schema requires; rows of an unknown
 * tokeniser), FLM_E_CHECKSUM, FLM_E_MISMATCH (rows of another vocabulary), FLM_E_USAGE (rows of a checkpoint),
 * FLM_E_IO; naming the path. */
flm_status flm_inspect_run(const char *path, const flm_inspect_options *options);

#endif
