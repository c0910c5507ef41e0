/* prep_run.c - the order of things (prep.h). Rank 0 keeps the directory; what it finds there it tells the others.
 * SPDX-License-Identifier: Apache-2.0 */
#include "prep.h"

#include "base/base_log.h"

#include <stdio.h>
#include <stdlib.h>

/* The directory's standing, known to all. */
static flm_status open_state(const prep_job *job, bool surveyed, flm_comm *comm, prep_standing *standing)
{
    flm_status rc = FLM_OK;
    int64_t told = 0;

    if (flm_comm_rank(comm) == 0) {
        rc = prep_state_open(job, surveyed, standing);
        told = *standing;
    }
    FLM_TRY(flm_comm_agree(comm, rc));
    FLM_TRY(flm_comm_broadcast(comm, &told, sizeof told, 0));
    *standing = (prep_standing)told;
done:
    return rc;
}

/* A directory that is done already: it is opened as training will, so that a damaged one is not called whole. */
static flm_status say_finished(const prep_job *job, flm_comm *comm)
{
    flm_status rc = FLM_OK;
    flm_shards *train = NULL;

    if (flm_comm_rank(comm) == 0) {
        rc = flm_shards_open(job->out, "train", &train);
        if (rc == FLM_OK) rc = prep_state_end(job);
        if (rc == FLM_OK)
            printf("flm_shard: %s is whole already: %lld rows to train on; nothing was done\n", job->out,
                   (long long)flm_shards_rows(train));
    }
    FLM_TRY(flm_comm_agree(comm, rc));
done:
    flm_shards_close(&train);
    return rc;
}

/* The counts of an earlier run, from rank 0 to all; or *loaded false. */
static flm_status load_counts(prep_job *job, flm_comm *comm, bool *loaded)
{
    flm_status rc = FLM_OK;
    const int64_t V = job->info.vocabulary.V, groups = job->groups;
    int64_t told[2] = {0, 0};

    if (flm_comm_rank(comm) == 0) {
        rc = prep_state_load(job, loaded);
        told[0] = *loaded;
        told[1] = job->replaced;
    }
    FLM_TRY(flm_comm_agree(comm, rc));
    FLM_TRY(flm_comm_broadcast(comm, told, sizeof told, 0));
    *loaded = told[0] != 0;
    if (!*loaded) goto done;
    job->replaced = told[1];
    if (!job->commonness) job->commonness = calloc((size_t)V, sizeof *job->commonness);
    if (!job->group_ids) job->group_ids = calloc((size_t)groups, sizeof *job->group_ids);
    if (!job->group_sums) job->group_sums = calloc((size_t)groups, sizeof *job->group_sums);
    if (!job->commonness || !job->group_ids || !job->group_sums) FLM_FAIL(FLM_E_NOMEM, "no memory for the counts");
    FLM_TRY(flm_comm_broadcast(comm, job->commonness, V * (int64_t)sizeof *job->commonness, 0));
    FLM_TRY(flm_comm_broadcast(comm, job->group_ids, groups * (int64_t)sizeof *job->group_ids, 0));
    FLM_TRY(flm_comm_broadcast(comm, job->group_sums, groups * (int64_t)sizeof *job->group_sums, 0));
done:
    return rc;
}

static flm_status counts(prep_job *job, flm_comm *comm)
{
    flm_status rc = FLM_OK;
    bool loaded = false;

    FLM_TRY(load_counts(job, comm, &loaded));
    if (loaded) {
        flm_log(FLM_LOG_INFO, "going on with %s, begun before", job->out);
        goto done;
    }
    FLM_TRY(prep_count(job, comm));
    if (flm_comm_rank(comm) == 0) rc = prep_state_save(job);
    FLM_TRY(flm_comm_agree(comm, rc));
done:
    return rc;
}

/* The shards that are not laid out yet, dealt to the ranks. */
static flm_status lay_out(const prep_job *job, flm_comm *comm)
{
    flm_status rc = FLM_OK;
    int dealt = 0;

    for (int i = 0; i < job->splits_count; i++) {
        const flm_shard_split *s = &job->splits[i];
        for (int k = 0; k < s->shards; k++) {
            const int64_t left = s->rows - k * s->rows_a_shard;
            bool there = false;
            if (dealt++ % flm_comm_size(comm) != flm_comm_rank(comm)) continue;
            FLM_TRY(flm_shard_reclaim(job->out, s->name, k, s->shards, &there));
            if (!there)
                FLM_TRY(flm_shard_create(job->out, s->name, k, s->shards,
                                         left < s->rows_a_shard ? left : s->rows_a_shard, &job->info));
        }
    }
done:
    return rc;
}

flm_status prep_run(prep_job *job, flm_comm *comm)
{
    flm_status rc = FLM_OK;
    prep_standing standing = PREP_BEGUN;

    FLM_TRY(open_state(job, false, comm, &standing));
    FLM_TRY(prep_survey(job, comm));
    FLM_TRY(open_state(job, true, comm, &standing));
    if (standing == PREP_FINISHED) {
        FLM_TRY(say_finished(job, comm));
        goto done;
    }
    FLM_TRY(counts(job, comm));
    FLM_TRY(prep_places(job));
    FLM_TRY(flm_comm_agree(comm, lay_out(job, comm)));
    FLM_TRY(prep_write(job, comm));
    if (flm_comm_rank(comm) == 0) {
        rc = flm_shard_publish(job->out, job->splits, job->splits_count, &job->info);
        if (rc == FLM_OK) rc = prep_state_end(job);
        if (rc == FLM_OK) rc = prep_report(job);
    }
    FLM_TRY(flm_comm_agree(comm, rc));
done:
    if (rc == FLM_E_INTERRUPTED)
        flm_log(FLM_LOG_INFO, "asked to stop; %s is not finished: the same command goes on", job->out);
    return rc;
}
