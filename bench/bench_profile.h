/* bench_profile.h - where the time of a training step goes: each operation, zeroing and copy of a backend is waited for
 * and timed, and its bytes and FLOPs are counted. The profile replaces the backend's tables, so that the step itself is
 * timed, with its own sizes and calls; waiting for each call makes the sum larger than the step, which is timed
 * separately. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_BENCH_PROFILE_H
#define FLM_BENCH_PROFILE_H

#include "bench/bench_matmuls.h"

typedef struct bench_profile bench_profile;

/* bench_profile_begin - time all calls on be from now on. matmuls: names for matmuls of these sizes; others are named
 * by their sizes. One profile at a time. Errors: FLM_E_NOMEM; those of a device. */
flm_status bench_profile_begin(flm_backend *be, const bench_matmul *products, int count, bench_profile **out);

/* bench_profile_end - restore the backend's tables. Accepts NULL, nulls it. */
void bench_profile_end(bench_profile **profile);

/* bench_profile_write - a record "part" for each operation and each size of matmul, all figures per step (`steps` were
 * timed): name; class (matmul, attention, algebra, move, op); dtype of the operands of a matmul or of attention; calls;
 * seconds, minus the cost of an almost empty call (call_seconds); bytes, read and written once by definition; FLOPs.
 * Errors: those of bench_report_line. */
flm_status bench_profile_write(const bench_profile *profile, int steps, const char *objective, bench_report *report);

#endif
