/* score_scorer.h - texts scored by GPT-2 with its tokeniser and the rules of data.md section 6, in one of two protocols
 * (score_protocol.h). Owns tokenising and which positions count; leaves samples files and ranks to others.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_SCORE_SCORER_H
#define FLM_SCORE_SCORER_H

#include "score/score_gpt2.h"
#include "score/score_protocol.h"
#include "text/text_tokenizer.h"

typedef struct flm_scorer flm_scorer;

typedef struct flm_text_score {
    double nll;        /* sum over counted positions, in nats */
    int64_t positions; /* number of counted positions */
    /* What the sum is of; valid until the scorer is used again. */
    int64_t tokens;
    const int32_t *ids;     /* [tokens] */
    const float *token_nll; /* [tokens]: of every token given those before it; 0 of the first one */
} flm_text_score;

/* flm_scorer_create - load GPT-2 from the checkpoint of kind gpt2 at path, for up to `batch` texts at once of at most
 * `length` tokens each (0: GPT-2's own maximum). chunk: rows of logits at once, 0: flm_backend_chunk. batch is only
 * what is computed at once; that of the published protocol is in *protocol. Not collective. Errors: FLM_E_ARG (length,
 * batch), those of flm_gpt2_create and of the tokeniser; naming the file. */
flm_status flm_scorer_create(flm_backend *be, const char *path, flm_dtype act, int64_t batch, int64_t length,
                             int64_t chunk, const flm_score_protocol *protocol, flm_scorer **out);

/* flm_scorer_dtype - the compute dtype for a precision. AUTO is bf16 on a GPU and fp32 on the CPU, where the choice by
 * measurement (flm_backend_precision) would make figures depend on the load of the machine. */
flm_dtype flm_scorer_dtype(const flm_backend *be, flm_precision asked);

/* flm_scorer_destroy - accepts NULL, nulls it. */
void flm_scorer_destroy(flm_scorer **scorer);

/* flm_scorer_describe - a text, owned by the scorer, and a number (*identity) that both identify GPT-2's weights, the
 * precision and the procedure: what a score depends on apart from the text and the length. */
const char *flm_scorer_describe(const flm_scorer *scorer, uint32_t *identity);

const flm_score_protocol *flm_scorer_get_protocol(const flm_scorer *scorer);

int64_t flm_scorer_get_length(const flm_scorer *scorer); /* tokens of a text, at most */
int64_t flm_scorer_get_batch(const flm_scorer *scorer);  /* texts at once, at most */

/* flm_scorer_encode - append the first `length` GPT-2 ids of a text (0: flm_scorer_get_length).
 * Errors: FLM_E_NOMEM, FLM_E_ARG (a text of over 2 GiB). */
flm_status flm_scorer_encode(flm_scorer *scorer, const char *text, size_t bytes, int64_t length, flm_ids *ids);

/* flm_scorer_pad - append one padding token to the text ids[start] .. if the protocol counts one; longest: ids of the
 * longest text of its batch, at most the scorer's length. Errors: FLM_E_NOMEM. */
flm_status flm_scorer_pad(const flm_scorer *scorer, int64_t start, size_t longest, flm_ids *ids);

/* flm_scorer_score - score B texts, at most the batch: text b is ids[starts[b]] .. ids[starts[b + 1] - 1]. A text of
 * fewer than two ids has no position. Not collective.
 * in  ids i32 [starts[B]], starts [B + 1]   out score [B]; host memory
 * Errors: FLM_E_ARG (an id that GPT-2 does not have, a text too long), FLM_E_NUMERIC, those of the backend. */
flm_status flm_scorer_score(flm_scorer *scorer, const int32_t *ids, const int64_t *starts, int64_t B,
                            flm_text_score *score);

/* flm_scorer_compute_features - GPT-2's last hidden state at the last id of each text, flm_gpt2_compute_features.
 * flm_scorer_get_width - their size d. Not collective.
 * in  as flm_scorer_score, but no text may be empty   out features f32 [B, d] */
flm_status flm_scorer_compute_features(flm_scorer *scorer, const int32_t *ids, const int64_t *starts, int64_t B,
                                       float *features);
int64_t flm_scorer_get_width(const flm_scorer *scorer);

#endif
