/* comm_wait.h - for a thread that watches this rank: whether it waits for others, and that it should not wait longer.
 * Both may be called by any thread. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_COMM_WAIT_H
#define FLM_COMM_WAIT_H

#include "comm/comm.h"

/* flm_comm_is_waiting - whether this rank waits for messages, or has polled its GPU's collectives within the last
 * second. */
bool flm_comm_is_waiting(const flm_comm *comm);

/* flm_comm_hurry - a wait in progress fails at its next poll as if its timeout had passed; its message says that
 * `option` has set the limit. */
void flm_comm_hurry(flm_comm *comm, const char *option);

#endif
