/* train_internal.h - private to the train room: what a run holds while it lasts. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_TRAIN_INTERNAL_H
#define FLM_TRAIN_INTERNAL_H

#include "io/io_lineage.h"
#include "train/train_metrics.h"
#include "train/train_run.h"

enum { FLM_RUN_PATH_BYTES = 4096 };

/* A frozen network of a distillation, and the file it came from. */
typedef struct flm_frozen_network {
    flm_checkpoint *checkpoint; /* NULL: there is none */
    flm_weights *weights;
    char path[FLM_LINEAGE_PATH_BYTES];
    char sha256[FLM_SHA256_BYTES];
} flm_frozen_network;

typedef struct flm_run {
    flm_comm *comm;
    flm_backend *be;
    const flm_train_options *o;
    const flm_options *given;
    char checkpoints[FLM_RUN_PATH_BYTES], metrics_path[FLM_RUN_PATH_BYTES], config_path[FLM_RUN_PATH_BYTES];
    flm_shards *train, *valid; /* valid NULL: the shards have none */
    flm_network network;       /* what is trained */
    flm_frozen_network teacher, flow_map;
    char lineage[FLM_LINEAGE_BYTES]; /* what stands in the checkpoints */
    flm_trainer *trainer;
    flm_loader *loader;
    flm_metrics *metrics;
    flm_setting *setting; /* the options as name and value, for checkpoints */
    int settings;
    int64_t *sample_steps; /* [sample_steps_count]: --eval-steps */
    int sample_steps_count;
    int64_t saved_step; /* of the newest whole checkpoint of this run, -1: none */
} flm_run;

/* flm_run_make_directory - the run directory and its checkpoints' directory, where missing; the paths. Collective.
 * Errors: FLM_E_IO with errno. */
flm_status flm_run_make_directory(flm_run *run);

/* flm_run_write_config - config.ini as resolved, in one rename. Rank 0 writes. Collective. Errors: FLM_E_IO. */
flm_status flm_run_write_config(flm_run *run);

/* flm_run_load_teachers - open the frozen networks of a distillation (stage 0: none), check that they fit the shards
 * and each other, load them, and fill lineage. Collective. Errors: FLM_E_USAGE, FLM_E_MISMATCH saying what fits; those
 * of reading. */
flm_status flm_run_load_teachers(flm_run *run, flm_dtype act);
void flm_run_release_teachers(flm_run *run);

/* flm_run_teacher_set - the set of a frozen network's checkpoint that is taken, "ema" or "weights". */
const char *flm_run_teacher_set(const flm_run *run);

/* flm_run_resume - the state to begin with: initial weights, or a checkpoint by --resume. Collective.
 * Errors: FLM_E_MISMATCH naming what differs; FLM_E_USAGE (--resume no, and there are checkpoints); those of reading.
 */
flm_status flm_run_resume(flm_run *run);

/* flm_run_save - a checkpoint of the present step, unless it is there already. Collective. Errors: those of
 * flm_checkpoint_write. */
flm_status flm_run_save(flm_run *run);

#endif
