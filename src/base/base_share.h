/* base_share.h - how ranks, or threads, divide items among themselves. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_BASE_SHARE_H
#define FLM_BASE_SHARE_H

#include <stdint.h>

typedef struct flm_share {
    int64_t first, count;
} flm_share;

/* flm_share_of - the items that part `index` of `parts` gets of n: [first, first + count). The shares of all parts
 * follow each other, cover 0..n-1, and differ by at most one item. 0 <= index < parts < 2^31. Errors: none. */
static inline flm_share flm_share_of(int64_t n, int64_t index, int64_t parts)
{
    /* floor(n i / parts) without computing n i, which can be too large */
    const int64_t quotient = n / parts, remainder = n % parts;
    const int64_t first = quotient * index + remainder * index / parts;
    return (flm_share){first, quotient * (index + 1) + remainder * (index + 1) / parts - first};
}

#endif
