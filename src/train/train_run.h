/* train_run.h - a training run of an FLM or of a distillation: its directory, its resumption, the loop over steps.
 *
 * Run directory: config.ini, metrics.jsonl, checkpoints/ (docs/files.md section 2). The same command run again goes on
 * where the last whole checkpoint stands. Refuses: the parsing of options, signals, the end of the process.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_TRAIN_RUN_H
#define FLM_TRAIN_RUN_H

#include "base/base_options.h"
#include "train/train_step.h"

/* The options of flm_train and flm_distill, as their tables fill them (cmd/cmd_train_options.h). */
typedef struct flm_train_options {
    const char *data, *out, *resume;
    const char *preset;                            /* flm_train's alone, as the sizes: */
    int64_t hidden_size, heads, cond_size, blocks; /* 0: the preset's */
    const char *teacher, *flow_map;                /* flm_distill's alone: checkpoints or run directories; "": none */
    int64_t stage;                                 /* 1 or 2; 0: flm_train */
    int teacher_weights;                           /* 0 ema, 1 raw */
    int64_t steps, batch, micro_batch, chunk;      /* micro_batch, chunk 0: chosen */
    bool recompute;
    double lr, beta1, beta2, eps, weight_decay, clip, ema_decay, dropout;
    int64_t warmup, lr_decay;
    int64_t eval_every, eval_rows, checkpoint_every, keep, log_every; /* 0: never; all rows; keep all */
    int64_t eval_samples;                                             /* 0: none */
    const char *eval_steps;                                           /* of the samples: a list */
    bool eval_only, plan;
    int device, precision;
    int64_t seed, threads;
    double peak_tflops; /* of this rank's device, for the utilisation; 0: not known */
} flm_train_options;

/* flm_train_run - train until `steps`; with eval_only measure the held-out loss of the newest checkpoint; with plan, on
 * FLM_DEVICE_PLAN, print the memory that a rank would take, and leave the run directory alone.
 * in  given: the same options as resolved, recorded in config.ini, the metrics and every checkpoint; stop_requested:
 *     asked once a step whether this rank should end early, with a checkpoint.
 * Collective. Errors: FLM_E_USAGE, FLM_E_MISMATCH (shards, checkpoints, teachers and options that do not fit),
 * FLM_E_INTERRUPTED (stopped early, state saved), FLM_E_NUMERIC, and those of files and devices. */
flm_status flm_train_run(flm_comm *comm, flm_backend *be, const flm_train_options *options, const flm_options *given,
                         bool (*stop_requested)(void));

#endif
