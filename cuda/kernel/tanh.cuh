/* tanh.cuh - tanh for the caps of attention scores and of logits. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_CUDA_TANH_CUH
#define FLM_CUDA_TANH_CUH

#include "cuda/kernel/mma.cuh"

/* tanh of |x| <= 1/2 is x + x y P(y), y = x^2, with a relative error of 5e-8 before rounding (Chebyshev fit of P). */
constexpr float FLM_TANH_P[4] = {-0.3333331108f, 0.1333047649f, -0.05338711064f, 0.01798874441f};

/* flm_tanh - for all x, relative error 5e-7: the polynomial up to 1/2, beyond it 1 - 2 / (e^(2|x|) + 1) with the sign
 * of x, where the two special functions contribute 2^-22 and 2^-23, and e^(2|x|) the rounding of its argument. Keeps
 * NaN. */
FLM_DEVICE float flm_tanh(float x)
{
    const float y = x * x;
    const float P = ((FLM_TANH_P[3] * y + FLM_TANH_P[2]) * y + FLM_TANH_P[1]) * y + FLM_TANH_P[0];
    const float far = 1 - 2 * flm_reciprocal(flm_exp2(2 * FLM_LOG2_E * fabsf(x)) + 1);
    return fabsf(x) <= 0.5f ? x + x * y * P : copysignf(far, x);
}

#endif
