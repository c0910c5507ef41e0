/* kernel_vocabulary.h - launchers over the vocabulary: embedding, noise, softmax, distillation; epilogue and algebra.
 * See kernel.h for the conventions. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_CUDA_KERNEL_VOCABULARY_H
#define FLM_CUDA_KERNEL_VOCABULARY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- embed.cu ---- */
/* Of `rows` rows; each element of g is that of `per_g` consecutive ones. */
int flm_cuda_launch_embed_state(float *x, const float *noise, const float *E, const int32_t *tokens, const float *g,
                                int64_t rows, int64_t per_g, int64_t d, int64_t V, void *stream);
/* V and L: rows of E and P. */
int flm_cuda_launch_embed_learned(float *x, const float *E, const float *P, const int32_t *tokens,
                                  const int32_t *positions, int64_t rows, int64_t d, int64_t V, int64_t L,
                                  void *stream);

/* ---- gather.cu ---- */
/* y[r] = x[index[r]], r < R, of S rows of n elements. */
int flm_cuda_launch_gather_rows(void *y, bool bf16, const void *x, const int32_t *index, int64_t R, int64_t S,
                                int64_t n, void *stream);
/* y[index[r]] = x[r], r < R, of S rows of n elements. */
int flm_cuda_launch_scatter_rows(void *y, bool bf16, const void *x, const int32_t *index, int64_t R, int64_t S,
                                 int64_t n, void *stream);

/* ---- scatter.cu ---- */
/* 0 < rows, V <= INT32_MAX, d > 0; per_g: as above. sort_bytes: of flm_cuda_sort_scratch for `rows` keys of
 * flm_cuda_bits(V) bits. scratch: of flm_cuda_scatter_layout(rows, d, sort_bytes). */
int flm_cuda_launch_embed_scatter(float *grad_E, const float *grad_x, const int32_t *tokens, const float *g,
                                  void *scratch, size_t sort_bytes, int64_t rows, int64_t per_g, int64_t d, int64_t V,
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

/* ---- softmax.cu: padded rows [R, V]; cap: of the logits, 0 for none; max_shared: bytes of shared memory that a block
 * can have ---- */
/* grad may be NULL. */
int flm_cuda_launch_softmax_xent(float *loss, void *grad, bool bf16, int64_t grad_row_stride, const float *logits,
                                 int64_t logits_row_stride, const int32_t *target, float scale, float cap, int64_t R,
                                 int64_t V, size_t max_shared, void *stream);
int flm_cuda_launch_softmax(void *p, bool bf16, int64_t p_row_stride, const float *logits, int64_t logits_row_stride,
                            float cap, int64_t R, int64_t V, size_t max_shared, void *stream);
int flm_cuda_launch_argmax(int32_t *index, const float *x, int64_t row_stride, int64_t R, int64_t V, void *stream);

/* ---- distill.cu ---- */
typedef struct flm_cuda_distill {
    float *loss, *residual;
    const float *from, *to, *bias, *coefficient;
    float cap; /* of the logits from and to; 0: none */
    int64_t R, V;
    int64_t residual_row_stride, from_row_stride, to_row_stride, grad_row_stride;
} flm_cuda_distill;

/* grad may be NULL. */
int flm_cuda_launch_distill_error(const flm_cuda_distill *p, void *grad, bool bf16, bool softmax_backward,
                                  void *stream);

/* l [B], R = B L rows: see distill_weigh and distill_loss in backend_ops.def. sums: scratch of B doubles. */
int flm_cuda_launch_distill_weigh(float *coefficient, const float *l, const double *factor, double scale, int64_t R,
                                  int64_t B, void *stream);
int flm_cuda_launch_distill_loss(double *total, float *grad_l, double *sums, const float *loss, const float *l,
                                 double scale, int64_t R, int64_t B, void *stream);

/* ---- mixture.cu ---- */
typedef struct flm_cuda_mixture {
    float *loss;
    const float *logits, *first, *second, *weight; /* second may be NULL, then weight too */
    float scale, cap;                              /* cap: of all logits; 0: none */
    int64_t R, V;
    int64_t logits_row_stride, first_row_stride, second_row_stride, grad_row_stride;
} flm_cuda_mixture;

/* grad may be NULL. */
int flm_cuda_launch_mixture_xent(const flm_cuda_mixture *p, void *grad, bool bf16, void *stream);

/* ---- epilogue.cu ---- */
/* flm_cuda_launch_epilogue - c = sum + bias, where a NULL sum stands for c and a NULL bias for 0; then, unless gelu is
 * NULL, gelu = gelu_tanh(c as rounded).   c [M, N], padded rows; gelu [M, N]; sum f32 [M, N]; bias f32 [N]; M N > 0. */
int flm_cuda_launch_epilogue(void *c, void *gelu, bool bf16, const float *sum, const float *bias, int64_t M, int64_t N,
                             int64_t row_stride, void *stream);

/* ---- algebra.cu: row-major; sizes > 0 ---- */
int flm_cuda_launch_widen(double *to, const float *from, int64_t count, void *stream);
/* flm_cuda_launch_mirror - copies the lower triangle of g [K, K] to the upper one. */
int flm_cuda_launch_mirror(double *g, int64_t K, void *stream);
/* flm_cuda_launch_gram_scale - see flm_gram_scale; scales: scratch of k + 1 doubles. */
typedef struct flm_cuda_gram_blocks {
    double *R, *scales;
    float *scale;
    const double *gram;
    int64_t k, d;
    double ridge, last_ridge, min_scale;
} flm_cuda_gram_blocks;
int flm_cuda_launch_gram_scale(const flm_cuda_gram_blocks *p, void *stream);
/* flm_cuda_launch_cholesky_finish - zeros above the diagonal of g [K, K]. bad [2]: cuSOLVER's info, and 0. *verdict =
 * 0, or 1 + the first row that is not finite or where info is positive; info itself where that is negative. */
int flm_cuda_launch_cholesky_finish(double *g, int64_t K, int *bad, int *verdict, void *stream);

#ifdef __cplusplus
}
#endif

#endif
