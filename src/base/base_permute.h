/* base_permute.h - a permutation of 0..n-1 that needs no memory: a keyed Feistel network with cycle walking.
 * Source: Luby and Rackoff, "How to construct pseudorandom permutations from pseudorandom functions", 1988; cycle
 * walking: Black and Rogaway, "Ciphers with arbitrary finite domains", CT-RSA 2002. SPDX-License-Identifier: Apache-2.0
 */
#ifndef FLM_BASE_PERMUTE_H
#define FLM_BASE_PERMUTE_H

#include <stdint.h>

/* flm_permute_index - the image of index under a permutation of 0..n-1, 1 <= n <= 2^62, one for every key
 * (flm_philox_stream). 0 <= index < n. A handful of Philox rounds; no memory. Errors: none. */
int64_t flm_permute_index(uint64_t key, int64_t index, int64_t n);

#endif
