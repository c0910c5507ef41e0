/* score_cluster.h - points reduced by PCA and grouped by k-means. Owns both algorithms; leaves what points are to
 * others. No call is collective. Results do not depend on the number of threads. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_SCORE_CLUSTER_H
#define FLM_SCORE_CLUSTER_H

#include "base/base_err.h"

#include <stdint.h>

/* flm_cluster_reduce - replace points x [n, d] by their first principal components, the fewest that have at least the
 * share `variance` of the variance: x becomes [n, *components] in the same memory. At least one component remains.
 * Errors: FLM_E_NOMEM, FLM_E_NUMERIC (values that are not finite).
 * Source: Jolliffe, "Principal component analysis", 2002, section 6.1.1. */
flm_status flm_cluster_reduce(double *x, int64_t n, int64_t d, double variance, int64_t *components);

/* The options of k-means. */
typedef struct flm_cluster_options {
    int64_t clusters; /* k, 1 to n */
    int64_t restarts; /* of these the one with the least sum of squared distances counts */
    int64_t steps;    /* at most, of one start; it ends as soon as no point changes its cluster */
    uint64_t seed;
} flm_cluster_options;

/* flm_cluster_assign - the cluster of each point by Lloyd's k-means from k random points: label[i] in 0..k-1. A cluster
 * that becomes empty gets half of the largest one. Errors: FLM_E_NOMEM, FLM_E_ARG (more clusters than points).
 * in  x [n, d]   out label [n]
 * Source: Lloyd, "Least squares quantization in PCM", 1982. */
flm_status flm_cluster_assign(const double *x, int64_t n, int64_t d, const flm_cluster_options *options,
                              int32_t *label);

#endif
