/* prep_corpus.c - what differs by corpus: LM1B, OpenWebText, anybody's (prep_corpus.h). Source: data.md section 1.
 * SPDX-License-Identifier: Apache-2.0 */
#include "prep_corpus.h"
#include "prep_source.h"

#include <fnmatch.h>
#include <string.h>

/* LM1B's two folders, in one archive. */
#define LM1B_TRAIN   "training-monolingual.tokenized.shuffled/"
#define LM1B_HELDOUT "heldout-monolingual.tokenized.shuffled/"

static const struct corpus {
    const char *name, *tokenizer;
    int documents, clean;
    int64_t length, valid_last;
} corpora[] = {
    {"lm1b", "bert-base-uncased", PREP_LINE, PREP_CLEAN_LM1B, 128, 0},
    {"owt", "gpt2", PREP_FILE, PREP_CLEAN_OWT, 1024, 100000},
};

void prep_corpus_presets(prep_job *job, const flm_options *options)
{
    for (size_t i = 0; i < sizeof corpora / sizeof corpora[0]; i++) {
        const struct corpus *c = &corpora[i];
        if (strcmp(job->corpus, c->name) != 0) continue;
        if (!flm_options_given(options, "tokenizer")) job->tokenizer_name = c->tokenizer;
        if (!flm_options_given(options, "documents")) job->documents = c->documents;
        if (!flm_options_given(options, "clean")) job->clean = c->clean;
        if (!flm_options_given(options, "length")) job->length = c->length;
        job->valid_last_preset = !flm_options_given(options, "valid-last") && !*job->valid;
        if (job->valid_last_preset) job->valid_last = c->valid_last;
    }
}

static bool is_lm1b(const prep_job *job) { return strcmp(job->corpus, "lm1b") == 0 && !*job->members; }

bool prep_corpus_parts(const prep_job *job) { return is_lm1b(job) && !*job->valid && job->valid_last == 0; }

static bool in_folder(const char *name, const char *folder)
{
    const char *p = strstr(name, folder);
    return p && (p == name || p[-1] == '/');
}

/* A text by itself that lies in neither folder is for training. */
static prep_member lm1b_choose(const prep_input *input, const char *name, bool packed)
{
    const bool heldout = in_folder(name, LM1B_HELDOUT), train = in_folder(name, LM1B_TRAIN) || (!packed && !heldout);

    if (!train && !heldout) return PREP_MEMBER_PASSED;
    if (input->part == PREP_PART_ALL || heldout == (input->part == PREP_PART_HELDOUT)) return PREP_MEMBER_TEXT;
    return PREP_MEMBER_OTHER;
}

/* What archives of text also hold: pictures, licences, a Mac's "._NAME". */
static bool is_text_by_name(const char *name)
{
    const char *slash = strrchr(name, '/'), *base = slash ? slash + 1 : name;

    if (strncmp(base, "._", 2) == 0) return false;
    return prep_ends_in(name, ".txt") || prep_ends_in(name, ".text") || prep_ends_in(name, ".jsonl") ||
           prep_ends_in(name, ".ndjson");
}

prep_member prep_member_choose(const prep_job *job, const prep_input *input, const char *name, bool packed)
{
    const bool json = prep_ends_in(name, ".jsonl") || prep_ends_in(name, ".ndjson");
    const prep_member chosen = is_lm1b(job) ? lm1b_choose(input, name, packed) : PREP_MEMBER_TEXT;

    if (chosen != PREP_MEMBER_TEXT) return chosen;
    if (packed && !is_lm1b(job) && !(*job->members ? fnmatch(job->members, name, 0) == 0 : is_text_by_name(name)))
        return PREP_MEMBER_PASSED;
    if (job->format == PREP_FORMAT_AUTO) return json ? PREP_MEMBER_JSONL : PREP_MEMBER_TEXT;
    return job->format == PREP_FORMAT_JSONL ? PREP_MEMBER_JSONL : PREP_MEMBER_TEXT;
}
