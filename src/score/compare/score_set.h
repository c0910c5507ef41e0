/* score_set.h - the texts of one entry of a table in memory: rows of token ids, or texts. Owns reading them again for
 * comparisons and turning one into the other; leaves scoring to score_samples.h. No call is collective.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_SCORE_SET_H
#define FLM_SCORE_SET_H

#include "io/io_samples.h"
#include "io/io_shard.h"
#include "score/score_statistics.h"
#include "score/score_texts.h"
#include "text/text_tokenizer.h"

typedef struct flm_score_set {
    const char *path;          /* for messages; borrowed */
    flm_vocabulary vocabulary; /* of ids; of texts all zero */
    flm_tokenizer *tokenizer;  /* of the vocabulary; NULL for texts */
    int64_t rows, L;           /* L: of ids */
    int32_t *ids;              /* [rows, L]; NULL for texts */
    flm_score_texts texts;
} flm_score_set;

/* flm_score_set_read_samples - the rows of a set of a samples file. Errors: FLM_E_CHECKSUM (a row is missing or
 * damaged), FLM_E_MISMATCH (this release lacks the tokeniser, or has another vocabulary), those of reading. */
flm_status flm_score_set_read_samples(const char *path, const flm_samples_setting *setting, flm_score_set *out);

/* flm_score_set_read_texts - the texts of a file. Errors: those of flm_score_texts_read. */
flm_status flm_score_set_read_texts(const char *path, const flm_source_rules *rules, flm_score_set *out);

/* flm_score_set_read_shards - `rows` rows of a split, evenly spaced, or all rows where there are no more.
 * Errors: FLM_E_MISMATCH (the tokeniser), those of flm_shards_read. */
flm_status flm_score_set_read_shards(const char *path, const flm_shards *shards, int64_t rows, flm_score_set *out);

/* flm_score_set_create - rows of a vocabulary, whose ids [rows, L] the caller fills in. Errors: FLM_E_NOMEM,
 * FLM_E_MISMATCH (the tokeniser). */
flm_status flm_score_set_create(const char *path, const flm_vocabulary *vocabulary, int64_t rows, int64_t L,
                                flm_score_set *out);

/* flm_score_set_get_text - a row as text, malloc'd; bare: without the begin id in front and the end ids at the end,
 * which texts of a file do not have. Errors: FLM_E_NOMEM, FLM_E_ARG (an id). */
flm_status flm_score_set_get_text(const flm_score_set *set, int64_t row, bool bare, char **text, size_t *bytes);

/* flm_score_set_encode - the rows as ids of a vocabulary, which must be that of the set unless it has texts. *ids and
 * *starts [rows + 1] are malloc'd. Errors: FLM_E_MISMATCH naming both vocabularies, FLM_E_NOMEM. */
flm_status flm_score_set_encode(const flm_score_set *set, const flm_vocabulary *vocabulary, int32_t **ids,
                                int64_t **starts);

/* flm_score_set_check_vocabulary - FLM_E_MISMATCH naming both files and their vocabularies where they differ. */
flm_status flm_score_set_check_vocabulary(const char *path, const flm_vocabulary *own, const char *shards,
                                          const flm_vocabulary *vocabulary);

/* flm_score_set_free - a zeroed set is allowed. */
void flm_score_set_free(flm_score_set *set);

#endif
