/* score_reference.h - reference texts, and MAUVE of sets against them. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_SCORE_REFERENCE_H
#define FLM_SCORE_REFERENCE_H

#include "score/compare/score_features.h"
#include "score/compare/score_mauve.h"

/* flm_reference_read - at most `rows` texts: the first ones of a file of texts; the first rows of a samples file, which
 * must have one set; rows of a directory of shards, evenly spaced over its split valid, or train where it has no other.
 * Not collective. Errors: FLM_E_MISMATCH (fewer than FLM_MAUVE_TEXTS, several sets), those of reading. */
flm_status flm_reference_read(const char *path, const flm_source_rules *rules, int64_t rows, flm_score_set *out);

/* flm_reference_compare - MAUVE of each set [count] against the reference. All texts are cut at `length` tokens.
 * *texts: reference texts that have a token. Collective; out [count] is set on rank 0 alone.
 * Errors: those of flm_features_compute and flm_mauve_compute, naming the set. */
flm_status flm_reference_compare(flm_comm *comm, flm_scorer *scorer, const flm_score_set *reference,
                                 const flm_score_set *sets, int count, int64_t length, uint64_t seed,
                                 bool (*stop_requested)(void), flm_mauve *out, int64_t *texts);

#endif
