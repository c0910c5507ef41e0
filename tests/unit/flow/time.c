/* time.c - stratified times: one in each stratum, uniform inside it, for any division into parts; jumps.
 * SPDX-License-Identifier: Apache-2.0 */
#include "flow/flow_time.h"
#include "tests/tap.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static double *times_new(uint64_t seed, flm_random_purpose purpose, uint64_t step, int64_t n)
{
    double *t = malloc((size_t)n * sizeof *t);
    if (t == NULL) abort();
    flm_time_stratified(seed, purpose, step, n, 0, n, t);
    return t;
}

static void test_strata(flm_random_purpose purpose, int64_t n)
{
    double *t = times_new(7, purpose, 3, n), *parts = malloc((size_t)n * sizeof *parts);
    char *seen = calloc((size_t)n, 1);
    int64_t once = 0;
    if (parts == NULL || seen == NULL) abort();
    for (int64_t i = 0; i < n; i++) {
        const int64_t k = t[i] >= 0 && t[i] < 1 ? (int64_t)floor(t[i] * (double)n) : -1;
        if (k < 0 || k >= n) continue;
        once += seen[k] == 0;
        seen[k] = 1;
    }
    tap_ok(once == n, "purpose %d, n=%d: one in every stratum", (int)purpose, (int)n);
    for (int64_t first = 0, count = 1; first < n; first += count, count = count % 5 + 1) {
        if (count > n - first) count = n - first;
        flm_time_stratified(7, purpose, 3, n, first, count, parts + first);
    }
    tap_ok(memcmp(t, parts, (size_t)n * sizeof *t) == 0, "purpose %d, n=%d: the same in parts", (int)purpose, (int)n);
    free(t);
    free(parts);
    free(seen);
}

/* Offsets within the strata: of n = 4096 uniform ones the mean is off by at most 5 of its standard deviations, 0.0045,
 * and so is the correlation of index and stratum, 5 / 64 (each exceeded with probability 6e-7; the seed is fixed). */
static void test_offsets(void)
{
    enum { n = 4096 };
    double *t = times_new(1, FLM_RANDOM_TIME, 0, n), mean = 0, square = 0, correlation = 0;
    for (int i = 0; i < n; i++) {
        const double u = t[i] * n - floor(t[i] * n);
        mean += u / n;
        square += u * u / n;
        correlation += (t[i] - 0.5) * ((i + 0.5) / n - 0.5) * 12 / n;
    }
    tap_close(mean, 0.5, 5 * sqrt(1.0 / 12 / n), "offsets: mean");
    tap_close(square, 1.0 / 3, 5 * sqrt(4.0 / 45 / n), "offsets: mean square");
    tap_close(correlation, 0, 5 / sqrt((double)n), "the order is random");
    free(t);
}

/* Jumps: inside [0, 1], d stratified but for the boundary draws, the same in parts. Of n = 65536 samples
 * the share of boundary draws is within 5 deviations of its probability; so is the mean of s / (1 - d), 1/2. */
static void test_jumps(const flm_time_law *law, flm_random_purpose purpose, const char *name)
{
    enum { n = 65536 };
    double *s = malloc(n * sizeof *s), *d = malloc(n * sizeof *d), *plain = times_new(5, purpose, 3, n);
    double *part_s = malloc(n * sizeof *s), *part_d = malloc(n * sizeof *d), boundary = 0, mean = 0;
    int wrong = 0, other = 0;
    if (s == NULL || d == NULL || part_s == NULL || part_d == NULL) abort();
    flm_time_jumps(law, 5, purpose, 3, n, 0, n, s, d);
    for (int i = 0; i < n; i++) {
        const bool all = s[i] == 0 && d[i] == 1;
        wrong += !(s[i] >= 0 && d[i] >= law->min && s[i] + d[i] <= 1 + 0x1p-52);
        other += !all && d[i] != fmax(plain[i], law->min);
        boundary += all;
        mean += all ? 0 : s[i] / (1 - d[i]);
    }
    tap_ok(wrong == 0 && other == 0, "%s: jumps inside [0, 1], their lengths stratified", name);
    tap_close(boundary / n, law->boundary, 5 * sqrt(law->boundary / n), "the share of boundary draws");
    tap_close(mean / (n - boundary), 0.5, 5 * sqrt(1.0 / 12 / n), "starts are uniform");
    for (int first = 0, count = 1; first < n; first += count, count = count % 4099 + 17) {
        if (count > n - first) count = n - first;
        flm_time_jumps(law, 5, purpose, 3, n, first, count, part_s + first, part_d + first);
    }
    tap_ok(memcmp(s, part_s, n * sizeof *s) == 0 && memcmp(d, part_d, n * sizeof *d) == 0, "%s: the same in parts",
           name);
    double *const all[] = {s, d, plain, part_s, part_d};
    for (int i = 0; i < 5; i++) free(all[i]);
}

static void test_streams(void)
{
    enum { n = 64 };
    double *a = times_new(1, FLM_RANDOM_TIME, 5, n);
    double *others[] = {times_new(2, FLM_RANDOM_TIME, 5, n), times_new(1, FLM_RANDOM_TIME, 6, n),
                        times_new(1, FLM_RANDOM_VALIDATION, 5, n), times_new(1, FLM_RANDOM_TIME, 5 + (1ULL << 32), n)};
    for (int k = 0; k < 4; k++) {
        int same = 0;
        for (int i = 0; i < n; i++) same += a[i] == others[k][i];
        tap_ok(same == 0, "another seed, step or purpose: other times (%d)", k);
        free(others[k]);
    }
    free(a);
}

/* Kinds by the index and the step, the three draws stratified over the whole batch, and the same in parts. */
static void test_psd(double fraction, int64_t boundary, flm_random_purpose purpose)
{
    enum { n = 4096, STEP = 5 };
    const flm_psd_law law = {fraction, boundary};
    static double s[n], d[n], part_s[n], part_d[n], plain[n];
    int64_t wrong = 0, jumps = 0, all = 0, miscounted = 0;
    double mean_s = 0, mean_d = 0, mean_r = 0;
    flm_time_psd(&law, 7, purpose, STEP, n, 0, n, s, d);
    flm_time_stratified(7, purpose, STEP, n, 0, n, plain);
    for (int64_t i = 0; i < n; i++) {
        const bool diagonal = fraction == 0.5 ? i % 2 == 0 : (double)(i % 32) < 32 * fraction;
        const bool whole = !diagonal && boundary > 0 && (jumps + STEP) % boundary == 0;
        miscounted += flm_time_psd_jumps(&law, i) != jumps;
        if (diagonal) wrong += s[i] != plain[i] || d[i] != 0;
        if (whole) wrong += s[i] != 0 || d[i] != 1;
        if (!diagonal && !whole) {
            wrong += !(s[i] >= 0 && d[i] > 0 && s[i] + d[i] <= 1 + 0x1p-52);
            mean_s += s[i];
            mean_d += d[i];
            mean_r += s[i] / (1 - d[i]);
        }
        jumps += !diagonal;
        all += whole;
    }
    const double others = (double)(jumps - all);
    tap_ok(wrong == 0 && miscounted == 0, "diagonal fraction %g, boundary %d: kinds and their times", fraction,
           (int)boundary);
    if (others > 0) {
        tap_close(mean_d / others, 0.5, 5 * sqrt(1 / (12 * others)), "lengths are uniform");
        tap_close(mean_r / others, 0.5, 5 * sqrt(1 / (12 * others)), "and starts beside them");
        tap_close(mean_s / others, 0.25, 5 * sqrt(1 / (20 * others)), "independent of each other");
    }
    for (int first = 0, count = 1; first < n; first += count, count = count % 1031 + 17) {
        if (count > n - first) count = n - first;
        flm_time_psd(&law, 7, purpose, STEP, n, first, count, part_s + first, part_d + first);
    }
    tap_ok(memcmp(s, part_s, sizeof s) == 0 && memcmp(d, part_d, sizeof d) == 0, "the same in parts");
}

/* Context tokens: shares stratified over the whole batch, tokens independent with their probability, the same in parts
 * and for shorter sequences. Five standard deviations. */
static void test_context(flm_random_purpose purpose)
{
    enum { n = 512, LENGTH = 67, STEP = 5 };
    static int32_t all[n][LENGTH], part[n][LENGTH], shorter[n][5];
    const int64_t active = flm_time_context(7, purpose, STEP, n, 0, n, LENGTH, all[0]);
    double count = 0, pairs = 0, low = 0, high = 0;
    bool same = true;
    for (int i = 0; i < n; i++) {
        int own = 0;
        for (int l = 0; l < LENGTH; l++) {
            own += all[i][l] == 1;
            same = same && (all[i][l] == 0 || all[i][l] == 1);
            pairs += l > 0 && all[i][l] == 1 && all[i][l - 1] == 1;
        }
        count += own;
        low += own < LENGTH / 4;
        high += own > LENGTH - LENGTH / 4;
    }
    tap_ok(same && (double)active == n * LENGTH - count, "%d of %d tokens are active", (int)active, n * LENGTH);
    /* One share for each stratum: only the tokens vary, by the mean of p (1 - p) = 1/6. */
    tap_close(count / (n * LENGTH), 0.5, 5 * sqrt(1.0 / 6 / (n * LENGTH)) + 1.0 / n, "half of them are, on average");
    /* Both tokens of a pair are with the mean of p^2, 1/3. Pairs vary by the mean of p^2 - p^4, 2/15, and those with a
     * token in common by twice that of p^3 - p^4, 1/10. */
    tap_close(pairs / (n * (LENGTH - 1)), 1.0 / 3, 5 * sqrt(7.0 / 30 / (n * (LENGTH - 1))), "shares are uniform");
    tap_close(low / n, 0.25, 0.05, "some samples have few");
    tap_close(high / n, 0.25, 0.05, "and some many");
    for (int first = 0, size = 1; first < n; first += size, size = size % 101 + 17) {
        if (size > n - first) size = n - first;
        flm_time_context(7, purpose, STEP, n, first, size, LENGTH, part[first]);
    }
    tap_ok(memcmp(all, part, sizeof all) == 0, "the same in parts");
    flm_time_context(7, purpose, STEP, n, 0, n, 5, shorter[0]);
    for (int i = 0; i < n; i++) same = same && memcmp(shorter[i], all[i], sizeof shorter[i]) == 0;
    tap_ok(same, "a token does not depend on the length");
    flm_time_context(7, purpose, STEP + 1, n, 0, n, LENGTH, part[0]);
    tap_ok(memcmp(all, part, sizeof all) != 0, "another step, other tokens");
}

int main(void)
{
    static const int64_t sizes[] = {1, 2, 7, 64, 65, 512, 1001};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        test_strata(FLM_RANDOM_TIME, sizes[i]);
        test_strata(FLM_RANDOM_VALIDATION, sizes[i]);
    }
    test_offsets();
    test_streams();
    test_jumps(&(flm_time_law){.min = 1e-6, .boundary = 1.0 / 64}, FLM_RANDOM_TIME, "training");
    test_jumps(&(flm_time_law){.min = 1e-5, .boundary = 1.0 / 128}, FLM_RANDOM_VALIDATION, "validation");
    test_psd(0.5, 32, FLM_RANDOM_TIME);
    test_psd(0.5, 3, FLM_RANDOM_VALIDATION);
    test_psd(0.75, 32, FLM_RANDOM_TIME);
    test_psd(0.3, 5, FLM_RANDOM_TIME);
    test_psd(0, 0, FLM_RANDOM_TIME);
    test_psd(1, 32, FLM_RANDOM_TIME);
    test_context(FLM_RANDOM_TIME);
    test_context(FLM_RANDOM_VALIDATION);
    double t;
    flm_time_stratified(1, FLM_RANDOM_TIME, 0, (int64_t)1 << 40, ((int64_t)1 << 40) - 1, 1, &t);
    tap_ok(t >= 0 && t < 1, "the largest batch");
    return tap_end();
}
