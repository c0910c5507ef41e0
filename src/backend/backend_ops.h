/* backend_ops.h - the front door of the operations: flm_op_<name>(be, ...).
 *
 * Each checks its arguments once, for all backends alike, and then calls the backend's implementation, which only
 * computes. The operations with their parameters and contracts are in backend_ops.def.
 *
 * Conventions, for all ops unless one says otherwise:
 *   - tensors live on the backend, contiguous, row-major; letters as in model.md: B L V d H N, h = d / H;
 *   - where "padded rows" stands, these may be padded (backend_tensor.h), each to a step of its own: padding is neither
 * used nor written, and what is written in place has its operand's step; everywhere else padded rows are refused;
 *   - "act" is an activation dtype, f32 or bf16; all act tensors of one call have the same dtype;
 *   - "+=" means the op accumulates into what is there; "=" overwrites;
 *   - collective: no; queued on the backend's stream; outputs undefined after an error;
 *   - no aliasing among arguments unless stated;
 *   - results do not depend on the number of threads where "deterministic" is stated;
 *   - host backends refuse indices out of their table, with FLM_E_ARG; devices read and write nothing out of bounds and
 *     give NaN for what depends on one, which a training step's check for finite values finds;
 *   - errors: FLM_E_SHAPE (tensors that do not fit), FLM_E_UNSUPPORTED (the backend lacks the op), FLM_E_DEVICE; the
 * message begins with the op's name. How to add an op: CONTRIBUTING.md. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_BACKEND_OPS_H
#define FLM_BACKEND_OPS_H

#include "backend/backend_arguments.h"

#define FLM_OP_UNPACK(...) __VA_ARGS__

#define FLM_OP(op, parameters, arguments) flm_status flm_op_##op(flm_backend *be, FLM_OP_UNPACK parameters);
#include "backend/backend_ops.def"

#endif
