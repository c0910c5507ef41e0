/* baseline.c - texts drawn from unigrams and bigrams: chi-square against the counts.
 * SPDX-License-Identifier: Apache-2.0 */
#include "score/compare/score_baseline.h"
#include "tests/unit/score/shards.h"

#include <math.h>

enum { L = 12, ROWS = 40, TEXTS = 4000, S = 5, BEGIN = 256 }; /* symbols 0 .. S - 1; 4 occurs only at the end of rows */

static int32_t shard[ROWS * L], drawn[TEXTS * L];
static double pair[S + 1][S], single[S];

static int symbol_of(int32_t id) { return id == BEGIN ? S : id; }

static void make_shard(void)
{
    for (int r = 0; r < ROWS; r++)
        for (int k = 0; k < L; k++) {
            const uint64_t x = (uint64_t)(r * L + k + 1) * 0x9E3779B97F4A7C15u, y = (x ^ x >> 31) >> 40;
            shard[r * L + k] = k == 0 ? BEGIN : k == L - 1 ? 4 : (int32_t)(y % 7 < 4 ? y % 7 : y % 2);
            if (k == 0) continue;
            pair[symbol_of(shard[r * L + k - 1])][shard[r * L + k]]++;
            single[shard[r * L + k]]++;
        }
}

/* Chi-square of the drawn tokens that follow `before` (-1: any) against counts, over its degrees of freedom. */
static double chi_square(const double *counts, int before)
{
    double have[S] = {0}, all = 0, n = 0, sum = 0;
    int cells = 0;
    for (int r = 0; r < TEXTS; r++)
        for (int k = 1; k < L; k++)
            if (before < 0 || symbol_of(drawn[r * L + k - 1]) == before) have[drawn[r * L + k]]++, n++;
    for (int s = 0; s < S; s++) all += counts[s];
    for (int s = 0; s < S; s++) {
        const double want = n * counts[s] / all;
        if (want == 0 && have[s] > 0) return HUGE_VAL;
        if (want == 0) continue;
        sum += (have[s] - want) * (have[s] - want) / want;
        cells++;
    }
    return cells > 1 ? sum / (cells - 1) : sum;
}

static void check(const double *counts, int before, const char *what)
{
    const double x = chi_square(counts, before);
    tap_ok(x < 5.5, "%s: chi-square %.2f of its degrees of freedom", what, x); /* p = 2e-4 with 4 of them */
}

int main(void)
{
    char directory[32] = "", what[32];
    flm_shards *shards = NULL;
    flm_baseline *b = NULL;
    static int32_t again[TEXTS * L];

    make_shard();
    tap_ok(shards_write(directory, ROWS, L, shard) == FLM_OK &&
               flm_shards_open(directory, "train", &shards) == FLM_OK &&
               flm_baseline_create(shards, FLM_BASELINE_TOKENS, &b) == FLM_OK,
           "the tokens of shards are counted %s", flm_err_message());
    flm_baseline_draw(b, FLM_BASELINE_UNIGRAM, 1, TEXTS, drawn);
    check(single, -1, "unigrams");
    check(single, 0, "unigrams behind symbol 0");
    flm_baseline_draw(b, FLM_BASELINE_BIGRAM, 4, TEXTS, drawn);
    for (int s = 0; s <= S; s++) {
        snprintf(what, sizeof what, "bigrams, behind symbol %d", s);
        check(s == 4 ? single : pair[s], s, what);
    }
    tap_ok(drawn[0] == BEGIN && drawn[L] == BEGIN, "rows begin with the begin id");
    flm_baseline_draw(b, FLM_BASELINE_BIGRAM, 4, 7, again);
    tap_ok(memcmp(again, drawn, sizeof *again * 7 * L) == 0, "a row does not depend on their number");
    flm_baseline_draw(b, FLM_BASELINE_BIGRAM, 2, 7, again);
    tap_ok(memcmp(again, drawn, sizeof *again * 7 * L) != 0, "it depends on the seed");
    flm_baseline_destroy(&b);
    tap_ok(flm_baseline_create(shards, 3 * L, &b) == FLM_OK, "of at most 3 rows");
    flm_baseline_draw(b, FLM_BASELINE_UNIGRAM, 1, TEXTS, drawn);
    memset(single, 0, sizeof single);
    for (int i = 0; i < 3; i++)
        for (int k = 1; k < L; k++) single[shard[(i * ROWS / 3) * L + k]]++;
    check(single, -1, "unigrams of evenly spaced rows");
    flm_baseline_destroy(&b);
    flm_shards_close(&shards);
    shards_remove(directory);
    return tap_end();
}
