/* statistics.c - counted targets, Gen-PPL and its interval, distinct n-grams, repetition.
 * SPDX-License-Identifier: Apache-2.0 */
#include "score/score_statistics.h"
#include "tests/tap.h"

#include <stdlib.h>
#include <string.h>

enum { END = 9 };

/* want: a digit a position, 1 for those that count. */
static void counts(const int32_t *ids, int n, const char *want)
{
    bool counted[16];
    char have[17] = "";
    int64_t count = 0, returned;
    returned = flm_statistics_count_targets(ids, n, END, counted);
    for (int i = 0; i < n; i++) {
        have[i] = counted[i] ? '1' : '0';
        count += counted[i];
    }
    tap_ok(strcmp(have, want) == 0 && returned == count, "counted: %s, expected %s", have, want);
}

static void test_counted(void)
{
    counts((const int32_t[]){1, 2, 3}, 3, "011");
    counts((const int32_t[]){1, 2, END}, 3, "011");
    counts((const int32_t[]){1, END, END, 4, END}, 5, "01010");
    counts((const int32_t[]){END, 2, END, 4}, 4, "0101");
    counts((const int32_t[]){END}, 1, "0");
    counts((const int32_t[]){1}, 1, "0");
    counts(NULL, 0, "");
}

static void test_interval(void)
{
    enum { ROWS = 400, DRAWS = 4000 };
    static double nll[ROWS];
    static int64_t positions[ROWS];
    double low, high, again_low, again_high, mean = 0, square = 0;
    for (int i = 0; i < ROWS; i++) {
        positions[i] = 10;
        nll[i] = 10 * (3 + 0.2 * ((i * 37) % 101 - 50) / 50.0);
        mean += nll[i] / 10 / ROWS;
    }
    for (int i = 0; i < ROWS; i++) square += (nll[i] / 10 - mean) * (nll[i] / 10 - mean) / ROWS;
    tap_close(flm_statistics_gen_ppl(nll, positions, ROWS), exp(mean), 1e-9, "Gen-PPL");
    tap_ok(flm_statistics_bootstrap(nll, positions, ROWS, DRAWS, 1, &low, &high) == FLM_OK, "bootstrap runs");
    /* 1.96 standard errors; the percentiles of 4000 draws have an error of about 3 % of a standard error. */
    tap_close(log(low), mean - 1.96 * sqrt(square / ROWS), 0.15 * sqrt(square / ROWS),
              "low end: that of the mean of a normal distribution");
    tap_close(log(high), mean + 1.96 * sqrt(square / ROWS), 0.15 * sqrt(square / ROWS), "high end");
    flm_statistics_bootstrap(nll, positions, ROWS, DRAWS, 1, &again_low, &again_high);
    tap_ok(low == again_low && high == again_high, "the same seed gives the same interval");
    flm_statistics_bootstrap(nll, positions, ROWS, DRAWS, 2, &again_low, &again_high);
    tap_ok(low != again_low, "another seed gives another interval");
    memset(positions, 0, sizeof positions);
    tap_ok(isnan(flm_statistics_gen_ppl(nll, positions, ROWS)), "no positions: no Gen-PPL");
    tap_ok(flm_statistics_bootstrap(nll, positions, ROWS, 10, 1, &low, &high) == FLM_OK && isnan(low),
           "and no interval");
    tap_ok(flm_statistics_bootstrap(nll, positions, ROWS, 0, 1, &low, &high) == FLM_E_ARG, "no draws are refused");
}

static void test_entropy(void)
{
    const int32_t ids[] = {7, 3, 7, 3, 5, 5, 5, 5};
    double sum;
    tap_ok(flm_statistics_sum_entropy(ids, 2, 4, &sum) == FLM_OK, "entropy of two rows");
    tap_close(sum, log(2), 1e-12, "two ids of equal share, and a row of one id");
}

static void test_grams(void)
{
    const int32_t ids[] = {1, 2, 1, 2, 1, 2, 5, 1, 2};
    const int64_t starts[] = {0, 6, 6, 7, 9};
    const flm_id_rows rows = {ids, starts, 4};
    double share;
    flm_statistics_distinct(&rows, 1, &share);
    tap_close(share, 3.0 / 9, 1e-12, "distinct-1");
    flm_statistics_distinct(&rows, 2, &share);
    tap_close(share, 2.0 / 6, 1e-12, "distinct-2: no n-gram spans two rows");
    flm_statistics_distinct(&rows, 7, &share);
    tap_close(share, 0, 0, "distinct-7 of shorter rows");
    flm_statistics_repetition(&rows, 2, &share);
    tap_close(share, (3.0 / 5 + 0) / 2, 1e-12, "repeated 2-grams: the mean over rows that have 2-grams");
    flm_statistics_repetition(&rows, 7, &share);
    tap_close(share, 0, 0, "repeated 7-grams of shorter rows");
}

int main(void)
{
    test_counted();
    test_interval();
    test_entropy();
    test_grams();
    return tap_end();
}
