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

/* ---- epilogue.cu ---- */
/* flm_cuda_launch_epilogue - c = (sum, or c where sum is NULL) + bias, where one of the two is given; then gelu =
 * gelu_tanh(c as rounded), where given.   c, gelu [M, N]; sum f32 [M, N]; bias f32 [N]; M N > 0. */
int flm_cuda_launch_epilogue(void *c, void *gelu, bool bf16, const float *sum, const float *bias, int64_t M, int64_t N,
                             void *stream);

/* ---- algebra.cu: row-major; sizes > 0 ---- */
int flm_cuda_launch_widen(double *to, const float *from, int64_t count, void *stream);
/* flm_cuda_launch_mirror - g [K, K]: the upper triangle becomes the lower one's mirror image. */
int flm_cuda_launch_mirror(double *g, int64_t K, void *stream);
/* flm_cuda_launch_cholesky_finish - zeros above the diagonal; *bad = least of itself and the rows whose diagonal is not
 * finite. */
int flm_cuda_launch_cholesky_finish(double *g, int64_t K, int *bad, void *stream);

#ifdef __cplusplus
}
#endif
#endif
