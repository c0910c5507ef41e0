/* score_texts.h - a list of texts in memory, read from plain text or JSONL. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_SCORE_TEXTS_H
#define FLM_SCORE_TEXTS_H

#include "base/base_err.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct flm_score_texts {
    char *data;      /* texts one after the other: text i is data[starts[i]] .. data[starts[i + 1] - 1] */
    int64_t *starts; /* [count + 1] */
    int64_t count;
} flm_score_texts;

/* flm_score_texts_read - read a file of texts. If its name ends in .jsonl or .json, each line holds a JSON object with
 * the text in `field`. Other files are plain: a text a line, where empty lines are skipped, or with whole_file one
 * text. A JSON line without a text, or with an empty one, is refused, and so is a file without texts. Not collective.
 * Errors: FLM_E_IO, FLM_E_FORMAT naming path and line, FLM_E_NOMEM. */
flm_status flm_score_texts_read(const char *path, const char *field, bool whole_file, flm_score_texts *out);

/* flm_score_texts_free - release a list's memory; a zeroed list is allowed. */
void flm_score_texts_free(flm_score_texts *texts);

#endif
