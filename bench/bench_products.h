/* bench_products.h - the matrix products of a training step, and the machine's peak as the best of them.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_BENCH_PRODUCTS_H
#define FLM_BENCH_PRODUCTS_H

#include "bench/bench_common.h"

/* One product: what it is for, its sizes and how the step computes it. */
typedef struct bench_product {
    const char *name;
    int64_t M, N, K;
    bool transpose_a, transpose_b, bias, accumulate, f32_out;
} bench_product;

enum { BENCH_PRODUCTS = 16 };

/* bench_products_make - the products of a step on `tokens` tokens at once, width d, a head of V in chunks of head_rows
 * (at most tokens), and a cube (usually 4096). Returns their number, at most BENCH_PRODUCTS. */
int bench_products_make(int64_t tokens, int64_t d, int64_t V, int64_t head_rows, int64_t cube, bench_product *products);

/* bench_product_flops - 2 M N K (model.md section 9). */
double bench_product_flops(const bench_product *product);

/* bench_product_measure - seconds as the suite computes it (plain; NULL: not wanted) and on operands in the layouts the
 * library likes best (preferred). The CPU backend alone. Errors: those of matmul and of memory. */
flm_status bench_product_measure(flm_backend *be, const bench_product *product, flm_dtype dtype, int runs,
                                 bench_seconds *plain, bench_seconds *preferred);

/* bench_onednn_measure - seconds of oneDNN itself on operands in its own layouts, without bias and accumulation
 * (bench_onednn.c). Errors: FLM_E_DEVICE, FLM_E_NOMEM. */
flm_status bench_onednn_measure(flm_backend *be, const bench_product *product, flm_dtype dtype, int runs,
                                bench_seconds *out);

/* bench_peak - the best rate over these products in preferred layouts, FLOPs a second, by the median of runs. *best:
 * its number in `products`. */
flm_status bench_peak(flm_backend *be, const bench_product *products, int count, flm_dtype dtype, int runs,
                      double *peak, int *best);

#endif
