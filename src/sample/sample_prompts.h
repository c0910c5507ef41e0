/* sample_prompts.h - the prompts of --prompts: lines of JSON turned into rows of tokens, some of which are known.
 *
 * A line is an object with one of
 *   "prefix": text                the row begins with it;
 *   "text":   text                in which each occurrence of the mask is one token to fill in; the pieces between are
 *                                 tokenised apart. Without a mask it is a prefix;
 *   "tokens": [id, null, ...]     the row from position 0 on, null to fill in.
 * Position 0 of the first two, and of tokens that begin with null, is the begin id. Positions behind the last one given
 * are filled in. Other fields are ignored. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_SAMPLE_PROMPTS_H
#define FLM_SAMPLE_PROMPTS_H

#include "io/io_samples.h"

/* flm_prompts_read - the prompts of a file, plain or compressed, for rows of L tokens of a vocabulary.
 * out  prompts: owns its tokens, to be freed with flm_prompts_free. Not collective. Errors: FLM_E_FORMAT naming the
 * prompt (not JSON, none or several of the fields, longer than L, an id outside the vocabulary, nothing to fill in) or
 * an empty file; FLM_E_MISMATCH (this release's vocabulary is another one); those of files. */
flm_status flm_prompts_read(const char *path, const char *mask, const flm_vocabulary *vocabulary, int64_t L,
                            flm_samples_prompts *prompts);
void flm_prompts_free(flm_samples_prompts *prompts);

#endif
