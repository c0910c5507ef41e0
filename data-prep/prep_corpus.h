/* prep_corpus.h - what differs by corpus: LM1B, OpenWebText, anybody's. SPDX-License-Identifier: Apache-2.0 */
#ifndef PREP_CORPUS_H
#define PREP_CORPUS_H

#include "prep.h"

/* prep_corpus_presets - the corpus's own values for what was not asked for. */
void prep_corpus_presets(prep_job *job, const flm_options *options);

/* prep_corpus_parts - whether an input is to be read twice, its training part and its held-out part. */
bool prep_corpus_parts(const prep_job *job);

/* prep_member_choose - of a member: whether it is read, and as what; OTHER: it is of the input's other part.
 * packed: it is inside an archive; if not, name is the file's own path. */
typedef enum prep_member { PREP_MEMBER_PASSED, PREP_MEMBER_OTHER, PREP_MEMBER_TEXT, PREP_MEMBER_JSONL } prep_member;
prep_member prep_member_choose(const prep_job *job, const prep_input *input, const char *name, bool packed);

#endif
