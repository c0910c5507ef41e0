/* kernel_attention.h - launchers of rotary positions and attention. See kernel.h for the conventions.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_CUDA_KERNEL_ATTENTION_H
#define FLM_CUDA_KERNEL_ATTENTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

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
