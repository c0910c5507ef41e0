/* prep_options.c - flm_shard's options and their checks (prep.h). SPDX-License-Identifier: Apache-2.0 */
#include "prep_corpus.h"

#include <stdlib.h>
#include <string.h>

static const char *const documents_names[] = {"line", "blank", "file", NULL};
static const char *const clean_names[] = {"none", "lm1b", "owt", NULL};
static const char *const format_names[] = {"auto", "text", "jsonl", NULL};
static const char *const on_bad_line_names[] = {"skip", "fail", NULL};

#define AT(member) offsetof(flm_prep_job, member)

const flm_option flm_prep_options[] = {
    {"out", FLM_OPTION_STRING, AT(out), NULL, 0, 0, NULL, "Output", "DIR",
     "Shard directory to create, or to resume after an interruption", false},
    {"shard-bytes", FLM_OPTION_INT, AT(shard_bytes), "268435456", 1, 1099511627776.0, NULL, "Output", "N",
     "Maximum size in bytes of the tokens and checksums of a shard file", false},
    {"corpus", FLM_OPTION_STRING, AT(corpus), "text", 0, 0, NULL, "Corpus", "NAME",
     "Name of the corpus, recorded in the shards. lm1b: an archive with LM1B's layout, whose held-out files become the "
     "validation split. owt: an archive with OpenWebText's layout. These two change the defaults of other options, as "
     "noted there",
     false},
    {"documents", FLM_OPTION_CHOICE, AT(documents), "line", 0, 0, documents_names, "Corpus", "KIND",
     "What a document is: a line, a block of lines between blank lines, or a file; one of only white space is ignored "
     "(--corpus owt: file)",
     false},
    {"clean", FLM_OPTION_CHOICE, AT(clean), "none", 0, 0, clean_names, "Corpus", "KIND",
     "Clean documents as the publisher of this corpus does (--corpus lm1b: lm1b; owt: owt)", false},
    {"format", FLM_OPTION_CHOICE, AT(format), "auto", 0, 0, format_names, "Corpus", "KIND",
     "Format of text files; auto: jsonl if the name ends in .jsonl or .ndjson, else text", false},
    {"field", FLM_OPTION_STRING, AT(field), "text", 0, 0, NULL, "Corpus", "NAME",
     "Field of a line of JSON that contains the text", false},
    {"members", FLM_OPTION_STRING, AT(members), "", 0, 0, NULL, "Corpus", "PATTERN",
     "Members of archives to read, as a shell pattern whose * also matches /; empty: names that end in .txt, .text, "
     ".jsonl or .ndjson",
     false},
    {"on-bad-line", FLM_OPTION_CHOICE, AT(on_bad_line), "fail", 0, 0, on_bad_line_names, "Corpus", "WHAT",
     "How to treat a line that is not JSON or lacks the field: skip (and count) or fail", false},
    {"tokenizer", FLM_OPTION_STRING, AT(tokenizer_name), "bytes", 0, 0, NULL, "Tokeniser", "NAME",
     "Tokeniser: bytes, bert-base-uncased or gpt2 (--corpus lm1b: bert-base-uncased; owt: gpt2)", false},
    {"vocab", FLM_OPTION_STRING, AT(vocab), "", 0, 0, NULL, "Tokeniser", "FILE",
     "Vocabulary instead of the published one: vocab.txt, vocab.json (with --merges) or tokenizer.json", false},
    {"merges", FLM_OPTION_STRING, AT(merges), "", 0, 0, NULL, "Tokeniser", "FILE",
     "merges.txt that belongs to the vocab.json of --vocab", false},
    {"document-bytes", FLM_OPTION_INT, AT(document_bytes), "16777216", 1, 1073741824, NULL, "Limits", "N",
     "Maximum size of a document in bytes; a rank may need 25 times as much memory", false},
    {"ratio", FLM_OPTION_INT, AT(ratio), "1000", 1, 1000000000, NULL, "Limits", "N",
     "Maximum expansion of compressed input, in bytes of output per byte of the file; the first 16 MiB of output are "
     "exempt",
     false},
    {"nesting", FLM_OPTION_INT, AT(nesting), "8", 1, 32, NULL, "Limits", "N",
     "Maximum number of compressions and archives inside one another; a .tar.gz is two", false},
    {"length", FLM_OPTION_INT, AT(length), "128", 3, 1048576, NULL, "Packing", "L",
     "Length of a row in ids, begin and end ids included (--corpus owt: 1024)", false},
    {"group-docs", FLM_OPTION_INT, AT(group_docs), "1000", 0, 2147483647, NULL, "Packing", "N",
     "Number of documents that are packed together, the unit of parallel work; 0: all of them", false},
    {"valid-last", FLM_OPTION_INT, AT(valid_last), "0", 0, 9007199254740992.0, NULL, "Validation", "N",
     "Use the last N documents for validation (--corpus owt: 100000)", false},
    {"valid", FLM_OPTION_LIST, AT(valid), "", 0, 0, NULL, "Validation", "FILE[,FILE]", "Use these files for validation",
     false},
    {"verify", FLM_OPTION_STRING, AT(verify), NULL, 0, 0, NULL, "Checking", "DIR",
     "Only verify the checksum of every row of this shard directory", false},
};
const int flm_prep_options_count = sizeof flm_prep_options / sizeof flm_prep_options[0];

const char *flm_corpus_documents_name(int documents) { return documents_names[documents]; }
const char *flm_corpus_clean_name(int clean) { return clean_names[clean]; }
const char *flm_corpus_format_name(int format) { return format_names[format]; }
const char *flm_corpus_bad_line_name(int on_bad_line) { return on_bad_line_names[on_bad_line]; }

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
        input->path = words[job->inputs_count];
        input->part = parts ? FLM_CORPUS_TRAIN : FLM_CORPUS_ALL;
    }
    for (char *word = strtok_r(job->valid_words, ",", &rest); word; word = strtok_r(NULL, ",", &rest))
        job->inputs[job->inputs_count++].path = word;
    job->manifest_count = job->inputs_count;
    for (int i = 0; parts && i < job->valid_inputs; i++)
        job->inputs[job->inputs_count++] = (flm_prep_input){.path = words[i], .part = FLM_CORPUS_HELDOUT};
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
    if (job->valid_inputs == 0) FLM_FAIL(FLM_E_USAGE, "no input: name the files to read");
    if (*job->valid && job->valid_last > 0) FLM_FAIL(FLM_E_USAGE, "--valid cannot be combined with --valid-last");
    if (!*job->corpus || strlen(job->corpus) >= sizeof job->info.corpus || strpbrk(job->corpus, "\n\r"))
        FLM_FAIL(FLM_E_USAGE, "--corpus: expected a name of 1 to %zu bytes without line ends",
                 sizeof job->info.corpus - 1);
    if (!*job->field || strpbrk(job->field, "\n\r"))
        FLM_FAIL(FLM_E_USAGE, "--field: expected a name without line ends");
    if (strpbrk(job->members, "\n\r")) FLM_FAIL(FLM_E_USAGE, "--members: expected a pattern without line ends");
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
