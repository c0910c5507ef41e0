/* train_internal.h - private to the train module: the state of a run and the steps that prepare and save it.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_TRAIN_INTERNAL_H
#define FLM_TRAIN_INTERNAL_H

#include "base/base_path.h"
#include "io/io_lineage.h"
#include "io/io_lock.h"
#include "train/train_metrics.h"
#include "train/train_run.h"

/* A frozen network of a distillation and its file. */
typedef struct flm_frozen_network {
    flm_checkpoint *checkpoint; /* NULL: not used */
    flm_weights *weights;
    char path[FLM_CHECKPOINT_PATH_BYTES];
    char sha256[FLM_SHA256_BYTES];
} flm_frozen_network;

typedef struct flm_run {
    flm_comm *comm;
    flm_backend *be;
    const flm_train_options *o;
    flm_options *given;
    char checkpoints[FLM_PATH_BYTES], metrics_path[FLM_PATH_BYTES], config_path[FLM_PATH_BYTES];
    flm_lock *lock;            /* of the run directory, on rank 0; NULL with --eval-only, which writes nothing */
    flm_shards *train, *valid; /* valid: NULL where there is none */
    const flm_kind *kind;      /* of the trained network */
    flm_frozen_network frozen[FLM_ROLE_FILES];
    char lineage[FLM_LINEAGE_BYTES]; /* attribute "parent" of the checkpoints */
    flm_trainer *trainer;
    flm_loader *loader;
    flm_metrics *metrics;
    flm_setting *setting; /* [settings]: the options by name and value, for checkpoints */
    int settings;
    int64_t *sample_steps; /* [sample_steps_count]: --eval-steps */
    int sample_steps_count;
    flm_checkpoint *resumed;                /* what the run resumes from, until it is read; NULL: nothing */
    bool resumed_own;                       /* it is in the run directory */
    char resumed_path[FLM_PATH_BYTES + 32]; /* its file */
    int64_t saved_step;                     /* of the newest valid checkpoint in the run directory; -1: none */
    double begin;                           /* flm_clock_seconds at the start, for --stop-after */
} flm_run;

/* Maxima over the ranks, whose shares of a batch may differ: micro-batch, and bytes by part, in total, of sampling. */
typedef struct flm_run_shares {
    int64_t micro_batch, part[FLM_TRAINER_MEMORY_PARTS], total, sampling;
} flm_run_shares;

/* flm_run_check_plan - refuse options that --plan excludes. Not collective. Errors: FLM_E_USAGE.
 * flm_run_print_plan - what --plan prints, on rank 0: memory of a rank, storage, communication, time. Not collective.
 */
flm_status flm_run_check_plan(const flm_train_options *options);
void flm_run_print_plan(const flm_run *run, const flm_run_shares *max_of);

/* flm_run_make_directory - set the paths; create the run directory and its checkpoints directory where missing, and
 * lock it for this job. Collective. Errors: FLM_E_IO with errno, FLM_E_USAGE (path too long), FLM_E_LOCKED. */
flm_status flm_run_make_directory(flm_run *run);

/* flm_run_write_config - replace config.ini with the resolved options. Rank 0 writes. Collective. Errors: FLM_E_IO. */
flm_status flm_run_write_config(flm_run *run);

/* flm_run_choose_kind - the kind of the trained network by the options, after those that were left at their defaults
 * have become those of the checkpoint to resume from, if that is known. Not collective. Errors: FLM_E_USAGE (options
 * that do not belong together), FLM_E_MISMATCH (an option contradicts the checkpoint). */
flm_status flm_run_choose_kind(flm_run *run);

/* flm_run_choose_precision - the compute dtype: that of the options; for `auto` that of the checkpoint to resume from,
 * else the backend's. The kind of bf16 matmul likewise, set on the backend. Collective. Errors: those of
 * flm_backend_set_matmul. */
flm_status flm_run_choose_precision(flm_run *run, flm_dtype *act);

/* flm_run_resolve_setting - the value of an option as checkpoints record it: what `auto` was resolved to, for
 * --precision and, on a CPU, --matmul; the value itself for others. Not collective. */
const char *flm_run_resolve_setting(const flm_run *run, flm_dtype act, const char *name, const char *value);

/* flm_run_check_init - check the checkpoint of --init-from, if it is given, for a network of this shape, before the run
 * directory is created. Collective. Errors: those of flm_run_init_from. */
flm_status flm_run_check_init(const flm_run *run, const flm_model_shape *shape);

/* flm_run_init_from - initial weights from the checkpoint of --init-from. Collective. Errors: FLM_E_MISMATCH (its kind,
 * vocabulary, sizes or cap do not fit), those of flm_checkpoint_open and flm_train_checkpoint_init_student. */
flm_status flm_run_init_from(flm_run *run);

/* flm_run_load_teachers - open the frozen networks of a distillation, check them against the
 * shards and each other, load them with compute dtype act, and fill lineage. Collective.
 * Errors: FLM_E_USAGE, FLM_E_MISMATCH; those of flm_checkpoint_open and flm_model_load_weights. */
flm_status flm_run_load_teachers(flm_run *run, flm_dtype act);
void flm_run_release_teachers(flm_run *run);

/* flm_run_teacher_set - which weights of the frozen networks are used, by --teacher-weights: "ema" or "weights". */
const char *flm_run_teacher_set(const flm_run *run);

/* flm_run_find_checkpoint - open the checkpoint that --resume selects, if there is one. Collective.
 * Errors: FLM_E_USAGE (--resume no in a directory with checkpoints, --eval-only without one); those of
 * flm_checkpoint_resume. */
flm_status flm_run_find_checkpoint(flm_run *run);

/* flm_run_take_settings - settings of the network that the checkpoint to resume from has and the options left at their
 * defaults: into settings and run->given. Not collective. Errors: FLM_E_MISMATCH (an option contradicts it). */
flm_status flm_run_take_settings(flm_run *run, flm_trainer_settings *settings);

/* flm_run_resume - set the initial state of the trainer: initial weights, or the checkpoint that was found, which is
 * closed. Collective. Errors: FLM_E_MISMATCH naming what differs; those of flm_train_checkpoint_read. */
flm_status flm_run_resume(flm_run *run);

/* flm_run_save - write a checkpoint of the current step, unless it is written already. Collective.
 * Errors: those of flm_checkpoint_write. */
flm_status flm_run_save(flm_run *run);

#endif
