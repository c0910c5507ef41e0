/* train_run.h - a complete run of training or distillation: run directory, resume, loop over steps.
 *
 * Run directory: config.ini, metrics.jsonl, checkpoints/ (docs/files.md section 2). Running the same command again
 * resumes from the newest valid checkpoint. The option tables belong to cmd/, signals and exit codes to process/.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_TRAIN_RUN_H
#define FLM_TRAIN_RUN_H

#include "base/base_options.h"
#include "train/train_step.h"

/* The values of --objective and of --method. */
typedef enum flm_train_objective { FLM_TRAIN_FLM, FLM_TRAIN_FMLM, FLM_TRAIN_ANY_ORDER } flm_train_objective;
typedef enum flm_train_method {
    FLM_METHOD_PSD,
    FLM_METHOD_TWO_MODEL,
    FLM_METHOD_TWO_STAGE,
    FLM_METHOD_ANY_ORDER
} flm_train_method;

/* The options of flm_train and flm_distill (cmd/cmd_train_options.h). */
typedef struct flm_train_options {
    const char *data, *out, *resume;
    bool allow_changed_data;
    const char *preset;                            /* flm_train only, like the sizes: */
    int64_t hidden_size, heads, cond_size, blocks; /* 0: the value of the preset */
    double logit_cap;                              /* flm_train only; 0: none */
    const char *teacher,
        *flow_map;            /* flm_distill only: checkpoint files or run directories; "": none; NULL: flm_train */
    int objective;            /* flm_train only: flm_train_objective */
    int method;               /* flm_distill only: flm_train_method */
    int teacher_weights;      /* 0 ema, 1 raw */
    double diagonal_fraction; /* of the one-network and the any-order flow map, like the next two */
    int64_t boundary;         /* one in so many jumps; 0: none */
    int target_weights;       /* 0 raw, 1 ema */
    const char *init_from;    /* checkpoint or run directory; "": none */
    int64_t steps, batch, micro_batch, chunk; /* micro_batch, chunk: 0 chooses them */
    bool recompute;
    double lr, beta1, beta2, eps, weight_decay, clip, ema_decay, dropout;
    int64_t warmup, lr_decay;
    double lr_min;
    int schedule;                                                     /* flm_lr_shape */
    double stop_after;                                                /* minutes; 0: no limit */
    int64_t eval_every, eval_rows, checkpoint_every, keep, log_every; /* 0: never (keep: all; eval_rows: all) */
    int64_t eval_samples;                                             /* 0: none */
    const char *eval_steps; /* numbers of sampling steps: a comma-separated list */
    bool eval_only, plan;
    int device, precision, matmul;
    flm_comm_settings comm;
    int64_t seed, threads;
    double step_timeout;      /* seconds; 0: none */
    double peak_tflops;       /* peak of this rank's device, for flops_utilisation and --plan; 0: unknown */
    double tokens_per_second; /* measured over all ranks, for --plan; 0: unknown */
} flm_train_options;

/* flm_train_run - train until step `steps`. With eval_only: print the validation loss of the newest checkpoint. With
 * plan, on FLM_DEVICE_PLAN: print the memory that a rank would use, storage, communication and time; nothing is
 * written. in  given: the same options as text, recorded in config.ini, the metrics and every checkpoint. Settings of
 * the network that were not given become those of the checkpoint that the run resumes from. stop_requested: called once
 * per step; true on any rank ends the run early, after a checkpoint Collective. Errors: FLM_E_USAGE, FLM_E_MISMATCH
 * (shards, checkpoints, teachers and options do not match), FLM_E_INTERRUPTED (stopped early, state saved),
 * FLM_E_NUMERIC, and those of files and devices. */
flm_status flm_train_run(flm_comm *comm, flm_backend *be, const flm_train_options *options, flm_options *given,
                         bool (*stop_requested)(void));

#endif
