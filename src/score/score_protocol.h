/* score_protocol.h - the two protocols of Gen-PPL: which texts and which positions count.
 *
 * clean: every text is scored by itself, and each of its positions counts (flm_statistics_count_targets).
 * published: as the published evaluation of arXiv:2602.16813 does it. It takes the texts in batches, pads the texts of
 * a batch with <|endoftext|> to the longest of them, and counts the first <|endoftext|> of each. So a text that has
 * none of its own and is shorter than the longest of its batch gets one position more, that of the first padding token.
 * Texts that do not fill a batch are dropped; if all texts are fewer than a batch, they are one. Source: data.md
 * section 6. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_SCORE_PROTOCOL_H
#define FLM_SCORE_PROTOCOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum flm_score_protocol_kind { FLM_SCORE_CLEAN, FLM_SCORE_PUBLISHED } flm_score_protocol_kind;

typedef struct flm_score_protocol {
    int kind;      /* flm_score_protocol_kind */
    int64_t batch; /* texts of a batch of the published protocol, at least 1 */
} flm_score_protocol;

/* Values and help of --protocol. */
#define FLM_SCORE_PROTOCOL_HELP                                                                     \
    "how Gen-PPL is computed; see docs/data.md\n"                                                   \
    "clean = each text by itself\n"                                                                 \
    "published = as in the published evaluation: texts are padded to the longest of a batch, some " \
    "have one padding token counted, and an incomplete batch is dropped"
extern const char *const flm_score_protocol_names[];

enum { FLM_SCORE_PROTOCOL_BYTES = 48 };

/* flm_score_protocol_equal - whether figures of both can be compared. */
bool flm_score_protocol_equal(const flm_score_protocol *a, const flm_score_protocol *b);

/* flm_score_protocol_describe - "clean" or "published, batches of 8", to text; returns text. */
const char *flm_score_protocol_describe(const flm_score_protocol *protocol, char text[FLM_SCORE_PROTOCOL_BYTES]);

/* flm_score_protocol_find - the protocol that a text contains as "protocol " and its description; clean for another
 * text, as version 0.1 of the program records none. */
flm_score_protocol flm_score_protocol_find(const char *text);

/* flm_score_protocol_count - how many of these texts are scored: the first ones. */
int64_t flm_score_protocol_count(const flm_score_protocol *protocol, int64_t texts);

/* flm_score_protocol_batch - the batch [*first, *end) of a row among `texts` texts. For the clean protocol the row
 * alone. row: below flm_score_protocol_count. */
void flm_score_protocol_batch(const flm_score_protocol *protocol, int64_t texts, int64_t row, int64_t *first,
                              int64_t *end);

/* flm_score_protocol_pads - whether a text of these ids counts one padding token.
 * in  ids i32 [n]; longest: ids of the longest text of its batch */
bool flm_score_protocol_pads(const flm_score_protocol *protocol, const int32_t *ids, size_t n, size_t longest,
                             int64_t end_id);

#endif
