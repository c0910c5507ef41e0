/* score_samples.h - a samples file scored: its rows as texts, their scores and figures written into the file.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_SCORE_SAMPLES_H
#define FLM_SCORE_SAMPLES_H

#include "score/score_result.h"
#include "score/score_scorer.h"

/* flm_score_samples_length - how many of the scorer's tokens of a row of a file with this L are scored. */
int64_t flm_score_samples_length(const flm_scorer *scorer, int64_t L, int64_t length);

/* flm_score_samples_compute - score the rows of a set that have no valid score yet, and set the figures
 * (score_result.h), which flm_samples_commit writes. path: for messages. length: score at most so many GPT-2 tokens of
 * a row, and never more than the scorer's length; 0: the file's L. tokens: also keep the scorer's tokens of each row
 * and their negative log-likelihoods, for which the file has been opened. draws, seed: of the bootstrap. Collective;
 * *out is set on rank 0 alone, zeroed elsewhere. Errors: FLM_E_CHECKSUM (a row is missing or damaged), FLM_E_MISMATCH
 * (this release lacks its tokeniser), those of flm_score_rows_compute. */
flm_status flm_score_samples_compute(flm_comm *comm, flm_scorer *scorer, flm_samples *samples, const char *path,
                                     int set, int64_t length, bool tokens, int64_t draws, uint64_t seed,
                                     bool (*stop_requested)(void), flm_score_result *out);

#endif
