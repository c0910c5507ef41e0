/* train_metrics.h - what a run says of itself: metrics.jsonl, and a progress bar or lines of log.
 *
 * Rank 0 alone writes; on the others every call does nothing. A report is one JSON object a line, written whole with
 * one write(2); a resume cuts the file back to its checkpoint's step, so that the file is that of an uninterrupted run.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_TRAIN_METRICS_H
#define FLM_TRAIN_METRICS_H

#include "base/base_options.h"
#include "comm/comm.h"

typedef struct flm_metrics flm_metrics;

typedef struct flm_metrics_step {
    int64_t step, epoch, tokens_seen;
    double loss, error, grad_norm, lr; /* error: see flm_step_result; NaN for an FLM, then not written */
    double tokens_per_second;          /* since the report before */
    double utilisation;                /* model FLOPs a second over the peak; 0: not known; of an FLM alone */
    /* Of rank 0 since the previous report. Communication: waiting in collectives (flm_comm_seconds_waited), which with
     * NCCL is about 0: there the GPU waits, and that time is part of compute, the rest of the step's time. */
    double seconds_data, seconds_compute, seconds_communication;
    int64_t memory_bytes; /* the largest resident set of rank 0 so far */
} flm_metrics_step;

/* flm_metrics_open - the file for appending. step: lines of later steps are cut off, and an unfinished last one; 0: the
 * file begins anew. options: recorded in a first line of every start, with version and device (describe).
 * Not collective. Errors: FLM_E_IO, FLM_E_NOMEM. */
flm_status flm_metrics_open(const flm_comm *comm, const char *path, int64_t step, const flm_options *options,
                            const char *describe, flm_metrics **out);

/* flm_metrics_close - accepts NULL, nulls it. */
void flm_metrics_close(flm_metrics **metrics);

/* flm_metrics_write_step - a line of a training step. Errors: FLM_E_IO. */
flm_status flm_metrics_write_step(flm_metrics *metrics, const flm_metrics_step *report);

/* flm_metrics_write_validation - a line with the loss, and the error as above, on held-out rows. Errors: FLM_E_IO. */
flm_status flm_metrics_write_validation(flm_metrics *metrics, int64_t step, double loss, double error, int64_t rows);

/* flm_metrics_write_samples - a line with the mean entropy of samples of `sample_steps` steps. Errors: FLM_E_IO. */
flm_status flm_metrics_write_samples(flm_metrics *metrics, int64_t step, int64_t sample_steps, int64_t samples,
                                     double entropy);

/* flm_metrics_show_progress - on a terminal: redraw the bar of step `step` of `steps`. */
void flm_metrics_show_progress(flm_metrics *metrics, int64_t step, int64_t steps, double loss, int64_t tokens_a_step);

#endif
