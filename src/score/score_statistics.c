/* score_statistics.c - see score_statistics.h. Different n-grams are counted by sorting their 64-bit hashes.
 * SPDX-License-Identifier: Apache-2.0 */
#include "score/score_statistics.h"

#include "base/base_philox.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static int by_id(const void *a, const void *b)
{
    const int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

flm_status flm_statistics_sum_entropy(const int32_t *ids, int64_t rows, int64_t L, double *sum)
{
    flm_status rc = FLM_OK;
    int32_t *row = malloc((size_t)L * sizeof *row);
    double total = 0;
    if (row == NULL) FLM_FAIL(FLM_E_NOMEM, "entropy: no memory for a row of %" PRId64 " ids", L);
    for (int64_t r = 0; r < rows; r++) {
        memcpy(row, ids + r * L, (size_t)L * sizeof *row);
        qsort(row, (size_t)L, sizeof *row, by_id);
        for (int64_t i = 0, run = 1; i < L; i++, run++) {
            if (i + 1 < L && row[i + 1] == row[i]) continue;
            const double p = (double)run / (double)L;
            total -= p * log(p);
            run = 0;
        }
    }
    *sum = total;
done:
    free(row);
    return rc;
}

int64_t flm_statistics_count_targets(const int32_t *ids, int64_t n, int64_t end_id, bool *counted)
{
    int64_t count = 0;
    bool ended = n > 0 && ids[0] == end_id;
    if (n > 0) counted[0] = false;
    for (int64_t i = 1; i < n; i++) {
        counted[i] = ids[i] != end_id || !ended;
        ended = ended || ids[i] == end_id;
        count += counted[i];
    }
    return count;
}

double flm_statistics_gen_ppl(const double *nll, const int64_t *positions, int64_t rows)
{
    double sum = 0, count = 0;
    for (int64_t r = 0; r < rows; r++) {
        sum += nll[r];
        count += (double)positions[r];
    }
    return count > 0 ? exp(sum / count) : NAN;
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The mean NLL of one draw of rows. */
static double draw_mean(const double *nll, const int64_t *positions, int64_t rows, uint64_t stream, int64_t draw)
{
    double sum = 0, count = 0;
    for (int64_t i = 0; i < rows; i += 2) { /* two random words a row give 52 bits, enough to select any row */
        const flm_philox4 r = flm_philox_at(stream, (uint64_t)draw, (uint32_t)(i >> 32), (uint32_t)i);
        for (int k = 0; k < 2 && i + k < rows; k++) {
            const int64_t at = (int64_t)(flm_philox_uniform(r.v[2 * k], r.v[2 * k + 1]) * (double)rows);
            sum += nll[at];
            count += (double)positions[at];
        }
    }
    return count > 0 ? sum / count : NAN;
}

/* A percentile of sorted values, interpolated between its neighbours. */
static double percentile(const double *sorted, int64_t count, double share)
{
    const double position = share * (double)(count - 1);
    const int64_t below = (int64_t)position, above = below + 1 < count ? below + 1 : below;
    return sorted[below] + (position - (double)below) * (sorted[above] - sorted[below]);
}

flm_status flm_statistics_bootstrap(const double *nll, const int64_t *positions, int64_t rows, int64_t draws,
                                    uint64_t seed, double *low, double *high)
{
    flm_status rc = FLM_OK;
    const uint64_t stream = flm_philox_stream(seed, FLM_RANDOM_BOOTSTRAP, 0, 0);
    double *mean = NULL;
    int64_t valid = 0;
    if (draws < 1) FLM_FAIL(FLM_E_ARG, "bootstrap: %" PRId64 " draws, must be at least 1", draws);
    mean = malloc((size_t)draws * sizeof *mean);
    if (!mean) FLM_FAIL(FLM_E_NOMEM, "bootstrap: no memory for %" PRId64 " draws", draws);
    for (int64_t b = 0; b < draws; b++) {
        mean[valid] = draw_mean(nll, positions, rows, stream, b);
        valid += !isnan(mean[valid]); /* a draw of rows without positions is left out */
    }
    qsort(mean, (size_t)valid, sizeof *mean, by_value);
    *low = valid > 0 ? exp(percentile(mean, valid, 0.025)) : NAN;
    *high = valid > 0 ? exp(percentile(mean, valid, 0.975)) : NAN;
done:
    free(mean);
    return rc;
}

static int by_hash(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* The finaliser of splitmix64 (Steele et al., 2014) over each id in turn. */
static uint64_t hash(const int32_t *ids, int n)
{
    uint64_t h = 0;
    for (int i = 0; i < n; i++) {
        h += (uint32_t)ids[i] + 0x9E3779B97F4A7C15u;
        h = (h ^ h >> 30) * 0xBF58476D1CE4E5B9u;
        h = (h ^ h >> 27) * 0x94D049BB133111EBu;
        h ^= h >> 31;
    }
    return h;
}

/* Writes the hashes of a row's n-grams to out and returns their number. */
static int64_t grams(const flm_id_rows *rows, int64_t r, int n, uint64_t *out)
{
    const int64_t count = rows->starts[r + 1] - rows->starts[r] - n + 1;
    for (int64_t i = 0; i < count; i++) out[i] = hash(rows->ids + rows->starts[r] + i, n);
    return count > 0 ? count : 0;
}

/* Sorts the hashes and returns the number of different ones. */
static int64_t different(uint64_t *hashes, int64_t count)
{
    int64_t distinct = count > 0;
    qsort(hashes, (size_t)count, sizeof *hashes, by_hash);
    for (int64_t i = 1; i < count; i++) distinct += hashes[i] != hashes[i - 1];
    return distinct;
}

flm_status flm_statistics_distinct(const flm_id_rows *rows, int n, double *share)
{
    flm_status rc = FLM_OK;
    uint64_t *all = malloc((size_t)(rows->starts[rows->rows] + 1) * sizeof *all);
    int64_t count = 0;
    if (!all) FLM_FAIL(FLM_E_NOMEM, "distinct-%d: no memory for %" PRId64 " ids", n, rows->starts[rows->rows]);
    for (int64_t r = 0; r < rows->rows; r++) count += grams(rows, r, n, all + count);
    *share = count > 0 ? (double)different(all, count) / (double)count : 0;
done:
    free(all);
    return rc;
}

flm_status flm_statistics_repetition(const flm_id_rows *rows, int n, double *mean)
{
    flm_status rc = FLM_OK;
    uint64_t *all = malloc((size_t)(rows->starts[rows->rows] + 1) * sizeof *all);
    double sum = 0;
    int64_t counted = 0;
    if (!all) FLM_FAIL(FLM_E_NOMEM, "repetition-%d: no memory for %" PRId64 " ids", n, rows->starts[rows->rows]);
    for (int64_t r = 0; r < rows->rows; r++) {
        const int64_t count = grams(rows, r, n, all);
        if (count == 0) continue;
        sum += 1 - (double)different(all, count) / (double)count;
        counted++;
    }
    *mean = counted > 0 ? sum / (double)counted : 0;
done:
    free(all);
    return rc;
}
