/* prep_corpus.h - what differs by corpus: LM1B, OpenWebText, anybody's. SPDX-License-Identifier: Apache-2.0 */
#ifndef PREP_CORPUS_H
#define PREP_CORPUS_H

#include "prep.h"

/* Of an input of which some members are for training and others for validation. */
typedef enum prep_part { PREP_PART_ALL, PREP_PART_TRAIN, PREP_PART_HELDOUT } prep_part;

typedef enum prep_clean { PREP_CLEAN_NONE, PREP_CLEAN_LM1B, PREP_CLEAN_OWT } prep_clean;
typedef enum prep_format { PREP_FORMAT_AUTO, PREP_FORMAT_TEXT, PREP_FORMAT_JSONL } prep_format;
enum { PREP_BAD_SKIP, PREP_BAD_FAIL }; /* --on-bad-line */

/* prep_documents_name - "line", "blank", "file"; prep_clean_name - "none", "lm1b", "owt"; and so on. */
const char *prep_documents_name(int documents);
const char *prep_clean_name(int clean);
const char *prep_format_name(int format);
const char *prep_on_bad_line_name(int on_bad_line);

/* prep_corpus_presets - the corpus's own values for what was not asked for. */
void prep_corpus_presets(prep_job *job, const flm_options *options);

/* prep_corpus_parts - whether an input is to be read twice, its training part and its held-out part. */
bool prep_corpus_parts(const prep_job *job);

/* prep_member_choose - of a member: whether it is read, and as what; OTHER: it is of the input's other part.
 * packed: it is inside an archive; if not, name is the file's own path. */
typedef enum prep_member { PREP_MEMBER_PASSED, PREP_MEMBER_OTHER, PREP_MEMBER_TEXT, PREP_MEMBER_JSONL } prep_member;
prep_member prep_member_choose(const prep_job *job, const prep_input *input, const char *name, bool packed);

#endif
