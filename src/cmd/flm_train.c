/* flm_train.c - the program: shards in, checkpoints and metrics out. SPDX-License-Identifier: Apache-2.0 */
#include "cmd/cmd_train_options.h"

static const flm_option table[] = {
    FLM_OPTIONS_RUN,
    {"preset", FLM_OPTION_STRING, AT(preset), "small", 0, 0, NULL, "Network", "small|tiny",
     "Sizes: small d 768, H 12, c 128, N 12; tiny d 128, H 4, c 64, N 4", false},
    {"hidden-size", FLM_OPTION_INT, AT(hidden_size), "0", 0, 65536, NULL, "Network", "d", "0: the preset's", false},
    {"heads", FLM_OPTION_INT, AT(heads), "0", 0, 4096, NULL, "Network", "H", "0: the preset's", false},
    {"cond-size", FLM_OPTION_INT, AT(cond_size), "0", 0, 65536, NULL, "Network", "c", "0: the preset's", false},
    {"blocks", FLM_OPTION_INT, AT(blocks), "0", 0, 125, NULL, "Network", "N", "0: the preset's", false},
    FLM_OPTIONS_TRAINING,
    FLM_OPTIONS_REPORTS,
    FLM_OPTIONS_COMMON(flm_train_options),
};

int main(int argc, char **argv)
{
    return flm_train_main("flm_train", "Train a flow language model on shards.", table, sizeof table / sizeof table[0],
                          argc, argv);
}
