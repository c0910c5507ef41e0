/* score_features.h - a vector for each text of a set: GPT-2's last hidden state at the text's last token, which MAUVE
 * compares. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_SCORE_FEATURES_H
#define FLM_SCORE_FEATURES_H

#include "comm/comm.h"
#include "score/compare/score_set.h"
#include "score/score_scorer.h"

typedef struct flm_features {
    int64_t rows, d; /* rows: texts that have a token */
    float *x;        /* [rows, d], malloc'd */
} flm_features;

/* flm_features_compute - of the set's texts, without begin and end ids, each cut at `length` GPT-2 tokens; texts
 * without a token have none. All ranks compute a part, every rank gets all. The features of a text do not depend on the
 * ranks or on other texts. stop_requested is called once a block. Collective. Errors: FLM_E_INTERRUPTED, FLM_E_NOMEM,
 * those of the scorer. */
flm_status flm_features_compute(flm_comm *comm, flm_scorer *scorer, const flm_score_set *set, int64_t length,
                                bool (*stop_requested)(void), flm_features *out);

/* flm_features_free - zeroed features are allowed. */
void flm_features_free(flm_features *features);

#endif
