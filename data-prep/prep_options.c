/* prep_options.c - flm_shard's options. SPDX-License-Identifier: Apache-2.0 */
#include "prep.h"

#include <stdlib.h>
#include <string.h>

static const char *const documents_names[] = {"line", "blank", "file", NULL};

#define AT(member) offsetof(prep_job, member)

const flm_option prep_options[] = {
    {"out", FLM_OPTION_STRING, AT(out), NULL, 0, 0, NULL, "Output", "DIR",
     "Shard directory to make, or to go on with after an interruption", false},
    {"shard-bytes", FLM_OPTION_INT, AT(shard_bytes), "268435456", 1, 1099511627776.0, NULL, "Output", "N",
     "Bytes of tokens and checksums a shard", false},
    {"tokenizer", FLM_OPTION_STRING, AT(tokenizer_name), "bytes", 0, 0, NULL, "Text", "NAME", "Tokeniser: bytes",
     false},
    {"documents", FLM_OPTION_CHOICE, AT(documents), "line", 0, 0, documents_names, "Text", "KIND",
     "What a document is: a line, what stands between blank lines, or a file; white space alone is none", false},
    {"corpus", FLM_OPTION_STRING, AT(corpus), "text", 0, 0, NULL, "Text", "NAME", "Name of the corpus, for the record",
     false},
    {"document-bytes", FLM_OPTION_INT, AT(document_bytes), "67108864", 1, 1073741824, NULL, "Text", "N",
     "Bytes of the largest document allowed; a rank's memory grows with it", false},
    {"length", FLM_OPTION_INT, AT(length), "128", 3, 1048576, NULL, "Packing", "L",
     "Ids a row, its begin and end included", false},
    {"group-docs", FLM_OPTION_INT, AT(group_docs), "1000", 0, 2147483647, NULL, "Packing", "N",
     "Documents packed together and the unit of parallel work; 0: all", false},
    {"valid-last", FLM_OPTION_INT, AT(valid_last), "0", 0, 9007199254740992.0, NULL, "Validation", "N",
     "Set the last N documents apart", false},
    {"valid", FLM_OPTION_LIST, AT(valid), "", 0, 0, NULL, "Validation", "FILE[,FILE]", "Or take these files", false},
    {"verify", FLM_OPTION_STRING, AT(verify), NULL, 0, 0, NULL, "Checking", "DIR",
     "Read every row of a shard directory against its checksum, and do nothing else", false},
};
const int prep_options_count = sizeof prep_options / sizeof prep_options[0];

const char *prep_documents_name(int documents) { return documents_names[documents]; }

/* The positional arguments, then those of --valid. */
static flm_status list_inputs(prep_job *job, const flm_options *options)
{
    flm_status rc = FLM_OK;
    const char *const *words = flm_options_positional(options, &job->valid_inputs);
    char *place = NULL;
    size_t commas = 1;

    for (const char *p = job->valid; *p; p++) commas += *p == ',';
    job->inputs = calloc((size_t)job->valid_inputs + commas, sizeof *job->inputs);
    job->valid_words = strdup(job->valid);
    if (!job->inputs || !job->valid_words) FLM_FAIL(FLM_E_NOMEM, "no memory for %d inputs", job->valid_inputs);
    for (; job->inputs_count < job->valid_inputs; job->inputs_count++)
        job->inputs[job->inputs_count].path = words[job->inputs_count];
    for (char *word = strtok_r(job->valid_words, ",", &place); word; word = strtok_r(NULL, ",", &place))
        job->inputs[job->inputs_count++].path = word;
done:
    return rc;
}

flm_status prep_job_check(prep_job *job, const flm_options *options)
{
    flm_status rc = FLM_OK;

    FLM_TRY(list_inputs(job, options));
    if (*job->verify) {
        if (job->inputs_count > 0 || *job->out) FLM_FAIL(FLM_E_USAGE, "--verify DIR takes neither --out nor files");
        goto done;
    }
    if (!*job->out) FLM_FAIL(FLM_E_USAGE, "--out DIR is missing");
    if (job->valid_inputs == 0) FLM_FAIL(FLM_E_USAGE, "no text: name the files to read");
    if (*job->valid && job->valid_last > 0) FLM_FAIL(FLM_E_USAGE, "--valid and --valid-last exclude each other");
    if (!*job->corpus || strlen(job->corpus) >= sizeof job->info.corpus || strpbrk(job->corpus, "\n\r"))
        FLM_FAIL(FLM_E_USAGE, "--corpus: a name has 1 to %zu bytes on one line", sizeof job->info.corpus - 1);
    rc = flm_tokenizer_create(job->tokenizer_name, &job->tokenizer);
    if (rc == FLM_E_ARG) {
        char text[512];
        strncpy(text, flm_err_message(), sizeof text - 1);
        text[sizeof text - 1] = '\0';
        FLM_FAIL(FLM_E_USAGE, "--tokenizer: %s", text);
    }
    FLM_TRY(rc);
done:
    return rc;
}

void prep_job_release(prep_job *job)
{
    flm_tokenizer_destroy(&job->tokenizer);
    free(job->inputs);
    free(job->valid_words);
    free(job->manifest);
    free(job->marks);
    free(job->group_ids);
    free(job->group_sums);
    free(job->group_rows);
    free(job->commonness);
}
