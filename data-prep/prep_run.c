/* prep_run.c - the order of the passes (prep.h). The state in the output directory is read and written by rank 0, which
 * broadcasts it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "prep.h"

#include "base/base_log.h"

#include <stdio.h>
#include <stdlib.h>

/* The state of the output directory, on every rank. */
static flm_status open_state(const flm_prep_job *job, bool surveyed, flm_comm *comm, flm_prep_state *state)
{
    flm_status rc = FLM_OK;
    int64_t found = 0;

    if (flm_comm_rank(comm) == 0) {
        rc = flm_prep_state_open(job, surveyed, state);
        found = *state;
    }
    FLM_TRY(flm_comm_agree(comm, rc));
    FLM_TRY(flm_comm_broadcast(comm, &found, sizeof found, 0));
    *state = (flm_prep_state)found;
done:
    return rc;
}

/* A directory that is complete already is opened as in training, so that a damaged one is not reported as complete. */
static flm_status report_finished(const flm_prep_job *job, flm_comm *comm)
{
    flm_status rc = FLM_OK;
    flm_shards *train = NULL;

    if (flm_comm_rank(comm) == 0) {
        rc = flm_shards_open(job->out, "train", &train);
        if (rc == FLM_OK) rc = flm_prep_state_remove_counts(job);
        if (rc == FLM_OK)
            printf("flm_shard: %s is complete already, with %lld rows for training; nothing to do\n", job->out,
                   (long long)flm_shards_get_rows(train));
    }
    FLM_TRY(flm_comm_agree(comm, rc));
done:
    flm_shards_close(&train);
    return rc;
}

/* The counts of an interrupted run, on every rank; *loaded is false if there are none. */
static flm_status load_counts(flm_prep_job *job, flm_comm *comm, bool *loaded)
{
    flm_status rc = FLM_OK;
    const int64_t V = job->info.vocabulary.V, groups = job->groups;
    int64_t found[2] = {0, 0};

    if (flm_comm_rank(comm) == 0) {
        rc = flm_prep_state_load_counts(job, loaded);
        found[0] = *loaded;
        found[1] = job->replaced;
    }
    FLM_TRY(flm_comm_agree(comm, rc));
    FLM_TRY(flm_comm_broadcast(comm, found, sizeof found, 0));
    *loaded = found[0] != 0;
    if (!*loaded) goto done;
    job->replaced = found[1];
    if (!job->token_counts) job->token_counts = calloc((size_t)V, sizeof *job->token_counts);
    if (!job->group_ids) job->group_ids = calloc((size_t)groups, sizeof *job->group_ids);
    if (!job->group_checksums) job->group_checksums = calloc((size_t)groups, sizeof *job->group_checksums);
    if (!job->token_counts || !job->group_ids || !job->group_checksums)
        FLM_FAIL(FLM_E_NOMEM, "no memory for the counts");
    FLM_TRY(flm_comm_broadcast(comm, job->token_counts, V * (int64_t)sizeof *job->token_counts, 0));
    FLM_TRY(flm_comm_broadcast(comm, job->group_ids, groups * (int64_t)sizeof *job->group_ids, 0));
    FLM_TRY(flm_comm_broadcast(comm, job->group_checksums, groups * (int64_t)sizeof *job->group_checksums, 0));
done:
    return rc;
}

static flm_status load_or_count(flm_prep_job *job, flm_comm *comm)
{
    flm_status rc = FLM_OK;
    bool loaded = false;

    FLM_TRY(load_counts(job, comm, &loaded));
    if (loaded) {
        flm_log(FLM_LOG_INFO, "resuming %s: the counts of an earlier run are used", job->out);
        goto done;
    }
    FLM_TRY(flm_prep_count(job, comm));
    if (flm_comm_rank(comm) == 0) rc = flm_prep_state_save_counts(job);
    FLM_TRY(flm_comm_agree(comm, rc));
done:
    return rc;
}

/* Create the shards that do not exist yet; the ranks take turns. */
static flm_status lay_out(const flm_prep_job *job, flm_comm *comm)
{
    flm_status rc = FLM_OK;
    int turn = 0;

    for (int i = 0; i < job->splits_count; i++) {
        const flm_shard_split *s = &job->splits[i];
        for (int k = 0; k < s->shards; k++) {
            const int64_t left = s->rows - k * s->rows_a_shard;
            bool exists = false;
            if (turn++ % flm_comm_size(comm) != flm_comm_rank(comm)) continue;
            FLM_TRY(flm_shard_reclaim(job->out, s->name, k, s->shards, &exists));
            if (!exists)
                FLM_TRY(flm_shard_create(job->out, s->name, k, s->shards,
                                         left < s->rows_a_shard ? left : s->rows_a_shard, &job->info));
        }
    }
done:
    return rc;
}

flm_status flm_prep_run(flm_prep_job *job, flm_comm *comm)
{
    flm_status rc = FLM_OK;
    flm_prep_state state = FLM_PREP_BEGUN;
    flm_lock *lock = NULL;

    FLM_TRY(flm_comm_agree(comm, flm_comm_rank(comm) == 0 ? flm_prep_state_lock(job, &lock) : FLM_OK));
    FLM_TRY(open_state(job, false, comm, &state));
    FLM_TRY(flm_prep_survey(job, comm));
    FLM_TRY(open_state(job, true, comm, &state));
    if (state == FLM_PREP_FINISHED) {
        FLM_TRY(report_finished(job, comm));
        goto done;
    }
    FLM_TRY(load_or_count(job, comm));
    FLM_TRY(flm_prep_layout(job));
    FLM_TRY(flm_comm_agree(comm, lay_out(job, comm)));
    FLM_TRY(flm_prep_write(job, comm));
    if (flm_comm_rank(comm) == 0) {
        rc = flm_shard_publish(job->out, job->splits, job->splits_count, &job->info);
        if (rc == FLM_OK) rc = flm_prep_state_remove_counts(job);
        if (rc == FLM_OK) rc = flm_prep_report(job);
    }
    FLM_TRY(flm_comm_agree(comm, rc));
done:
    flm_lock_release(&lock);
    if (rc == FLM_E_INTERRUPTED)
        flm_log(FLM_LOG_INFO, "stopped by a signal; %s is incomplete: run the same command again to resume", job->out);
    return rc;
}
