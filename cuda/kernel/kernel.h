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

#ifdef __cplusplus
}
#endif
#endif
