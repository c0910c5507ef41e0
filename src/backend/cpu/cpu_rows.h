/* cpu_rows.h - what the ops over rows share: column sums that do not depend on the number of
 * threads. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_CPU_ROWS_H
#define FLM_CPU_ROWS_H

#include "backend/cpu/cpu_internal.h"
#include "backend/cpu/cpu_math.h"

enum {
    FLM_ROW_BLOCK = 64, /* rows summed in fp32 by one task; the blocks' sums are added in fp64 and in order */
    FLM_BLOCK = 16384   /* elements a task of the elementwise ops takes */
};

/* flm_cpu_row_blocks - blocks of FLM_ROW_BLOCK that L rows make, the last perhaps shorter. */
static inline int64_t flm_cpu_row_blocks(int64_t L) { return (L + FLM_ROW_BLOCK - 1) / FLM_ROW_BLOCK; }

/* flm_cpu_fold - to[j] (+)= sum over k < count of from[k * stride + j], j < n, in fp64 and in order. Threads share n.
 */
void flm_cpu_fold(const flm_backend *be, float *to, const float *from, int64_t count, int64_t stride, int64_t n,
                  bool accumulate);

#endif
