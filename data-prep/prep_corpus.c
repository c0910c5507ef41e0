/* prep_corpus.c - what differs by corpus (prep_corpus.h). Source: data.md section 1.
 * SPDX-License-Identifier: Apache-2.0 */
#include "prep_corpus.h"
#include "prep_source.h"

#include <fnmatch.h>
#include <string.h>

/* The two folders of LM1B's archive. */
#define LM1B_TRAIN   "training-monolingual.tokenized.shuffled/"
#define LM1B_HELDOUT "heldout-monolingual.tokenized.shuffled/"

static const struct corpus {
    const char *name, *tokenizer;
    int documents, clean;
    int64_t length, valid_last;
} corpora[] = {
    {"lm1b", "bert-base-uncased", FLM_CORPUS_LINE, FLM_CORPUS_CLEAN_LM1B, 128, 0},
    {"owt", "gpt2", FLM_CORPUS_FILE, FLM_CORPUS_CLEAN_OWT, 1024, 100000},
};

void flm_corpus_apply_defaults(flm_prep_job *job, const flm_options *options)
{
    for (size_t i = 0; i < sizeof corpora / sizeof corpora[0]; i++) {
        const struct corpus *c = &corpora[i];
        if (strcmp(job->corpus, c->name) != 0) continue;
        if (!flm_options_given(options, "tokenizer")) job->tokenizer_name = c->tokenizer;
        if (!flm_options_given(options, "documents")) job->documents = c->documents;
        if (!flm_options_given(options, "clean")) job->clean = c->clean;
        if (!flm_options_given(options, "length")) job->length = c->length;
        job->valid_last_default = !flm_options_given(options, "valid-last") && !*job->valid;
        if (job->valid_last_default) job->valid_last = c->valid_last;
    }
}

static bool is_lm1b(const flm_prep_job *job) { return strcmp(job->corpus, "lm1b") == 0 && !*job->members; }

bool flm_corpus_has_parts(const flm_prep_job *job) { return is_lm1b(job) && !*job->valid && job->valid_last == 0; }

static bool in_folder(const char *name, const char *folder)
{
    const char *p = strstr(name, folder);
    return p && (p == name || p[-1] == '/');
}

/* A file that is not in an archive and in neither folder is for training. */
static flm_corpus_member lm1b_choose(const flm_prep_input *input, const char *name, bool packed)
{
    const bool heldout = in_folder(name, LM1B_HELDOUT), train = in_folder(name, LM1B_TRAIN) || (!packed && !heldout);

    if (!train && !heldout) return FLM_CORPUS_MEMBER_SKIPPED;
    if (input->part == FLM_CORPUS_ALL || heldout == (input->part == FLM_CORPUS_HELDOUT)) return FLM_CORPUS_MEMBER_TEXT;
    return FLM_CORPUS_MEMBER_OTHER_PART;
}

/* Archives of text also have pictures, licences and the "._NAME" files of macOS, which are not text. */
static bool is_text_by_name(const char *name)
{
    const char *slash = strrchr(name, '/'), *base = slash ? slash + 1 : name;

    if (strncmp(base, "._", 2) == 0) return false;
    return flm_source_name_ends_in(name, ".txt") || flm_source_name_ends_in(name, ".text") ||
           flm_source_name_ends_in(name, ".jsonl") || flm_source_name_ends_in(name, ".ndjson");
}

flm_corpus_member flm_corpus_member_choose(const flm_prep_job *job, const flm_prep_input *input, const char *name,
                                           bool packed)
{
    const bool json = flm_source_name_ends_in(name, ".jsonl") || flm_source_name_ends_in(name, ".ndjson");
    const flm_corpus_member chosen = is_lm1b(job) ? lm1b_choose(input, name, packed) : FLM_CORPUS_MEMBER_TEXT;

    if (chosen != FLM_CORPUS_MEMBER_TEXT) return chosen;
    if (packed && !is_lm1b(job) && !(*job->members ? fnmatch(job->members, name, 0) == 0 : is_text_by_name(name)))
        return FLM_CORPUS_MEMBER_SKIPPED;
    if (job->format == FLM_CORPUS_FORMAT_AUTO) return json ? FLM_CORPUS_MEMBER_JSONL : FLM_CORPUS_MEMBER_TEXT;
    return job->format == FLM_CORPUS_FORMAT_JSONL ? FLM_CORPUS_MEMBER_JSONL : FLM_CORPUS_MEMBER_TEXT;
}
