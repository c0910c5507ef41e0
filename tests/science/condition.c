/* condition.c - the exact conditional quantities of the Markov source against sums over all ways to fill in a row.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/science/markov.h"
#include "tests/tap.h"

#include <math.h>
#include <string.h>

enum { V = MARKOV_SYMBOLS, L = MARKOV_LENGTH, BLANKS = 3 };

/* By enumeration: P(known) is the sum of the probabilities of the rows that agree with it. */
static void enumerate(const markov *source, const int32_t *known, double *nll, double *entropy)
{
    double sum = 0, weighted = 0;
    for (int all = 0; all < V * V * V; all++) {
        int32_t row[L];
        int rest = all;
        memcpy(row, known, sizeof row);
        for (int i = 0; i < L; i++)
            if (row[i] < 0) {
                row[i] = rest % V;
                rest /= V;
            }
        const double p = exp(-markov_nll(source, row));
        sum += p;
        weighted += p * markov_nll(source, row);
    }
    *nll = -log(sum);
    *entropy = weighted / sum - *nll;
}

static void check_blanks(const markov *source, int64_t number, const int *blanks, const char *name)
{
    int32_t row[L];
    double nll, entropy, want_nll, want_entropy;
    markov_draw(source, 1, number, row);
    for (int i = 0; i < BLANKS; i++) row[blanks[i]] = -1;
    markov_condition(source, row, &nll, &entropy);
    enumerate(source, row, &want_nll, &want_entropy);
    /* Sums of at most 4096 terms in double precision. */
    tap_ok(fabs(nll - want_nll) <= 1e-9 && fabs(entropy - want_entropy) <= 1e-9 && want_entropy > 0.01,
           "%s: nll %.6f, entropy %.6f", name, nll, entropy);
}

static int count_blanks(const int32_t *row, int first, int end)
{
    int count = 0;
    for (int i = first; i < end; i++) count += row[i] < 0;
    return count;
}

int main(void)
{
    markov source;
    int32_t row[L];
    double nll, entropy;
    int seen[L] = {0}, bad = 0;
    markov_make(1, &source);
    check_blanks(&source, 0, (const int[]){3, 11, 20}, "blanks apart");
    check_blanks(&source, 1, (const int[]){7, 8, 9}, "neighbours");
    check_blanks(&source, 2, (const int[]){0, 1, 5}, "the beginning");
    check_blanks(&source, 3, (const int[]){L - 3, L - 2, L - 1}, "the end");

    for (int i = 0; i < L; i++) row[i] = -1;
    markov_condition(&source, row, &nll, &entropy);
    tap_ok(fabs(nll) <= 1e-9 && fabs(entropy - L * markov_entropy(&source)) <= 1e-9,
           "nothing known: the source's entropy, %.6f a symbol", entropy / L);
    markov_draw(&source, 1, 4, row);
    markov_condition(&source, row, &nll, &entropy);
    tap_ok(fabs(nll - markov_nll(&source, row)) <= 1e-9 && fabs(entropy) <= 1e-9,
           "everything known: the row's likelihood");

    for (int64_t n = 0; n < 2300; n++) {
        markov_draw(&source, 1, n, row);
        markov_blank(1, n, true, row);
        bad += count_blanks(row, 0, 1) != 0 || count_blanks(row, 1, L) != L / 2;
        for (int i = 1; i < L; i++) seen[i] += row[i] < 0;
        markov_draw(&source, 1, n, row);
        markov_blank(1, n, false, row);
        bad += count_blanks(row, 0, L / 2) != 0 || count_blanks(row, L / 2, L) != L / 2;
    }
    /* 1200 of 2300 at each position, with a standard deviation of 24. */
    for (int i = 1; i < L; i++) bad += seen[i] < 1080 || seen[i] > 1320;
    tap_ok(bad == 0, "half of a row is unknown, each position as often as the others");
    return tap_end();
}
