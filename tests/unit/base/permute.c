/* permute.c - flm_permute_index is a permutation for every n, differs between keys, and spreads.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/base_permute.h"
#include "tests/tap.h"

#include <stdlib.h>

static int is_permutation(uint64_t key, int64_t n)
{
    char *seen = calloc((size_t)n, 1);
    int good = seen != NULL;
    for (int64_t i = 0; good && i < n; i++) {
        const int64_t at = flm_permute_index(key, i, n);
        good = at >= 0 && at < n && !seen[at];
        if (good) seen[at] = 1;
    }
    free(seen);
    return good;
}

int main(void)
{
    const int64_t sizes[] = {1, 2, 3, 4, 5, 7, 16, 17, 63, 64, 65, 1000, 4097, 65536, 100003};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        tap_ok(is_permutation(12345 + i, sizes[i]), "a permutation of %lld", (long long)sizes[i]);

    int same = 0, still = 0;
    double product = 0;
    const int64_t n = 10000;
    for (int64_t i = 0; i < n; i++) {
        const int64_t a = flm_permute_index(1, i, n), b = flm_permute_index(2, i, n);
        same += a == b;
        still += a == i;
        product += ((double)i / n - 0.5) * ((double)a / n - 0.5);
    }
    /* of a random permutation 1 place is expected; 20 has probability 1e-18 */
    tap_ok(same < 20, "two keys agree in %d places of 10000", same);
    tap_ok(still < 20, "%d places of 10000 stay", still);
    /* correlation of place and index: standard deviation 1 / sqrt(n) = 0.01; 0.06 is six of them */
    tap_close(product / n * 12, 0, 0.06, "correlation of place and index");
    const int64_t large = (int64_t)1 << 62;
    const int64_t at = flm_permute_index(3, large - 1, large);
    tap_ok(at >= 0 && at < large, "the largest n");
    return tap_end();
}
