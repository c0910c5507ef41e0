/* emulate_sort.c - a stable sort on the host, in place of cuda/kernel/sort.cu, whose kernels are CUB's.
 * SPDX-License-Identifier: Apache-2.0 */
#include "cuda/kernel/kernel.h"
#include "tests/emulate/emulate_memory.h"

#include <stdlib.h>
#include <string.h>

enum { INVALID_VALUE = 1 }; /* cudaErrorInvalidValue */

/* An arbitrary size that is not a multiple of the alignment. */
int flm_cuda_sort_scratch(size_t *bytes, int64_t n, int bits)
{
    *bytes = (size_t)n * 8 + (size_t)bits;
    return 0;
}

static int by_value(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

int flm_cuda_launch_sort(uint32_t *key, uint32_t *row, const uint32_t *from_key, const uint32_t *from_row, int64_t n,
                         int bits, void *temporary, size_t bytes, void *stream)
{
    (void)stream;
    if (n < 1 || n > INT32_MAX || bits < 1 || bits > 32 || bytes != (size_t)n * 8 + (size_t)bits) return INVALID_VALUE;
    /* The lowest bits of the key in the upper word, the position in the lower one, which keeps equal keys in order. */
    uint64_t *order = malloc((size_t)n * sizeof *order);
    if (!order) abort();
    emulate_open();
    memset(temporary, 0xFF, bytes);
    for (int64_t i = 0; i < n; i++)
        order[i] = (from_key[i] & (0xFFFFFFFFu >> (32 - bits))) * (uint64_t)0x100000000 + (uint64_t)i;
    qsort(order, (size_t)n, sizeof *order, by_value);
    for (int64_t i = 0; i < n; i++) {
        key[i] = from_key[order[i] & 0xFFFFFFFFu];
        row[i] = from_row[order[i] & 0xFFFFFFFFu];
    }
    emulate_close();
    free(order);
    return 0;
}
