/* flow_gamma.c - gamma by Newton's method, alpha by quadrature with factors that are computed once.
 *
 * With w = z + s, s = g/(1-g), the factor that depends on V, P(w) = Phi(w)^(V-1), does not depend on s:
 *     1 - q = integral phi(w - s) (1 - P(w)) dw                      is accurate for t near 1
 *     q - 1/V = integral phi(w) P(w) (exp(w s - s^2/2) - 1) dw       is accurate for t near 0
 * The trapezoidal rule converges exponentially for smooth functions that vanish at both ends.
 * SPDX-License-Identifier: Apache-2.0 */
#include "flow/flow_gamma.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

/* Range of w: phi is 1e-23 at -10, and phi(w - s) is 1e-21 at 15 for s = 5.4, which is t = 0.5 at V = 2^24. P is
 * steepest at that V, a Gumbel distribution of scale 1/5.3: the error is about exp(-pi^2 / (5.3 step)) = 1e-26. */
enum { Z_MIN = -10, Z_MAX = 15, STEPS_PER_UNIT = 32, NODES = (Z_MAX - Z_MIN) * STEPS_PER_UNIT + 1 };
/* Range of s: at 18 and V = 2^24, 1 - t is below 2^-53. */
enum { S_MAX = 20, CELLS_PER_UNIT = 16, CELLS = S_MAX * CELLS_PER_UNIT };

struct flm_gamma {
    bool identity;          /* the rest is not used */
    double scale;           /* V / (V - 1) */
    int first;              /* low is zero at the nodes before it */
    double high[NODES];     /* step (1 - P) / sqrt(2 pi) */
    double low[NODES];      /* step phi P */
    double t[CELLS + 1];    /* alpha at s = i / CELLS_PER_UNIT */
    double rest[CELLS + 1]; /* 1 - alpha there */
};

static double node(int j) { return Z_MIN + (double)j / STEPS_PER_UNIT; }

static double log_ndtr(double w)
{
    return w > -1 ? log1p(-0.5 * erfc(w * M_SQRT1_2)) : log(0.5 * erfc(-w * M_SQRT1_2));
}

/* alpha at s, and its derivative. */
static double alpha(const flm_gamma *gamma, double s, double *slope)
{
    double sum = 0, moment = 0;
    for (int j = gamma->first; j < NODES; j++) {
        const double w = node(j), e = expm1((w - 0.5 * s) * s);
        sum += gamma->low[j] * e;
        moment += gamma->low[j] * (1 + e) * (w - s);
    }
    *slope = gamma->scale * moment;
    return gamma->scale * sum;
}

/* 1 - alpha at s, and its derivative. */
static double alpha_rest(const flm_gamma *gamma, double s, double *slope)
{
    double sum = 0, moment = 0;
    for (int j = 0; j < NODES; j++) {
        const double z = node(j) - s, e = gamma->high[j] * exp(-0.5 * z * z);
        sum += e;
        moment += z * e;
    }
    *slope = gamma->scale * moment;
    return gamma->scale * sum;
}

flm_status flm_gamma_create(int64_t V, flm_gamma **out)
{
    flm_status rc = FLM_OK;
    flm_gamma *gamma = NULL;
    const double step = 1.0 / STEPS_PER_UNIT, root = sqrt(0.5 / M_PI);
    if (V < 2 || V > 1 << 24) FLM_FAIL(FLM_E_ARG, "a vocabulary of %lld, must be in 2..16777216", (long long)V);
    gamma = calloc(1, sizeof *gamma);
    if (gamma == NULL) FLM_FAIL(FLM_E_NOMEM, "no memory for the quadrature of gamma");
    gamma->scale = (double)V / (double)(V - 1);
    gamma->first = NODES;
    for (int j = NODES - 1; j >= 0; j--) {
        const double w = node(j), log_P = (double)(V - 1) * log_ndtr(w);
        gamma->high[j] = -expm1(log_P) * root * step;
        gamma->low[j] = exp(log_P - 0.5 * w * w) * root * step;
        if (gamma->low[j] > 0x1p-200) gamma->first = j;
    }
    for (int i = 0; i <= CELLS; i++) {
        double slope;
        gamma->rest[i] = alpha_rest(gamma, (double)i / CELLS_PER_UNIT, &slope);
        gamma->t[i] = gamma->rest[i] > 0.25 ? alpha(gamma, (double)i / CELLS_PER_UNIT, &slope) : 1 - gamma->rest[i];
    }
    *out = gamma;
done:
    return rc;
}

flm_status flm_gamma_create_identity(flm_gamma **out)
{
    flm_status rc = FLM_OK;
    flm_gamma *gamma = calloc(1, sizeof *gamma);
    if (gamma == NULL) FLM_FAIL(FLM_E_NOMEM, "no memory for gamma");
    gamma->identity = true;
    *out = gamma;
done:
    return rc;
}

void flm_gamma_destroy(flm_gamma **gamma)
{
    if (*gamma == NULL) return;
    free(*gamma);
    *gamma = NULL;
}

/* The cell of s that brackets t. */
static int bracket(const flm_gamma *gamma, double t, double rest)
{
    int left = 0, right = CELLS;
    while (right - left > 1) {
        const int middle = (left + right) / 2;
        if (t < 0.5 ? gamma->t[middle] <= t : gamma->rest[middle] >= rest)
            left = middle;
        else
            right = middle;
    }
    return left;
}

/* Newton's method from the chord of the cell, kept inside it; about three steps. */
double flm_gamma_at(const flm_gamma *gamma, double t)
{
    if (isnan(t)) return t;
    if (t <= 0) return 0;
    if (t >= 1) return 1;
    if (gamma->identity) return t;
    const double rest = 1 - t;
    const int cell = bracket(gamma, t, rest);
    const double *at = t < 0.5 ? gamma->t : gamma->rest;
    double low = (double)cell / CELLS_PER_UNIT, high = (double)(cell + 1) / CELLS_PER_UNIT;
    double s = low + (high - low) * ((t < 0.5 ? t : rest) - at[cell]) / (at[cell + 1] - at[cell]);
    for (int i = 0; i < 64; i++) {
        double slope, miss; /* miss > 0: s is too large */
        if (t < 0.5) {
            miss = alpha(gamma, s, &slope) - t;
        } else {
            miss = rest - alpha_rest(gamma, s, &slope);
            slope = -slope;
        }
        if (miss > 0)
            high = s;
        else
            low = s;
        const double next = s - miss / slope, moved = fabs(next - s);
        if (next > low && next < high)
            s = next;
        else if (moved > 1e-9 * s)
            s = 0.5 * (low + high);
        if (!(moved > 1e-9 * s)) break; /* the next step would be below rounding */
    }
    return s / (1 + s);
}

double flm_gamma_alpha(const flm_gamma *gamma, double g)
{
    if (isnan(g)) return g;
    if (g <= 0 || g >= 1) return g > 0;
    if (gamma->identity) return g;
    const double s = g / (1 - g);
    double slope;
    if (!(s < S_MAX)) return 1; /* 1 - t is below rounding */
    const double rest = alpha_rest(gamma, s, &slope);
    return rest > 0.5 ? fmin(fmax(alpha(gamma, s, &slope), 0), 1) : fmin(1 - rest, 1);
}
