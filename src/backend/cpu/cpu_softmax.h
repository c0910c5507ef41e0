/* cpu_softmax.h - the cap of logits, maximum and sum of exponentials of a row, for every softmax over the vocabulary.
 * In these functions `capped` is a compile-time constant: without a cap no tanh is computed.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_CPU_SOFTMAX_H
#define FLM_CPU_SOFTMAX_H

#include "backend/cpu/cpu_internal.h"
#include "backend/cpu/cpu_math.h"

enum { FLM_SUM_BLOCK = 1024 }; /* terms added in fp32 before they are added to the fp64 sum */

/* A cap C of logits: C tanh(z / C). Source: model.md section 9.1. */
typedef struct flm_logit_cap {
    float value, inverse; /* C, 1 / C; 0: no cap */
} flm_logit_cap;

FLM_INLINE flm_logit_cap flm_logit_cap_make(float cap) { return (flm_logit_cap){cap, cap > 0 ? 1 / cap : 0}; }

/* flm_logit_cap_apply - the capped logit; *slope: its derivative by the logit. Both have the absolute errors of tanh:
 * 4e-7 C and 8e-7. */
FLM_INLINE float flm_logit_cap_apply(float z, bool capped, flm_logit_cap cap, float *slope)
{
    const float t = capped ? flm_math_tanh(z * cap.inverse) : 0;
    *slope = 1 - t * t;
    return capped ? cap.value * t : z;
}

/* flm_logit_capped - the capped logit alone. */
FLM_INLINE float flm_logit_capped(float z, bool capped, flm_logit_cap cap)
{
    float slope;
    return flm_logit_cap_apply(z, capped, cap, &slope);
}

/* flm_softmax_rows - scratch of `count` rows [V] for each thread; of thread i the rows from *out + i * count * V on.
 * Errors: FLM_E_NOMEM. */
flm_status flm_softmax_rows(flm_backend *be, int count, int64_t V, float **out);

/* flm_row_maximum - of the capped x [V], V at least 1. */
FLM_INLINE float flm_row_maximum(const float *x, int64_t V, bool capped, flm_logit_cap cap)
{
    float max = x[0];
#pragma omp simd reduction(max : max)
    for (int64_t j = 1; j < V; j++) max = x[j] > max ? x[j] : max;
    return flm_logit_capped(max, capped, cap);
}

/* flm_row_exponentials - the sum of e[j] = exp(y - max), y the capped x, over x [V]; t[j] = y / C if capped. The
 * exponentials are kept because they take longer to compute than to read.   e, t [V]; or each NULL. */
FLM_INLINE double flm_row_exponentials(float *e, float *t, const float *x, float max, int64_t V, bool capped,
                                       flm_logit_cap cap)
{
    double total = 0;
    for (int64_t at = 0; at < V; at += FLM_SUM_BLOCK) {
        int64_t end = V - at < FLM_SUM_BLOCK ? V : at + FLM_SUM_BLOCK;
        float sum = 0;
#pragma omp simd reduction(+ : sum)
        for (int64_t j = at; j < end; j++) {
            const float ratio = capped ? flm_math_tanh(x[j] * cap.inverse) : 0;
            const float power = flm_math_exp((capped ? cap.value * ratio : x[j]) - max);
            if (e != NULL) e[j] = power;
            if (capped && t != NULL) t[j] = ratio;
            sum += power;
        }
        total += (double)sum;
    }
    return total;
}

#endif
