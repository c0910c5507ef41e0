/* share.c - the shares of all parts cover every item once, are as equal as can be, and do not overflow.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/base_share.h"
#include "tests/tap.h"

int main(void)
{
    int wrong = 0, unequal = 0;

    for (int64_t n = 0; n <= 40; n++)
        for (int64_t parts = 1; parts <= 12; parts++) {
            int64_t next = 0;
            for (int64_t i = 0; i < parts; i++) {
                const flm_share s = flm_share_of(n, i, parts);
                wrong += s.first != next || s.first != n * i / parts;
                unequal += s.count != n / parts && s.count != (n + parts - 1) / parts;
                next = s.first + s.count;
            }
            wrong += next != n;
        }
    tap_ok(wrong == 0, "shares follow each other and cover all items");
    tap_ok(unequal == 0, "they differ by at most one item");

    const flm_share last = flm_share_of(INT64_MAX, 999999, 1000000);
    tap_ok(last.first + last.count == INT64_MAX && last.count == INT64_MAX / 1000000 + 1,
           "the last of a million shares of 2^63 - 1: %lld items", (long long)last.count);
    return tap_end();
}
