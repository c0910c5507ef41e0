/* process_guard.h - a deadline for the steps of a long computation, kept by a thread of its own: so also for a rank
 * that hangs in a driver, a file system or a loop. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_PROCESS_GUARD_H
#define FLM_PROCESS_GUARD_H

#include "comm/comm.h"

typedef struct flm_guard flm_guard;

/* flm_guard_start - watch this rank, with `seconds` for each step; 0: no guard, *out stays NULL. Time in which the
 * process was stopped does not count. Not collective. Errors: FLM_E_NOMEM. */
flm_status flm_guard_start(flm_comm *comm, double seconds, flm_guard **out);

/* flm_guard_stop - accepts NULL, sets it to NULL. */
void flm_guard_stop(flm_guard **guard);

/* flm_guard_begin - step `step` begins now. flm_guard_end - it has ended; until the next begin there is no deadline.
 * A step that takes longer ends the process, and with it the job, with exit code 69 and a message that names rank,
 * node, step and the last operation (flm_trace_last_op). A rank that waits for others in a collective first calls the
 * roll (flm_comm_settings.timeout), whose message names those that do not answer, and ends some seconds later than a
 * rank that is at fault itself. Both accept NULL. */
void flm_guard_begin(flm_guard *guard, int64_t step);
void flm_guard_end(flm_guard *guard);

#endif
