/* attention_backward.cuh - what the two bf16 kernels of attention's gradient share: formulas in
 * cpu_attention_backward.c.
 *
 * By 16 x 16 scores of D = 64 the kernel of grad_k and grad_v has 32 products of 16 x 8 x 16, that of grad_q 24,
 * together 7 thirds of forward: without atomics the scores are computed in both. An element takes some 14 fp32
 * operations in each and one 2^x: 56 clocks (sm_80) where the products take 64 and 48. SPDX-License-Identifier:
 * Apache-2.0 */
#ifndef FLM_CUDA_ATTENTION_BACKWARD_CUH
#define FLM_CUDA_ATTENTION_BACKWARD_CUH

#include "cuda/kernel/attention_tensor.cuh"

/* What is known of a query: lse in powers of two, and grad_o o. Zeros for one that is not there: its probabilities are
 * then 1 and their gradients 0, and what they are multiplied with, its rows of queries and grad_o, are zeros. */
typedef float2 flm_query_pair;

/* flm_score_gradient - with t = tanh(q k / (sqrt(h) cap)) and dp = grad_o v: *p the probability, *ds the gradient of
 * q k / sqrt(h). outer: the cap in powers of two. */
FLM_DEVICE void flm_score_gradient(float *p, float *ds, float t, float dp, const flm_query_pair &pair, float outer)
{
    *p = flm_exp2(t * outer - pair.x);
    *ds = *p * (dp - pair.y) * (1 - t * t);
}

#endif
