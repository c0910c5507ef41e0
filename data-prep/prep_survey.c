/* prep_survey.c - pass 1 (prep.h): an input is read whole by one rank, for its sum, its documents, and marks from which
 * the other passes begin in the middle. SPDX-License-Identifier: Apache-2.0 */
#include "prep_corpus.h"
#include "prep_read.h"
#include "prep_source.h"

#include "base/base_sha256.h"
#include "base/base_version.h"
#include "process/process.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const int64_t MARK_BYTES = 4 << 20; /* what a rank reads in vain, at most, to come to its first document */

enum { TALLY_WORDS = sizeof(prep_tally) / sizeof(int64_t) };

enum {
    SUM_WORDS = 8
}; /* 64 hex digits as int64_t: positive, so that the maximum over ranks is the one that is there */

/* What the ranks find out, in one array that begins as zeros: of each input the number of documents, its sum, what it
 * holds, and its marks. */
typedef struct findings {
    int64_t *all, count;
    int64_t *documents;  /* [inputs] */
    int64_t *sums;       /* [inputs, SUM_WORDS] */
    prep_tally *tallies; /* [inputs] */
    prep_mark *marks;    /* [marks_count] */
} findings;

_Static_assert(sizeof(prep_mark) == 2 * sizeof(int64_t), "marks travel as int64_t");
_Static_assert(sizeof(prep_tally) == 5 * sizeof(int64_t), "tallies travel as int64_t");

static flm_status findings_make(prep_job *job, findings *f)
{
    flm_status rc = FLM_OK;
    const int64_t inputs = job->inputs_count;

    for (int i = 0; i < inputs; i++) {
        job->inputs[i].marks_first = job->marks_count;
        job->inputs[i].marks = job->inputs[i].kind == PREP_PLAIN ? job->inputs[i].bytes / MARK_BYTES + 1 : 1;
        job->marks_count += job->inputs[i].marks;
        if (i < job->manifest_count) job->bytes += job->inputs[i].bytes;
    }
    f->count = inputs * (1 + SUM_WORDS + TALLY_WORDS) + 2 * job->marks_count;
    f->all = calloc((size_t)f->count, sizeof *f->all);
    if (!f->all) FLM_FAIL(FLM_E_NOMEM, "no memory for %lld marks", (long long)job->marks_count);
    f->documents = f->all;
    f->sums = f->all + inputs;
    f->tallies = (prep_tally *)(f->sums + inputs * SUM_WORDS);
    f->marks = (prep_mark *)(f->tallies + inputs);
done:
    return rc;
}

static flm_status survey_input(const prep_job *job, int i, findings *f)
{
    flm_status rc = FLM_OK;
    const prep_input *input = &job->inputs[i];
    prep_mark *mark = f->marks + input->marks_first;
    prep_reader *reader = NULL;
    prep_document document;
    int64_t documents = 0, marks = 1, position = 0; /* the first mark is the beginning */
    char sum[FLM_SHA256_BYTES];
    bool end = false;

    FLM_TRY(prep_reader_open(job, i, 0, true, &reader));
    for (;;) {
        if (flm_process_stop_requested()) FLM_FAIL(FLM_E_INTERRUPTED, "asked to stop");
        FLM_TRY(prep_reader_next(reader, &document, &end));
        if (end) break;
        for (; marks < input->marks && document.offset >= marks * MARK_BYTES; marks++)
            mark[marks] = (prep_mark){documents, document.offset};
        documents++;
        prep_progress_add(document.position - position);
        position = document.position;
    }
    for (; marks < input->marks; marks++) mark[marks] = (prep_mark){documents, input->bytes};
    FLM_TRY(prep_reader_sum(reader, sum));
    memcpy(f->sums + (int64_t)i * SUM_WORDS, sum, SUM_WORDS * sizeof(int64_t));
    f->documents[i] = documents;
    prep_reader_tally(reader, &f->tallies[i]);
done:
    prep_reader_close(&reader);
    return rc;
}

/* Inputs in order, each to the rank that has least to read; every rank comes to the same. */
static flm_status survey_share(const prep_job *job, flm_comm *comm, findings *f)
{
    flm_status rc = FLM_OK;
    const int size = flm_comm_size(comm), rank = flm_comm_rank(comm);
    int64_t *load = calloc((size_t)size, sizeof *load);
    bool *mine = calloc((size_t)job->inputs_count, sizeof *mine);

    if (!load || !mine) FLM_FAIL(FLM_E_NOMEM, "no memory to share %d inputs", job->inputs_count);
    for (int i = 0; i < job->inputs_count; i++) {
        int min = 0;
        for (int r = 1; r < size; r++)
            if (load[r] < load[min]) min = r;
        load[min] += job->inputs[i].bytes + 1;
        mine[i] = min == rank;
    }
    prep_progress_begin("survey", load[rank], comm);
    for (int i = 0; i < job->inputs_count; i++)
        if (mine[i]) FLM_TRY(survey_input(job, i, f));
    prep_progress_end();
done:
    free(mine);
    free(load);
    return rc;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static flm_status keep(prep_job *job, findings *f)
{
    flm_status rc = FLM_OK;
    int64_t documents = 0;

    job->manifest = calloc((size_t)job->manifest_count, sizeof *job->manifest);
    job->marks = malloc((size_t)job->marks_count * sizeof *job->marks);
    if (!job->manifest || !job->marks) FLM_FAIL(FLM_E_NOMEM, "no memory for %d inputs", job->inputs_count);
    memcpy(job->marks, f->marks, (size_t)job->marks_count * sizeof *job->marks);
    for (int i = 0; i < job->inputs_count; i++) {
        if (i < job->manifest_count) {
            flm_shard_input *line = &job->manifest[i];
            snprintf(line->name, sizeof line->name, "%.255s", base_name(job->inputs[i].path));
            line->bytes = job->inputs[i].bytes;
            memcpy(line->sha256, f->sums + (int64_t)i * SUM_WORDS, SUM_WORDS * sizeof(int64_t));
        }
        job->inputs[i].tally = f->tallies[i];
        job->text_bytes += f->tallies[i].text_bytes;
        job->inputs[i].documents = f->documents[i];
        job->inputs[i].first = documents;
        documents += f->documents[i];
        if (i + 1 == job->valid_inputs) job->split_first[PREP_VALID] = documents;
    }
    job->split_first[PREP_SPLITS] = documents;
done:
    return rc;
}

/* Where validation begins, and how many groups there are. */
static flm_status divide(prep_job *job)
{
    flm_status rc = FLM_OK;
    int64_t *first = job->split_first;
    const int64_t all = first[PREP_SPLITS];
    int64_t passed = 0;

    for (int i = 0; i < job->inputs_count; i++) passed += job->inputs[i].tally.passed;
    if (all == 0 && passed > 0)
        FLM_FAIL(FLM_E_FORMAT, "%s%s: no documents: none of %lld members is text by its name; --members says what is",
                 job->inputs[0].path, job->manifest_count > 1 ? " and the others" : "", (long long)passed);
    if (all == 0)
        FLM_FAIL(FLM_E_FORMAT, "%s%s: no documents, nothing but white space", job->inputs[0].path,
                 job->manifest_count > 1 ? " and the others" : "");
    if (job->valid_last >= all)
        FLM_FAIL(FLM_E_USAGE, "--valid-last %lld%s leaves nothing to train on: there are %lld documents",
                 (long long)job->valid_last, job->valid_last_preset ? ", the preset of this corpus," : "",
                 (long long)all);
    if (job->valid_last > 0) first[PREP_VALID] = all - job->valid_last;
    for (int s = 0; s < PREP_SPLITS; s++) {
        const int64_t documents = first[s + 1] - first[s], group = job->group_docs ? job->group_docs : INT64_MAX;
        job->split_groups[s] = documents / group + (documents % group != 0);
        job->groups += job->split_groups[s];
    }
done:
    return rc;
}

static void describe(prep_job *job)
{
    flm_shard_info *info = &job->info;
    flm_vocabulary *v = &info->vocabulary;

    snprintf(v->name, sizeof v->name, "%s", flm_tokenizer_name(job->tokenizer));
    snprintf(v->sha256, sizeof v->sha256, "%s", flm_tokenizer_sha256(job->tokenizer));
    v->V = flm_tokenizer_size(job->tokenizer);
    v->begin_id = flm_tokenizer_begin_id(job->tokenizer);
    v->end_id = flm_tokenizer_end_id(job->tokenizer);
    info->L = job->length;
    snprintf(info->corpus, sizeof info->corpus, "%s", job->corpus);
    snprintf(info->documents, sizeof info->documents, "%s", prep_documents_name(job->documents));
    info->group_docs = job->group_docs;
    snprintf(info->program_version, sizeof info->program_version, "%s (%.30s)", flm_version_string(),
             flm_version_revision());
    info->inputs = job->manifest;
    info->inputs_count = job->manifest_count;
}

flm_status prep_survey(prep_job *job, flm_comm *comm)
{
    flm_status rc = FLM_OK;
    findings f = {.all = NULL};

    FLM_TRY(prep_inputs_stat(job, comm));
    FLM_TRY(findings_make(job, &f));
    job->surveying = true;
    rc = survey_share(job, comm, &f);
    job->surveying = false;
    FLM_TRY(prep_pass_end(comm, rc));
    FLM_TRY(flm_comm_max_i64(comm, f.all, f.count));
    FLM_TRY(keep(job, &f));
    FLM_TRY(divide(job));
    describe(job);
done:
    free(f.all);
    return rc;
}
