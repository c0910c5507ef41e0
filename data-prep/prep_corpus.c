/* prep_corpus.c - what differs by corpus (prep_corpus.h). Source: data.md section 1.
 * SPDX-License-Identifier: Apache-2.0 */
#include "prep_corpus.h"

#include <string.h>

/* The two folders of LM1B's archive. */
#define LM1B_TRAIN   "training-monolingual.tokenized.shuffled/"
#define LM1B_HELDOUT "heldout-monolingual.tokenized.shuffled/"

static const struct corpus {
    const char *name, *tokenizer;
    int documents, clean;
    int64_t length, valid_last;
} corpora[] = {
    {"lm1b", "bert-base-uncased", FLM_SOURCE_LINE, FLM_CORPUS_CLEAN_LM1B, 128, 0},
    {"owt", "gpt2", FLM_SOURCE_FILE, FLM_CORPUS_CLEAN_OWT, 1024, 100000},
};

void flm_corpus_apply_defaults(flm_prep_job *job, const flm_options *options)
{
    for (size_t i = 0; i < sizeof corpora / sizeof corpora[0]; i++) {
        const struct corpus *c = &corpora[i];
        if (strcmp(job->corpus, c->name) != 0) continue;
        if (!flm_options_given(options, "tokenizer")) job->tokenizer_name = c->tokenizer;
        if (!flm_options_given(options, "documents")) job->source.documents = c->documents;
        if (!flm_options_given(options, "clean")) job->clean = c->clean;
        if (!flm_options_given(options, "length")) job->length = c->length;
        job->valid_last_default = !flm_options_given(options, "valid-last") && !*job->valid;
        if (job->valid_last_default) job->valid_last = c->valid_last;
    }
}

static bool is_lm1b(const flm_prep_job *job) { return strcmp(job->corpus, "lm1b") == 0 && !*job->source.members; }

bool flm_corpus_has_parts(const flm_prep_job *job) { return is_lm1b(job) && !*job->valid && job->valid_last == 0; }

static bool in_folder(const char *name, const char *folder)
{
    const char *p = strstr(name, folder);
    return p && (p == name || p[-1] == '/');
}

/* A file that is not in an archive and in neither folder is for training. */
static flm_source_choice lm1b_choose(const void *chooser, const flm_source_file *file, const char *name, bool packed)
{
    const flm_prep_input *input = chooser;
    const bool heldout = in_folder(name, LM1B_HELDOUT), train = in_folder(name, LM1B_TRAIN) || (!packed && !heldout);

    (void)file;
    if (!train && !heldout) return FLM_SOURCE_SKIPPED;
    if (input->part == FLM_CORPUS_ALL || heldout == (input->part == FLM_CORPUS_HELDOUT)) return FLM_SOURCE_READ;
    return FLM_SOURCE_OTHER_PART;
}

/* OpenWebText's publisher reads a byte order mark as a character of the document. */
flm_source_rules flm_corpus_rules(const flm_prep_job *job, const flm_prep_input *input)
{
    flm_source_rules rules = job->source;

    rules.keep_mark = strcmp(job->corpus, "owt") == 0;
    rules.log = job->surveying;
    rules.choose = is_lm1b(job) ? lm1b_choose : NULL;
    rules.chooser = input;
    return rules;
}
