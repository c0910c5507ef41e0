/* prep_clean.c - cleaning of documents as the publishers of corpora do it (prep_corpus.h). LM1B's is
 * src/text/text_lm1b.h. SPDX-License-Identifier: Apache-2.0 */
#include "prep_corpus.h"

#include "source/source_white.h"
#include "text/text_lm1b.h"

void flm_corpus_clean_owt(char **text, size_t *bytes)
{
    char *p = *text;
    size_t to = 0, run = 0;

    for (size_t from = 0; from < *bytes; from++) {
        run = p[from] == '\n' ? run + 1 : 0;
        if (run <= 2) p[to++] = p[from];
    }
    *bytes = to;
    flm_white_strip(text, bytes);
}

void flm_corpus_clean_document(const flm_prep_job *job, flm_document *document)
{
    switch ((flm_corpus_clean)job->clean) {
    case FLM_CORPUS_CLEAN_NONE: break;
    case FLM_CORPUS_CLEAN_LM1B: flm_text_lm1b_detokenize(document->text, &document->bytes); break;
    case FLM_CORPUS_CLEAN_OWT: flm_corpus_clean_owt(&document->text, &document->bytes); break;
    }
}
