/* kernel.h - the launchers of the CUDA kernels: plain C functions that queue work on a stream.
 *
 * Each returns CUDA's error code, 0 for success, and checks no shapes: the front door of the operations
 * (backend_ops.h) and the callers in cuda/ have done so. All pointers but those to structs are device memory.
 * Conventions: bf16: activations are bf16, otherwise f32; sums: scratch memory of the stated size; stream: a
 * cudaStream_t; *_row_stride: elements from one row to the next; *_at: the first column of a part of mod; processors:
 * the GPU's multiprocessors, from which the number of blocks of a grid-stride loop follows (no result depends on it).
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_CUDA_KERNEL_H
#define FLM_CUDA_KERNEL_H

#include "backend/backend_adamw.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- layernorm.cu ---- */
int flm_cuda_launch_layernorm_modulate(void *y, bool bf16, float *mean, float *rstd, const float *x, const float *w,
                                       const float *mod, int64_t shift_at, int64_t scale_at, int64_t B, int64_t L,
                                       int64_t d, int64_t M, void *stream);
/* Everything but grad_w, to which the caller adds the rows of part_w [B, d]. sums: f32 [B, parts(L,
 * FLM_CUDA_SAMPLE_ROWS), 2, d], where parts is flm_cuda_parts. */
int flm_cuda_launch_layernorm_modulate_backward(float *grad_x, float *grad_mod, float *part_w, float *sums,
                                                const void *grad_y, bool bf16, const float *x, const float *mean,
                                                const float *rstd, const float *w, const float *mod, int64_t shift_at,
                                                int64_t scale_at, int64_t B, int64_t L, int64_t d, int64_t M,
                                                void *stream);

/* ---- gate.cu ---- */
/* An element whose 16 random bits are at least threshold is kept and multiplied by factor; the others become 0. */
typedef struct flm_cuda_dropout {
    uint64_t stream;
    int64_t first_sample;
    uint32_t threshold;
    float factor;
} flm_cuda_dropout;

int flm_cuda_launch_gate_residual(float *y, const float *x, const void *branch, bool bf16, const float *mod,
                                  int64_t gate_at, const flm_cuda_dropout *drop, int64_t B, int64_t L, int64_t d,
                                  int64_t M, void *stream);
/* sums: f32 [B, parts(L, FLM_CUDA_SAMPLE_ROWS), d]. */
int flm_cuda_launch_gate_residual_backward(void *grad_branch, float *grad_mod, float *sums, const float *grad_y,
                                           const void *branch, bool bf16, const float *mod, int64_t gate_at,
                                           const flm_cuda_dropout *drop, int64_t B, int64_t L, int64_t d, int64_t M,
                                           void *stream);

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

/* y = a x + b y over rows of n elements; b = 0 ignores what y holds. */
int flm_cuda_launch_axpby(float *y, int64_t y_row_stride, float a, const float *x, int64_t x_row_stride, float b,
                          int64_t rows, int64_t n, int processors, void *stream);
/* Rows of n elements. */
typedef struct flm_cuda_cast_rows {
    void *to;
    const void *from;
    flm_cuda_kind to_kind, from_kind;
    int64_t to_row_stride, from_row_stride, rows, n;
} flm_cuda_cast_rows;

int flm_cuda_launch_cast(const flm_cuda_cast_rows *p, int processors, void *stream);
/* B samples of n elements. */
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

/* ---- embed.cu ---- */
int flm_cuda_launch_embed_state(float *x, const float *noise, const float *E, const int32_t *tokens, const float *g,
                                int64_t B, int64_t L, int64_t d, int64_t V, void *stream);
/* V and L: rows of E and P. */
int flm_cuda_launch_embed_learned(float *x, const float *E, const float *P, const int32_t *tokens,
                                  const int32_t *positions, int64_t rows, int64_t d, int64_t V, int64_t L,
                                  void *stream);

/* ---- scatter.cu ---- */
/* 0 < B L, V <= INT32_MAX, d > 0. sort_bytes: of flm_cuda_sort_scratch for B L keys of flm_cuda_bits(V) bits.
 * scratch: of flm_cuda_scatter_layout(B L, d, sort_bytes). */
int flm_cuda_launch_embed_scatter(float *grad_E, const float *grad_x, const int32_t *tokens, const float *g,
                                  void *scratch, size_t sort_bytes, int64_t B, int64_t L, int64_t d, int64_t V,
                                  void *stream);

/* ---- sort.cu; on the emulated device tests/emulate/emulate_sort.c ---- */
/* flm_cuda_sort_scratch - *bytes of temporary memory that sorting n keys takes. Queues nothing. */
int flm_cuda_sort_scratch(size_t *bytes, int64_t n, int bits);
/* flm_cuda_launch_sort - the pairs (key, row) [n] in ascending order of the keys' lowest `bits` bits, the others being
 * 0; pairs of equal keys keep their order. 0 < n <= INT32_MAX; temporary: `bytes` from flm_cuda_sort_scratch; no
 * aliasing. */
int flm_cuda_launch_sort(uint32_t *key, uint32_t *row, const uint32_t *from_key, const uint32_t *from_row, int64_t n,
                         int bits, void *temporary, size_t bytes, void *stream);

/* ---- normal.cu ---- */
int flm_cuda_launch_normal(float *out, uint64_t stream_key, int64_t first_sample, int64_t B, int64_t L, int64_t K,
                           void *stream);

/* ---- softmax.cu: padded rows [R, V]; max_shared: bytes of shared memory that a block can have ---- */
/* grad may be NULL. */
int flm_cuda_launch_softmax_xent(float *loss, void *grad, bool bf16, int64_t grad_row_stride, const float *logits,
                                 int64_t logits_row_stride, const int32_t *target, float scale, int64_t R, int64_t V,
                                 size_t max_shared, void *stream);
int flm_cuda_launch_softmax(void *p, bool bf16, int64_t p_row_stride, const float *logits, int64_t logits_row_stride,
                            int64_t R, int64_t V, size_t max_shared, void *stream);
int flm_cuda_launch_argmax(int32_t *index, const float *x, int64_t row_stride, int64_t R, int64_t V, void *stream);

/* ---- distill.cu ---- */
typedef struct flm_cuda_distill {
    float *loss, *residual;
    const float *from, *to, *bias, *coefficient;
    int64_t R, V;
    int64_t residual_row_stride, from_row_stride, to_row_stride, grad_row_stride;
} flm_cuda_distill;

/* grad may be NULL. */
int flm_cuda_launch_distill_error(const flm_cuda_distill *p, void *grad, bool bf16, bool softmax_backward,
                                  void *stream);

/* ---- epilogue.cu ---- */
/* flm_cuda_launch_epilogue - c = sum + bias, where a NULL sum stands for c and a NULL bias for 0; then, unless gelu is
 * NULL, gelu = gelu_tanh(c as rounded).   c [M, N], padded rows; gelu [M, N]; sum f32 [M, N]; bias f32 [N]; M N > 0. */
int flm_cuda_launch_epilogue(void *c, void *gelu, bool bf16, const float *sum, const float *bias, int64_t M, int64_t N,
                             int64_t row_stride, void *stream);

/* ---- algebra.cu: row-major; sizes > 0 ---- */
int flm_cuda_launch_widen(double *to, const float *from, int64_t count, void *stream);
/* flm_cuda_launch_mirror - copies the lower triangle of g [K, K] to the upper one. */
int flm_cuda_launch_mirror(double *g, int64_t K, void *stream);
/* flm_cuda_launch_cholesky_finish - zeros above the diagonal of g [K, K]; *bad = the smallest of itself and the numbers
 * of the rows whose diagonal element is not finite. */
int flm_cuda_launch_cholesky_finish(double *g, int64_t K, int *bad, void *stream);

/* ---- rope.cu ---- */
int flm_cuda_launch_rope(void *qkv, bool bf16, const float *table, int64_t B, int64_t L, int64_t d, int64_t half,
                         void *stream);

/* ---- attention*.cu: heads of at most FLM_ATTENTION_HEAD_MAX columns, sequences of at most FLM_ATTENTION_LENGTH_MAX
 * rows, at most 2^31 - 1 blocks (attention_tiles.h); "plain": f32. vector: h is a multiple of 8 and the activations are
 * aligned to 16 bytes. ---- */
int flm_cuda_launch_attention(void *o, float *lse, const void *qkv, bool vector, int64_t B, int64_t L, int64_t H,
                              int64_t h, float softcap, void *stream);
int flm_cuda_launch_attention_plain(float *o, float *lse, const float *qkv, int64_t B, int64_t L, int64_t H, int64_t h,
                                    float softcap, void *stream);
int flm_cuda_launch_attention_causal(void *o, const void *qkv, bool vector, const int32_t *starts, int64_t B, int64_t R,
                                     int64_t H, int64_t h, void *stream);
int flm_cuda_launch_attention_causal_plain(float *o, const float *qkv, const int32_t *starts, int64_t B, int64_t R,
                                           int64_t H, int64_t h, void *stream);
/* pairs: f32 [B, H, L, 2], aligned to 8 bytes: lse (for bf16 times log2(e)), and the sum of grad_o o. */
int flm_cuda_launch_attention_rows(void *pairs, const void *grad_o, const void *o, bool bf16, bool vector,
                                   const float *lse, int64_t B, int64_t L, int64_t H, int64_t h, void *stream);
/* rope: NULL, or f32 [L, h/2, 2], aligned to 8 bytes: the cosines and sines by which q and k were rotated; grad_q and
 * grad_k are rotated back. */
int flm_cuda_launch_attention_backward_kv(void *grad_qkv, const void *grad_o, const void *qkv, const void *pairs,
                                          bool vector, int64_t B, int64_t L, int64_t H, int64_t h, float softcap,
                                          const float *rope, void *stream);
int flm_cuda_launch_attention_backward_q(void *grad_qkv, const void *grad_o, const void *qkv, const void *pairs,
                                         bool vector, int64_t B, int64_t L, int64_t H, int64_t h, float softcap,
                                         const float *rope, void *stream);
int flm_cuda_launch_attention_plain_backward(float *grad_qkv, const float *grad_o, const float *qkv, const void *pairs,
                                             int64_t B, int64_t L, int64_t H, int64_t h, float softcap,
                                             const float *rope, void *stream);

#ifdef __cplusplus
}
#endif
#endif
