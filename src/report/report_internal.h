/* report_internal.h - private to report/: the page, and a function for each of its sections.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_REPORT_INTERNAL_H
#define FLM_REPORT_INTERNAL_H

#include "report/report.h"
#include "report/report_run.h"
#include "report/report_set.h"

#include <stdio.h>

typedef struct flm_report_page {
    const flm_report_options *options;
    flm_report_run *runs; /* [runs_count] */
    int runs_count;
    flm_report_sets sets;
    FILE *out;  /* in memory */
    int charts; /* written so far */
} flm_report_page;

/* Sections of the page, in this order. Each begins with its heading; one that lacks its data has a line that says what
 * would fill it. Errors: FLM_E_NOMEM; those of the files for samples. */
flm_status flm_report_page_write_runs(flm_report_page *page);
flm_status flm_report_page_write_curves(flm_report_page *page);
flm_status flm_report_page_write_quality(flm_report_page *page);
flm_status flm_report_page_write_samples(flm_report_page *page);
flm_status flm_report_page_write_settings(flm_report_page *page);
flm_status flm_report_page_write_checkpoints(flm_report_page *page);
flm_status flm_report_page_write_machine(flm_report_page *page);

/* flm_report_page_begin - the heading of a section, and an introduction (HTML; NULL: none). flm_report_page_end - its
 * end. flm_report_page_lacks - a section that has no data: heading, and what would fill it (HTML). */
void flm_report_page_begin(flm_report_page *page, const char *id, const char *heading, const char *introduction);
void flm_report_page_end(flm_report_page *page);
void flm_report_page_lacks(flm_report_page *page, const char *id, const char *heading, const char *needed);

/* flm_report_page_put_run - a run's line sample and name, in a cell of a table or a heading. Errors: FLM_E_NOMEM. */
flm_status flm_report_page_put_run(flm_report_page *page, int run);

/* flm_report_style - the style sheet of the page, made from report_style.css. */
extern const char flm_report_style[];

#endif
