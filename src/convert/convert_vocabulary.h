/* convert_vocabulary.h - the tokeniser of published weights: recorded in the file, or given by an option.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_CONVERT_VOCABULARY_H
#define FLM_CONVERT_VOCABULARY_H

#include "base/base_err.h"
#include "io/io_vocabulary.h"

/* What is known of it; NULL or "": nothing. The metadata are those of a file of the suite, and an option must not
 * contradict them. The option decides where it is "none", or where the settings of the training name a tokeniser that
 * the suite does not have. */
typedef struct flm_tokenizer_source {
    const char *path;     /* of the weights, for messages */
    const char *option;   /* --tokenizer */
    const char *metadata; /* flm.tokenizer */
    const char *settings, *settings_path;
} flm_tokenizer_source;

/* flm_tokenizer_source_resolve - set name, digest and special ids of out, whose V is set.
 * Errors: FLM_E_USAGE (no tokeniser is known: --tokenizer is needed), FLM_E_MISMATCH (the option contradicts the file;
 * the tokeniser has more than V tokens), FLM_E_FORMAT (an unknown one in the metadata), those of flm_tokenizer_create.
 */
flm_status flm_tokenizer_source_resolve(const flm_tokenizer_source *source, flm_vocabulary *out);

#endif
