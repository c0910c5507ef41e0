/* train_metrics.h - reports the progress of a run: metrics.jsonl, and a progress bar or log lines.
 *
 * Only rank 0 writes; on other ranks every call does nothing. metrics.jsonl has one JSON object per line, appended by
 * one write(2). Resuming truncates the file to the step of the checkpoint, so that it equals that of an uninterrupted
 * run. When to report is decided by train_run.c. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_TRAIN_METRICS_H
#define FLM_TRAIN_METRICS_H

#include "base/base_options.h"
#include "comm/comm.h"
#include "train/train_step.h"

typedef struct flm_metrics flm_metrics;

/* Of the ranks: seconds of a step without waits for others, on average since the previous report, of the slowest and
 * the fastest one. With NCCL the GPU waits, which the host does not see: they are then nearly equal. */
typedef struct flm_metrics_ranks {
    double slowest, fastest;
    int slowest_rank, fastest_rank;
} flm_metrics_ranks;

typedef struct flm_metrics_step {
    int64_t step, epoch, tokens_seen;
    flm_losses losses; /* what is NaN is not written */
    double grad_norm, lr;
    double tokens_per_second; /* since the previous report */
    double utilisation;       /* model FLOP/s over the peak; 0: unknown, and for distillation */
    /* Of rank 0 since the previous report. Communication: waiting in collectives (flm_comm_seconds_waited), which with
     * NCCL is about 0: there the GPU waits, and that time is part of compute, the rest of the step's time. */
    double seconds_data, seconds_compute, seconds_communication;
    flm_metrics_ranks ranks;
    int64_t memory_bytes; /* largest resident set of rank 0 so far */
} flm_metrics_step;

/* flm_metrics_open - open the file for appending, without the lines of steps after `step` and an incomplete last line;
 * step 0 starts a new file. Appends a line about this start: options, version, device (describe), ranks.
 * Not collective. Errors: FLM_E_IO, FLM_E_NOMEM. */
flm_status flm_metrics_open(const flm_comm *comm, const char *path, int64_t step, const flm_options *options,
                            const char *describe, flm_metrics **out);

/* flm_metrics_close - accepts NULL, sets it to NULL. */
void flm_metrics_close(flm_metrics **metrics);

/* flm_metrics_write_step - append the report of a training step. Errors: FLM_E_IO, FLM_E_NOMEM. */
flm_status flm_metrics_write_step(flm_metrics *metrics, const flm_metrics_step *report);

/* flm_metrics_write_validation - append the losses (as above) on `rows` held-out rows. Errors: FLM_E_IO,
 * FLM_E_NOMEM. */
flm_status flm_metrics_write_validation(flm_metrics *metrics, int64_t step, const flm_losses *losses, int64_t rows);

/* flm_metrics_write_samples - append the mean entropy of samples drawn with `sample_steps` steps. Errors: FLM_E_IO,
 * FLM_E_NOMEM. */
flm_status flm_metrics_write_samples(flm_metrics *metrics, int64_t step, int64_t sample_steps, int64_t samples,
                                     double entropy);

/* flm_metrics_show_progress - redraw the progress bar, if stderr is a terminal. */
void flm_metrics_show_progress(flm_metrics *metrics, int64_t step, int64_t steps, double loss, int64_t tokens_per_step);

#endif
