/* cmd_options.h - rows that stand in every program's option table. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_CMD_OPTIONS_H
#define FLM_CMD_OPTIONS_H

#include "base/base_options.h"

/* In the order of flm_device and flm_precision. */
extern const char *const flm_device_choices[], *const flm_precision_choices[];

/* --device, --precision, --seed, --threads of a struct that has them by these names. */
#define FLM_OPTIONS_COMMON(type)                                                                        \
    {"device",  FLM_OPTION_CHOICE, offsetof(type, device), "auto", 0, 0, flm_device_choices,            \
     "Machine", "DEVICE",          "Where to compute",     false},                                      \
        {"precision",                                                                                   \
         FLM_OPTION_CHOICE,                                                                             \
         offsetof(type, precision),                                                                     \
         "auto",                                                                                        \
         0,                                                                                             \
         0,                                                                                             \
         flm_precision_choices,                                                                         \
         "Machine",                                                                                     \
         "DTYPE",                                                                                       \
         "Operands of matrix products; auto: bf16 where the device is fast at it",                      \
         false},                                                                                        \
        {"threads",                                                                                     \
         FLM_OPTION_INT,                                                                                \
         offsetof(type, threads),                                                                       \
         "0",                                                                                           \
         0,                                                                                             \
         4096,                                                                                          \
         NULL,                                                                                          \
         "Machine",                                                                                     \
         "N",                                                                                           \
         "OpenMP threads a rank; 0: as the environment says",                                           \
         false},                                                                                        \
    {                                                                                                   \
        "seed", FLM_OPTION_INT, offsetof(type, seed), "1", 0, 9007199254740992.0, NULL, "Machine", "N", \
            "All random numbers are a function of it", false                                            \
    }

#endif
