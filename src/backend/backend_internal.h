/* backend_internal.h - between the registry and the backends: how each is opened and closed, and its table of
 * operations. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_BACKEND_INTERNAL_H
#define FLM_BACKEND_INTERNAL_H

#include "backend/backend_ops.h"

/* What the registry asks of a backend beside its tables. */
typedef struct flm_backend_driver {
    void (*close)(flm_backend *be);                                   /* release state and the backend itself */
    flm_status (*set_matmul)(flm_backend *be, flm_matmul_kind asked); /* NULL: NATIVE alone */
    flm_matmul_kind (*get_matmul)(const flm_backend *be);             /* NULL: NATIVE */
    void (*hold)(flm_backend *be, const flm_tensor *t);               /* see flm_backend_hold; NULL: nothing to do */
    void (*let_go)(flm_backend *be, const flm_tensor *t);             /* set where hold is */
    const char *(*identify)(const flm_backend *be);                   /* see flm_backend_identify; NULL: no GPU */
    const char *(*describe)(const flm_backend *be); /* see flm_backend_describe; owned by the backend */
} flm_backend_driver;

/* flm_cpu_open - the backend "cpu": always built. threads as in flm_backend_create. Errors: FLM_E_ARG, FLM_E_NOMEM,
 * FLM_E_DEVICE. */
flm_status flm_cpu_open(int threads, flm_backend **out);

/* flm_cuda_open - the backend "cuda", in builds that have it: the GPU numbered local_rank modulo how many there are.
 * Errors: FLM_E_UNSUPPORTED where there is none; FLM_E_DEVICE for one that cannot be used, saying why; FLM_E_NOMEM. */
flm_status flm_cuda_open(int local_rank, flm_backend **out);

/* flm_plan_open - the device of a plan: see FLM_DEVICE_PLAN. Errors: FLM_E_NOMEM. */
flm_status flm_plan_open(flm_backend **out);

/* A backend's implementations, one slot for each operation; NULL: it has none. */
typedef struct flm_ops {
#define FLM_OP(op, parameters, arguments) flm_status (*op)(flm_backend * be, FLM_OP_UNPACK parameters);
#include "backend/backend_ops.def"
} flm_ops;

#endif
