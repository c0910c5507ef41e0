/* report.h - what flm_report does: one self-contained HTML page about runs, samples and scores. Owns the page; leaves
 * the formats of files to io. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_REPORT_H
#define FLM_REPORT_H

#include "base/base_err.h"

#include <stdint.h>

typedef struct flm_report_options {
    const char *out, *title; /* path of the page; its heading */
    int64_t samples;         /* samples to show of a set */
} flm_report_options;

/* flm_report_write - write the page to options->out, which is replaced when the page is complete. paths [count]: run
 * directories, directories of samples files, samples files, and files of flm_score --json, in any order; samples files
 * in a run directory are found. The page depends on the files alone. Not collective.
 * Errors: FLM_E_USAGE (no path; an output that is there and is no HTML), FLM_E_MISSING (no such path), FLM_E_FORMAT
 * (none of these, damaged), FLM_E_IO, FLM_E_NOMEM; naming the path. */
flm_status flm_report_write(const char *const *paths, int count, const flm_report_options *options);

#endif
