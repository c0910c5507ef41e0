/* score_mauve.c - see score_mauve.h. SPDX-License-Identifier: Apache-2.0 */
#include "score/compare/score_mauve.h"

#include "score/compare/score_cluster.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Constants of the package, and how many clusterings are averaged: WORK divided by the number of texts, within bounds.
 * The fewer texts, the more MAUVE depends on the clustering, and the less a clustering costs. */
enum { CURVE_POINTS = 25, RESTARTS = 5, STEPS = 500, TEXTS_A_CLUSTER = 10, WORK = 20000, MIN_RUNS = 4, MAX_RUNS = 64 };
static const double variance = 0.9, scale = 5, edge = 1e-6;

typedef struct row {
    const float *x;
    int64_t d;
} row;

static int by_values(const void *a, const void *b)
{
    const row *x = a, *y = b;
    for (int64_t k = 0; k < x->d; k++)
        if (x->x[k] != y->x[k]) return x->x[k] < y->x[k] ? -1 : 1;
    return 0;
}

/* Rows in the order of their values, each divided by its length, to out [rows, d]. */
static flm_status put_rows(const float *x, int64_t rows, int64_t d, double *out)
{
    flm_status rc = FLM_OK;
    row *sorted = malloc((size_t)rows * sizeof *sorted);
    if (!sorted) FLM_FAIL(FLM_E_NOMEM, "MAUVE: no memory for %" PRId64 " texts", rows);
    for (int64_t i = 0; i < rows * d; i++)
        if (!isfinite(x[i])) FLM_FAIL(FLM_E_NUMERIC, "MAUVE: a feature is not finite");
    for (int64_t i = 0; i < rows; i++) sorted[i] = (row){x + i * d, d};
    qsort(sorted, (size_t)rows, sizeof *sorted, by_values);
    for (int64_t i = 0; i < rows; i++) {
        double sum = 0;
        for (int64_t k = 0; k < d; k++) sum += (double)sorted[i].x[k] * (double)sorted[i].x[k];
        const double length = sum > 0 ? sqrt(sum) : 1;
        for (int64_t k = 0; k < d; k++) out[i * d + k] = (double)sorted[i].x[k] / length;
    }
done:
    free(sorted);
    return rc;
}

/* KL divergence of p from w p + (1 - w) q. */
static double divergence(const double *p, const double *q, int64_t k, double w)
{
    double sum = 0;
    for (int64_t i = 0; i < k; i++)
        if (p[i] > 0) sum += p[i] * log(p[i] / (w * p[i] + (1 - w) * q[i]));
    return sum;
}

/* The area under the curve from (1, 0) to (0, 1): the trapezoids are the same seen from either axis. */
static double area(const double *p, const double *q, int64_t k)
{
    double sum = 0, x = 1, y = 0;
    for (int i = 0; i <= CURVE_POINTS; i++) {
        const double w = edge + (1 - 2 * edge) * i / (CURVE_POINTS - 1);
        const double next_x = i < CURVE_POINTS ? exp(-scale * divergence(q, p, k, 1 - w)) : 0;
        const double next_y = i < CURVE_POINTS ? exp(-scale * divergence(p, q, k, w)) : 1;
        sum += (x - next_x) * (y + next_y) / 2;
        x = next_x;
        y = next_y;
    }
    return sum;
}

/* MAUVE of one clustering of p_rows points and, behind them, q_rows. */
static flm_status run(const double *x, int64_t p_rows, int64_t q_rows, int64_t d, const flm_cluster_options *options,
                      double *out)
{
    flm_status rc = FLM_OK;
    const int64_t n = p_rows + q_rows, k = options->clusters;
    int32_t *label = malloc((size_t)n * sizeof *label);
    double *p = calloc((size_t)k, sizeof *p), *q = calloc((size_t)k, sizeof *q);
    if (!label || !p || !q) FLM_FAIL(FLM_E_NOMEM, "MAUVE: no memory for %" PRId64 " texts", n);
    FLM_TRY(flm_cluster_assign(x, n, d, options, label));
    for (int64_t i = 0; i < p_rows; i++) p[label[i]] += 1.0 / (double)p_rows;
    for (int64_t i = p_rows; i < n; i++) q[label[i]] += 1.0 / (double)q_rows;
    *out = area(p, q, k);
done:
    free(label);
    free(p);
    free(q);
    return rc;
}

static int64_t clamp(int64_t value, int64_t min, int64_t max) { return value < min ? min : value > max ? max : value; }

static flm_status run_all(const double *x, int64_t p_rows, int64_t q_rows, uint64_t seed, flm_mauve *m)
{
    flm_status rc = FLM_OK;
    double value[MAX_RUNS], sum = 0, squares = 0;
    flm_status status[MAX_RUNS];
#pragma omp parallel for schedule(dynamic)
    for (int64_t i = 0; i < m->clusterings; i++) {
        const flm_cluster_options options = {m->clusters, RESTARTS, STEPS, seed + (uint64_t)i};
        status[i] = run(x, p_rows, q_rows, m->components, &options, &value[i]);
    }
    for (int64_t i = 0; i < m->clusterings; i++) {
        if (status[i] != FLM_OK) FLM_FAIL(status[i], "MAUVE: no memory for clusters");
        sum += value[i];
    }
    m->value = sum / (double)m->clusterings;
    for (int64_t i = 0; i < m->clusterings; i++) squares += (value[i] - m->value) * (value[i] - m->value);
    m->deviation = sqrt(squares / (double)(m->clusterings - 1));
done:
    return rc;
}

flm_status flm_mauve_compute(const float *p, int64_t p_rows, const float *q, int64_t q_rows, int64_t d, uint64_t seed,
                             flm_mauve *out)
{
    flm_status rc = FLM_OK;
    flm_mauve m = {0};
    const int64_t n = p_rows + q_rows, fewer = p_rows < q_rows ? p_rows : q_rows;
    double *x = NULL;
    if (fewer < FLM_MAUVE_TEXTS)
        FLM_FAIL(FLM_E_ARG, "MAUVE: %" PRId64 " texts, at least %d are needed", fewer, FLM_MAUVE_TEXTS);
    x = malloc((size_t)(n * d) * sizeof *x);
    if (!x) FLM_FAIL(FLM_E_NOMEM, "MAUVE: no memory for %" PRId64 " texts", n);
    FLM_TRY(put_rows(p, p_rows, d, x));
    FLM_TRY(put_rows(q, q_rows, d, x + p_rows * d));
    m.clusters = clamp((int64_t)nearbyint((double)fewer / TEXTS_A_CLUSTER), 2, FLM_MAUVE_CLUSTERS);
    m.clusterings = clamp(WORK / n, MIN_RUNS, MAX_RUNS);
    FLM_TRY(flm_cluster_reduce(x, n, d, variance, &m.components));
    FLM_TRY(run_all(x, p_rows, q_rows, seed, &m));
    *out = m;
done:
    free(x);
    return rc;
}
