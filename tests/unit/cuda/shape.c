/* shape.c - the arithmetic of launches and of scratch memory. SPDX-License-Identifier: Apache-2.0 */
#include "cuda/kernel/shape.h"
#include "tests/tap.h"

#include <stdbool.h>

static void test_parts(void)
{
    bool whole = true;
    for (int64_t n = 0; n < 300; n++)
        for (int64_t size = 1; size < 70; size++) {
            const int64_t parts = flm_cuda_parts(n, size);
            whole = whole && parts * size >= n && (parts - 1) * size < n + (n == 0);
        }
    tap_ok(whole, "the parts cover everything, and none is empty");
    tap_ok(flm_cuda_parts(INT64_MAX, 2) == INT64_MAX / 2 + 1, "parts of the largest number");
}

static void test_grid(void)
{
    tap_ok(flm_cuda_grid(0, 0) == 0 && flm_cuda_grid(7, 0) == 7 && flm_cuda_grid(7, 9) == 7, "a grid as requested");
    tap_ok(flm_cuda_grid(7, 5) == 5, "a grid limited to max_blocks");
    tap_ok(flm_cuda_grid((int64_t)INT32_MAX + 1, 0) == INT32_MAX && flm_cuda_grid(INT64_MAX, INT64_MAX) == INT32_MAX,
           "a grid limited to CUDA's maximum");
}

static void test_row_threads(void)
{
    bool right = true;
    int before = 0;
    for (int64_t n = 0; n < 100000; n += n < 9000 ? 1 : 997) {
        const int threads = flm_cuda_row_threads(n);
        right = right && threads % FLM_CUDA_WARP == 0 && threads >= 64 && threads <= FLM_CUDA_ROW_THREADS;
        right = right && threads >= before && (threads == FLM_CUDA_ROW_THREADS || threads * 8 >= n);
        before = threads;
    }
    tap_ok(right, "threads of a row: a multiple of a warp, within bounds, enough");
}

static void test_bits(void)
{
    static const struct {
        int64_t max;
        int bits;
    } cases[] = {{0, 1}, {1, 1}, {2, 2}, {255, 8}, {256, 9}, {50258, 16}, {65536, 17}, {INT32_MAX, 31}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        tap_ok(flm_cuda_bits(cases[i].max) == cases[i].bits, "bits of the numbers in 0..%lld", (long long)cases[i].max);
}

static void test_scatter(int64_t n, int64_t d, size_t sort_bytes)
{
    const flm_cuda_scatter s = flm_cuda_scatter_layout(n, d, sort_bytes);
    const size_t words = (size_t)n * 4, blocks = (size_t)(n + FLM_CUDA_RUN_BLOCK - 1) / FLM_CUDA_RUN_BLOCK;
    const size_t at[] = {s.key[0], s.key[1], s.row[0], s.row[1], s.sort, s.part, s.bytes};
    const size_t need[] = {words, words, words, words, sort_bytes, blocks * 2 * (size_t)d * 4};
    bool right = at[0] == 0;
    for (int k = 0; k < 6; k++) right = right && at[k] % 256 == 0 && at[k + 1] >= at[k] + need[k];
    tap_ok(right, "scratch of a scatter of %lld x %lld: aligned, and nothing overlaps", (long long)n, (long long)d);
    tap_ok(at[6] < need[0] * 4 + need[4] + need[5] + 7 * 256, "and not larger than it must be");
}

int main(void)
{
    test_parts();
    test_grid();
    test_row_threads();
    test_bits();
    test_scatter(0, 5, 0);
    test_scatter(1, 1, 1);
    test_scatter(1025, 7, 5000);
    test_scatter(65536, 768, 65536);
    test_scatter((int64_t)3 << 29, 4096, (size_t)3 << 32); /* beyond 32 bits */
    return tap_end();
}
