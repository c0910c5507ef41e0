/* cpu_rows.h - what operations over rows share: column sums that do not depend on the number of threads.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_CPU_ROWS_H
#define FLM_CPU_ROWS_H

#include "backend/cpu/cpu_internal.h"
#include "backend/cpu/cpu_math.h"

enum {
    FLM_ROW_BLOCK = 64, /* rows that one task sums in fp32; the sums of the blocks are added in fp64, in order */
    FLM_BLOCK = 16384   /* elements per task of an elementwise operation */
};

/* flm_cpu_row_blocks - number of blocks of FLM_ROW_BLOCK in L rows; the last may be shorter. */
static inline int64_t flm_cpu_row_blocks(int64_t L) { return (L + FLM_ROW_BLOCK - 1) / FLM_ROW_BLOCK; }

/* flm_cpu_condition - the row of mod that row `row` of [B L] takes: see context in backend_ops.def. */
static inline int64_t flm_cpu_condition(const flm_tensor *context, int64_t B, int64_t L, int64_t row)
{
    return row / L + (context->data != NULL && ((const int32_t *)context->data)[row] != 0 ? B : 0);
}

/* flm_cpu_fold - to[j] (+)= sum over k < count of from[k * stride + j], j < n, in fp64 and in order. Threads share n.
 */
void flm_cpu_fold(const flm_backend *be, float *to, const float *from, int64_t count, int64_t stride, int64_t n,
                  bool accumulate);

#endif
