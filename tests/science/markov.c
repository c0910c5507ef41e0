/* markov.c - a Markov source with exact likelihoods (markov.h). SPDX-License-Identifier: Apache-2.0 */
#include "tests/science/markov.h"

#include "base/base_philox.h"

#include <math.h>
#include <string.h>

enum { V = MARKOV_SYMBOLS, L = MARKOV_LENGTH };
static const double concentration = 0.25, uniform_part = 0.02;

/* A stream of uniform random numbers. */
typedef struct numbers {
    uint64_t key;
    uint32_t at;
} numbers;

static double uniform(numbers *n)
{
    const flm_philox4 r = flm_philox4x32(n->key, n->at++, 0, 0, 0);
    return flm_philox_uniform(r.v[0], r.v[1]);
}

static double normal(numbers *n)
{
    const double u = uniform(n);
    return sqrt(-2 * log(u)) * cos(2 * acos(-1.0) * uniform(n));
}

/* Gamma(shape): Marsaglia and Tsang, "A simple method for generating gamma variables", 2000; a shape below 1 through
 * Gamma(shape + 1) U^(1/shape). */
static double draw_gamma(numbers *n, double shape)
{
    const double boost = shape < 1 ? pow(uniform(n), 1 / shape) : 1, d = (shape < 1 ? shape + 1 : shape) - 1.0 / 3;
    for (;;) {
        const double x = normal(n), v = pow(1 + x / sqrt(9 * d), 3);
        if (v > 0 && log(uniform(n)) < 0.5 * x * x + d - d * v + d * log(v)) return d * v * boost;
    }
}

void markov_make(uint64_t seed, markov *out)
{
    numbers n = {flm_philox_stream(seed, FLM_RANDOM_INIT, 0, 1000), 0};
    for (int a = 0; a < V; a++) {
        double sum = 0;
        for (int b = 0; b < V; b++) sum += out->next[a][b] = draw_gamma(&n, concentration);
        for (int b = 0; b < V; b++) out->next[a][b] = (1 - uniform_part) * out->next[a][b] / sum + uniform_part / V;
    }
    for (int a = 0; a < V; a++) out->first[a] = 1.0 / V;
    for (int i = 0; i < 10000; i++) { /* the uniform part shrinks the error by at least 0.98 per iteration */
        double after[V] = {0};
        for (int a = 0; a < V; a++)
            for (int b = 0; b < V; b++) after[b] += out->first[a] * out->next[a][b];
        memcpy(out->first, after, sizeof after);
    }
}

static int32_t choose(const double *p, double u)
{
    int32_t k = 0;
    for (double sum = p[0]; k + 1 < V && u >= sum; sum += p[++k]) {
    }
    return k;
}

void markov_draw(const markov *source, uint64_t seed, int64_t number, int32_t *ids)
{
    numbers n = {flm_philox_stream(seed, FLM_RANDOM_SAMPLE, (uint64_t)number, 1000), 0};
    ids[0] = choose(source->first, uniform(&n));
    for (int i = 1; i < L; i++) ids[i] = choose(source->next[ids[i - 1]], uniform(&n));
}

void markov_blank(uint64_t seed, int64_t number, bool anywhere, int32_t *ids)
{
    numbers n = {flm_philox_stream(seed, FLM_RANDOM_SAMPLE, (uint64_t)number, 1001), 0};
    int wanted = L / 2;
    for (int i = anywhere ? 1 : L / 2; i < L; i++)
        if (uniform(&n) * (L - i) < wanted) { /* each set of `wanted` of the positions left is as probable */
            ids[i] = -1;
            wanted--;
        }
}

double markov_nll(const markov *source, const int32_t *ids)
{
    double nll = -log(source->first[ids[0]]);
    for (int i = 1; i < L; i++) nll -= log(source->next[ids[i - 1]][ids[i]]);
    return nll;
}

void markov_condition(const markov *source, const int32_t *known, double *nll, double *entropy)
{
    double before[L][V], after[V], scale[L], whole = 0; /* before[i] = P(symbol i | known up to i) */
    *nll = 0;
    for (int i = 0; i < L; i++) {
        scale[i] = 0;
        for (int b = 0; b < V; b++) {
            double p = i == 0 ? source->first[b] : 0;
            for (int a = 0; i > 0 && a < V; a++) p += before[i - 1][a] * source->next[a][b];
            scale[i] += before[i][b] = known[i] < 0 || known[i] == b ? p : 0;
        }
        for (int b = 0; b < V; b++) before[i][b] /= scale[i];
        *nll -= log(scale[i]);
    }
    for (int b = 0; b < V; b++) after[b] = 1; /* P(known behind i | symbol i) / P(known behind i | known up to i) */
    for (int i = L - 1; i > 0; i--) {         /* whole: the mean of markov_nll over the rows that agree with known */
        double here[V] = {0};
        for (int a = 0; a < V; a++)
            for (int b = 0; b < V; b++) {
                const double to = known[i] < 0 || known[i] == b ? source->next[a][b] * after[b] / scale[i] : 0;
                here[a] += to;
                whole -= before[i - 1][a] * to * log(source->next[a][b]);
            }
        memcpy(after, here, sizeof after);
    }
    for (int b = 0; b < V; b++) whole -= before[0][b] * after[b] * log(source->first[b]);
    *entropy = whole - *nll;
}

double markov_entropy(const markov *source)
{
    double first = 0, rate = 0;
    for (int a = 0; a < V; a++) {
        first -= source->first[a] * log(source->first[a]);
        for (int b = 0; b < V; b++) rate -= source->first[a] * source->next[a][b] * log(source->next[a][b]);
    }
    return (first + (L - 1) * rate) / L;
}
