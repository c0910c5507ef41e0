/* base_clock.h - elapsed time. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_BASE_CLOCK_H
#define FLM_BASE_CLOCK_H

#include <time.h>

/* flm_clock_seconds - seconds of a monotonic clock, which is never set back. Its zero is arbitrary. */
static inline double flm_clock_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

#endif
