/* bench_profile.h - where the time of a training step goes: every op, zeroing and copy of a backend is waited for and
 * timed, and its definition's bytes and FLOPs are counted. It replaces the backend's tables meanwhile, so that what is
 * timed is the step itself, with its own sizes and as often as it comes; waiting for each makes the whole slower than
 * the step, which is timed apart. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_BENCH_PROFILE_H
#define FLM_BENCH_PROFILE_H

#include "bench/bench_products.h"

typedef struct bench_profile bench_profile;

/* bench_profile_begin - time what is called on be from now on. products: names for products of their sizes; others are
 * called by theirs. One profile at a time. Errors: FLM_E_NOMEM; those of a device. */
flm_status bench_profile_begin(flm_backend *be, const bench_product *products, int count, bench_profile **out);

/* bench_profile_end - the backend's own tables again. Accepts NULL, nulls it. */
void bench_profile_end(bench_profile **profile);

/* bench_profile_write - a record "part" for each op and each size of product, all figures those of one of `steps`
 * steps: name; class (product, attention, algebra, move, op); dtype of a product's operands or attention's; calls;
 * seconds, without what a call costs that does next to nothing (call_seconds); bytes, which its definition reads and
 * writes once; FLOPs. Errors: those of bench_report_line. */
flm_status bench_profile_write(const bench_profile *profile, int steps, const char *objective, bench_report *report);

#endif
