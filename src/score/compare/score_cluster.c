/* score_cluster.c - see score_cluster.h. The starts of k-means are divided among threads, each of which computes
 * serially; LAPACK and BLAS use one thread. SPDX-License-Identifier: Apache-2.0 */
#include "score/compare/score_cluster.h"

#include "base/base_philox.h"
#include "config.h"

#include <cblas.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* LAPACK's own name and conventions: column-major, sizes by address. */
void dsyevd_(const char *jobz, const char *uplo, const int *n, double *a, const int *lda, double *w, double *work,
             const int *lwork, int *iwork, const int *liwork, int *info);

/* ---- PCA ---- */

static void center(double *x, int64_t n, int64_t d)
{
    for (int64_t k = 0; k < d; k++) {
        double mean = 0;
        for (int64_t i = 0; i < n; i++) mean += x[i * d + k];
        mean /= (double)n;
        for (int64_t i = 0; i < n; i++) x[i * d + k] -= mean;
    }
}

/* Eigenvalues w [d], ascending, and eigenvectors, the rows of a [d, d], of a symmetric matrix in a's upper triangle. */
static flm_status decompose(double *a, int64_t d, double *w)
{
    flm_status rc = FLM_OK;
    const int n = (int)d, ask = -1;
    double *work = NULL, size;
    int *iwork = NULL, isize, info;
    dsyevd_("V", "L", &n, a, &n, w, &size, &ask, &isize, &ask, &info); /* row-major upper is column-major lower */
    const int lwork = (int)size;
    work = malloc((size_t)lwork * sizeof *work);
    iwork = malloc((size_t)isize * sizeof *iwork);
    if (!work || !iwork) FLM_FAIL(FLM_E_NOMEM, "PCA: no memory for %d dimensions", n);
    dsyevd_("V", "L", &n, a, &n, w, work, &lwork, iwork, &isize, &info);
    if (info != 0) FLM_FAIL(FLM_E_NUMERIC, "PCA: the eigenvalues do not converge (dsyevd: %d)", info);
done:
    free(work);
    free(iwork);
    return rc;
}

/* How many of the largest eigenvalues have the share of their sum. */
static int64_t count_components(const double *w, int64_t d, double share)
{
    double all = 0, sum = 0;
    for (int64_t k = 0; k < d; k++) all += w[k] > 0 ? w[k] : 0;
    for (int64_t c = 1; c < d; c++) {
        sum += w[d - c];
        if (sum >= share * all) return c;
    }
    return d;
}

flm_status flm_cluster_reduce(double *x, int64_t n, int64_t d, double variance, int64_t *components)
{
    flm_status rc = FLM_OK;
    double *a = NULL, *w = malloc((size_t)d * sizeof *w), *y = NULL;
#if FLM_HAVE_OPENBLAS
    openblas_set_num_threads(1); /* as the CPU backend does, which a job on GPUs does not have */
#endif
    if (d <= INT16_MAX) a = calloc((size_t)(d * d), sizeof *a);
    if (!a || !w) FLM_FAIL(FLM_E_NOMEM, "PCA: no memory for %" PRId64 " dimensions", d);
    for (int64_t i = 0; i < n * d; i++)
        if (!isfinite(x[i])) FLM_FAIL(FLM_E_NUMERIC, "PCA: a value is not finite");
    center(x, n, d);
    cblas_dsyrk(CblasRowMajor, CblasUpper, CblasTrans, (int)d, (int)n, 1, x, (int)d, 0, a, (int)d);
    FLM_TRY(decompose(a, d, w));
    const int64_t c = count_components(w, d, variance);
    y = malloc((size_t)(n * c) * sizeof *y);
    if (!y) FLM_FAIL(FLM_E_NOMEM, "PCA: no memory for %" PRId64 " points", n);
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)n, (int)c, (int)d, 1, x, (int)d, a + (d - c) * d, (int)d,
                0, y, (int)c);
    memcpy(x, y, (size_t)(n * c) * sizeof *x);
    *components = c;
done:
    free(a);
    free(w);
    free(y);
    return rc;
}

/* ---- k-means ---- */

typedef struct kmeans {
    const double *x; /* [n, d] */
    int64_t n, d, k;
    double *center;   /* [d, k]: the centers are columns, so that distances to all are computed side by side */
    double *sums;     /* [d, k] */
    double *distance; /* [k] */
    int64_t *size;    /* [k] */
    int32_t *label;   /* [n] */
    int64_t *order;   /* [n] */
} kmeans;

static flm_status kmeans_create(kmeans *m, const double *x, int64_t n, int64_t d, int64_t k)
{
    flm_status rc = FLM_OK;
    *m = (kmeans){.x = x, .n = n, .d = d, .k = k};
    m->center = malloc((size_t)(d * k) * sizeof *m->center);
    m->sums = malloc((size_t)(d * k) * sizeof *m->sums);
    m->distance = malloc((size_t)k * sizeof *m->distance);
    m->size = malloc((size_t)k * sizeof *m->size);
    m->label = malloc((size_t)n * sizeof *m->label);
    m->order = malloc((size_t)n * sizeof *m->order);
    if (!m->center || !m->sums || !m->distance || !m->size || !m->label || !m->order)
        FLM_FAIL(FLM_E_NOMEM, "k-means: no memory for %" PRId64 " points", n);
done:
    return rc;
}

static void kmeans_free(kmeans *m)
{
    free(m->center);
    free(m->sums);
    free(m->distance);
    free(m->size);
    free(m->label);
    free(m->order);
}

/* k different points at random: the first steps of Fisher and Yates' shuffle. */
static void choose_centers(kmeans *m, uint64_t seed, int64_t start)
{
    const uint64_t stream = flm_philox_stream(seed, FLM_RANDOM_CLUSTER, (uint64_t)start, 0);
    for (int64_t i = 0; i < m->n; i++) m->order[i] = i;
    for (int64_t c = 0; c < m->k; c++) {
        const flm_philox4 random = flm_philox_at(stream, (uint64_t)c, 0, 0);
        const int64_t at = c + (int64_t)(flm_philox_uniform(random.v[0], random.v[1]) * (double)(m->n - c)),
                      point = m->order[at];
        m->order[at] = m->order[c];
        m->order[c] = point;
        for (int64_t j = 0; j < m->d; j++) m->center[j * m->k + c] = m->x[point * m->d + j];
    }
}

/* Moves every point to its nearest center, the first of equal ones. Returns the sum of the squared distances. */
static double assign(kmeans *m, bool *changed)
{
    double sum = 0;
    *changed = false;
    for (int64_t i = 0; i < m->n; i++) {
        int32_t best = 0;
        memset(m->distance, 0, (size_t)m->k * sizeof *m->distance);
        for (int64_t j = 0; j < m->d; j++) {
            const double value = m->x[i * m->d + j], *row = m->center + j * m->k;
            for (int64_t c = 0; c < m->k; c++) m->distance[c] += (value - row[c]) * (value - row[c]);
        }
        for (int32_t c = 1; c < m->k; c++)
            if (m->distance[c] < m->distance[best]) best = c;
        *changed = *changed || m->label[i] != best;
        m->label[i] = best;
        sum += m->distance[best];
    }
    return sum;
}

/* An empty cluster and the largest one become two centers beside that of the largest. */
static void split_largest(kmeans *m, int64_t empty)
{
    const double beside = 1.0 / 1024;
    int64_t largest = 0;
    for (int64_t c = 1; c < m->k; c++)
        if (m->size[c] > m->size[largest]) largest = c;
    for (int64_t j = 0; j < m->d; j++) {
        const double value = m->center[j * m->k + largest], shift = j % 2 ? beside : -beside;
        m->center[j * m->k + empty] = value * (1 + shift);
        m->center[j * m->k + largest] = value * (1 - shift);
    }
    m->size[empty] = m->size[largest] / 2;
    m->size[largest] -= m->size[empty];
}

static void move_centers(kmeans *m)
{
    memset(m->sums, 0, (size_t)(m->d * m->k) * sizeof *m->sums);
    memset(m->size, 0, (size_t)m->k * sizeof *m->size);
    for (int64_t i = 0; i < m->n; i++) {
        m->size[m->label[i]]++;
        for (int64_t j = 0; j < m->d; j++) m->sums[j * m->k + m->label[i]] += m->x[i * m->d + j];
    }
    for (int64_t j = 0; j < m->d; j++)
        for (int64_t c = 0; c < m->k; c++)
            if (m->size[c] > 0) m->center[j * m->k + c] = m->sums[j * m->k + c] / (double)m->size[c];
    for (int64_t c = 0; c < m->k; c++)
        if (m->size[c] == 0) split_largest(m, c);
}

static double run_start(kmeans *m, const flm_cluster_options *o, int64_t start)
{
    bool changed = true;
    double sum;
    for (int64_t i = 0; i < m->n; i++) m->label[i] = -1;
    choose_centers(m, o->seed, start);
    sum = assign(m, &changed);
    for (int64_t step = 1; step < o->steps && changed; step++) {
        move_centers(m);
        sum = assign(m, &changed);
    }
    return sum;
}

flm_status flm_cluster_assign(const double *x, int64_t n, int64_t d, const flm_cluster_options *o, int32_t *label)
{
    flm_status rc = FLM_OK;
    kmeans m = {0};
    double lowest = INFINITY;
    if (o->clusters < 1 || o->clusters > n || o->clusters > INT32_MAX)
        FLM_FAIL(FLM_E_ARG, "k-means: %" PRId64 " clusters of %" PRId64 " points", o->clusters, n);
    FLM_TRY(kmeans_create(&m, x, n, d, o->clusters));
    for (int64_t start = 0; start < o->restarts; start++) {
        const double sum = run_start(&m, o, start);
        if (!(sum < lowest) && start > 0) continue;
        lowest = sum;
        memcpy(label, m.label, (size_t)n * sizeof *label);
    }
done:
    kmeans_free(&m);
    return rc;
}
