/* base_permute.c - see base_permute.h. SPDX-License-Identifier: Apache-2.0 */
#include "base/base_permute.h"

#include "base/base_philox.h"

#include <assert.h>

/* Four make a pseudorandom permutation (Luby and Rackoff); small domains get more. */
enum { ROUNDS = 6 };

int64_t flm_permute_index(uint64_t key, int64_t index, int64_t n)
{
    int bits = 1; /* of each half: 4^bits >= n, and below 4 n */

    assert(n >= 1 && index >= 0 && index < n);
    while (bits < 31 && (int64_t)1 << 2 * bits < n) bits++;
    const uint32_t mask = (uint32_t)(((uint64_t)1 << bits) - 1);
    uint64_t x = (uint64_t)index;
    do {
        uint32_t left = (uint32_t)(x >> bits), right = (uint32_t)x & mask;
        for (uint32_t round = 0; round < ROUNDS; round++) {
            const uint32_t next = left ^ (flm_philox4x32(key, right, round, 0, 0).v[0] & mask);
            left = right;
            right = next;
        }
        x = (uint64_t)left << bits | right;
    } while (x >= (uint64_t)n);
    return (int64_t)x;
}
