/* cmd_threads.h - the number of OpenMP threads of each rank. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_CMD_THREADS_H
#define FLM_CMD_THREADS_H

#include "comm/comm.h"

/* flm_cmd_threads_choose - threads of this rank: what --threads asks for; where that is 0, OMP_NUM_THREADS; without it,
 * this rank's share of the cores that it may run on (sched_getaffinity), which it shares with the other ranks of its
 * node that may run there, at least 1. Collective. Errors: the communicator's; FLM_E_NOMEM.
 * flm_cmd_threads_report - log ranks x threads, with a warning where a node has more threads than cores to run them.
 * For ranks that compute on the CPU. Collective. Errors: the communicator's; FLM_E_NOMEM. */
flm_status flm_cmd_threads_choose(flm_comm *world, int64_t asked, int *threads);
flm_status flm_cmd_threads_report(flm_comm *world, int threads);

#endif
