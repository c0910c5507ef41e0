/* score_report.h - what is printed and written of scored sets: tables on stdout, JSON files.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_SCORE_REPORT_H
#define FLM_SCORE_REPORT_H

#include "io/io_lock.h"
#include "score/compare/score_mauve.h"
#include "score/compare/score_overlap.h"
#include "score/score_protocol.h"
#include "score/score_result.h"

#include <jansson.h>

/* Reference texts that an entry was compared with. */
typedef struct flm_score_reference {
    const char *path;      /* NULL: none */
    int64_t texts, length; /* their number, and the tokens of a text, at most */
} flm_score_reference;

/* One scored set of a samples file, or (setting.steps 0) a file of texts. */
typedef struct flm_score_entry {
    const char *path;
    flm_samples_setting setting;
    char kind[16];     /* of the checkpoint; "text" for texts */
    char precision[8]; /* of the sampler; "": none */
    bool scored;       /* false: the samples file has no figures of it */
    char scorer[320];  /* its description; "" unless scored */
    int64_t length;    /* the scorer's tokens of a text, at most; 0: not known */
    flm_score_protocol protocol;
    flm_score_result result;
    double overlap[FLM_OVERLAP_ORDERS]; /* with the training shards; NaN: not compared */
    flm_score_reference reference;
    flm_mauve mauve; /* against the reference */
    bool frontier;   /* flm_score_report_mark_frontier */
} flm_score_entry;

/* flm_score_entry_of_set, flm_score_entry_of_texts - an entry that is not scored, of a set of a samples file and of a
 * file of texts. The entry borrows path. */
flm_score_entry flm_score_entry_of_set(const char *path, const flm_samples *file, int set);
flm_score_entry flm_score_entry_of_texts(const char *path);

/* flm_score_entry_set_scorer - what scored an entry: the description, with or without ", at most N tokens" at its end
 * as samples files record it; length: N where the description has none. */
void flm_score_entry_set_scorer(flm_score_entry *entry, const char *description, int64_t length);

/* flm_score_report_print - tables on stdout with a line an entry: how its texts were made and scored, with Gen-PPL and
 * entropy; their diversity; the scorers. To be called by one rank. */
void flm_score_report_print(const flm_score_entry *entries, int count);

/* flm_score_report_print_comparison - the same, and a table with a line a setting of the sampler and a column a file,
 * without null baselines; the entries of a file must be neighbours. To be called by one rank. Errors: FLM_E_NOMEM. */
flm_status flm_score_report_print_comparison(const flm_score_entry *entries, int count);

/* flm_score_report_mark_frontier - set `frontier` of the sets of samples that no other set of samples dominates, with a
 * Gen-PPL as low and an entropy as high and one of them better, by the same scorer, protocol and truncation.
 * flm_score_report_print_frontier - a table on stdout of the sets of samples by falling entropy, those of the frontier
 * marked. To be called by one rank. Errors: FLM_E_NOMEM. */
void flm_score_report_mark_frontier(flm_score_entry *entries, int count);
flm_status flm_score_report_print_frontier(const flm_score_entry *entries, int count);

/* flm_score_report_claim - before the work: check that a JSON file may get this name (nothing has it yet, or a JSON
 * file that is none of the inputs [count]), and lock it until the caller releases the lock, so that no other job
 * replaces it meanwhile. Errors: FLM_E_USAGE, FLM_E_IO; those of flm_lock_file. */
flm_status flm_score_report_claim(const char *path, const char *const *inputs, int count, flm_lock **lock);

/* flm_score_report_write_entries - write a JSON array with an object a line, an object an entry; the file at path is
 * replaced once all is written. Errors: FLM_E_IO, FLM_E_NOMEM. */
flm_status flm_score_report_write_entries(const char *path, const flm_score_entry *entries, int count);

/* flm_score_report_describe - a JSON object of how the texts of an entry were made and scored: file, kind, sampler,
 * ..., scorer, truncation. NULL: no memory. */
json_t *flm_score_report_describe(const flm_score_entry *entry);

/* flm_score_report_write - write a JSON value with jansson's flags; the file at path is replaced once all is written.
 * Takes ownership of value; NULL counts as out of memory. Errors: FLM_E_IO, FLM_E_NOMEM. */
flm_status flm_score_report_write(const char *path, json_t *value, size_t flags);

#endif
