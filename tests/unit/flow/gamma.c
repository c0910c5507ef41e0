/* gamma.c - gamma compared with its definition, integrated by another rule in long double, and with golden values.
 * SPDX-License-Identifier: Apache-2.0 */
#include "flow/flow_gamma.h"
#include "tests/tap.h"

#include <stdint.h>
#include <stdlib.h>

static long double log_ndtr(long double w)
{
    const long double half_root = 0.70710678118654752440084436210485L;
    return w > -1 ? log1pl(-0.5L * erfcl(w * half_root)) : logl(0.5L * erfcl(-w * half_root));
}

/* 1 - alpha(g) of model.md section 3, an integral over z by Simpson's rule. */
static long double one_minus_alpha(int64_t V, long double g)
{
    const long double h = 1 / 256.0L, s = g / (1 - g);
    long double sum = 0;
    for (int i = 0; i <= 30 * 256; i++) {
        const long double z = -16 + i * h, weight = i == 0 || i == 30 * 256 ? 1 : i % 2 ? 4 : 2;
        sum += weight * expl(-0.5L * z * z) * -expm1l((long double)(V - 1) * log_ndtr(z + s));
    }
    return sum * h / 3 * 0.39894228040143267793994605993438L * (long double)V / (long double)(V - 1);
}

static const int64_t sizes[] = {2, 3, 27, 131, 30522, 50258, 1 << 24};
enum { SIZES = sizeof sizes / sizeof *sizes };

static flm_gamma *gamma_new(int64_t V)
{
    flm_gamma *gamma = NULL;
    if (flm_gamma_create(V, &gamma) != FLM_OK) abort();
    return gamma;
}

static void test_inverse(int64_t V)
{
    static const double times[] = {1e-15, 1e-9,   1e-6, 1e-3, 0.01,  0.1,      0.3,      0.4999999,
                                   0.5,   0.7321, 0.9,  0.99, 0.999, 1 - 1e-6, 1 - 1e-9, 1 - 0x1p-53};
    flm_gamma *gamma = gamma_new(V);
    double worst = 0, tail = 0;
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        const double t = times[i];
        const double rest = (double)one_minus_alpha(V, (long double)flm_gamma_at(gamma, t));
        const double e = fabs(rest - (1 - t)), relative = e / (1 - t);
        if (isnan(e) || e > worst) worst = e;
        if (t >= 0.5 && (isnan(relative) || relative > tail)) tail = relative;
    }
    tap_ok(worst <= 1e-10, "V=%d: alpha(gamma(t)) is off by %.2g, at most 1e-10", (int)V, worst);
    /* g is rounded: s = g / (1-g) <= 15 is off by 15 * 2^-53 (1 + s), and 1 - alpha by s/2 to s times that. */
    tap_ok(tail <= 1e-11, "V=%d: 1 - t keeps its digits: off by %.2g of itself", (int)V, tail);
    flm_gamma_destroy(&gamma);
}

static void test_order(int64_t V)
{
    flm_gamma *gamma = gamma_new(V);
    double last = 0;
    int wrong = 0;
    for (int i = 1; i < 5000; i++) {
        const double g = flm_gamma_at(gamma, i / 5000.0);
        wrong += !(g > last && g < 1);
        last = g;
    }
    for (int i = 0; i < 500; i++) { /* around 0.5, where the formula changes */
        const double a = flm_gamma_at(gamma, 0.5 + (i - 250) * 1e-13), b = flm_gamma_at(gamma, 0.5 + (i - 249) * 1e-13);
        wrong += !(b >= a);
    }
    tap_ok(wrong == 0, "V=%d: increasing", (int)V);
    double off = 0;
    for (int i = 0; i <= 1000; i++) {
        const double e = fabs(flm_gamma_alpha(gamma, flm_gamma_at(gamma, i / 1000.0)) - i / 1000.0);
        if (!(e <= off)) off = e;
    }
    tap_ok(off <= 1e-9, "V=%d: alpha is the inverse: off by %.2g", (int)V, off);
    tap_ok(flm_gamma_alpha(gamma, -1) == 0 && flm_gamma_alpha(gamma, 0) == 0 && flm_gamma_alpha(gamma, 1) == 1 &&
               flm_gamma_alpha(gamma, 2) == 1 && isnan(flm_gamma_alpha(gamma, NAN)),
           "V=%d: alpha at its ends, outside, and NaN", (int)V);
    tap_ok(flm_gamma_at(gamma, 0) == 0 && flm_gamma_at(gamma, 1) == 1, "V=%d: 0 at 0, 1 at 1", (int)V);
    tap_ok(flm_gamma_at(gamma, -1) == 0 && flm_gamma_at(gamma, 2) == 1 && isnan(flm_gamma_at(gamma, NAN)),
           "V=%d: outside, and NaN", (int)V);
    tap_ok(flm_gamma_at(gamma, 5e-324) >= 0 && flm_gamma_at(gamma, 1e-300) <= 1e-290, "V=%d: tiny t", (int)V);
    flm_gamma_destroy(&gamma);
}

static void test_golden(void)
{
    /* From the published method's table of gamma (tests/parity/golden/gamma.h5), a spline of 10,000 points: 2e-4. */
    static const struct {
        int64_t V;
        double t, g;
    } golden[] = {
        {27, 0.00390625, 0.0465767243},    {27, 0.5, 0.6694439608},    {27, 0.999, 0.8474463330},
        {131, 0.14453125, 0.5973157385},   {131, 0.001, 0.0451755900}, {131, 0.99609375, 0.8470124726},
        {30522, 0.00390625, 0.5780465240}, {30522, 0.5, 0.8044767956}, {30522, 0.999, 0.8805024248},
        {50258, 0.001, 0.5119407039},      {50258, 0.5, 0.8087411865}, {50258, 0.85546875, 0.8420851597},
    };
    for (size_t i = 0; i < sizeof golden / sizeof *golden; i++) {
        flm_gamma *gamma = gamma_new(golden[i].V);
        char name[64];
        snprintf(name, sizeof name, "V=%d, gamma(%g)", (int)golden[i].V, golden[i].t);
        tap_close(flm_gamma_at(gamma, golden[i].t), golden[i].g, 2e-4, name);
        flm_gamma_destroy(&gamma);
    }
}

static void test_identity(void)
{
    flm_gamma *gamma = NULL;
    int wrong = 0;
    if (flm_gamma_create_identity(&gamma) != FLM_OK) abort();
    for (int i = 0; i <= 100; i++) wrong += flm_gamma_at(gamma, i / 100.0) != i / 100.0;
    for (int i = 0; i <= 100; i++) wrong += flm_gamma_alpha(gamma, i / 100.0) != i / 100.0;
    tap_ok(wrong == 0, "path time that is network time");
    tap_ok(flm_gamma_at(gamma, -1) == 0 && flm_gamma_at(gamma, 2) == 1 && flm_gamma_alpha(gamma, 2) == 1 &&
               isnan(flm_gamma_at(gamma, NAN)),
           "and outside");
    flm_gamma_destroy(&gamma);
}

int main(void)
{
    flm_gamma *gamma = NULL;
    for (int i = 0; i < SIZES; i++) test_inverse(sizes[i]);
    for (int i = 0; i < SIZES; i += 2) test_order(sizes[i]);
    test_golden();
    test_identity();
    tap_ok(flm_gamma_create(1, &gamma) == FLM_E_ARG && flm_gamma_create((1 << 24) + 1, &gamma) == FLM_E_ARG &&
               gamma == NULL,
           "vocabularies of 1 and of 2^24 + 1 are refused");
    flm_gamma_destroy(&gamma);
    return tap_end();
}
