/* prep_survey.c - pass 1 (prep.h): each input is read completely by one rank, which computes its digest, counts its
 * documents and sets the marks from which the other passes can begin in the middle. SPDX-License-Identifier: Apache-2.0
 */
#include "prep_corpus.h"

#include "base/base_sha256.h"
#include "base/base_version.h"
#include "process/process.h"
#include "source/source_container.h"
#include "source/source_options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const int64_t MARK_BYTES = 4 << 20; /* distance of marks: a rank skips at most this to reach a document */

/* What one rank finds out about an input, and broadcasts. */
typedef struct finding {
    int64_t documents;
    flm_source_tally tally;
    char sha256[FLM_SHA256_BYTES];
} finding;

typedef struct findings {
    int *owners;          /* [inputs]: the rank that surveys the input */
    finding *inputs;      /* [inputs] */
    flm_prep_mark *marks; /* [marks_count] */
} findings;

static void findings_free(findings *f)
{
    free(f->owners);
    free(f->inputs);
    free(f->marks);
}

/* Rank 0 examines the inputs for all. */
static flm_status examine_all(flm_prep_job *job, flm_comm *comm)
{
    flm_status rc = FLM_OK;
    flm_source_file *files = calloc((size_t)job->inputs_count, sizeof *files);

    if (!files) FLM_FAIL(FLM_E_NOMEM, "no memory for %d inputs", job->inputs_count);
    for (int i = 0; rc == FLM_OK && flm_comm_rank(comm) == 0 && i < job->inputs_count; i++) {
        const flm_source_rules rules = flm_corpus_rules(job, &job->inputs[i]);
        rc = flm_source_examine(job->inputs[i].file.path, &rules, &files[i]);
    }
    FLM_TRY(flm_comm_agree(comm, rc));
    FLM_TRY(flm_comm_broadcast(comm, files, job->inputs_count * (int64_t)sizeof *files, 0));
    for (int i = 0; i < job->inputs_count; i++) {
        files[i].path = job->inputs[i].file.path; /* that of rank 0 is in its memory */
        job->inputs[i].file = files[i];
    }
done:
    free(files);
    return rc;
}

static flm_status findings_create(flm_prep_job *job, findings *f)
{
    flm_status rc = FLM_OK;

    for (int i = 0; i < job->inputs_count; i++) {
        flm_prep_input *input = &job->inputs[i];
        input->marks_first = job->marks_count;
        input->marks = input->file.container == FLM_CONTAINER_NONE ? input->file.bytes / MARK_BYTES + 1 : 1;
        job->marks_count += input->marks;
        if (i < job->manifest_count) job->bytes += input->file.bytes;
    }
    f->owners = calloc((size_t)job->inputs_count, sizeof *f->owners);
    f->inputs = calloc((size_t)job->inputs_count, sizeof *f->inputs);
    f->marks = calloc((size_t)job->marks_count, sizeof *f->marks);
    if (!f->owners || !f->inputs || !f->marks)
        FLM_FAIL(FLM_E_NOMEM, "no memory for %d inputs and %lld marks", job->inputs_count, (long long)job->marks_count);
done:
    return rc;
}

static flm_status survey_input(const flm_prep_job *job, int i, findings *f)
{
    flm_status rc = FLM_OK;
    const flm_prep_input *input = &job->inputs[i];
    flm_prep_mark *mark = f->marks + input->marks_first;
    const flm_source_rules rules = flm_corpus_rules(job, input);
    flm_reader *reader = NULL;
    flm_document document;
    int64_t documents = 0, marks = 1, position = 0; /* the first mark is the beginning of the file */
    bool end = false;

    FLM_TRY(flm_reader_open(&rules, &input->file, 0, true, &reader));
    for (;;) {
        FLM_TRY(flm_process_poll());
        FLM_TRY(flm_reader_next(reader, &document, &end));
        if (end) break;
        for (; marks < input->marks && document.offset >= marks * MARK_BYTES; marks++)
            mark[marks] = (flm_prep_mark){documents, document.offset};
        documents++;
        flm_prep_progress_add(document.position - position);
        position = document.position;
    }
    for (; marks < input->marks; marks++) mark[marks] = (flm_prep_mark){documents, input->file.bytes};
    FLM_TRY(flm_reader_digest(reader, f->inputs[i].sha256));
    f->inputs[i].documents = documents;
    f->inputs[i].tally = *flm_reader_tally(reader);
    flm_prep_progress_add_reading(flm_reader_seconds(reader));
done:
    flm_reader_close(&reader);
    return rc;
}

/* Assign each input, in order, to the rank that has the fewest bytes so far, with the same result on every rank; then
 * survey this rank's inputs. */
static flm_status survey_share(const flm_prep_job *job, flm_comm *comm, findings *f)
{
    flm_status rc = FLM_OK;
    const int size = flm_comm_size(comm), rank = flm_comm_rank(comm);
    int64_t *load = calloc((size_t)size, sizeof *load);

    if (!load) FLM_FAIL(FLM_E_NOMEM, "no memory to distribute %d inputs", job->inputs_count);
    for (int i = 0; i < job->inputs_count; i++) {
        int min = 0;
        for (int r = 1; r < size; r++)
            if (load[r] < load[min]) min = r;
        load[min] += job->inputs[i].file.bytes + 1;
        f->owners[i] = min;
    }
    flm_prep_progress_begin("survey", load[rank], comm);
    for (int i = 0; i < job->inputs_count; i++)
        if (f->owners[i] == rank) FLM_TRY(survey_input(job, i, f));
    flm_prep_progress_end();
done:
    free(load);
    return rc;
}

/* Give every rank the findings about every input. */
static flm_status findings_broadcast(const flm_prep_job *job, flm_comm *comm, findings *f)
{
    flm_status rc = FLM_OK;

    for (int i = 0; i < job->inputs_count; i++) {
        const flm_prep_input *input = &job->inputs[i];
        FLM_TRY(flm_comm_broadcast(comm, &f->inputs[i], sizeof f->inputs[i], f->owners[i]));
        FLM_TRY(flm_comm_broadcast(comm, f->marks + input->marks_first, input->marks * (int64_t)sizeof *f->marks,
                                   f->owners[i]));
    }
done:
    return rc;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* Move the findings into the job, and number the documents. */
static flm_status findings_store(flm_prep_job *job, findings *f)
{
    flm_status rc = FLM_OK;
    int64_t documents = 0;

    job->manifest = calloc((size_t)job->manifest_count, sizeof *job->manifest);
    if (!job->manifest) FLM_FAIL(FLM_E_NOMEM, "no memory for %d inputs", job->inputs_count);
    job->marks = f->marks;
    f->marks = NULL;
    for (int i = 0; i < job->inputs_count; i++) {
        const finding *found = &f->inputs[i];
        if (i < job->manifest_count) {
            flm_shard_input *line = &job->manifest[i];
            snprintf(line->name, sizeof line->name, "%.255s", base_name(job->inputs[i].file.path));
            line->bytes = job->inputs[i].file.bytes;
            memcpy(line->sha256, found->sha256, sizeof line->sha256);
        }
        job->inputs[i].tally = found->tally;
        job->text_bytes += found->tally.text_bytes;
        job->inputs[i].documents = found->documents;
        job->inputs[i].first = documents;
        documents += found->documents;
        if (i + 1 == job->valid_inputs) job->split_first[FLM_PREP_VALID] = documents;
    }
    job->split_first[FLM_PREP_SPLITS] = documents;
done:
    return rc;
}

/* Determine where validation begins and how many groups there are. */
static flm_status divide(flm_prep_job *job)
{
    flm_status rc = FLM_OK;
    int64_t *first = job->split_first;
    const int64_t all = first[FLM_PREP_SPLITS];
    int64_t skipped = 0;

    for (int i = 0; i < job->inputs_count; i++) skipped += job->inputs[i].tally.skipped;
    if (all == 0 && skipped > 0)
        FLM_FAIL(FLM_E_FORMAT,
                 "%s%s: no documents: none of the %lld members is named as text; select members with --members",
                 job->inputs[0].file.path, job->manifest_count > 1 ? " and the other inputs" : "", (long long)skipped);
    if (all == 0)
        FLM_FAIL(FLM_E_FORMAT, "%s%s: no documents: only white space found", job->inputs[0].file.path,
                 job->manifest_count > 1 ? " and the other inputs" : "");
    if (job->valid_last >= all)
        FLM_FAIL(FLM_E_USAGE, "--valid-last %lld%s leaves nothing for training (documents: %lld)",
                 (long long)job->valid_last, job->valid_last_default ? ", the default of this corpus," : "",
                 (long long)all);
    if (job->valid_last > 0) first[FLM_PREP_VALID] = all - job->valid_last;
    for (int s = 0; s < FLM_PREP_SPLITS; s++) {
        const int64_t documents = first[s + 1] - first[s], group = job->group_docs ? job->group_docs : INT64_MAX;
        job->split_groups[s] = documents / group + (documents % group != 0);
        job->groups += job->split_groups[s];
    }
done:
    return rc;
}

/* Fill in the information that every shard carries. */
static void describe(flm_prep_job *job)
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
    snprintf(info->documents, sizeof info->documents, "%s", flm_source_documents_names[job->source.documents]);
    info->group_docs = job->group_docs;
    flm_version_describe(info->program_version, sizeof info->program_version);
    info->inputs = job->manifest;
    info->inputs_count = job->manifest_count;
}

flm_status flm_prep_survey(flm_prep_job *job, flm_comm *comm)
{
    flm_status rc = FLM_OK;
    findings f = {.owners = NULL};

    job->surveying = true;
    FLM_TRY(examine_all(job, comm));
    FLM_TRY(findings_create(job, &f));
    rc = survey_share(job, comm, &f);
    job->surveying = false;
    FLM_TRY(flm_prep_end_pass(comm, rc));
    FLM_TRY(findings_broadcast(job, comm, &f));
    FLM_TRY(findings_store(job, &f));
    FLM_TRY(divide(job));
    describe(job);
done:
    findings_free(&f);
    return rc;
}
