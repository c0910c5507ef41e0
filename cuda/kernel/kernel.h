/* kernel.h - the launchers of the CUDA kernels: plain C functions that queue work on a stream.
 *
 * Each returns CUDA's error code, 0 for success, and checks nothing: their callers in cuda/ have checked every shape.
 * bf16: activations are bf16, else f32. Pointers are device memory; sums: scratch, of the size said. stream: a
 * cudaStream_t. processors: of the GPU; how many blocks a kernel has that goes over its work in strides, which no
 * result depends on. SPDX-License-Identifier: Apache-2.0 */
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
/* All but grad_w, which is part_w [B, d] added. sums: f32 [B, parts(L, FLM_CUDA_SAMPLE_ROWS), 2, d]. */
int flm_cuda_launch_layernorm_modulate_backward(float *grad_x, float *grad_mod, float *part_w, float *sums,
                                                const void *grad_y, bool bf16, const float *x, const float *mean,
                                                const float *rstd, const float *w, const float *mod, int64_t shift_at,
                                                int64_t scale_at, int64_t B, int64_t L, int64_t d, int64_t M,
                                                void *stream);

/* ---- gate.cu ---- */
/* An element is kept where its 16 bits are at least threshold, and then multiplied by factor. */
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
/* to[b * stride + j] (+)= sum over k < count of from[b, k, j] in fp64, from f32 [batches, count, n]. */
int flm_cuda_launch_fold(float *to, int64_t stride, const float *from, int64_t batches, int64_t count, int64_t n,
                         bool accumulate, void *stream);
/* sums: f32 [parts(M, FLM_CUDA_COLUMN_ROWS), N]. row_stride: elements from one row of x to the next. */
int flm_cuda_launch_column_sum(float *out, float *sums, const void *x, bool bf16, int64_t M, int64_t N,
                               int64_t row_stride, void *stream);
/* *out += the sum, of squares if asked for. sums: f64 [parts(n, FLM_CUDA_SUM_BLOCK)]. */
int flm_cuda_launch_sum(double *out, double *sums, const float *x, int64_t n, bool squares, void *stream);

/* ---- elementwise.cu ---- */
typedef enum flm_cuda_kind { FLM_CUDA_F32, FLM_CUDA_BF16, FLM_CUDA_F64 } flm_cuda_kind;

/* rows of n, so many elements apart. */
int flm_cuda_launch_axpby(float *y, int64_t y_row_stride, float a, const float *x, int64_t x_row_stride, float b,
                          int64_t rows, int64_t n, int processors, void *stream);
/* Rows of n, each with its own row_stride. */
typedef struct flm_cuda_cast_rows {
    void *to;
    const void *from;
    flm_cuda_kind to_kind, from_kind;
    int64_t to_row_stride, from_row_stride, rows, n;
} flm_cuda_cast_rows;

int flm_cuda_launch_cast(const flm_cuda_cast_rows *p, int processors, void *stream);
/* A sample is n elements. */
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

/* ---- softmax.cu: [R, V], rows `row_stride` elements apart. max_shared: bytes of shared memory that a block can have
 * ----
 */
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
    int64_t residual_row_stride, from_row_stride, to_row_stride,
        grad_row_stride; /* elements from one row to the next */
} flm_cuda_distill;

/* grad may be NULL. */
int flm_cuda_launch_distill_error(const flm_cuda_distill *p, void *grad, bool bf16, bool softmax_backward,
                                  void *stream);

/* ---- epilogue.cu ---- */
/* flm_cuda_launch_epilogue - c = (sum, or c where sum is NULL) + bias, where one of the two is given; then gelu =
 * gelu_tanh(c as rounded), where given.   c [M, N], rows `row_stride` apart; gelu [M, N]; sum f32 [M, N]; bias f32 [N];
 * M N > 0. */
int flm_cuda_launch_epilogue(void *c, void *gelu, bool bf16, const float *sum, const float *bias, int64_t M, int64_t N,
                             int64_t row_stride, void *stream);

/* ---- algebra.cu: row-major; sizes > 0 ---- */
int flm_cuda_launch_widen(double *to, const float *from, int64_t count, void *stream);
/* flm_cuda_launch_mirror - g [K, K]: the upper triangle becomes the lower one's mirror image. */
int flm_cuda_launch_mirror(double *g, int64_t K, void *stream);
/* flm_cuda_launch_cholesky_finish - zeros above the diagonal; *bad = least of itself and the rows whose diagonal is not
 * finite. */
int flm_cuda_launch_cholesky_finish(double *g, int64_t K, int *bad, void *stream);

/* ---- rope.cu ---- */
int flm_cuda_launch_rope(void *qkv, bool bf16, const float *table, int64_t B, int64_t L, int64_t d, int64_t half,
                         void *stream);

/* ---- attention*.cu: heads of at most FLM_ATTENTION_HEAD_MAX columns, sequences of at most FLM_ATTENTION_LENGTH_MAX
 * rows, at most 2^31 - 1 blocks (attention_tiles.h). vector: h is a multiple of 8, activations aligned to 16 bytes.
 * ---- */
int flm_cuda_launch_attention(void *o, float *lse, const void *qkv, bool vector, int64_t B, int64_t L, int64_t H,
                              int64_t h, float softcap, void *stream);
int flm_cuda_launch_attention_plain(float *o, float *lse, const float *qkv, int64_t B, int64_t L, int64_t H, int64_t h,
                                    float softcap, void *stream);
int flm_cuda_launch_attention_causal(void *o, const void *qkv, bool vector, const int32_t *starts, int64_t B, int64_t R,
                                     int64_t H, int64_t h, void *stream);
int flm_cuda_launch_attention_causal_plain(float *o, const float *qkv, const int32_t *starts, int64_t B, int64_t R,
                                           int64_t H, int64_t h, void *stream);
/* pairs: [B, H, L, 2] f32, aligned to 8: for bf16 lse in powers of two, else as it is; the sum of grad_o o. */
int flm_cuda_launch_attention_rows(void *pairs, const void *grad_o, const void *o, bool bf16, bool vector,
                                   const float *lse, int64_t B, int64_t L, int64_t H, int64_t h, void *stream);
/* rope: NULL, or [L, h/2, 2], aligned to 8: cosines and sines that q and k were rotated by, grad_q and grad_k are
 * rotated back. */
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
