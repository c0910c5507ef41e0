/* score_report.h - what is printed and written of scored sets: tables on stdout, JSON files.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_SCORE_REPORT_H
#define FLM_SCORE_REPORT_H

#include "io/io_lock.h"
#include "score/score_protocol.h"
#include "score/score_result.h"

#include <jansson.h>

/* One scored set of a samples file, or (setting.steps 0) a file of texts. */
typedef struct flm_score_entry {
    const char *path;
    flm_samples_setting setting;
    bool scored; /* false: the samples file has no figures of it */
    flm_score_protocol protocol;
    flm_score_result result;
} flm_score_entry;

/* flm_score_report_print - a table on stdout with a line an entry. To be called by one rank. */
void flm_score_report_print(const flm_score_entry *entries, int count);

/* flm_score_report_print_comparison - a table on stdout with a line a setting of the sampler and a column a file; the
 * entries of a file must be neighbours. To be called by one rank. Errors: FLM_E_NOMEM. */
flm_status flm_score_report_print_comparison(const flm_score_entry *entries, int count);

/* flm_score_report_claim - before the work: check that a JSON file may get this name (nothing has it yet, or a JSON
 * file that is none of the inputs [count]), and lock it until the caller releases the lock, so that no other job
 * replaces it meanwhile. Errors: FLM_E_USAGE, FLM_E_IO; those of flm_lock_file. */
flm_status flm_score_report_claim(const char *path, const char *const *inputs, int count, flm_lock **lock);

/* flm_score_report_write_entries - write a JSON array with an object a line, an object an entry; the file at path is
 * replaced once all is written. scorer: description of the scorer, or NULL. Errors: FLM_E_IO, FLM_E_NOMEM. */
flm_status flm_score_report_write_entries(const char *path, const char *scorer, const flm_score_entry *entries,
                                          int count);

/* flm_score_report_write - write a JSON value with jansson's flags; the file at path is replaced once all is written.
 * Takes ownership of value; NULL counts as out of memory. Errors: FLM_E_IO, FLM_E_NOMEM. */
flm_status flm_score_report_write(const char *path, json_t *value, size_t flags);

#endif
