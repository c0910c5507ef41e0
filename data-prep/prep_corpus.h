/* prep_corpus.h - what differs by corpus (LM1B, OpenWebText, any other): default options, which members of an archive
 * are read, and as what. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_PREP_CORPUS_H
#define FLM_PREP_CORPUS_H

#include "prep.h"

/* Which part of an input is read. LM1B's archive has training and held-out members, and is read once for each. */
typedef enum flm_corpus_part { FLM_CORPUS_ALL, FLM_CORPUS_TRAIN, FLM_CORPUS_HELDOUT } flm_corpus_part;

/* Values of --documents, --clean, --format and --on-bad-line. */
typedef enum flm_corpus_documents { FLM_CORPUS_LINE, FLM_CORPUS_BLANK, FLM_CORPUS_FILE } flm_corpus_documents;
typedef enum flm_corpus_clean { FLM_CORPUS_CLEAN_NONE, FLM_CORPUS_CLEAN_LM1B, FLM_CORPUS_CLEAN_OWT } flm_corpus_clean;
typedef enum flm_corpus_format {
    FLM_CORPUS_FORMAT_AUTO,
    FLM_CORPUS_FORMAT_TEXT,
    FLM_CORPUS_FORMAT_JSONL
} flm_corpus_format;
typedef enum flm_corpus_bad_line { FLM_CORPUS_BAD_LINE_SKIP, FLM_CORPUS_BAD_LINE_FAIL } flm_corpus_bad_line;

/* flm_corpus_..._name - the values as they are given on the command line: "line", "none", "auto", "skip", ... */
const char *flm_corpus_documents_name(int documents);
const char *flm_corpus_clean_name(int clean);
const char *flm_corpus_format_name(int format);
const char *flm_corpus_bad_line_name(int bad_line);

/* flm_corpus_apply_defaults - set the options that were not given to the defaults of the corpus. */
void flm_corpus_apply_defaults(flm_prep_job *job, const flm_options *options);

/* flm_corpus_has_parts - whether each input is read twice, for its training and for its held-out part. */
bool flm_corpus_has_parts(const flm_prep_job *job);

/* flm_corpus_member_choose - whether a member is skipped, belongs to the other part of the input, or is read, and as
 * what. packed: the member is in an archive; otherwise name is the path of the file. */
typedef enum flm_corpus_member {
    FLM_CORPUS_MEMBER_SKIPPED,
    FLM_CORPUS_MEMBER_OTHER_PART,
    FLM_CORPUS_MEMBER_TEXT,
    FLM_CORPUS_MEMBER_JSONL
} flm_corpus_member;
flm_corpus_member flm_corpus_member_choose(const flm_prep_job *job, const flm_prep_input *input, const char *name,
                                           bool packed);

#endif
