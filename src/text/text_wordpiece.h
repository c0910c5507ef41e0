/* text_wordpiece.h - private to the text module: BERT's words cut into word pieces.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_TEXT_WORDPIECE_H
#define FLM_TEXT_WORDPIECE_H

#include "text/text_vocabulary.h"

/* Source: transformers 4.49.0, WordpieceTokenizer. */
enum { FLM_WORDPIECE_CHARS_MAX = 100, FLM_WORDPIECE_BYTES_MAX = 4 * FLM_WORDPIECE_CHARS_MAX };

/* The word pieces of a vocabulary, whose strings it borrows. */
typedef struct flm_wordpiece {
    flm_token_map first; /* pieces that begin a word */
    flm_token_map more;  /* pieces that continue a word, without their "##" */
    size_t longest;      /* bytes of the longest piece */
    int32_t unknown;     /* the id of [UNK] */
} flm_wordpiece;

/* flm_wordpiece_create - from a finished vocabulary. Errors: FLM_E_NOMEM; FLM_E_FORMAT without "[UNK]". */
flm_status flm_wordpiece_create(const flm_text_vocabulary *v, flm_wordpiece *pieces);
void flm_wordpiece_free(flm_wordpiece *pieces);

/* flm_wordpiece_encode_word - append the ids of a word's pieces, by longest match from the left; [UNK] alone if there
 * is no match or the word has more than FLM_WORDPIECE_CHARS_MAX code points.
 * in   word [bytes <= FLM_WORDPIECE_BYTES_MAX], valid UTF-8 of chars > 0 code points; with more code points than the
 *      limit it may hold only the first ones, as it is not read.
 * Errors: FLM_E_NOMEM. */
flm_status flm_wordpiece_encode_word(const flm_wordpiece *pieces, const char *word, size_t bytes, size_t chars,
                                     flm_ids *ids);

#endif
