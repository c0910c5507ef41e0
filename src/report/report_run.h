/* report_run.h - what a run directory holds: metrics.jsonl, and the checkpoints without their data.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_REPORT_RUN_H
#define FLM_REPORT_RUN_H

#include "io/io_checkpoint.h"

#include <jansson.h>
#include <stdbool.h>
#include <time.h>

/* The numbers of a line of metrics.jsonl, by flm_report_run_names; train_metrics.h says what they are. */
typedef enum flm_report_metric {
    FLM_METRIC_STEP,
    FLM_METRIC_EPOCH,
    FLM_METRIC_TOKENS_SEEN,
    FLM_METRIC_LOSS,
    FLM_METRIC_LOSS_DIAGONAL,
    FLM_METRIC_LOSS_OFF_DIAGONAL,
    FLM_METRIC_VALID_LOSS,
    FLM_METRIC_GRAD_NORM,
    FLM_METRIC_LR,
    FLM_METRIC_TOKENS_PER_SECOND,
    FLM_METRIC_UTILISATION,
    FLM_METRIC_SECONDS_DATA,
    FLM_METRIC_SECONDS_COMPUTE,
    FLM_METRIC_SECONDS_COMMUNICATION,
    FLM_METRIC_MEMORY,
    FLM_METRIC_SAMPLE_STEPS,
    FLM_METRIC_SAMPLE_ENTROPY,
    FLM_METRICS
} flm_report_metric;

typedef struct flm_report_checkpoint {
    char name[32];
    bool latest;              /* the link `latest` names it */
    int64_t bytes;            /* of the file */
    flm_checkpoint_info info; /* with problem: zeros */
    int64_t parameters;       /* values in weights/ */
    char *problem;            /* why it cannot be read; NULL: it can */
} flm_report_checkpoint;

typedef struct flm_report_run {
    const char *path;                   /* as given; not owned */
    const char *name;                   /* for people: the end of path that no other run has; not owned */
    double *values;                     /* [count, FLM_METRICS]; NaN: the line lacks it */
    int64_t count;                      /* lines about steps */
    json_t *starts;                     /* array of the lines about starts of the program */
    const json_t *config;               /* of the last start: option -> text; NULL: no start */
    bool has_metrics, open;             /* there is a metrics.jsonl; its last line is incomplete, and left out */
    time_t modified;                    /* when metrics.jsonl was written last */
    flm_report_checkpoint *checkpoints; /* [checkpoints_count], ascending */
    int checkpoints_count;
} flm_report_run;

/* flm_report_run_recognise - whether a directory is a run directory: it has metrics.jsonl or checkpoints. */
bool flm_report_run_recognise(const char *path);

/* flm_report_run_read - a run directory, of a run that goes on, too. path must outlive the result, which the caller
 * frees. A checkpoint that cannot be read is recorded with its problem and reported as a warning.
 * Errors: FLM_E_FORMAT naming the file and line, FLM_E_IO, FLM_E_NOMEM. */
flm_status flm_report_run_read(const char *path, flm_report_run *out);

/* flm_report_run_free - release everything; a structure of zeros is accepted. */
void flm_report_run_free(flm_report_run *run);

/* flm_report_run_value - a number of line i, or NaN. */
static inline double flm_report_run_value(const flm_report_run *run, int64_t i, flm_report_metric metric)
{
    return run->values[i * FLM_METRICS + metric];
}

/* flm_report_run_setting - the text of an option of the last start, or NULL. */
const char *flm_report_run_setting(const flm_report_run *run, const char *option);

/* flm_report_run_newest - the newest checkpoint that can be read, or NULL. flm_report_run_kind - the kind of network:
 * that checkpoint's, else the objective or method of the options; "" if neither is known. */
const flm_report_checkpoint *flm_report_run_newest(const flm_report_run *run);
const char *flm_report_run_kind(const flm_report_run *run);

/* flm_report_run_step - the last step that the metrics or a checkpoint know. flm_report_run_steps - how many steps the
 * options ask for, 0: unknown. */
int64_t flm_report_run_step(const flm_report_run *run);
int64_t flm_report_run_steps(const flm_report_run *run);

#endif
