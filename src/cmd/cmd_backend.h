/* cmd_backend.h - opening the device of a program. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_CMD_BACKEND_H
#define FLM_CMD_BACKEND_H

#include "backend/backend.h"
#include "comm/comm.h"

/* flm_cmd_backend_open - the device for --device, --threads and --matmul, after configuring world. Ranks agree on one
 * kind of bf16 matmul, FP32 if AUTO found that on any of them, so that a result does not depend on the rank that
 * computes it. Collective. Errors: those of flm_comm_check_gpus, flm_backend_create and flm_backend_set_matmul; the
 * communicator's. */
flm_status flm_cmd_backend_open(flm_comm *world, const flm_comm_settings *comm, flm_device device, int64_t threads,
                                int matmul, flm_backend **out);

#endif
