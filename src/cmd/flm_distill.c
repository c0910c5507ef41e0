/* flm_distill.c - distils a flow language model into a flow map: a teacher and shards in, checkpoints and metrics out.
 * SPDX-License-Identifier: Apache-2.0 */
#include "cmd/cmd_train_options.h"

static const flm_option rows[] = {
    FLM_OPT_GROUP("Files"),
    FLM_CMD_OPTIONS_FILES,
    FLM_OPT_GROUP("Networks"),
    FLM_OPT_STRING("teacher", teacher, NULL, "FILE|DIR",
                   "checkpoint of a flow language model (kind flm), or its run directory", .required = true),
    FLM_OPT_INT("stage", stage, "1", "1|2",
                "1 = train a correction to the teacher (kind fmlm-two-model)\n"
                "2 = train one network from --teacher and --flow-map (kind fmlm-two-stage)",
                .min = 1, .max = 2),
    FLM_OPT_STRING("flow-map", flow_map, "", "FILE|DIR",
                   "for --stage 2: checkpoint of stage 1 (kind fmlm-two-model), or its run directory"),
    FLM_OPT_CHOICE("teacher-weights", teacher_weights, "ema", flm_weights_choices,
                   "weights of --teacher and --flow-map to use: EMA, or raw (those of the last step)"),
    FLM_CMD_OPTIONS_TRAINING,
    FLM_CMD_OPTIONS_REPORTS,
    FLM_CMD_OPTIONS_COMMON,
};

static const flm_options_spec spec = {
    .program = "flm_distill",
    .purpose = "Distil a flow language model into a flow map, which generates text in a few steps. Stage 1 trains "
               "a flow map that generates together with its teacher; stage 2 trains a single network that generates by "
               "itself. Run the same command again to resume.",
    FLM_OPT_ROWS(rows),
};

int main(int argc, char **argv) { return flm_train_main(&spec, argc, argv); }
