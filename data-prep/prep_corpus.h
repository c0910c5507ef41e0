/* prep_corpus.h - what differs by corpus (LM1B, OpenWebText, any other): default options, which members of an archive
 * are read, and as what. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_PREP_CORPUS_H
#define FLM_PREP_CORPUS_H

#include "prep.h"
#include "source/source_reader.h"

/* Which part of an input is read. LM1B's archive has training and held-out members, and is read once for each. */
typedef enum flm_corpus_part { FLM_CORPUS_ALL, FLM_CORPUS_TRAIN, FLM_CORPUS_HELDOUT } flm_corpus_part;

/* Values of --clean. */
typedef enum flm_corpus_clean { FLM_CORPUS_CLEAN_NONE, FLM_CORPUS_CLEAN_LM1B, FLM_CORPUS_CLEAN_OWT } flm_corpus_clean;

/* flm_corpus_clean_name - the value as it is given on the command line: "none", ... */
const char *flm_corpus_clean_name(int clean);

/* flm_corpus_apply_defaults - set the options that were not given to the defaults of the corpus. */
void flm_corpus_apply_defaults(flm_prep_job *job, const flm_options *options);

/* flm_corpus_has_parts - whether each input is read twice, for its training and for its held-out part. */
bool flm_corpus_has_parts(const flm_prep_job *job);

/* flm_corpus_rules - the rules by which an input is read: the job's, with the corpus's own choice of members. */
flm_source_rules flm_corpus_rules(const flm_prep_job *job, const flm_prep_input *input);

/* flm_corpus_clean_document - clean the document in place, as --clean asks. */
void flm_corpus_clean_document(const flm_prep_job *job, flm_document *document);

/* flm_corpus_clean_owt - in place: runs of 3 or more newlines become 2, and white space (as of Python's str.strip) is
 * removed at both ends, which moves *text. It never grows. Source: data.md section 1. */
void flm_corpus_clean_owt(char **text, size_t *bytes);

#endif
