/* score_mauve.h - MAUVE: how near the distribution of a set of texts is to that of reference texts, from 0 to 1.
 *
 * Features of both, one vector a text, are normalised, reduced by PCA to 90 % of their variance and grouped by k-means
 * with n / 10 clusters. MAUVE is the area under the curve of the divergences of the two histograms from their mixtures:
 * (exp(-c KL(Q|R)), exp(-c KL(P|R))) with R = w P + (1 - w) Q, 25 values of w, and c = 5.
 *
 * k-means depends on its random start, and MAUVE of a few hundred texts by several hundredths. So the mean over several
 * clusterings is given, with their standard deviation, where the package takes one.
 * Source: Pillutla et al., "MAUVE: measuring the gap between neural text and human text using divergence frontiers",
 * 2021, and its package mauve-text 0.4.0 for the constants. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_SCORE_MAUVE_H
#define FLM_SCORE_MAUVE_H

#include "base/base_err.h"

#include <stdint.h>

enum { FLM_MAUVE_TEXTS = 20 /* of each side, at least: two clusters */, FLM_MAUVE_CLUSTERS = 500 /* at most */ };

typedef struct flm_mauve {
    double value, deviation; /* mean, and standard deviation of one clustering; NaN: not computed */
    int64_t clusters, components, clusterings;
} flm_mauve;

/* flm_mauve_compute - of features p [p_rows, d] and q [q_rows, d]. Depends on the seed and on the sets of rows alone,
 * not on the order of rows or the number of threads. Not collective. Errors: FLM_E_ARG (fewer rows than
 * FLM_MAUVE_TEXTS), FLM_E_NOMEM, FLM_E_NUMERIC (a feature is not finite). */
flm_status flm_mauve_compute(const float *p, int64_t p_rows, const float *q, int64_t q_rows, int64_t d, uint64_t seed,
                             flm_mauve *out);

#endif
