/* score_baseline.h - null baselines: texts drawn from the unigrams and the bigrams of training shards. A model whose
 * figures are not better than theirs has learned no more than counts.
 *
 * The counts are those of at most FLM_BASELINE_TOKENS tokens: of all rows, or of as many evenly spaced ones. They are
 * held as the list of every token's successors (4 bytes a token, and 8 bytes for each id of the vocabulary), from which
 * a uniform choice is a draw from the counts. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_SCORE_BASELINE_H
#define FLM_SCORE_BASELINE_H

#include "io/io_shard.h"

enum { FLM_BASELINE_TOKENS = 1 << 26 };

typedef enum flm_baseline_kind { FLM_BASELINE_UNIGRAM, FLM_BASELINE_BIGRAM, FLM_BASELINE_KINDS } flm_baseline_kind;
extern const char *const flm_baseline_names[FLM_BASELINE_KINDS]; /* "unigram", "bigram" */

typedef struct flm_baseline flm_baseline;

/* flm_baseline_create - count the tokens of the shards; max_tokens: FLM_BASELINE_TOKENS but for tests. Not collective.
 * Errors: FLM_E_FORMAT (no tokens), FLM_E_NOMEM, those of flm_shards_read. */
flm_status flm_baseline_create(const flm_shards *shards, int64_t max_tokens, flm_baseline **out);

/* flm_baseline_draw - rows like those of the shards: the begin id, then draws; of bigrams each given the token before
 * it, or from the unigrams where that has no successor. A row depends on (seed, kind, row) and the counts alone.
 * out  ids i32 [rows, L], L as in the shards */
void flm_baseline_draw(const flm_baseline *baseline, flm_baseline_kind kind, uint64_t seed, int64_t rows, int32_t *ids);

/* flm_baseline_destroy - accepts NULL, nulls it. */
void flm_baseline_destroy(flm_baseline **baseline);

#endif
