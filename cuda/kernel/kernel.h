/* kernel.h - the launchers of the CUDA kernels: plain C functions that queue work on a stream.
 *
 * Each returns CUDA's error code, 0 for success, and checks nothing: their callers in cuda/ have checked every shape.
 * bf16: activations are bf16, else f32. Pointers are device memory. stream: a cudaStream_t.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_CUDA_KERNEL_H
#define FLM_CUDA_KERNEL_H

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

/* ---- rope.cu ---- */
int flm_cuda_launch_rope(void *qkv, bool bf16, const float *table, bool inverse, int64_t B, int64_t L, int64_t d,
                         int64_t half, void *stream);

/* ---- attention*.cu: heads of at most FLM_ATTENTION_HEAD_MOST columns, sequences of at most FLM_ATTENTION_LENGTH_MOST
 * rows, at most 2^31 - 1 blocks (attention_tiles.h). vector: h is a multiple of 8, activations aligned to 16 bytes. ---- */
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
int flm_cuda_launch_attention_backward_kv(void *grad_qkv, const void *grad_o, const void *qkv, const void *pairs,
                                          bool vector, int64_t B, int64_t L, int64_t H, int64_t h, float softcap,
                                          void *stream);
int flm_cuda_launch_attention_backward_q(void *grad_qkv, const void *grad_o, const void *qkv, const void *pairs,
                                         bool vector, int64_t B, int64_t L, int64_t H, int64_t h, float softcap,
                                         void *stream);
int flm_cuda_launch_attention_plain_backward(float *grad_qkv, const float *grad_o, const float *qkv, const void *pairs,
                                             int64_t B, int64_t L, int64_t H, int64_t h, float softcap, void *stream);

#ifdef __cplusplus
}
#endif
#endif
