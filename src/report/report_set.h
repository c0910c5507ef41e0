/* report_set.h - sets of samples and their figures, from samples files and from the JSON of flm_score.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_REPORT_SET_H
#define FLM_REPORT_SET_H

#include "io/io_samples.h"

#include <stdbool.h>

/* Figures of a set, by flm_figures: attributes of a set, and keys of the JSON. */
typedef enum flm_figure_id {
    FLM_FIGURE_GEN_PPL,
    FLM_FIGURE_GEN_PPL_LOW,
    FLM_FIGURE_GEN_PPL_HIGH,
    FLM_FIGURE_ENTROPY,
    FLM_FIGURE_CROSS_ENTROPY,
    FLM_FIGURE_WORD_SHARE,
    FLM_FIGURE_MAUVE,
    FLM_FIGURE_DISTINCT_1,
    FLM_FIGURE_DISTINCT_2,
    FLM_FIGURE_DISTINCT_3,
    FLM_FIGURE_REPETITION_4,
    FLM_FIGURE_OVERLAP_4,
    FLM_FIGURE_OVERLAP_8,
    FLM_FIGURE_OVERLAP_16,
    FLM_FIGURES
} flm_figure_id;

typedef struct flm_figure {
    const char *key;   /* in files */
    const char *title; /* for people */
    const char *unit;  /* of an axis; "" for none */
    const char *help;  /* what it measures, and which direction is good */
} flm_figure;

extern const flm_figure flm_figures[FLM_FIGURES];

typedef struct flm_report_file {
    char *path;
    const char *name;     /* for people: the end of path that no other file has; not owned */
    flm_samples *samples; /* NULL: known from JSON only */
} flm_report_file;

typedef struct flm_report_set {
    int file, index;           /* of the list's files; in the samples file, -1: it has not been read */
    char *name;                /* "steps_8_noise_0.8", "texts" for a file of texts */
    char *series;              /* the setting without its number of steps: sets with the same belong to one curve */
    double steps;              /* of the sampler in all, per position; NaN: unknown */
    int64_t rows;              /* number of samples, -1: unknown */
    char *scorer;              /* description of the scorer, "" for none */
    double value[FLM_FIGURES]; /* NaN: unknown */
} flm_report_set;

typedef struct flm_report_sets {
    flm_report_file *files; /* [files_count] */
    flm_report_set *sets;   /* [count]; those of a file follow each other, in the order of their settings */
    int files_count, count;
} flm_report_sets;

/* flm_report_sets_add_samples - the sets of a samples file; a file that is there already is skipped, or completes what
 * JSON said of it. Errors: FLM_E_FORMAT, FLM_E_IO, FLM_E_NOMEM. */
flm_status flm_report_sets_add_samples(flm_report_sets *sets, const char *path);

/* flm_report_sets_add_json - the results of flm_score --json. A figure that the samples file has recorded wins.
 * Errors: FLM_E_FORMAT (not such a file), FLM_E_IO, FLM_E_NOMEM. */
flm_status flm_report_sets_add_json(flm_report_sets *sets, const char *path);

/* flm_report_sets_free - close the files and release everything; a structure of zeros is accepted. */
void flm_report_sets_free(flm_report_sets *sets);

/* flm_report_sets_have - whether some set has the figure. */
bool flm_report_sets_have(const flm_report_sets *sets, flm_figure_id figure);

#endif
