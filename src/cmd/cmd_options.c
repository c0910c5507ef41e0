/* cmd_options.c - see cmd_options.h. SPDX-License-Identifier: Apache-2.0 */
#include "cmd/cmd_options.h"

const char *const flm_device_choices[] = {"auto", "cpu", "cuda", NULL};
const char *const flm_precision_choices[] = {"auto", "bf16", "fp32", NULL};
const char *const flm_matmul_choices[] = {"auto", "amx", "native", "fp32", NULL};
const char *const flm_cuda_aware_choices[] = {"auto", "off", NULL};
const char *const flm_weights_choices[] = {"ema", "raw", NULL};
