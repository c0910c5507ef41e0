/* base_crc32c.h - CRC-32C (Castagnoli), the checksum of every dataset the suite writes, and its combination.
 * Source: polynomial 0x1EDC6F41, reflected, as in RFC 3720 appendix B.4. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_BASE_CRC32C_H
#define FLM_BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* flm_crc32c_update - CRC of bytes, continuing from crc (0 to begin): flm_crc32c_update(flm_crc32c_update(0, a), b) is
 * that of a then b. SSE4.2 instructions where the processor has them, a table otherwise. Errors: none. */
uint32_t flm_crc32c_update(uint32_t crc, const void *bytes, size_t count);

/* flm_crc32c_combine - CRC of A then B from crc(A), crc(B) and B's length in bytes: ranks checksum their own slices.
 * O(log length). Source: multiplication by x^(8 length) modulo the polynomial. */
uint32_t flm_crc32c_combine(uint32_t crc_a, uint32_t crc_b, uint64_t bytes_b);

#endif
