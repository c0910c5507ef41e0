/* flm_train.c - trains a flow language model: shards in, checkpoints and metrics out.
 * SPDX-License-Identifier: Apache-2.0 */
#include "cmd/cmd_train_options.h"

/* In the order of flm_train_objective. */
static const char *const objectives[] = {"flm", "fmlm", "any-order", NULL};

static const flm_option rows[] = {
    FLM_OPT_GROUP("Files"),
    FLM_CMD_OPTIONS_FILES,
    FLM_OPT_GROUP("Network"),
    FLM_OPT_STRING(
        "preset", preset, "small", "large|medium|small|mini|tiny",
        "network size; the options below override single values\nlarge: d = 1280, 20 heads, c = 128, 36 blocks\n"
        "medium: d = 1024, 16 heads, c = 128, 24 blocks\nsmall: d = 768, 12 heads, c = 128, 12 blocks\n"
        "mini: d = 512, 8 heads, c = 128, 8 blocks\ntiny: d = 128, 4 heads, c = 64, 4 blocks"),
    FLM_OPT_INT("hidden-size", hidden_size, "0", "d", "hidden size\n0 = the preset's value", .max = 65536),
    FLM_OPT_INT("heads", heads, "0", "H", "number of attention heads\n0 = the preset's value", .max = 4096),
    FLM_OPT_INT("cond-size", cond_size, "0", "c", "size of the time conditioning\n0 = the preset's value",
                .max = 65536),
    FLM_OPT_INT("blocks", blocks, "0", "N", "number of blocks\n0 = the preset's value", .max = 125),
    FLM_OPT_FLOAT("logit-cap", logit_cap, "30", "C",
                  "cap of the logits z: softmax is applied to C tanh(z / C)\n"
                  "0 = no cap; a resumed run keeps the cap of its checkpoint",
                  .max = 1000),
    FLM_CMD_OPTIONS_INIT,
    FLM_OPT_GROUP("Objective"),
    FLM_OPT_CHOICE("objective", objective, "flm", objectives,
                   "flm = flow language model\n"
                   "fmlm = flow map in one network, learnt from data without a teacher\n"
                   "any-order = flow map for prompts and infilling, learnt likewise (kind fmlm-any-order)"),
    FLM_CMD_OPTIONS_PSD,
    FLM_CMD_OPTIONS_TRAINING,
    FLM_CMD_OPTIONS_REPORTS,
    FLM_CMD_OPTIONS_COMMON,
};

static const flm_options_spec spec = {
    .program = "flm_train",
    .purpose = "Train a flow language model, or a flow map without a teacher, on shards of tokens. Run the same "
               "command again to resume.",
    FLM_OPT_ROWS(rows),
};

int main(int argc, char **argv) { return flm_cmd_train_options_run(&spec, argc, argv); }
