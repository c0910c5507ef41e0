/* kernel_rows.h - launchers over rows and elements, and of the optimiser. See kernel.h for the conventions.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_CUDA_KERNEL_ROWS_H
#define FLM_CUDA_KERNEL_ROWS_H

#include "backend/backend_adamw.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- layernorm.cu; context: NULL, or i32 [B, L], with mod [2B, M] (backend_ops.def) ---- */
int flm_cuda_launch_layernorm_modulate(void *y, bool bf16, float *mean, float *rstd, const float *x, const float *w,
                                       const float *mod, const int32_t *context, int64_t shift_at, int64_t scale_at,
                                       int64_t B, int64_t L, int64_t d, int64_t M, void *stream);
/* Everything but grad_w, to which the caller adds the rows of part_w [B or 2B, d]. sums: f32 [B or 2B, parts(L,
 * FLM_CUDA_SAMPLE_ROWS), 2, d], where parts is flm_cuda_parts. */
int flm_cuda_launch_layernorm_modulate_backward(float *grad_x, float *grad_mod, float *part_w, float *sums,
                                                const void *grad_y, bool bf16, const float *x, const float *mean,
                                                const float *rstd, const float *w, const float *mod,
                                                const int32_t *context, int64_t shift_at, int64_t scale_at, int64_t B,
                                                int64_t L, int64_t d, int64_t M, void *stream);

/* ---- gate.cu; context: as above ---- */
/* An element whose 16 random bits are at least threshold is kept and multiplied by factor; the others become 0. */
typedef struct flm_cuda_dropout {
    uint64_t stream;
    int64_t first_sample;
    uint32_t threshold;
    float factor;
} flm_cuda_dropout;

int flm_cuda_launch_gate_residual(float *y, const float *x, const void *branch, bool bf16, const float *mod,
                                  const int32_t *context, int64_t gate_at, const flm_cuda_dropout *drop, int64_t B,
                                  int64_t L, int64_t d, int64_t M, void *stream);
/* sums: f32 [B or 2B, parts(L, FLM_CUDA_SAMPLE_ROWS), d]. */
int flm_cuda_launch_gate_residual_backward(void *grad_branch, float *grad_mod, float *sums, const float *grad_y,
                                           const void *branch, bool bf16, const float *mod, const int32_t *context,
                                           int64_t gate_at, const flm_cuda_dropout *drop, int64_t B, int64_t L,
                                           int64_t d, int64_t M, void *stream);

/* ---- activation.cu ---- */
/* sums: f32 [parts(M, FLM_CUDA_COLUMN_ROWS), N]. */
int flm_cuda_launch_gelu_backward(void *grad_x, float *grad_b, float *sums, const void *x, const void *grad_y,
                                  bool bf16, int64_t M, int64_t N, void *stream);
int flm_cuda_launch_silu(float *y, const float *x, int64_t n, void *stream);
int flm_cuda_launch_silu_backward(float *grad_x, const float *grad_y, const float *x, int64_t n, void *stream);
int flm_cuda_launch_gelu_erf(float *y, const float *x, int64_t n, void *stream);
int flm_cuda_launch_gelu_erf_backward(float *grad_x, const float *grad_y, const float *x, int64_t n, void *stream);
int flm_cuda_launch_timestep_features(float *out, const float *t, int64_t B, int64_t F, void *stream);

/* ---- reduce.cu ---- */
/* to[b * stride + j] = (accumulate: itself +) the sum over k < count of from[b, k, j], in fp64. from f32 [batches,
 * count, n]. */
int flm_cuda_launch_fold(float *to, int64_t stride, const float *from, int64_t batches, int64_t count, int64_t n,
                         bool accumulate, void *stream);
/* sums: f32 [parts(M, FLM_CUDA_COLUMN_ROWS), N]. row_stride: of x. */
int flm_cuda_launch_column_sum(float *out, float *sums, const void *x, bool bf16, int64_t M, int64_t N,
                               int64_t row_stride, void *stream);
/* *out += the sum of x, or of its squares. sums: f64 [parts(n, FLM_CUDA_SUM_BLOCK)]. */
int flm_cuda_launch_sum(double *out, double *sums, const float *x, int64_t n, bool squares, void *stream);

/* ---- elementwise.cu ---- */
typedef enum flm_cuda_kind { FLM_CUDA_F32, FLM_CUDA_BF16, FLM_CUDA_F64 } flm_cuda_kind;

/* y = a x + b y over rows of n elements; b = 0 ignores what y holds. b_at: NULL, or where b is on the device. */
typedef struct flm_cuda_axpby_rows {
    float *y;
    const float *x, *b_at;
    float a, b;
    int64_t y_row_stride, x_row_stride, rows, n;
} flm_cuda_axpby_rows;
int flm_cuda_launch_axpby(const flm_cuda_axpby_rows *p, int processors, void *stream);
/* Rows of n elements. */
typedef struct flm_cuda_cast_rows {
    void *to;
    const void *from;
    flm_cuda_kind to_kind, from_kind;
    int64_t to_row_stride, from_row_stride, rows, n;
} flm_cuda_cast_rows;

int flm_cuda_launch_cast(const flm_cuda_cast_rows *p, int processors, void *stream);
/* B elements of g, each for n elements. */
int flm_cuda_launch_sample_scale(float *y, const float *x, const float *g, int64_t B, int64_t n, int processors,
                                 void *stream);
int flm_cuda_launch_sample_combine(void *y, bool bf16, const float *c, const void *const *x, int count, int64_t B,
                                   int64_t n, int processors, void *stream);

/* ---- adamw.cu ---- */
typedef struct flm_cuda_adamw_memory {
    float *w, *m, *v, *ema; /* ema may be NULL */
    uint16_t *cast;         /* may be NULL */
    const float *grad;
    const double *norm_sq;
} flm_cuda_adamw_memory;

int flm_cuda_launch_adamw(const flm_cuda_adamw_memory *p, const flm_adamw_factors *f, int64_t n, int processors,
                          void *stream);

#ifdef __cplusplus
}
#endif

#endif
