/* mauve.c - MAUVE of given features against the package mauve-text (tests/score/make_mauve.py), and what it must not
 * depend on; the parts of it. SPDX-License-Identifier: Apache-2.0 */
#include "score/compare/score_cluster.h"
#include "score/compare/score_mauve.h"
#include "tests/tap.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS_MAX = 200, D_MAX = 16 };
static float reference[ROWS_MAX * D_MAX], set[ROWS_MAX * D_MAX], turned[ROWS_MAX * D_MAX];

static bool read_rows(FILE *f, int64_t rows, int64_t d, float *out)
{
    double value;
    for (int64_t i = 0; i < rows * d; i++) {
        if (fscanf(f, "%lf", &value) != 1) return false;
        out[i] = (float)(value / 1000);
    }
    return true;
}

/* The order of rows does not matter, down to the last bit. */
static void test_order(int64_t rows, int64_t d, const flm_mauve *want)
{
    flm_mauve have = {0};
    flm_status status;
    for (int64_t i = 0; i < rows; i++) memcpy(turned + i * d, set + (i * 7 + 3) % rows * d, (size_t)d * sizeof *turned);
    status = flm_mauve_compute(reference, rows, turned, rows, d, 1, &have);
    tap_ok(status == FLM_OK && have.value == want->value, "rows in another order: %.17g, %.17g", have.value,
           want->value);
    status = flm_mauve_compute(reference, rows, set, rows, d, 2, &have);
    tap_ok(status == FLM_OK && have.value != want->value && fabs(have.value - want->value) < 0.02,
           "another seed: %.4f, %.4f", have.value, want->value);
}

static void test_package(void)
{
    char path[4096], name[32];
    const char *top = getenv("abs_top_srcdir");
    int rows = 0, d = 0, pairs = 0;
    double want, deviation;
    flm_mauve m = {0};
    flm_status status;
    snprintf(path, sizeof path, "%s/tests/score/golden/mauve.txt", top ? top : ".");
    FILE *f = fopen(path, "r");
    if (!tap_ok(f && fscanf(f, "%d %d %31s", &rows, &d, name) == 3 && rows <= ROWS_MAX && d <= D_MAX &&
                    read_rows(f, rows, d, reference),
                "%s is read", path))
        return;
    while (fscanf(f, "%31s %lf %lf", name, &want, &deviation) == 3 && read_rows(f, rows, d, set)) {
        status = flm_mauve_compute(reference, rows, set, rows, d, 1, &m);
        tap_ok(status == FLM_OK, "%s: computed", name);
        tap_ok(fabs(m.value - want) <= 0.02, "%s: %.4f, package %.4f", name, m.value, want);
        tap_ok(m.deviation > deviation / 2 && m.deviation < 2 * deviation, "%s: deviation %.4f, package %.4f", name,
               m.deviation, deviation);
        tap_ok(m.clusters == rows / 10, "%s: %d clusters", name, (int)m.clusters);
        if (pairs++ == 1) test_order(rows, d, &m);
    }
    tap_ok(pairs == 3, "three pairs of sets");
    fclose(f);
    status = flm_mauve_compute(reference, rows, reference, rows, d, 1, &m);
    tap_ok(status == FLM_OK && fabs(m.value - 1) < 1e-4, "a set and itself: %.6f", m.value);
    status = flm_mauve_compute(reference, rows, set, FLM_MAUVE_TEXTS - 1, d, 1, &m);
    tap_ok(status == FLM_E_ARG, "too few texts: %s", flm_err_message());
    tap_ok(flm_mauve_compute(reference, rows, set, FLM_MAUVE_TEXTS, d, 1, &m) == FLM_OK && m.clusters == 2,
           "just enough texts");
    set[5] = NAN;
    status = flm_mauve_compute(reference, rows, set, rows, d, 1, &m);
    tap_ok(status == FLM_E_NUMERIC, "not finite: %s", flm_err_message());
}

/* Points on a line in three dimensions, with little beside it. */
static void test_reduce(void)
{
    enum { N = 65 };
    double x[N * 3], line[N], worst = 0;
    int64_t components = 0;
    for (int i = 0; i < N; i++) {
        line[i] = (i * 37 % N - (N - 1) / 2.0) / 10;
        const double off = (i % 2 ? 1 : -1) * 0.01;
        x[3 * i] = line[i] * 2 / 3 + off / sqrt(2) + 5;
        x[3 * i + 1] = line[i] * 2 / 3 - off / sqrt(2);
        x[3 * i + 2] = line[i] / 3 - 1;
    }
    tap_ok(flm_cluster_reduce(x, N, 3, 0.9, &components) == FLM_OK && components == 1, "PCA: one component of three");
    for (int i = 0; i < N; i++) worst = fmax(worst, fabs(fabs(x[i]) - fabs(line[i])));
    tap_ok(worst < 1e-3, "PCA: the positions on the line, error %.2g", worst);
}

/* Clear groups are found; equal points leave clusters empty, which must not loop or fail. */
static void test_assign(void)
{
    enum { N = 70, K = 7 };
    double x[N * 2];
    int32_t label[N];
    bool right = true;
    const flm_cluster_options options = {K, 20, 500, 3};
    for (int i = 0; i < N; i++) {
        x[2 * i] = 100 * (i % K) + i * 0.01;
        x[2 * i + 1] = 50 * (i % K % 2) - i * 0.01;
    }
    tap_ok(flm_cluster_assign(x, N, 2, &options, label) == FLM_OK, "k-means");
    for (int i = 0; i < N; i++)
        for (int k = 0; k < N; k++) right = right && (label[i] == label[k]) == (i % K == k % K);
    tap_ok(right, "k-means: finds seven groups");
    memset(x, 0, sizeof x);
    tap_ok(flm_cluster_assign(x, N, 2, &options, label) == FLM_OK, "k-means: of equal points");
    tap_ok(flm_cluster_assign(x, K - 1, 2, &options, label) == FLM_E_ARG, "k-means: more clusters than points");
}

int main(void)
{
    test_reduce();
    test_assign();
    test_package();
    return tap_end();
}
