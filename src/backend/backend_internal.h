/* backend_internal.h - between the registry and the backends: how each is opened and closed, and the placeholders for
 * ops that one of them lacks. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_BACKEND_INTERNAL_H
#define FLM_BACKEND_INTERNAL_H

#include "backend/backend_ops.h"

/* What the registry asks of a backend beside its tables. */
typedef struct flm_backend_driver {
    void (*close)(flm_backend *be);                 /* release state and the backend itself */
    bool (*fast_bf16)(const flm_backend *be);       /* bf16 products beat fp32 ones */
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

/* Every op with the parameters that follow the backend: makes the placeholders' prototypes and bodies, which must have
 * each slot's own type (a call through another function type is undefined). */
#define FLM_OPS_LIST(X)                                                                                             \
    X(matmul, const flm_matmul *p)                                                                                  \
    X(column_sum, const flm_tensor *out, const flm_tensor *x)                                                       \
    X(layernorm_modulate, const flm_tensor *y, const flm_tensor *mean, const flm_tensor *rstd, const flm_tensor *x, \
      const flm_tensor *w, const flm_tensor *mod, int64_t shift_at, int64_t scale_at)                               \
    X(layernorm_modulate_backward, const flm_tensor *grad_x, const flm_tensor *grad_w, const flm_tensor *grad_mod,  \
      const flm_tensor *grad_y, const flm_tensor *x, const flm_tensor *mean, const flm_tensor *rstd,                \
      const flm_tensor *w, const flm_tensor *mod, int64_t shift_at, int64_t scale_at)                               \
    X(gate_residual, const flm_tensor *y, const flm_tensor *x, const flm_tensor *branch, const flm_tensor *mod,     \
      int64_t gate_at, const flm_dropout *dropout)                                                                  \
    X(gate_residual_backward, const flm_tensor *grad_branch, const flm_tensor *grad_mod, const flm_tensor *grad_y,  \
      const flm_tensor *branch, const flm_tensor *mod, int64_t gate_at, const flm_dropout *dropout)                 \
    X(gelu_backward, const flm_tensor *grad_x, const flm_tensor *grad_b, const flm_tensor *x,                       \
      const flm_tensor *grad_y)                                                                                     \
    X(rope, const flm_tensor *qkv, const flm_tensor *table)                                                         \
    X(attention, const flm_tensor *o, const flm_tensor *lse, const flm_tensor *qkv, int64_t H, float softcap)       \
    X(attention_causal, const flm_tensor *o, const flm_tensor *qkv, const flm_tensor *starts, int64_t H)            \
    X(attention_backward, const flm_tensor *grad_qkv, const flm_tensor *grad_o, const flm_tensor *o,                \
      const flm_tensor *qkv, const flm_tensor *lse, int64_t H, float softcap, const flm_tensor *rope)               \
    X(silu, const flm_tensor *y, const flm_tensor *x)                                                               \
    X(silu_backward, const flm_tensor *grad_x, const flm_tensor *grad_y, const flm_tensor *x)                       \
    X(gelu_erf, const flm_tensor *y, const flm_tensor *x)                                                           \
    X(gelu_erf_backward, const flm_tensor *grad_x, const flm_tensor *grad_y, const flm_tensor *x)                   \
    X(timestep_features, const flm_tensor *out, const flm_tensor *t)                                                \
    X(embed_state, const flm_tensor *x, const flm_tensor *noise, const flm_tensor *E, const flm_tensor *tokens,     \
      const flm_tensor *g)                                                                                          \
    X(embed_learned, const flm_tensor *x, const flm_tensor *E, const flm_tensor *P, const flm_tensor *tokens,       \
      const flm_tensor *positions)                                                                                  \
    X(embed_scatter, const flm_tensor *grad_E, const flm_tensor *grad_x, const flm_tensor *tokens,                  \
      const flm_tensor *g)                                                                                          \
    X(sample_scale, const flm_tensor *y, const flm_tensor *x, const flm_tensor *g)                                  \
    X(sample_combine, const flm_tensor *y, const flm_tensor *coefficient, const flm_tensor *x, int count)           \
    X(normal, const flm_tensor *out, uint64_t stream, int64_t first_sample)                                         \
    X(softmax_xent, const flm_tensor *loss, const flm_tensor *grad, const flm_tensor *logits,                       \
      const flm_tensor *target, float scale)                                                                        \
    X(softmax, const flm_tensor *p, const flm_tensor *logits)                                                       \
    X(argmax, const flm_tensor *index, const flm_tensor *x)                                                         \
    X(distill_error, const flm_distill_error *p)                                                                    \
    X(axpby, const flm_tensor *y, float a, const flm_tensor *x, float b)                                            \
    X(cast, const flm_tensor *to, const flm_tensor *from)                                                           \
    X(sum, const flm_tensor *out, const flm_tensor *x)                                                              \
    X(sum_squares, const flm_tensor *out, const flm_tensor *x)                                                      \
    X(adamw, const flm_adamw *p)                                                                                    \
    X(gram, const flm_tensor *G, const flm_tensor *A, const flm_tensor *B)                                          \
    X(cholesky, const flm_tensor *G)                                                                                \
    X(triangular_solve, const flm_tensor *X_, const flm_tensor *R, bool transpose)

/* flm_unsupported_<op> - for the slot of an op a backend lacks: FLM_E_UNSUPPORTED, naming backend and op. */
#define FLM_UNSUPPORTED_DECLARE(op, ...) flm_status flm_unsupported_##op(flm_backend *be, __VA_ARGS__);
FLM_OPS_LIST(FLM_UNSUPPORTED_DECLARE)
#undef FLM_UNSUPPORTED_DECLARE

#endif
