/* cpu_math.h - loads and stores of activations, exp, tanh, log, sine and cosine for row kernels.
 *
 * Everything is inlined into its caller, so that each instruction set's version of the caller vectorises it, and
 * consists of fp32 polynomials without tables or branches. Leaves to others: threads, tensors, checks.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_CPU_MATH_H
#define FLM_CPU_MATH_H

#include "backend/backend_tensor.h"

#include <math.h>

#define FLM_INLINE static inline __attribute__((always_inline))

/* flm_load, flm_store - element i of an activation. bf16 is a compile-time constant in the caller, so that no loop
 * tests it. */
FLM_INLINE float flm_load(const void *x, bool bf16, int64_t i)
{
    return bf16 ? flm_bf16_to_f32(((const uint16_t *)x)[i]) : ((const float *)x)[i];
}

FLM_INLINE void flm_store(void *y, bool bf16, int64_t i, float value)
{
    if (bf16)
        ((uint16_t *)y)[i] = flm_bf16_from_f32(value);
    else
        ((float *)y)[i] = value;
}

/* flm_prefetch - load memory that the next rows need into the L2 cache: the processor itself does not look beyond a
 * page of 4 KiB, and rows that are not in a cache come several at a time. */
FLM_INLINE void flm_prefetch(const void *from, size_t bytes)
{
    enum { LINE = 64 };
    for (size_t i = 0; i < bytes; i += LINE) __builtin_prefetch((const char *)from + i, 0, 2);
}

typedef union flm_bits {
    float f;
    uint32_t u;
} flm_bits;

/* flm_math_clamp - x clamped to [-max, max], max > 0; NaN stays NaN. Done on the integer representation, which orders
 * magnitudes like the values: two consecutive comparisons of floats become branches that the compiler merges with the
 * following code, and then computes for every branch. */
FLM_INLINE float flm_math_clamp(float x, float max)
{
    flm_bits v = {x}, m = {max};
    uint32_t size = v.u & 0x7FFFFFFFu, held = size < m.u ? size : m.u;
    uint32_t nan = -(uint32_t)(size > 0x7F800000u);
    v.u = (v.u & 0x80000000u) | held | (size & nan);
    return v.f;
}

/* flm_math_tanh - relative error below 4e-7 (tests/conform/conform_attention.c); NaN stays NaN. x P(x^2) / Q(x^2),
 * fitted to the minimal maximum relative error on [0, 8] (2e-8 before rounding); 1 - tanh(8) is 2e-7. */
FLM_INLINE float flm_math_tanh(float x)
{
    x = flm_math_clamp(x, 8);
    float y = x * x;
    float P = (((2.3508639e-11f * y - 1.47042336e-08f) * y + 9.8786647e-06f) * y + 0.00298586244f) * y + 0.129792239f;
    float Q = ((0.000237203305f * y + 0.0240279267f) * y + 0.463125399f) * y + 1;
    return x * (P * y + 0.999999981f) / Q;
}

/* flm_math_exp_within - exp(x) for x in [-87, 88] only: relative error below 3e-7; NaN stays NaN. With n
 * the integer next to x / ln 2 and r = x - n ln 2: 2^n (1 + r + r^2 P(r)), P fitted on |r| <= ln 2 / 2 (3e-9 before
 * rounding). */
FLM_INLINE float flm_math_exp_within(float x)
{
    const float magic = 0x1.8p23f; /* adding it leaves the nearest integer in the low bits */
    flm_bits shifted, power;
    shifted.f = x * 1.44269504f + magic;
    float n = shifted.f - magic;
    float r = x - n * 0.693359375f + n * 2.12194440e-4f; /* ln 2 in two parts, products with the first exact */
    float P = (((0.00138145985f * r + 0.00836871689f) * r + 0.041668388f) * r + 0.166665206f) * r + 0.499999934f;
    power.u = (shifted.u << 23) + 0x3F800000u;
    return (P * (r * r) + r + 1) * power.f;
}

/* flm_math_exp - the same for all x up to 88; e^-87 below -87. */
FLM_INLINE float flm_math_exp(float x) { return flm_math_exp_within(x < -87 ? -87 : x); }

/* flm_math_log - relative error below 3e-7 for normal x > 0. x = 2^e (1 + f) with 1 + f in [sqrt(1/2), sqrt(2)].
 * Source of the polynomial: Moshier, Cephes 2.2, logf. */
FLM_INLINE float flm_math_log(float x)
{
    flm_bits v = {x}, m;
    int32_t e = (int32_t)(v.u - 0x3F3504F3u) >> 23; /* the bits of sqrt(1/2) */
    m.u = v.u - ((uint32_t)e << 23);
    float f = m.f - 1, z = f * f, k = (float)e;
    float P = (((7.0376836292e-2f * f - 1.1514610310e-1f) * f + 1.1676998740e-1f) * f - 1.2420140846e-1f) * f;
    P = ((((P + 1.4249322787e-1f) * f - 1.6668057665e-1f) * f + 2.0000714765e-1f) * f - 2.4999993993e-1f) * f;
    P = (P + 3.3333331174e-1f) * f * z;
    return k * 0.693359375f + (f + (P - k * 2.12194440e-4f - 0.5f * z));
}

/* flm_math_turn - cosine and sine of 2 pi w / 2^32, absolute error below 2e-7: the nearest quarter turn is subtracted
 * in integers, exactly. Source of the polynomials on |x| <= pi/4: Moshier, Cephes 2.2, sinf and cosf. */
FLM_INLINE void flm_math_turn(uint32_t w, float *cosine, float *sine)
{
    uint32_t quarter = (w + 0x20000000u) >> 30;
    float x = (float)(int32_t)(w - (quarter << 30)) * (6.28318530717958648f * 0x1p-32f), z = x * x;
    flm_bits s, c;
    s.f = ((-1.9515295891e-4f * z + 8.3321608736e-3f) * z - 1.6666654611e-1f) * z * x + x;
    c.f = ((2.443315711809948e-5f * z - 1.388731625493765e-3f) * z + 4.166664568298827e-2f) * z * z - 0.5f * z + 1;
    flm_bits first = quarter & 1 ? s : c, second = quarter & 1 ? c : s;
    first.u ^= (quarter + 1) << 30 & 0x80000000u; /* the cosine is below 0 in quarters 1 and 2, the sine in 2 and 3 */
    second.u ^= quarter << 30 & 0x80000000u;
    *cosine = first.f;
    *sine = second.f;
}

#endif
