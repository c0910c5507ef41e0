/* tap.h - the tests' output: Test Anything Protocol. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_TESTS_TAP_H
#define FLM_TESTS_TAP_H

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

static int tap_count, tap_failed;

/* tap_ok - one test, named by a format; returns ok. */
__attribute__((format(printf, 2, 3))) static inline int tap_ok(int ok, const char *fmt, ...)
{
    va_list ap;
    printf("%sok %d - ", ok ? "" : "not ", ++tap_count);
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    putchar('\n');
    fflush(stdout);
    tap_failed += !ok;
    return ok;
}

/* tap_close - |a - ref| <= tol, so that NaN fails. */
static inline int tap_close(double a, double ref, double tol, const char *name)
{
    return tap_ok(fabs(a - ref) <= tol, "%s: %.9g, expected %.9g within %.2g", name, a, ref, tol);
}

static inline int tap_skip(const char *name, const char *why)
{
    printf("ok %d - %s # SKIP %s\n", ++tap_count, name, why);
    fflush(stdout);
    return 1;
}

/* tap_end - print the plan; the value for main to return. */
static inline int tap_end(void)
{
    printf("1..%d\n", tap_count);
    return tap_failed != 0;
}

static inline int tap_skip_all(const char *why)
{
    printf("1..0 # SKIP %s\n", why);
    return 0;
}

#endif
