/* text_tokenizer.h - text to token ids and back: one interface to three tokenisers. docs/tokenisers.md names the
 * published implementation that each reproduces. A tokeniser has a cache of words, so one thread at a time may use it.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_TEXT_TOKENIZER_H
#define FLM_TEXT_TOKENIZER_H

#include "base/base_err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct flm_tokenizer flm_tokenizer;

/* flm_tokenizer_create - by name: "bytes", "bert-base-uncased" or "gpt2", the latter two with the shipped vocabularies.
 * These are read from $FLM_DATA_DIR/vocabularies if that is set, else from beside the program or where they were
 * installed, else from the source tree. Errors: FLM_E_ARG for an unknown name; FLM_E_IO for a missing vocabulary;
 * FLM_E_CHECKSUM for one that is not the published file; FLM_E_NOMEM. */
flm_status flm_tokenizer_create(const char *name, flm_tokenizer **out);

/* flm_tokenizer_create_from - with another vocabulary (NULL or "": the shipped one).
 * gpt2: vocab.json with its merges.txt, or a Hugging Face tokenizer.json (model BPE) without merges; it must have
 * "<|endoftext|>". bert-base-uncased: vocab.txt, or a tokenizer.json (model WordPiece; the name ends in .json); it must
 * have "[UNK]", "[CLS]" and "[SEP]", a vocab.txt also "[PAD]" and "[MASK]".
 * Errors: FLM_E_ARG for kinds of files that the tokeniser does not have; FLM_E_IO; FLM_E_FORMAT for an invalid
 * vocabulary, and for a tokenizer.json with other settings than GPT-2's or BERT's; FLM_E_MISMATCH for merges of another
 * vocabulary; FLM_E_NOMEM. */
flm_status flm_tokenizer_create_from(const char *name, const char *vocab, const char *merges, flm_tokenizer **out);
void flm_tokenizer_destroy(flm_tokenizer **tokenizer);

const char *flm_tokenizer_name(const flm_tokenizer *tokenizer);
int64_t flm_tokenizer_size(const flm_tokenizer *tokenizer); /* V; gpt2: with a padding id that no text encodes to */
int64_t flm_tokenizer_begin_id(const flm_tokenizer *tokenizer);
int64_t flm_tokenizer_end_id(const flm_tokenizer *tokenizer);

/* flm_tokenizer_sha256 - the SHA-256 of the vocabulary in lower-case hex: of merges.txt if it determines the ids, as in
 * the published vocabulary, else of merges.txt followed by vocab.json; of vocab.txt; of tokenizer.json; of the string
 * "bytes". */
const char *flm_tokenizer_sha256(const flm_tokenizer *tokenizer);

/* A growing list of ids. The caller zeroes it first and frees ids at the end. */
typedef struct flm_ids {
    int32_t *ids;
    size_t count, capacity;
} flm_ids;

/* flm_tokenizer_encode - append the ids of text [bytes]; begin and end ids are not added. Special tokens that occur
 * literally in the text ("<|endoftext|>"; "[SEP]" and the others of BERT) become their ids; the bytes tokeniser has
 * none. Invalid UTF-8 is replaced by U+FFFD first; the number of replacements is added to *replaced (may be NULL).
 * Errors: FLM_E_NOMEM; FLM_E_ARG for a text of more than 2 GiB (gpt2). */
flm_status flm_tokenizer_encode(flm_tokenizer *tokenizer, const char *text, size_t bytes, flm_ids *ids,
                                int64_t *replaced);

/* flm_tokenizer_set_clean_up - whether decoding removes the space before . ? ! , and English contractions, as
 * clean_up_tokenization_spaces does. Defaults as in transformers 4.49.0: yes for bert-base-uncased (BertTokenizer), no
 * for gpt2 (GPT2TokenizerFast); no for bytes. */
void flm_tokenizer_set_clean_up(flm_tokenizer *tokenizer, bool clean_up);

/* flm_tokenizer_decode - ids [count] as UTF-8 text, malloc'd and NUL-terminated (*bytes without the NUL). Special
 * tokens are kept as text ("<|end|>" for id 256 of the bytes tokeniser, "[PAD]" for the padding id of gpt2). Bytes that
 * are not UTF-8 become U+FFFD. Errors: FLM_E_NOMEM; FLM_E_ARG for an id outside 0..V-1. */
flm_status flm_tokenizer_decode(flm_tokenizer *tokenizer, const int32_t *ids, size_t count, char **text, size_t *bytes);

#endif
