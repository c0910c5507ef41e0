/* flow_time.c - see flow_time.h. SPDX-License-Identifier: Apache-2.0 */
#include "flow/flow_time.h"

#include "base/base_permute.h"

#include <assert.h>
#include <math.h>
#include <stdbool.h>

void flm_time_stratified(uint64_t seed, flm_random_purpose purpose, uint64_t step, int64_t n, int64_t first,
                         int64_t count, double *t)
{
    const uint32_t site = purpose == FLM_RANDOM_VALIDATION ? FLM_VALIDATION_OFFSETS : 0;
    const uint64_t offsets = flm_philox_stream(seed, purpose, step, site);
    const uint64_t permutation = flm_philox_stream(seed, purpose, step, site + 1);
    assert(n >= 1 && n <= (int64_t)1 << 40 && first >= 0 && count >= 0 && first <= n - count);
    for (int64_t k = 0; k < count; k++) {
        const int64_t i = first + k;
        const flm_philox4 r = flm_philox4x32(offsets, (uint32_t)i, (uint32_t)((uint64_t)i >> 32), 0, 0);
        const double stratum = (double)flm_permute_index(permutation, i, n);
        const double x = stratum + flm_philox_uniform(r.v[0], r.v[1]); /* may round up to the next stratum */
        t[k] = fmin(x, nextafter(stratum + 1, 0)) / (double)n;
    }
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
