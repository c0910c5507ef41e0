/* flm_distill.c - the program: an FLM and shards in, a flow map's checkpoints and metrics out. SPDX-License-Identifier: Apache-2.0 */
#include "cmd/cmd_run.h"
#include "cmd/cmd_train_options.h"

static const char *const weights_choices[] = {"ema", "raw", NULL};

static const flm_option table[] = {
    {"teacher", FLM_OPTION_STRING, AT(teacher), NULL, 0, 0, NULL, "Networks", "FILE|DIR",
     "Checkpoint of the FLM (kind flm), or its run directory", true},
    {"stage", FLM_OPTION_INT, AT(stage), "1", 1, 2, NULL, "Networks", "1|2",
     "1: a correction to the teacher; 2: one network of its own, out of teacher and --flow-map", false},
    {"flow-map", FLM_OPTION_STRING, AT(flow_map), "", 0, 0, NULL, "Networks", "FILE|DIR",
     "Of stage 2: checkpoint of stage 1 (kind flow-map-1), or its run directory", false},
    {"teacher-weights", FLM_OPTION_CHOICE, AT(teacher_weights), "ema", 0, 0, weights_choices, "Networks", "SET",
     "The frozen networks' averaged weights, or those of their last step", false},
    FLM_OPTIONS_RUN,
    FLM_OPTIONS_TRAINING,
    FLM_OPTIONS_REPORTS,
    FLM_OPTIONS_COMMON(flm_train_options),
};

int main(int argc, char **argv)
{
    flm_status rc = FLM_OK;
    flm_comm *world = NULL;
    flm_backend *be = NULL;
    flm_options *options = NULL;
    flm_train_options o = {0};
    bool stop = false;
    FLM_TRY(flm_run_init(&argc, &argv, &world));
    FLM_TRY(flm_options_parse("flm_distill", "Distil a flow language model into a flow map, in one stage or two.", NULL, table,
                              sizeof table / sizeof table[0], argc, argv, &o, flm_comm_rank(world) == 0, &stop,
                              &options));
    if (stop) goto done;
    FLM_TRY(flm_comm_agree(world, flm_backend_create((flm_device)o.device, (int)o.threads,
                                                     flm_comm_local_rank(world), &be)));
    FLM_TRY(flm_train_run(world, be, &o, options, flm_run_stop_requested));
done:
    if (rc != FLM_OK && rc != FLM_E_INTERRUPTED) flm_run_fail(rc);
    flm_options_destroy(&options);
    flm_backend_destroy(&be);
    return flm_run_finish(rc, &world);
}
