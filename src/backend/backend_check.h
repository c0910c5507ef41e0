/* backend_check.h - do an operation's arguments fit each other? The front door asks this before it calls a backend.
 * flm_check_<op> takes the operation's arguments, without the backend. Errors: FLM_E_SHAPE, FLM_E_ARG and
 * FLM_E_UNSUPPORTED as backend_ops.def says for the operation; values on the device are not checked.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_BACKEND_CHECK_H
#define FLM_BACKEND_CHECK_H

#include "backend/backend_internal.h"

#define FLM_OP(op, parameters, arguments) flm_status flm_check_##op(FLM_OP_UNPACK parameters);
#include "backend/backend_ops.def"

/* flm_check_act - t is an activation, f32 or bf16, of these sizes (-1: any). flm_check_act_rows - the same, with rows
 * that may be padded. Errors: FLM_E_SHAPE, naming what. */
flm_status flm_check_act(const flm_tensor *t, const char *what, int ndim, const int64_t *dim);
flm_status flm_check_act_rows(const flm_tensor *t, const char *what, int ndim, const int64_t *dim);

/* flm_dropout_threshold - an element is dropped if its 16 random bits are below this; 65536 if p is not in [0, 1) after
 * rounding. Source: flm_dropout in backend_arguments.h. */
static inline uint32_t flm_dropout_threshold(const flm_dropout *dropout)
{
    return dropout->p >= 0 && dropout->p < 1 ? (uint32_t)(dropout->p * 65536.0f + 0.5f) : 65536;
}

/* flm_check_columns - mod is f32 [B, M], or [2B, M] if context is not absent but i32 [B, L], and has columns
 * [at, at + d). in x: of sizes B, L, d. Errors: FLM_E_SHAPE, naming what. */
flm_status flm_check_columns(const flm_tensor *mod, const flm_tensor *context, const char *what, const flm_tensor *x,
                             int64_t at);

#endif
