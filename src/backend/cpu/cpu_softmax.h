/* cpu_softmax.h - maximum and sum of exponentials of a row, for every softmax over the vocabulary.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_CPU_SOFTMAX_H
#define FLM_CPU_SOFTMAX_H

#include "backend/cpu/cpu_math.h"

enum { FLM_SUM_BLOCK = 1024 }; /* terms added in fp32 before they are added to the fp64 sum */

/* flm_row_maximum - of x [V], V at least 1. */
FLM_INLINE float flm_row_maximum(const float *x, int64_t V)
{
    float max = x[0];
#pragma omp simd reduction(max : max)
    for (int64_t j = 1; j < V; j++) max = x[j] > max ? x[j] : max;
    return max;
}

/* flm_row_exponential_sum - the sum of exp(x - max). */
FLM_INLINE double flm_row_exponential_sum(const float *x, float max, int64_t V)
{
    double total = 0;
    for (int64_t at = 0; at < V; at += FLM_SUM_BLOCK) {
        int64_t end = V - at < FLM_SUM_BLOCK ? V : at + FLM_SUM_BLOCK;
        float sum = 0;
#pragma omp simd reduction(+ : sum)
        for (int64_t j = at; j < end; j++) sum += flm_math_exp(x[j] - max);
        total += (double)sum;
    }
    return total;
}

#endif
