/* cpu_internal.h - private to the CPU backend: its state, its ops (one file a family), and loop macros.
 *
 * Loops: a plain function holds `#pragma omp parallel for` and calls a row or tile kernel marked FLM_SIMD, which the
 * compiler builds for AVX-512, AVX2 and the base instruction set and picks at load time. Parallel loops go over
 * rows or tiles whose results do not depend on how many threads share them.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_CPU_INTERNAL_H
#define FLM_CPU_INTERNAL_H

#include "config.h"

#include "backend/backend_check.h"

/* Function versions by instruction set; sanitizers cannot run inside the resolvers, so they get the base version. */
#if defined(__x86_64__) && defined(__GNUC__) && !FLM_SANITIZE
#define FLM_SIMD __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define FLM_SIMD
#endif

enum { FLM_CPU_SLOTS = 6 };

/* The backend's state, flm_backend.state. */
typedef struct flm_cpu {
    int threads;
    struct {
        void *data;
        size_t bytes;
    } slot[FLM_CPU_SLOTS];     /* scratch memory */
    struct flm_onednn *onednn; /* engine, stream and cached primitives: cpu_onednn.c */
    char line[320];            /* what flm_backend_describe says */
} flm_cpu;

/* cpu_memory.c; needs no state, so it also serves a backend that is not whole yet. */
extern const flm_memory flm_cpu_memory;

/* flm_cpu_scratch - bytes of 64-aligned memory that stays until the next call with the same slot; grows when first
 * asked for more, never shrinks. Slot 0: reductions; 1: attention; 2: softmax; 3: linear algebra; 4: oneDNN's own;
 * 5: operands converted for oneDNN. Errors: FLM_E_NOMEM. */
flm_status flm_cpu_scratch(flm_backend *be, int slot, size_t bytes, void **out);

/* flm_cpu_threads - OpenMP threads of this backend; every parallel region says num_threads(flm_cpu_threads(be)). */
int flm_cpu_threads(const flm_backend *be);

/* cpu_onednn.c */
flm_status flm_cpu_onednn_create(struct flm_onednn **out);    /* FLM_E_NOMEM, FLM_E_DEVICE */
void flm_cpu_onednn_destroy(struct flm_onednn **dnn);         /* accepts NULL, nulls it */
bool flm_cpu_onednn_fast_bf16(void);                          /* bf16 products beat fp32 ones here */
const char *flm_cpu_onednn_describe(char *text, size_t size); /* version and instruction set into text; returns text */
flm_status flm_cpu_matmul(flm_backend *be, const flm_matmul *p);
/* flm_cpu_matmul_preferred - for benchmarks: a product of p's shapes, dtypes and flags, on operands of its own that are
 * kept in the layouts oneDNN likes best; p's own are not touched (but must be there). Errors: as matmul. */
flm_status flm_cpu_matmul_preferred(flm_backend *be, const flm_matmul *p);

/* cpu_layernorm.c */
flm_status flm_cpu_layernorm_modulate(flm_backend *be, const flm_tensor *y, const flm_tensor *mean,
                                      const flm_tensor *rstd, const flm_tensor *x, const flm_tensor *w,
                                      const flm_tensor *mod, int64_t shift_at, int64_t scale_at);
flm_status flm_cpu_layernorm_modulate_backward(flm_backend *be, const flm_tensor *grad_x, const flm_tensor *grad_w,
                                               const flm_tensor *grad_mod, const flm_tensor *grad_y,
                                               const flm_tensor *x, const flm_tensor *mean, const flm_tensor *rstd,
                                               const flm_tensor *w, const flm_tensor *mod, int64_t shift_at,
                                               int64_t scale_at);

/* cpu_gate.c */
flm_status flm_cpu_gate_residual(flm_backend *be, const flm_tensor *y, const flm_tensor *x, const flm_tensor *branch,
                                 const flm_tensor *mod, int64_t gate_at, const flm_dropout *dropout);
flm_status flm_cpu_gate_residual_backward(flm_backend *be, const flm_tensor *grad_branch, const flm_tensor *grad_mod,
                                          const flm_tensor *grad_y, const flm_tensor *branch, const flm_tensor *mod,
                                          int64_t gate_at, const flm_dropout *dropout);

/* cpu_attention.c */
flm_status flm_cpu_rope(flm_backend *be, const flm_tensor *qkv, const flm_tensor *table);
flm_status flm_cpu_attention(flm_backend *be, const flm_tensor *o, const flm_tensor *lse, const flm_tensor *qkv,
                             int64_t H, float softcap);
flm_status flm_cpu_attention_backward(flm_backend *be, const flm_tensor *grad_qkv, const flm_tensor *grad_o,
                                      const flm_tensor *o, const flm_tensor *qkv, const flm_tensor *lse, int64_t H,
                                      float softcap, const flm_tensor *rope);

/* cpu_attention_causal.c */
flm_status flm_cpu_attention_causal(flm_backend *be, const flm_tensor *o, const flm_tensor *qkv,
                                    const flm_tensor *starts, int64_t H);

/* cpu_activation.c */
flm_status flm_cpu_gelu(flm_backend *be, const flm_tensor *y, const flm_tensor *x); /* for matmul's gelu */
flm_status flm_cpu_gelu_backward(flm_backend *be, const flm_tensor *grad_x, const flm_tensor *grad_b,
                                 const flm_tensor *x, const flm_tensor *grad_y);
flm_status flm_cpu_silu(flm_backend *be, const flm_tensor *y, const flm_tensor *x);
flm_status flm_cpu_silu_backward(flm_backend *be, const flm_tensor *grad_x, const flm_tensor *grad_y,
                                 const flm_tensor *x);
flm_status flm_cpu_gelu_erf(flm_backend *be, const flm_tensor *y, const flm_tensor *x);
flm_status flm_cpu_gelu_erf_backward(flm_backend *be, const flm_tensor *grad_x, const flm_tensor *grad_y,
                                     const flm_tensor *x);
flm_status flm_cpu_timestep_features(flm_backend *be, const flm_tensor *out, const flm_tensor *t);

/* cpu_embed.c */
flm_status flm_cpu_embed_state(flm_backend *be, const flm_tensor *x, const flm_tensor *noise, const flm_tensor *E,
                               const flm_tensor *tokens, const flm_tensor *g);
flm_status flm_cpu_embed_learned(flm_backend *be, const flm_tensor *x, const flm_tensor *E, const flm_tensor *P,
                                 const flm_tensor *tokens, const flm_tensor *positions);
flm_status flm_cpu_embed_scatter(flm_backend *be, const flm_tensor *grad_E, const flm_tensor *grad_x,
                                 const flm_tensor *tokens, const flm_tensor *g);
flm_status flm_cpu_sample_scale(flm_backend *be, const flm_tensor *y, const flm_tensor *x, const flm_tensor *g);
flm_status flm_cpu_sample_combine(flm_backend *be, const flm_tensor *y, const flm_tensor *coefficient,
                                  const flm_tensor *x, int count);
flm_status flm_cpu_normal(flm_backend *be, const flm_tensor *out, uint64_t stream, int64_t first_sample);

/* cpu_softmax.c */
flm_status flm_cpu_softmax_xent(flm_backend *be, const flm_tensor *loss, const flm_tensor *grad,
                                const flm_tensor *logits, const flm_tensor *target, float scale);
flm_status flm_cpu_softmax(flm_backend *be, const flm_tensor *p, const flm_tensor *logits);
flm_status flm_cpu_argmax(flm_backend *be, const flm_tensor *index, const flm_tensor *x);

/* cpu_distill.c */
flm_status flm_cpu_distill_error(flm_backend *be, const flm_distill_error *p);

/* cpu_elementwise.c */
flm_status flm_cpu_column_sum(flm_backend *be, const flm_tensor *out, const flm_tensor *x);
flm_status flm_cpu_axpby(flm_backend *be, const flm_tensor *y, float a, const flm_tensor *x, float b);
flm_status flm_cpu_cast(flm_backend *be, const flm_tensor *to, const flm_tensor *from);
flm_status flm_cpu_sum(flm_backend *be, const flm_tensor *out, const flm_tensor *x);
flm_status flm_cpu_sum_squares(flm_backend *be, const flm_tensor *out, const flm_tensor *x);

/* cpu_adamw.c */
flm_status flm_cpu_adamw(flm_backend *be, const flm_adamw *p);

/* cpu_gram.c */
flm_status flm_cpu_gram(flm_backend *be, const flm_tensor *G, const flm_tensor *A, const flm_tensor *B);

/* cpu_lapack.c */
void flm_cpu_lapack_begin(void); /* the process's BLAS calls run on their caller's thread: the ops divide the work */
const char *flm_cpu_lapack_describe(char *text, size_t size); /* library and version into text; returns text */
flm_status flm_cpu_cholesky(flm_backend *be, const flm_tensor *G);
flm_status flm_cpu_triangular_solve(flm_backend *be, const flm_tensor *X, const flm_tensor *R, bool transpose);

#endif
