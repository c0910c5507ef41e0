/* base_crc32c.c - see base_crc32c.h. SPDX-License-Identifier: Apache-2.0 */
#include "base/base_crc32c.h"

#include <pthread.h>
#include <string.h>

static const uint32_t POLYNOMIAL = 0x82F63B78u; /* reflected 0x1EDC6F41 */
static uint32_t table[8][256];
static pthread_once_t table_once = PTHREAD_ONCE_INIT;

static void table_fill(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int k = 0; k < 8; k++) c = c & 1 ? c >> 1 ^ POLYNOMIAL : c >> 1;
        table[0][i] = c;
    }
    for (int s = 1; s < 8; s++)
        for (int i = 0; i < 256; i++) table[s][i] = table[s - 1][i] >> 8 ^ table[0][table[s - 1][i] & 255];
}

static uint32_t crc_table(uint32_t crc, const unsigned char *p, size_t n)
{
    pthread_once(&table_once, table_fill);
    for (; n >= 8; n -= 8, p += 8) {
        uint64_t w;
        memcpy(&w, p, 8);
        w ^= crc;
        crc = 0;
        for (int s = 0; s < 8; s++) crc ^= table[7 - s][w >> (8 * s) & 255];
    }
    while (n--) crc = crc >> 8 ^ table[0][(crc ^ *p++) & 255];
    return crc;
}

#ifdef __x86_64__
__attribute__((target("sse4.2"))) static uint32_t crc_sse42(uint32_t crc, const unsigned char *p, size_t n)
{
    uint64_t c = crc;
    for (; n >= 8; n -= 8, p += 8) {
        uint64_t w;
        memcpy(&w, p, 8);
        c = __builtin_ia32_crc32di(c, w);
    }
    crc = (uint32_t)c;
    while (n--) crc = __builtin_ia32_crc32qi(crc, *p++);
    return crc;
}
#endif

uint32_t flm_crc32c_update(uint32_t crc, const void *bytes, size_t count)
{
#ifdef __x86_64__
    if (__builtin_cpu_supports("sse4.2")) return ~crc_sse42(~crc, bytes, count);
#endif
    return ~crc_table(~crc, bytes, count);
}

/* a * b modulo the polynomial; bit 31 is x^0, as reflected CRCs count. */
static uint32_t multiply(uint32_t a, uint32_t b)
{
    uint32_t product = 0;
    for (uint32_t bit = 0x80000000u; bit; bit >>= 1) {
        if (a & bit) product ^= b;
        b = b & 1 ? b >> 1 ^ POLYNOMIAL : b >> 1;
    }
    return product;
}

uint32_t flm_crc32c_combine(uint32_t crc_a, uint32_t crc_b, uint64_t bytes_b)
{
    uint32_t power = 0x80000000u >> 8, shift = 0x80000000u; /* x^8 and x^0 */
    for (; bytes_b; bytes_b >>= 1) {
        if (bytes_b & 1) shift = multiply(shift, power);
        power = multiply(power, power);
    }
    return multiply(shift, crc_a) ^ crc_b;
}
