/* prep_options.c - flm_shard's options and their checks (prep.h). SPDX-License-Identifier: Apache-2.0 */
#include "prep_corpus.h"

#include "source/source_options.h"

#include <stdlib.h>
#include <string.h>

static const char *const clean_names[] = {"none", "lm1b", "owt", NULL};

#define FLM_OPT_STRUCT flm_prep_job
static const flm_option rows[] = {
    FLM_OPT_GROUP("Output"),
    FLM_OPT_STRING("out", out, NULL, "DIR", "shard directory to create, or to resume after an interruption"),
    FLM_OPT_INT("shard-bytes", shard_bytes, "268435456", "N",
                "maximum size in bytes of the tokens and checksums of a shard file", .min = 1,
                .limit = 1099511627776.0),
    FLM_OPT_GROUP("Corpus"),
    FLM_OPT_STRING(
        "corpus", corpus, "text", "NAME",
        "name of the corpus, recorded in the shards\nlm1b = archive in LM1B's layout; its held-out files become the "
        "validation split\nowt = archive in OpenWebText's layout\nlm1b and owt also change defaults of other "
        "options, as noted there"),
    FLM_OPT_CHOICE(
        "documents", source.documents, "line", flm_source_documents_names,
        "one document is a line, a block of lines between blank lines, or a file\ndocuments that contain only "
        "white space are skipped\nwith --corpus owt: file"),
    FLM_OPT_CHOICE("clean", clean, "none", clean_names,
                   "clean documents as the publisher of this corpus does\nwith --corpus lm1b: lm1b; with owt: owt"),
    FLM_SOURCE_OPTIONS(source),
    FLM_OPT_GROUP("Tokeniser"),
    FLM_OPT_STRING("tokenizer", tokenizer_name, "bytes", "NAME",
                   "bytes, bert-base-uncased or gpt2\nwith --corpus lm1b: bert-base-uncased; with owt: gpt2"),
    FLM_OPT_STRING(
        "vocab", vocab, "", "FILE",
        "use this vocabulary instead of the published one: vocab.txt, vocab.json (with --merges) or tokenizer.json"),
    FLM_OPT_STRING("merges", merges, "", "FILE", "merges.txt that belongs to the vocab.json of --vocab"),
    FLM_OPT_GROUP("Limits"),
    FLM_SOURCE_LIMITS(source),
    FLM_OPT_GROUP("Packing"),
    FLM_OPT_INT("length", length, "128", "L",
                "tokens in a row (one training sequence), begin and end tokens included\nwith --corpus owt: 1024",
                .min = 3, .limit = 1048576),
    FLM_OPT_INT("group-docs", group_docs, "1000", "N",
                "number of documents in a group; rows are cut from groups, and ranks work on different groups\n0 = all "
                "documents in one group",
                .limit = 2147483647),
    FLM_OPT_GROUP("Validation"),
    FLM_OPT_INT("valid-last", valid_last, "0", "N",
                "use the last N documents for validation\nwith --corpus owt: 100000"),
    FLM_OPT_LIST("valid", valid, "", "FILE[,FILE]", "use these files for validation"),
    FLM_OPT_GROUP("Checking"),
    FLM_OPT_STRING("verify", verify, NULL, "DIR", "verify the checksum of every row in this shard directory, and exit"),
};

const flm_options_spec flm_prep_options_spec = {
    .program = "flm_shard",
    .purpose = "Convert text to shards: files of tokens to train on. A FILE is plain text, JSON lines, or an archive "
               "of these, "
               "compressed or not. Run the same command again to resume.",
    .arguments = "FILE...",
    FLM_OPT_ROWS(rows),
};

const char *flm_corpus_clean_name(int clean) { return clean_names[clean]; }

/* The inputs: the positional arguments; then the files of --valid or, where inputs have parts, the held-out part of
 * each positional argument. */
static flm_status list_inputs(flm_prep_job *job, const flm_options *options)
{
    flm_status rc = FLM_OK;
    const char *const *words = flm_options_positional(options, &job->valid_inputs);
    char *rest = NULL;
    size_t max_words = 1;

    const bool parts = flm_corpus_has_parts(job);

    for (const char *p = job->valid; *p; p++) max_words += *p == ',';
    job->inputs = calloc(2 * (size_t)job->valid_inputs + max_words, sizeof *job->inputs);
    job->valid_words = strdup(job->valid);
    if (!job->inputs || !job->valid_words) FLM_FAIL(FLM_E_NOMEM, "no memory for %d inputs", job->valid_inputs);
    for (; job->inputs_count < job->valid_inputs; job->inputs_count++) {
        flm_prep_input *input = &job->inputs[job->inputs_count];
        input->file.path = words[job->inputs_count];
        input->part = parts ? FLM_CORPUS_TRAIN : FLM_CORPUS_ALL;
    }
    for (char *word = strtok_r(job->valid_words, ",", &rest); word; word = strtok_r(NULL, ",", &rest))
        job->inputs[job->inputs_count++].file.path = word;
    job->manifest_count = job->inputs_count;
    for (int i = 0; parts && i < job->valid_inputs; i++)
        job->inputs[job->inputs_count++] = (flm_prep_input){.file.path = words[i], .part = FLM_CORPUS_HELDOUT};
done:
    return rc;
}

flm_status flm_prep_job_check(flm_prep_job *job, const flm_options *options)
{
    flm_status rc = FLM_OK;

    flm_corpus_apply_defaults(job, options);
    FLM_TRY(list_inputs(job, options));
    if (*job->verify) {
        if (job->inputs_count > 0 || *job->out)
            FLM_FAIL(FLM_E_USAGE, "--verify cannot be combined with --out or input files");
        goto done;
    }
    if (!*job->out) FLM_FAIL(FLM_E_USAGE, "--out DIR is required");
    if (job->valid_inputs == 0) FLM_FAIL(FLM_E_USAGE, "no input files; see --help");
    if (*job->valid && job->valid_last > 0) FLM_FAIL(FLM_E_USAGE, "--valid cannot be combined with --valid-last");
    if (!*job->corpus || strlen(job->corpus) >= sizeof job->info.corpus || strpbrk(job->corpus, "\n\r"))
        FLM_FAIL(FLM_E_USAGE, "--corpus: expected a name of 1 to %zu bytes without line ends",
                 sizeof job->info.corpus - 1);
    if (!*job->source.field || strpbrk(job->source.field, "\n\r"))
        FLM_FAIL(FLM_E_USAGE, "--field: expected a name without line ends");
    if (strpbrk(job->source.members, "\n\r")) FLM_FAIL(FLM_E_USAGE, "--members: expected a pattern without line ends");
    rc = flm_tokenizer_create_from(job->tokenizer_name, job->vocab, job->merges, &job->tokenizer);
    FLM_TRY(rc == FLM_E_ARG ? flm_err_prefix(FLM_E_USAGE, "--tokenizer") : rc);
done:
    return rc;
}

void flm_prep_job_release(flm_prep_job *job)
{
    flm_tokenizer_destroy(&job->tokenizer);
    free(job->inputs);
    free(job->valid_words);
    free(job->manifest);
    free(job->marks);
    free(job->group_ids);
    free(job->group_checksums);
    free(job->group_rows);
    free(job->token_counts);
}
