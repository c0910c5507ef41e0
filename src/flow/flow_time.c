/* flow_time.c - see flow_time.h. SPDX-License-Identifier: Apache-2.0 */
#include "flow/flow_time.h"

#include "base/base_permute.h"

#include <assert.h>
#include <math.h>
#include <stdbool.h>

/* A stratified draw: the streams of its offsets and of its permutation. */
typedef struct strata {
    uint64_t offsets, permutation;
    int64_t n;
} strata;

static strata strata_make(uint64_t seed, flm_random_purpose purpose, uint64_t step, int64_t n, uint32_t site)
{
    assert(n >= 1 && n <= (int64_t)1 << 40);
    return (strata){flm_philox_stream(seed, purpose, step, site), flm_philox_stream(seed, purpose, step, site + 1), n};
}

static double strata_at(const strata *s, int64_t i)
{
    const flm_philox4 r = flm_philox4x32(s->offsets, (uint32_t)i, (uint32_t)((uint64_t)i >> 32), 0, 0);
    const double stratum = (double)flm_permute_index(s->permutation, i, s->n);
    const double x = stratum + flm_philox_uniform(r.v[0], r.v[1]); /* may round up to the next stratum */
    return fmin(x, nextafter(stratum + 1, 0)) / (double)s->n;
}

void flm_time_stratified(uint64_t seed, flm_random_purpose purpose, uint64_t step, int64_t n, int64_t first,
                         int64_t count, double *t)
{
    const strata s = strata_make(seed, purpose, step, n, purpose == FLM_RANDOM_VALIDATION ? FLM_VALIDATION_OFFSETS : 0);
    assert(first >= 0 && count >= 0 && first <= n - count);
    for (int64_t k = 0; k < count; k++) t[k] = strata_at(&s, first + k);
}

void flm_time_jumps(const flm_time_law *law, uint64_t seed, flm_random_purpose purpose, uint64_t step, int64_t n,
                    int64_t first, int64_t count, double *s, double *d)
{
    const uint32_t site = purpose == FLM_RANDOM_VALIDATION ? FLM_VALIDATION_START : 2;
    const uint64_t starts = flm_philox_stream(seed, purpose, step, site);
    flm_time_stratified(seed, purpose, step, n, first, count, d);
    for (int64_t k = 0; k < count; k++) {
        const uint64_t i = (uint64_t)(first + k);
        const flm_philox4 r = flm_philox4x32(starts, (uint32_t)i, (uint32_t)(i >> 32), 0, 0);
        const bool boundary = flm_philox_uniform(r.v[2], r.v[3]) < law->boundary;
        d[k] = boundary ? 1 : fmax(d[k], law->min);
        s[k] = boundary ? 0 : flm_philox_uniform(r.v[0], r.v[1]) * (1 - d[k]);
    }
}

/* Of PERIOD consecutive samples the first are on the diagonal; with a fraction of 1/2 every second one is. */
enum { PERIOD = 32 };

static int64_t diagonals_of_period(const flm_psd_law *law) { return (int64_t)ceil(PERIOD * law->diagonal_fraction); }

static bool is_diagonal(const flm_psd_law *law, int64_t i)
{
    return law->diagonal_fraction == 0.5 ? i % 2 == 0 : i % PERIOD < diagonals_of_period(law);
}

int64_t flm_time_psd_jumps(const flm_psd_law *law, int64_t i)
{
    if (law->diagonal_fraction == 0.5) return i / 2;
    const int64_t diagonals = diagonals_of_period(law), rest = i % PERIOD - diagonals;
    return i / PERIOD * (PERIOD - diagonals) + (rest > 0 ? rest : 0);
}

void flm_time_psd(const flm_psd_law *law, uint64_t seed, flm_random_purpose purpose, uint64_t step, int64_t n,
                  int64_t first, int64_t count, double *s, double *d)
{
    const bool validation = purpose == FLM_RANDOM_VALIDATION;
    const strata times = strata_make(seed, purpose, step, n, validation ? FLM_VALIDATION_OFFSETS : 0);
    const strata lengths = strata_make(seed, purpose, step, n, validation ? FLM_VALIDATION_LENGTHS : 3);
    const strata starts = strata_make(seed, purpose, step, n, validation ? FLM_VALIDATION_STARTS : 5);
    assert(first >= 0 && count >= 0 && first <= n - count);
    for (int64_t k = 0; k < count; k++) {
        const int64_t i = first + k, jump = flm_time_psd_jumps(law, i);
        if (is_diagonal(law, i)) {
            s[k] = strata_at(&times, i);
            d[k] = 0;
        } else if (law->boundary > 0 && (jump + (int64_t)(step % (uint64_t)law->boundary)) % law->boundary == 0) {
            s[k] = 0;
            d[k] = 1;
        } else {
            d[k] = strata_at(&lengths, i);
            s[k] = strata_at(&starts, i) * (1 - d[k]);
        }
    }
}

int64_t flm_time_context(uint64_t seed, flm_random_purpose purpose, uint64_t step, int64_t n, int64_t first,
                         int64_t count, int64_t L, int32_t *context)
{
    const bool validation = purpose == FLM_RANDOM_VALIDATION;
    const strata shares = strata_make(seed, purpose, step, n, validation ? FLM_VALIDATION_SHARES : 7);
    const uint64_t stream = flm_philox_stream(seed, purpose, step, validation ? FLM_VALIDATION_CONTEXT : 9);
    int64_t active = 0;
    assert(first >= 0 && count >= 0 && first <= n - count);
    for (int64_t k = 0; k < count; k++) {
        const uint64_t i = (uint64_t)(first + k);
        const double bound = strata_at(&shares, first + k) * 0x1p32;
        for (int64_t l = 0; l < L; l += FLM_PHILOX_WORDS) {
            const flm_philox4 r = flm_philox_at(stream, i, (uint32_t)(l / FLM_PHILOX_WORDS), 0);
            for (int64_t w = 0; w < FLM_PHILOX_WORDS && l + w < L; w++) {
                const bool known = (double)r.v[w] < bound;
                context[k * L + l + w] = known;
                active += !known;
            }
        }
    }
    return active;
}
