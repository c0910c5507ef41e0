/* bench_matmuls.h - the matmuls of a training step, and the machine's peak as the best of them.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_BENCH_MATMULS_H
#define FLM_BENCH_MATMULS_H

#include "bench/bench_common.h"

/* One matmul: its purpose, its sizes and how the step computes it. */
typedef struct bench_matmul {
    const char *name;
    int64_t M, N, K;
    bool transpose_a, transpose_b, bias, accumulate, f32_out;
} bench_matmul;

enum { BENCH_MATMULS = 16 };

/* bench_matmuls_make - the matmuls of a step on `tokens` tokens at once, width d, a head of V in chunks of head_rows
 * (at most tokens), and a cube (usually 4096). Returns their number, at most BENCH_MATMULS. */
int bench_matmuls_make(int64_t tokens, int64_t d, int64_t V, int64_t head_rows, int64_t cube, bench_matmul *products);

/* bench_matmul_flops - 2 M N K (model.md section 11). */
double bench_matmul_flops(const bench_matmul *product);

/* bench_matmul_measure - seconds as the suite computes it (plain; NULL: not measured) and on operands in the layouts
 * that the library prefers (preferred; on a device the same as plain). Errors: those of matmul and of memory. */
flm_status bench_matmul_measure(flm_backend *be, const bench_matmul *product, flm_dtype dtype, int runs,
                                bench_seconds *plain, bench_seconds *preferred);

/* bench_onednn_measure - seconds of oneDNN itself on operands in its own layouts, without bias and accumulation
 * (bench_onednn.c). Errors: FLM_E_DEVICE, FLM_E_NOMEM. */
flm_status bench_onednn_measure(flm_backend *be, const bench_matmul *product, flm_dtype dtype, int runs,
                                bench_seconds *out);

/* bench_peak - the best rate over these matmuls in preferred layouts, FLOP/s, by the median of the runs. *best: its
 * index. */
flm_status bench_peak(flm_backend *be, const bench_matmul *products, int count, flm_dtype dtype, int runs, double *peak,
                      int *best);

#endif
