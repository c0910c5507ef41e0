/* flm_distill.c - the program: an FLM and shards in, a flow map's checkpoints and metrics out. SPDX-License-Identifier:
 * Apache-2.0 */
#include "cmd/cmd_train_options.h"

static const char *const weights_choices[] = {"ema", "raw", NULL};

static const flm_option table[] = {
    {"teacher", FLM_OPTION_STRING, AT(teacher), NULL, 0, 0, NULL, "Networks", "FILE|DIR",
     "Checkpoint of the FLM (kind flm), or its run directory", true},
    {"stage", FLM_OPTION_INT, AT(stage), "1", 1, 2, NULL, "Networks", "1|2",
     "1: a correction to the teacher; 2: one network of its own, out of teacher and --flow-map", false},
    {"flow-map", FLM_OPTION_STRING, AT(flow_map), "", 0, 0, NULL, "Networks", "FILE|DIR",
     "Of stage 2: checkpoint of stage 1 (kind fmlm-two-model), or its run directory", false},
    {"teacher-weights", FLM_OPTION_CHOICE, AT(teacher_weights), "ema", 0, 0, weights_choices, "Networks", "SET",
     "The frozen networks' averaged weights, or those of their last step", false},
    FLM_OPTIONS_RUN,
    FLM_OPTIONS_TRAINING,
    FLM_OPTIONS_REPORTS,
    FLM_OPTIONS_COMMON(flm_train_options),
};

int main(int argc, char **argv)
{
    return flm_train_main("flm_distill", "Distil a flow language model into a flow map, in one stage or two.", table,
                          sizeof table / sizeof table[0], argc, argv);
}
