/* score_texts.h - a list of texts in memory, read from a file. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_SCORE_TEXTS_H
#define FLM_SCORE_TEXTS_H

#include "source/source.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct flm_score_texts {
    char *data;      /* texts one after the other: text i is data[starts[i]] .. data[starts[i + 1] - 1] */
    int64_t *starts; /* [count + 1] */
    int64_t count;
} flm_score_texts;

/* flm_score_texts_read - read the documents of a file of texts, see source/source_reader.h, or the list generated_seqs
 * of a .json file of the published evaluation. Empty texts in lines of JSON are kept with rules->keep_white; a file
 * without any text is refused. Not collective. Errors: those of flm_source_examine and flm_reader_next. */
flm_status flm_score_texts_read(const char *path, const flm_source_rules *rules, flm_score_texts *out);

/* flm_score_texts_free - release a list's memory; a zeroed list is allowed. */
void flm_score_texts_free(flm_score_texts *texts);

#endif
