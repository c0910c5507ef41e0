/* cpu_rows.c - see cpu_rows.h. SPDX-License-Identifier: Apache-2.0 */
#include "backend/cpu/cpu_rows.h"

enum { FOLD = 256 }; /* columns folded together */

FLM_SIMD static void fold_columns(float *to, const float *from, int64_t count, int64_t stride, int64_t n,
                                  bool accumulate)
{
    double total[FOLD];
    for (int64_t j = 0; j < n; j++) total[j] = accumulate ? (double)to[j] : 0.0;
    for (int64_t k = 0; k < count; k++)
#pragma omp simd
        for (int64_t j = 0; j < n; j++) total[j] += (double)from[k * stride + j];
    for (int64_t j = 0; j < n; j++) to[j] = (float)total[j];
}

void flm_cpu_fold(const flm_backend *be, float *to, const float *from, int64_t count, int64_t stride, int64_t n,
                  bool accumulate)
{
#pragma omp parallel for num_threads(flm_cpu_threads(be))
    for (int64_t at = 0; at < n; at += FOLD)
        fold_columns(to + at, from + at, count, stride, n - at < FOLD ? n - at : FOLD, accumulate);
}
