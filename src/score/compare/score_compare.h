/* score_compare.h - what makes scores comparable: the entries of a table beside the training data, null baselines and
 * reference texts. Owns what flm_score does with --shards, --baselines and --reference; leaves the figures to
 * score_overlap.h and score_mauve.h and the texts to score_baseline.h. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_SCORE_COMPARE_H
#define FLM_SCORE_COMPARE_H

#include "score/score_files.h"
#include "score/score_report.h"
#include "score/score_scorer.h"

typedef struct flm_score_compare flm_score_compare;

/* flm_score_compare_begin - open what the options name and check it against the files [count], before any is scored.
 * *out stays NULL if the options ask for no comparison. Collective.
 * Errors: FLM_E_USAGE (options), FLM_E_MISMATCH (a file of another vocabulary than the shards', too few
 * texts), those of reading. */
flm_status flm_score_compare_begin(flm_comm *comm, const flm_score_options *options, const char *const *paths,
                                   int count, flm_score_compare **out);

/* flm_score_compare_run - add an entry for each null baseline, with as many texts as the largest of the *count entries
 * has, scored by the scorer; then set the figures of all entries that compare them with the shards and the reference.
 * *entries is realloc'd. A compare of NULL does nothing. Collective. Errors: FLM_E_INTERRUPTED, those of reading,
 * scoring and of memory. */
flm_status flm_score_compare_run(flm_score_compare *compare, flm_scorer *scorer, flm_score_entry **entries, int *count,
                                 bool (*stop_requested)(void));

/* flm_score_compare_end - accepts NULL, nulls it. */
void flm_score_compare_end(flm_score_compare **compare);

#endif
