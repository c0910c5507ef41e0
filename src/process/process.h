/* process.h - start and end of every program: MPI, log, signals, exit status.
 *
 * Owns the table of exit statuses and the only code that ends a job. Leaves the device and the options to the program.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_PROCESS_H
#define FLM_PROCESS_H

#include "comm/comm.h"

#include <stdbool.h>

/* Exit statuses by cause, with the numbers of sysexits.h where one fits. docs/exit-codes.md says what to do for each,
 * and jobs/common.sh decides by them. */
typedef enum flm_exit_code {
    FLM_EXIT_OK = 0,
    FLM_EXIT_INTERNAL = 1,     /* a bug in the suite */
    FLM_EXIT_USAGE = 2,        /* bad option or configuration file */
    FLM_EXIT_INPUT = 65,       /* EX_DATAERR: bad content of a file, or files that do not match */
    FLM_EXIT_MISSING = 66,     /* EX_NOINPUT: missing file or directory, or no permission */
    FLM_EXIT_UNAVAILABLE = 69, /* EX_UNAVAILABLE: device or communication */
    FLM_EXIT_MEMORY = 71,      /* EX_OSERR: out of memory */
    FLM_EXIT_LOCKED = 73,      /* EX_CANTCREAT: another job writes there */
    FLM_EXIT_IO = 74,          /* EX_IOERR: disk full, quota or I/O error */
    FLM_EXIT_INTERRUPTED = 75, /* EX_TEMPFAIL: stopped by a signal; the same command resumes */
    FLM_EXIT_NUMERIC = 76      /* a loss or gradient is not finite (no number of sysexits.h fits) */
} flm_exit_code;

/* flm_process_exit_code - the exit status of a program that ends with rc. */
flm_exit_code flm_process_exit_code(flm_status rc);

/* flm_process_init - block SIGTERM and SIGUSR1, also in threads that start later (flm_process_stop_requested polls
 * them), MPI_Init_thread (FUNNELED), the world as a flm_comm, MPI_ERRORS_RETURN, the log. SIGXFSZ is ignored, so that a
 * file that exceeds a limit is an ordinary error (EFBIG). To be called before the program has other threads. Collective
 * over the world. Errors: FLM_E_MPI, FLM_E_NOMEM. */
flm_status flm_process_init(int *argc, char ***argv, flm_comm **world);

/* flm_process_stop_requested - whether this rank has received SIGTERM or SIGUSR1. To be polled at points where the
 * program can stop, by one thread. Not collective: ranks may differ. */
bool flm_process_stop_requested(void);

/* flm_process_poll - FLM_OK, or FLM_E_INTERRUPTED after such a signal: for loops of programs that can stop anywhere. */
flm_status flm_process_poll(void);

/* flm_process_finish - end the program: with FLM_OK or FLM_E_INTERRUPTED it destroys the world, calls MPI_Finalize and
 * returns the exit status for main. Any other rc goes to flm_process_fail, which does not return. Collective. */
int flm_process_finish(flm_status rc, flm_comm **world);

/* flm_process_fail - end the whole job now with flm_process_exit_code(rc). One rank prints "flm_train: error: MESSAGE
 * (rank R)" and, for internal errors or with FLM_TRACE=1, the frames. With FLM_E_USAGE, which every rank has, all ranks
 * end through MPI_Finalize; otherwise a rank that waits for another's message (flm_err_get_remote) is ended by that
 * rank.
 */
__attribute__((noreturn)) void flm_process_fail(flm_status rc);

#endif
