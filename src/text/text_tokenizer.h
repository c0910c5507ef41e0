/* text_tokenizer.h - text to token ids and back. One interface, three tokenisers: docs/tokenisers.md says what each is
 * exact to. A tokeniser keeps the words that it met, so it is used by one thread at a time.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_TEXT_TOKENIZER_H
#define FLM_TEXT_TOKENIZER_H

#include "base/base_status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct flm_tokenizer flm_tokenizer;

/* flm_tokenizer_create - by name: "bytes"; "bert-base-uncased" and "gpt2" with the shipped vocabularies, which are
 * looked for in $FLM_DATA_DIR/vocabularies where that is set, else where they were installed, else in the source
 * tree. Errors: FLM_E_ARG naming what is known; FLM_E_IO, FLM_E_CHECKSUM for a vocabulary that is missing or not
 * the published one; FLM_E_NOMEM. */
flm_status flm_tokenizer_create(const char *name, flm_tokenizer **out);

/* flm_tokenizer_create_from - the same with another vocabulary (NULL or "": the shipped one). gpt2: vocab.json with
 * its merges.txt, or a Hugging Face tokenizer.json (model BPE) and no merges; it needs "<|endoftext|>".
 * bert-base-uncased: vocab.txt, or a tokenizer.json (model WordPiece; the name ends in .json); it needs "[UNK]",
 * "[CLS]" and "[SEP]", vocab.txt also "[PAD]" and "[MASK]". Errors: FLM_E_ARG for files that the tokeniser does not
 * take; FLM_E_IO; FLM_E_FORMAT for what is no such vocabulary; FLM_E_MISMATCH for merges of another vocabulary;
 * FLM_E_UNSUPPORTED for a tokenizer.json whose settings are not GPT-2's or BERT's; FLM_E_NOMEM. */
flm_status flm_tokenizer_create_from(const char *name, const char *vocab, const char *merges, flm_tokenizer **out);
void flm_tokenizer_destroy(flm_tokenizer **tokenizer);

const char *flm_tokenizer_name(const flm_tokenizer *tokenizer);
int64_t flm_tokenizer_size(const flm_tokenizer *tokenizer); /* V; gpt2's counts a padding id that texts never give */
int64_t flm_tokenizer_begin_id(const flm_tokenizer *tokenizer);
int64_t flm_tokenizer_end_id(const flm_tokenizer *tokenizer);

/* flm_tokenizer_sha256 - of the vocabulary, lower-case hex: of merges.txt where the ids follow from it, as the
 * published do, else of merges.txt and vocab.json one after the other; of vocab.txt; of tokenizer.json; of the name
 * "bytes". */
const char *flm_tokenizer_sha256(const flm_tokenizer *tokenizer);

/* A growing list of ids; the caller zeroes it first and frees ids at the end. */
typedef struct flm_ids {
    int32_t *ids;
    size_t count, capacity;
} flm_ids;

/* flm_tokenizer_encode - append the ids of text [bytes], begin and end ids not added. Special tokens that stand in
 * the text literally are taken as such ("<|endoftext|>"; "[SEP]" and BERT's others), but for the bytes tokeniser's.
 * Invalid UTF-8 is replaced by U+FFFD first; *replaced gains the number of replacements (NULL: not wanted). Errors:
 * FLM_E_NOMEM; FLM_E_ARG for a text of over 2 GiB (gpt2). */
flm_status flm_tokenizer_encode(flm_tokenizer *tokenizer, const char *text, size_t bytes, flm_ids *ids,
                                int64_t *replaced);

/* flm_tokenizer_set_clean_up - whether decoding takes out the blank before . ? ! , and English contractions, as
 * clean_up_tokenization_spaces does. Preset as in the classes of transformers 4.49.0: BertTokenizer does,
 * GPT2TokenizerFast does not; nor does bytes. */
void flm_tokenizer_set_clean_up(flm_tokenizer *tokenizer, bool clean_up);

/* flm_tokenizer_decode - ids [count] as UTF-8 text, malloc'd and NUL-terminated (*bytes without it); special tokens
 * are kept as text ("<|end|>" for the bytes tokeniser's 256, "[PAD]" for gpt2's padding id). Bytes that are not
 * UTF-8 become U+FFFD. Errors: FLM_E_NOMEM, FLM_E_ARG for an id outside 0..V-1. */
flm_status flm_tokenizer_decode(flm_tokenizer *tokenizer, const int32_t *ids, size_t count, char **text, size_t *bytes);

/* flm_utf8_repair - copy text with every invalid sequence replaced by U+FFFD as WHATWG says (maximal subparts);
 * *out malloc'd. *replaced gains their number. Errors: FLM_E_NOMEM. */
flm_status flm_utf8_repair(const char *text, size_t bytes, char **out, size_t *out_bytes, int64_t *replaced);

#endif
