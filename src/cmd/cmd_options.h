/* cmd_options.h - option rows that several programs have. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_CMD_OPTIONS_H
#define FLM_CMD_OPTIONS_H

#include "base/base_options.h"

/* In the order of flm_device, flm_precision and flm_matmul_kind. */
extern const char *const flm_device_choices[], *const flm_precision_choices[], *const flm_matmul_choices[];

/* Weights of a checkpoint: 0 ema, 1 raw. */
extern const char *const flm_weights_choices[];

#define FLM_CMD_CHUNK_HELP                                                                                             \
    "number of tokens whose logits are computed at once\n0 = chosen to give about 32 M logits, 256 M on a GPU; never " \
    "more than 2 G"

/* In the order of flm_cuda_aware. */
extern const char *const flm_cuda_aware_choices[];

/* The rows of --device, --precision, --matmul, --threads and --seed, for fields with these names; and of the settings
 * of the communicator, for a field flm_comm_settings comm. */
#define FLM_CMD_OPTIONS_COMMON                                                                                        \
    FLM_OPT_GROUP("Machine"),                                                                                         \
        FLM_OPT_CHOICE("device", device, "auto", flm_device_choices,                                                  \
                       "device to compute on\nauto = GPU if available, else CPU"),                                    \
        FLM_OPT_CHOICE("precision", precision, "auto", flm_precision_choices,                                         \
                       "data type of matmul operands\nauto = bf16 if the device has fast bf16 matmuls, else fp32"),   \
        FLM_OPT_CHOICE("matmul", matmul, "auto", flm_matmul_choices,                                                  \
                       "how a CPU computes bf16 matmuls\namx = with tiles of Intel AMX\n"                             \
                       "native = with bf16 instructions by oneDNN\nfp32 = with operands converted to fp32\n"          \
                       "auto = the fastest, measured at start"),                                                      \
        FLM_OPT_INT("threads", threads, "0", "N",                                                                     \
                    "OpenMP threads per rank\n0 = OMP_NUM_THREADS, else the rank's share of the cores", .max = 4096), \
        FLM_OPT_FLOAT("comm-timeout", comm.timeout, "1800", "SECONDS",                                                \
                      "longest wait for other ranks without progress; then the job ends and names those that do not " \
                      "answer\n0 = no limit",                                                                         \
                      .limit = 1e6),                                                                                  \
        FLM_OPT_BOOL("share-gpus", comm.share_gpus, "no",                                                             \
                     "allow several ranks to use one GPU; slow, because NCCL does not support it"),                   \
        FLM_OPT_CHOICE("cuda-aware-mpi", comm.cuda_aware, "auto", flm_cuda_aware_choices,                             \
                       "pass GPU memory to MPI where NCCL is not used\nauto = if MPI supports it and a probe "        \
                       "succeeds; off = never"),                                                                      \
        FLM_OPT_INT("seed", seed, "1", "N", "seed of the random number generator")

#endif
