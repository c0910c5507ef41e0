/* prep_groups.c - passes 2 and 3 (prep.h): groups of documents are encoded and counted, then encoded again, packed into
 * rows and written. Packing: the ids of all documents of a group, each followed by the end id, are cut into chunks of
 * L - 2 ids, and the remainder is dropped; a row is begin id, chunk, end id. Source: data.md section 4.
 * SPDX-License-Identifier: Apache-2.0 */
#include "prep_corpus.h"

#include "base/base_crc32c.h"
#include "process/process.h"
#include "source/source_container.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RUNS = 8 }; /* runs of groups for each rank, to balance documents of different sizes */

static const char *const split_names[FLM_PREP_SPLITS] = {"train", "valid"};

/* The documents of all inputs as one sequence. */
typedef struct walk {
    const flm_prep_job *job;
    flm_source_rules rules; /* of the current input */
    flm_reader *reader;
    int input;
    int64_t next; /* number of the next document */
} walk;

static flm_status walk_open(walk *w, int64_t offset)
{
    const flm_prep_input *input = &w->job->inputs[w->input];

    w->rules = flm_corpus_rules(w->job, input);
    return flm_reader_open(&w->rules, &input->file, offset, false, &w->reader);
}

static void walk_close(walk *w)
{
    if (w->reader) flm_prep_progress_add_reading(flm_reader_seconds(w->reader));
    flm_reader_close(&w->reader);
}

/* Begin at the last mark at or before document number `first`. */
static flm_status walk_begin(walk *w, const flm_prep_job *job, int64_t first)
{
    flm_status rc = FLM_OK;
    const flm_prep_input *input;
    const flm_prep_mark *marks;
    int64_t low = 0, high;

    w->job = job;
    w->input = 0;
    while (first >= job->inputs[w->input].first + job->inputs[w->input].documents) w->input++;
    input = &job->inputs[w->input];
    marks = job->marks + input->marks_first;
    for (high = input->marks - 1; low < high;) {
        const int64_t middle = low + (high - low + 1) / 2;
        if (input->first + marks[middle].document <= first)
            low = middle;
        else
            high = middle - 1;
    }
    w->next = input->first + marks[low].document;
    FLM_TRY(walk_open(w, marks[low].offset));
done:
    return rc;
}

/* Whether to reach document number `first` by reading on: if it is the next one, or later in the same archive, which
 * would otherwise be streamed from its beginning. */
static bool walk_continues(const walk *w, int64_t first)
{
    const flm_prep_input *input;

    if (!w->reader || w->next == first) return w->reader != NULL;
    input = &w->job->inputs[w->input];
    return input->file.container != FLM_CONTAINER_NONE && first > w->next && first < input->first + input->documents;
}

/* Document number w->next, which exists according to the survey. */
static flm_status walk_next(walk *w, flm_document *document)
{
    flm_status rc = FLM_OK;
    bool end = false;

    while (w->next == w->job->inputs[w->input].first + w->job->inputs[w->input].documents) {
        walk_close(w);
        w->input++;
        if (w->job->inputs[w->input].documents > 0) FLM_TRY(walk_open(w, 0));
    }
    FLM_TRY(flm_reader_next(w->reader, document, &end));
    if (end)
        FLM_FAIL(FLM_E_MISMATCH, "%s: the file has changed: it has fewer documents than in the survey",
                 w->job->inputs[w->input].file.path);
    w->next++;
done:
    return rc;
}

/* The rows being filled, and the shard that they go to. */
typedef struct packer {
    const flm_prep_job *job;
    int64_t L, row_ids;                /* row_ids: ids in the incomplete row, begin id included */
    int64_t rows, max_rows, first_row; /* complete rows held, from first_row on */
    int32_t *ids;                      /* [max_rows + 1, L] */
    int split, number;                 /* of the open shard */
    flm_shard_writer *writer;
} packer;

static flm_status packer_make(packer *p, const flm_prep_job *job)
{
    flm_status rc = FLM_OK;

    p->job = job;
    p->L = job->length;
    p->max_rows = (1 << 18) / p->L + 1; /* 1 MiB of ids, or one row */
    p->ids = malloc((size_t)(p->max_rows + 1) * (size_t)p->L * sizeof *p->ids);
    if (!p->ids) FLM_FAIL(FLM_E_NOMEM, "no memory for rows of %lld ids", (long long)p->L);
done:
    return rc;
}

/* Open the shard of a row of the split; *left: rows from there to the shard's end. */
static flm_status packer_select(packer *p, int split, int64_t row, int64_t *left)
{
    flm_status rc = FLM_OK;
    const flm_shard_split *s = &p->job->splits[split];
    const int number = (int)(row / s->rows_a_shard);

    if (p->writer && (p->split != split || p->number != number)) FLM_TRY(flm_shard_writer_close(&p->writer));
    if (!p->writer) {
        FLM_TRY(flm_shard_writer_open(p->job->out, s->name, number, s->shards, &p->writer));
        p->split = split;
        p->number = number;
    }
    *left = (number + 1) * s->rows_a_shard - row;
done:
    return rc;
}

static flm_status packer_flush(packer *p, int split)
{
    flm_status rc = FLM_OK;

    for (int64_t at = 0, n; at < p->rows; at += n) {
        const int64_t row = p->first_row + at, inside = row % p->job->splits[split].rows_a_shard;
        int64_t left;
        FLM_TRY(packer_select(p, split, row, &left));
        n = p->rows - at < left ? p->rows - at : left;
        FLM_TRY(flm_shard_writer_write(p->writer, inside, n, p->ids + at * p->L));
    }
    if (p->row_ids > 0) memcpy(p->ids, p->ids + p->rows * p->L, (size_t)p->row_ids * sizeof *p->ids);
    p->first_row += p->rows;
    p->rows = 0;
done:
    return rc;
}

/* Add further ids of the group. A row is closed as soon as its chunk is complete. */
static flm_status packer_add(packer *p, const flm_prep_group *group, const int32_t *ids, size_t count)
{
    flm_status rc = FLM_OK;

    for (size_t at = 0, n; at < count; at += n) {
        int32_t *row = p->ids + p->rows * p->L;
        if (p->row_ids == 0) row[p->row_ids++] = (int32_t)p->job->info.vocabulary.begin_id;
        n = (size_t)(p->L - 1 - p->row_ids);
        if (n > count - at) n = count - at;
        memcpy(row + p->row_ids, ids + at, n * sizeof *ids);
        p->row_ids += (int64_t)n;
        if (p->row_ids < p->L - 1) continue;
        row[p->L - 1] = (int32_t)p->job->info.vocabulary.end_id;
        p->row_ids = 0;
        if (++p->rows == p->max_rows) FLM_TRY(packer_flush(p, group->split));
    }
done:
    return rc;
}

/* Whether an interrupted run has written every row of the group. */
static flm_status group_is_written(packer *p, const flm_prep_group *group, bool *written)
{
    flm_status rc = FLM_OK;
    bool valid = true;

    for (int64_t row = group->first_row, n; valid && row < group->first_row + group->rows; row += n) {
        int64_t left;
        FLM_TRY(packer_select(p, group->split, row, &left));
        n = group->first_row + group->rows - row;
        if (n > left) n = left;
        FLM_TRY(flm_shard_writer_check(p->writer, row % p->job->splits[group->split].rows_a_shard, n, &valid));
    }
    *written = valid;
done:
    return rc;
}

/* What a rank does with its groups: count them, or pack and write them. */
typedef struct work {
    const flm_prep_job *job;
    flm_ids ids;    /* of the current document */
    packer *packer; /* NULL: count */
    double *totals; /* count: [1 + V] replaced, token_counts */
    int64_t *found; /* count: [2 * groups] ids, then CRC-32C */
    walk walk;
} work;

static flm_status encode_group(work *w, const flm_prep_group *group, int64_t *count, int64_t *checksum)
{
    flm_status rc = FLM_OK;
    const int32_t end_id = (int32_t)w->job->info.vocabulary.end_id;
    uint32_t crc = 0;
    int64_t replaced = 0, ids = 0;

    if (!walk_continues(&w->walk, group->first_document)) {
        walk_close(&w->walk);
        FLM_TRY(walk_begin(&w->walk, w->job, group->first_document));
    }
    while (w->walk.next < group->first_document + group->documents) {
        const bool skip = w->walk.next < group->first_document;
        flm_document document;
        int64_t bytes;
        FLM_TRY(flm_process_poll());
        FLM_TRY(walk_next(&w->walk, &document));
        if (skip) continue;
        bytes = (int64_t)document.bytes;
        flm_corpus_clean_document(w->job, &document);
        replaced += document.replaced;
        w->ids.count = 0;
        FLM_TRY(flm_tokenizer_encode(w->job->tokenizer, document.text, document.bytes, &w->ids, &replaced));
        crc = flm_crc32c_update(crc, w->ids.ids, w->ids.count * sizeof *w->ids.ids);
        crc = flm_crc32c_update(crc, &end_id, sizeof end_id);
        ids += (int64_t)w->ids.count + 1;
        if (w->packer) {
            FLM_TRY(packer_add(w->packer, group, w->ids.ids, w->ids.count));
            FLM_TRY(packer_add(w->packer, group, &end_id, 1));
        } else {
            for (size_t i = 0; i < w->ids.count; i++) w->totals[1 + w->ids.ids[i]]++;
            w->totals[1 + end_id]++;
        }
        flm_prep_progress_add(bytes);
    }
    if (!w->packer) w->totals[0] += (double)replaced;
    *count = ids;
    *checksum = crc;
done:
    return rc;
}

static flm_status write_group(work *w, int64_t number)
{
    flm_status rc = FLM_OK;
    const flm_prep_group group = flm_prep_group_get(w->job, number);
    int64_t ids = 0, checksum = 0;
    bool written = false;

    FLM_TRY(group_is_written(w->packer, &group, &written));
    if (written) goto done;
    w->packer->first_row = group.first_row;
    w->packer->rows = w->packer->row_ids = 0;
    FLM_TRY(encode_group(w, &group, &ids, &checksum));
    if (ids != w->job->group_ids[number] || checksum != w->job->group_checksums[number])
        FLM_FAIL(FLM_E_MISMATCH,
                 "the inputs changed while they were read, at or after document %lld; run the command again with "
                 "a new --out",
                 (long long)group.first_document);
    w->packer->row_ids = 0; /* the remainder is dropped */
    FLM_TRY(packer_flush(w->packer, group.split));
done:
    return rc;
}

static flm_status count_group(work *w, int64_t number)
{
    const flm_prep_group group = flm_prep_group_get(w->job, number);

    return encode_group(w, &group, &w->found[number], &w->found[w->job->groups + number]);
}

/* This rank's groups: every size-th run of them. */
static flm_status work_share(work *w, const char *pass, flm_comm *comm)
{
    flm_status rc = FLM_OK;
    const int64_t groups = w->job->groups, size = flm_comm_size(comm), rank = flm_comm_rank(comm);
    const int64_t run = groups / (size * RUNS) + 1;

    flm_prep_progress_begin(pass, w->job->text_bytes / size, comm);
    for (int64_t begin = rank * run; begin < groups; begin += size * run)
        for (int64_t g = begin; g < begin + run && g < groups; g++) {
            FLM_TRY(flm_process_poll());
            FLM_TRY(w->packer ? write_group(w, g) : count_group(w, g));
        }
    walk_close(&w->walk);
    flm_prep_progress_end();
done:
    walk_close(&w->walk);
    free(w->ids.ids);
    return rc;
}

flm_prep_group flm_prep_group_get(const flm_prep_job *job, int64_t g)
{
    const int split = g >= job->split_groups[FLM_PREP_TRAIN];
    const int64_t inside = split ? g - job->split_groups[FLM_PREP_TRAIN] : g, first = job->split_first[split];
    const int64_t documents = job->split_first[split + 1] - first, size = job->group_docs ? job->group_docs : documents;
    flm_prep_group group = {.split = split, .first_document = first + inside * size};

    group.documents = documents - inside * size < size ? documents - inside * size : size;
    if (job->group_rows) {
        group.first_row = job->group_rows[g];
        group.rows = job->group_ids[g] / (job->length - 2);
    }
    return group;
}

flm_status flm_prep_end_pass(flm_comm *comm, flm_status local)
{
    if (local != FLM_OK && local != FLM_E_INTERRUPTED) return local; /* flm_process_fail ends the other ranks */
    return flm_comm_agree(comm, local);
}

flm_status flm_prep_count(flm_prep_job *job, flm_comm *comm)
{
    flm_status rc = FLM_OK;
    const int64_t V = job->info.vocabulary.V;
    work w = {.job = job};

    w.totals = calloc((size_t)V + 1, sizeof *w.totals);
    w.found = calloc((size_t)job->groups, 2 * sizeof *w.found);
    job->token_counts = calloc((size_t)V, sizeof *job->token_counts);
    job->group_ids = calloc((size_t)job->groups, sizeof *job->group_ids);
    job->group_checksums = calloc((size_t)job->groups, sizeof *job->group_checksums);
    if (!w.totals || !w.found || !job->token_counts || !job->group_ids || !job->group_checksums)
        FLM_FAIL(FLM_E_NOMEM, "no memory for %lld groups", (long long)job->groups);
    rc = work_share(&w, "count", comm);
    FLM_TRY(flm_prep_end_pass(comm, rc));
    /* each group was counted by one rank and is zero on the others, so the maximum is its value */
    FLM_TRY(flm_comm_max_i64(comm, w.found, 2 * job->groups));
    FLM_TRY(flm_comm_sum_f64(comm, w.totals, V + 1));
    memcpy(job->group_ids, w.found, (size_t)job->groups * sizeof *w.found);
    memcpy(job->group_checksums, w.found + job->groups, (size_t)job->groups * sizeof *w.found);
    job->replaced = (int64_t)w.totals[0];
    for (int64_t i = 0; i < V; i++) job->token_counts[i] = (int64_t)w.totals[1 + i];
done:
    free(w.found);
    free(w.totals);
    return rc;
}

flm_status flm_prep_layout(flm_prep_job *job)
{
    flm_status rc = FLM_OK;
    const int64_t row_bytes = job->length * (job->info.vocabulary.V <= 65536 ? 2 : 4) + 4;
    const int64_t max = job->shard_bytes / row_bytes, rows_a_shard = max > 0 ? max : 1;

    job->group_rows = calloc((size_t)job->groups, sizeof *job->group_rows);
    if (!job->group_rows) FLM_FAIL(FLM_E_NOMEM, "no memory for %lld groups", (long long)job->groups);
    for (int64_t g = 0; g < job->groups; g++) {
        flm_shard_split *s = &job->splits[g >= job->split_groups[FLM_PREP_TRAIN]];
        job->group_rows[g] = s->rows;
        s->rows += job->group_ids[g] / (job->length - 2);
        s->dropped += job->group_ids[g] % (job->length - 2);
        job->ids += job->group_ids[g];
    }
    job->splits_count = job->valid_last > 0 || job->valid_inputs < job->inputs_count ? 2 : 1;
    for (int i = 0; i < job->splits_count; i++) {
        flm_shard_split *s = &job->splits[i];
        const int64_t shards = s->rows / rows_a_shard + (s->rows % rows_a_shard != 0);
        snprintf(s->name, sizeof s->name, "%s", split_names[i]);
        s->documents = job->split_first[i + 1] - job->split_first[i];
        s->rows_a_shard = rows_a_shard;
        if (s->rows == 0)
            FLM_FAIL(
                FLM_E_FORMAT,
                "%s: %lld documents are too short to fill a row: no group has %lld tokens; reduce --length or increase "
                "--group-docs",
                s->name, (long long)s->documents, (long long)job->length - 2);
        if (shards > 99999)
            FLM_FAIL(FLM_E_USAGE, "--shard-bytes %lld gives %lld shards of %s, more than 99999; increase it",
                     (long long)job->shard_bytes, (long long)shards, s->name);
        s->shards = (int)shards;
    }
done:
    return rc;
}

flm_status flm_prep_write(const flm_prep_job *job, flm_comm *comm)
{
    flm_status rc = FLM_OK, closed;
    packer p = {.writer = NULL};
    work w = {.job = job, .packer = &p};

    FLM_TRY(packer_make(&p, job));
    rc = work_share(&w, "write", comm);
    closed = flm_shard_writer_close(&p.writer);
    FLM_TRY(flm_prep_end_pass(comm, rc == FLM_OK ? closed : rc));
done:
    free(p.ids);
    return rc;
}
