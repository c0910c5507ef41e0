/* flm_distill.c - distils a flow language model into a flow map: a teacher and shards in, checkpoints and metrics out.
 * SPDX-License-Identifier: Apache-2.0 */
#include "cmd/cmd_train_options.h"

/* In the order of flm_train_method. */
static const char *const methods[] = {"psd", "two-model", "two-stage", "any-order", NULL};

static const flm_option rows[] = {
    FLM_OPT_GROUP("Files"),
    FLM_CMD_OPTIONS_FILES,
    FLM_OPT_GROUP("Networks"),
    FLM_OPT_STRING("teacher", teacher, NULL, "FILE|DIR",
                   "checkpoint of a flow language model (kind flm), or its run directory\n"
                   "for --method any-order: of an any-order flow map (kind fmlm-any-order)",
                   .required = true),
    FLM_OPT_CHOICE("method", method, "psd", methods,
                   "psd = one network, distilled from itself (kind fmlm)\n"
                   "two-model = a correction to the teacher (kind fmlm-two-model)\n"
                   "two-stage = one network from --teacher and --flow-map (kind fmlm-two-stage)\n"
                   "any-order = for prompts and infilling, from another such map (kind fmlm-any-order)"),
    FLM_OPT_STRING("flow-map", flow_map, "", "FILE|DIR",
                   "for --method two-stage: checkpoint of kind fmlm-two-model, or its run directory"),
    FLM_OPT_CHOICE("teacher-weights", teacher_weights, "ema", flm_weights_choices,
                   "weights of --teacher and --flow-map to use: EMA, or raw (those of the last step)"),
    FLM_CMD_OPTIONS_INIT,
    FLM_OPT_GROUP("Methods psd and any-order"),
    FLM_CMD_OPTIONS_PSD,
    FLM_CMD_OPTIONS_TRAINING,
    FLM_CMD_OPTIONS_REPORTS,
    FLM_CMD_OPTIONS_COMMON,
};

/* Version 0.1 had two stages. */
static const flm_option_value stages[] = {{"1", "two-model"}, {"2", "two-stage"}, {NULL, NULL}};
static const flm_option_rename renamed[] = {
    {.old_name = "stage", .new_name = "method", .values = stages},
    {.old_name = "logit-cap", .reason = "the flow map has the logit cap of its teacher"},
    {0}};

static const flm_options_spec spec = {
    .program = "flm_distill",
    .purpose = "Distil a flow language model into a flow map, which generates text in a few steps: by default one "
               "network, by progressive self-distillation (--method psd). The two older methods are used one after the "
               "other: two-model trains a flow map that generates together with its teacher, two-stage then trains one "
               "network from both. Run the same command again to resume.",
    FLM_OPT_ROWS(rows),
    .renamed = renamed,
};

int main(int argc, char **argv) { return flm_cmd_train_options_run(&spec, argc, argv); }
