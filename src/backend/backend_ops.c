/* backend_ops.c - the front door: the check of an operation's arguments, then the backend's implementation.
 * SPDX-License-Identifier: Apache-2.0 */
#include "backend/backend_check.h"
#include "backend/backend_trace.h"

#include <stdatomic.h>

static const char *_Atomic last_op;

const char *flm_trace_last_op(void) { return last_op; }

/* A backend without the operation has an empty slot. */
#define FLM_OP(op, parameters, arguments)                                                             \
    flm_status flm_op_##op(flm_backend *be, FLM_OP_UNPACK parameters)                                 \
    {                                                                                                 \
        flm_status rc = be->ops->op ? flm_check_##op(FLM_OP_UNPACK arguments)                         \
                                    : flm_err_raise(FLM_E_UNSUPPORTED, __FILE__, __LINE__,            \
                                                    "the backend %s lacks this operation", be->name); \
        atomic_store_explicit(&last_op, #op, memory_order_relaxed);                                   \
        if (rc == FLM_OK) rc = be->ops->op(be, FLM_OP_UNPACK arguments);                              \
        return rc == FLM_OK ? rc : flm_err_prefix(rc, #op);                                           \
    }
#include "backend/backend_ops.def"
