/* text_wordpiece.h - private to the text room: BERT's words and their pieces. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_TEXT_WORDPIECE_H
#define FLM_TEXT_WORDPIECE_H

#include "text/text_vocabulary.h"

/* Source: transformers 4.49.0, WordpieceTokenizer. */
enum { TEXT_WORD_CHARS_MAX = 100, TEXT_WORD_BYTES_MAX = 4 * TEXT_WORD_CHARS_MAX };

/* Pieces that begin a word, and those that go on ("##" left off). Strings belong to the vocabulary. */
typedef struct text_wordpiece {
    text_words first, more;
    size_t longest; /* bytes of the longest piece */
    int32_t unknown;
} text_wordpiece;

/* text_wordpiece_create - of a finished vocabulary. Errors: FLM_E_NOMEM, FLM_E_FORMAT without "[UNK]". */
flm_status text_wordpiece_create(const text_vocabulary *v, text_wordpiece *pieces);
void text_wordpiece_free(text_wordpiece *pieces);

/* text_wordpiece_word - append a word's pieces, the longest first; [UNK] alone where there is no way, or where chars is
 * over 100. word [bytes <= TEXT_WORD_BYTES_MAX, valid UTF-8] of `chars` > 0 code points; it is not looked at when
 * there are too many. Errors: FLM_E_NOMEM. */
flm_status text_wordpiece_word(const text_wordpiece *pieces, const char *word, size_t bytes, size_t chars,
                               flm_ids *ids);

#endif
