/* philox.c - known answers of Philox4x32-10 and the properties that the streams rest on.
 * Vectors: the published known-answer file of the algorithm's authors (Random123, kat_vectors, philox4x32 10).
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/base_philox.h"
#include "tests/tap.h"

#include <string.h>

typedef struct answer {
    uint64_t key;
    uint32_t counter[4], expected[4];
} answer;

static const answer answers[] = {
    {0, {0, 0, 0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
    {0xffffffffffffffff,
     {0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
     {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
    {0x299f31d0a4093822,
     {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
     {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
};

static void test_streams(void)
{
    uint64_t base = flm_philox_stream(1, FLM_RANDOM_NOISE, 7, 3);

    tap_ok(base == flm_philox_stream(1, FLM_RANDOM_NOISE, 7, 3), "a stream is a function of its four numbers");
    tap_ok(base != flm_philox_stream(2, FLM_RANDOM_NOISE, 7, 3) &&
               base != flm_philox_stream(1, FLM_RANDOM_TIME, 7, 3) &&
               base != flm_philox_stream(1, FLM_RANDOM_NOISE, 8, 3) &&
               base != flm_philox_stream(1, FLM_RANDOM_NOISE, 7 + (1ull << 32), 3) &&
               base != flm_philox_stream(1ull << 40 | 1, FLM_RANDOM_NOISE, 7, 3) &&
               base != flm_philox_stream(1, FLM_RANDOM_NOISE, 7, 4),
           "each of the four changes it, their upper halves too");
}

/* Mean and second moment of n uniforms: five standard errors, sqrt(1/12n) and sqrt(4/45n). */
static void test_uniform(void)
{
    enum { N = 100000 };
    double sum = 0, square = 0, min = 1, max = 0;

    for (uint32_t i = 0; i < N; i++) {
        flm_philox4 r = flm_philox4x32(42, i, 0, 0, 0);
        double u = flm_philox_uniform(r.v[0], r.v[1]);
        sum += u;
        square += u * u;
        min = fmin(min, u);
        max = fmax(max, u);
    }
    tap_close(sum / N, 0.5, 5 * sqrt(1.0 / 12 / N), "mean");
    tap_close(square / N, 1.0 / 3, 5 * sqrt(4.0 / 45 / N), "second moment");
    tap_ok(min > 0 && min < 1e-3 && max < 1 && max > 0.999, "inside (0, 1), near both ends");
    tap_ok(flm_philox_uniform(0, 0) == 0x1p-53 && flm_philox_uniform(~0u, ~0u) < 1, "never 0, never 1");
}

int main(void)
{
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        const answer *a = &answers[i];
        flm_philox4 r = flm_philox4x32(a->key, a->counter[0], a->counter[1], a->counter[2], a->counter[3]);
        tap_ok(memcmp(r.v, a->expected, sizeof r.v) == 0, "known answer %zu", i);
    }
    test_streams();
    test_uniform();
    return tap_end();
}
