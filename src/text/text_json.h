/* text_json.h - private to the text module: vocabularies in JSON, which are GPT-2's vocab.json and Hugging Face's
 * tokenizer.json. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_TEXT_JSON_H
#define FLM_TEXT_JSON_H

#include "text/text_vocabulary.h"

#include <jansson.h>

/* flm_text_json_load - parse data [bytes], which must be a JSON object; path is for messages. The caller releases
 * *root with json_decref. Errors: FLM_E_FORMAT with the line. */
flm_status flm_text_json_load(const char *path, const char *data, size_t bytes, json_t **root);

/* flm_text_json_read_vocabulary - add every pair of an object {"token": id} to v. Errors: FLM_E_FORMAT, FLM_E_NOMEM. */
flm_status flm_text_json_read_vocabulary(const json_t *object, flm_text_vocabulary *v);

/* flm_text_json_read_model - read a tokenizer.json whose model has the type "BPE" or "WordPiece": add the model's
 * tokens and the added tokens to v and finish it; add the added tokens to specials. *model is borrowed from root.
 * Errors: FLM_E_NOMEM; FLM_E_FORMAT, also for settings that are not GPT-2's or BERT's, and for added
 * tokens that strip white space or match single words only. */
flm_status flm_text_json_read_model(const json_t *root, const char *type, flm_text_vocabulary *v,
                                    flm_special_tokens *specials, const json_t **model);

#endif
