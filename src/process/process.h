/* process.h - what every program does first and last: MPI, log, signals, the one place that ends a job.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_PROCESS_H
#define FLM_PROCESS_H

#include "comm/comm.h"

#include <stdbool.h>

/* flm_process_init - MPI_Init_thread (FUNNELED), the world as a flm_comm, MPI_ERRORS_RETURN, log with rank, signal
 * handlers for SIGTERM and SIGUSR1 that set the flag behind flm_process_stop_requested; SIGXFSZ is ignored, so that a
 * file too long is an error like any other (EFBIG). Collective over the world. */
flm_status flm_process_init(int *argc, char ***argv, flm_comm **world);

/* flm_process_stop_requested - whether this rank was asked to stop. Ranks agree on it themselves. */
bool flm_process_stop_requested(void);

/* flm_process_finish - end the program normally: destroys the world, MPI_Finalize, returns main's exit status:
 * 0 for FLM_OK, 75 for FLM_E_INTERRUPTED. Any other rc goes to flm_process_fail, which does not return. */
int flm_process_finish(flm_status rc, flm_comm **world);

/* flm_process_fail - end the whole job now. One rank speaks: "flm_train: error: MESSAGE (rank R)" and, with FLM_TRACE=1
 * or for internal errors, the frames. FLM_E_USAGE is the same on every rank: rank 0 speaks, exit status 2 through
 * MPI_Finalize; a rank whose error is another's (flm_err_remote) waits for that one to end the job. Exit status 1. */
__attribute__((noreturn)) void flm_process_fail(flm_status rc);

#endif
