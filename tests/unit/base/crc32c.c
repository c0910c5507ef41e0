/* crc32c.c - known answers of RFC 3720 appendix B.4, both implementations, splitting and combining.
 * The source is included: the table path must be tested also where the processor has the instruction.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/base_crc32c.c"
#include "tests/tap.h"

static const unsigned char read_command[48] = {/* RFC 3720 appendix B.4, an iSCSI read command */
                                               0x01, 0xc0, 0, 0, 0, 0, 0,    0, 0,    0, 0, 0,    0, 0, 0, 0,
                                               0x14, 0,    0, 0, 0, 0, 0x04, 0, 0,    0, 0, 0x14, 0, 0, 0, 0x18,
                                               0x28, 0,    0, 0, 0, 0, 0,    0, 0x02, 0, 0, 0,    0, 0, 0, 0};

static void known(const char *name, const void *bytes, size_t count, uint32_t expected)
{
    tap_ok(flm_crc32c_update(0, bytes, count) == expected, "%s", name);
    tap_ok(~crc_table(~0u, bytes, count) == expected, "%s, by table", name);
}

int main(void)
{
    unsigned char bytes[1024];
    int split = 1, combined = 1, table_same = 1, flips = 1;
    uint32_t whole, zeros;

    memset(bytes, 0, 32);
    known("32 zeros", bytes, 32, 0x8A9136AAu);
    memset(bytes, 0xff, 32);
    known("32 ones", bytes, 32, 0x62A8AB43u);
    for (int i = 0; i < 32; i++) bytes[i] = (unsigned char)i;
    known("0..31", bytes, 32, 0x46DD794Eu);
    for (int i = 0; i < 32; i++) bytes[i] = (unsigned char)(31 - i);
    known("31..0", bytes, 32, 0x113FDB5Cu);
    known("read command", read_command, 48, 0xD9963A56u);
    known("123456789", "123456789", 9, 0xE3069283u);
    known("nothing", "", 0, 0);

    for (int i = 0; i < 1024; i++) bytes[i] = (unsigned char)(i * 131 + (i >> 3));
    whole = flm_crc32c_update(0, bytes, 1000);
    for (size_t at = 0; at <= 1000; at++) {
        uint32_t a = flm_crc32c_update(0, bytes, at), b = flm_crc32c_update(0, bytes + at, 1000 - at);
        split &= flm_crc32c_update(a, bytes + at, 1000 - at) == whole;
        combined &= flm_crc32c_combine(a, b, 1000 - at) == whole;
    }
    tap_ok(split, "continued at any place it is that of the whole");
    tap_ok(combined, "combined at any place it is that of the whole");
    for (size_t from = 0; from < 16; from++)
        for (size_t n = 0; n < 40; n++)
            table_same &= ~crc_table(~0u, bytes + from, n) == flm_crc32c_update(0, bytes + from, n);
    tap_ok(table_same, "both implementations agree at every alignment and length");
    zeros = 0;
    memset(bytes, 0, sizeof bytes);
    for (int i = 0; i < 4096; i++) zeros = flm_crc32c_update(zeros, bytes, sizeof bytes);
    whole = flm_crc32c_update(0, bytes, sizeof bytes);
    for (int i = 0; i < 12; i++) whole = flm_crc32c_combine(whole, whole, (uint64_t)sizeof bytes << i);
    tap_ok(whole == zeros, "combined over 4 MiB by doubling");
    for (int i = 0; i < 384; i++) {
        unsigned char copy[48];
        memcpy(copy, read_command, 48);
        copy[i / 8] ^= (unsigned char)(1 << i % 8);
        flips &= flm_crc32c_update(0, copy, 48) != 0xD9963A56u;
    }
    tap_ok(flips, "every flipped bit is seen");
    return tap_end();
}
