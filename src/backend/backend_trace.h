/* backend_trace.h - what this process computed last, for messages about one that hangs. SPDX-License-Identifier:
 * Apache-2.0 */
#ifndef FLM_BACKEND_TRACE_H
#define FLM_BACKEND_TRACE_H

/* flm_trace_last_op - the name of the operation that was called last (on a GPU: queued), or NULL. For any thread. */
const char *flm_trace_last_op(void);

#endif
