/* io_checkpoint_resume.c - the checkpoint of a directory from which a run resumes. Damaged files are skipped with a
 * warning.
 *
 * Order: the one that `latest` names, then those before it, newest first, then those after it: they belong to a
 * history that was abandoned, or were renamed by a run that died before it could change `latest`.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/base_log.h"
#include "io/io_checkpoint_internal.h"

#include <inttypes.h>
#include <stdlib.h>

/* Rank 0: the steps in the order in which they are tried. */
static flm_status candidates_list(const char *directory, int64_t **out, int64_t *count)
{
    flm_status rc = FLM_OK;
    int64_t *steps = NULL, *order = NULL, latest = flm_checkpoint_read_latest(directory);
    int listed = 0, upto, n = 0;

    FLM_TRY(flm_checkpoint_list(directory, &steps, &listed));
    upto = listed;
    while (latest >= 0 && upto > 0 && steps[upto - 1] > latest) upto--;
    if (latest >= 0 && (upto == 0 || steps[upto - 1] != latest))
        flm_log(FLM_LOG_WARN, "%s/latest points to step %" PRId64 ", which has no file", directory, latest);
    order = malloc(((size_t)listed + 1) * sizeof *order);
    if (!order) FLM_FAIL(FLM_E_NOMEM, "%s: no memory to list it", directory);
    for (int i = upto - 1; i >= 0; i--) order[n++] = steps[i];
    for (int i = listed - 1; i >= upto; i--) order[n++] = steps[i];
    *out = order;
    *count = n;
    order = NULL;
done:
    free(order);
    free(steps);
    return rc;
}

/* The same list on every rank. Collective. */
static flm_status candidates_share(flm_comm *comm, const char *directory, int64_t **out, int64_t *count)
{
    flm_status rc = FLM_OK, local = FLM_OK;
    int64_t *steps = NULL;

    *count = 0;
    if (flm_comm_rank(comm) == 0) local = candidates_list(directory, &steps, count);
    FLM_TRY(flm_comm_agree(comm, local));
    FLM_TRY(flm_comm_broadcast(comm, count, sizeof *count, 0));
    if (flm_comm_rank(comm) != 0 && !(steps = calloc((size_t)*count + 1, sizeof *steps)))
        local = flm_err_raise(FLM_E_NOMEM, __FILE__, __LINE__, "%s: no memory to list it", directory);
    FLM_TRY(flm_comm_agree(comm, local));
    FLM_TRY(flm_comm_broadcast(comm, steps, *count * (int64_t)sizeof *steps, 0));
    *out = steps;
    steps = NULL;
done:
    free(steps);
    return rc;
}

/* Opened and verified by all ranks together: FLM_OK on all or the same failure on all. Collective. */
static flm_status open_whole(flm_comm *comm, const char *directory, int64_t step, flm_checkpoint **out)
{
    flm_status rc = FLM_OK, local;
    char name[FLM_CHECKPOINT_NAME_BYTES], path[FLM_PATH_BYTES];
    flm_checkpoint *c = NULL;

    flm_checkpoint_file_name(step, name);
    local = flm_path_join(path, directory, name);
    if (local == FLM_OK) local = flm_checkpoint_open(path, &c);
    FLM_TRY(flm_comm_agree(comm, local));
    FLM_TRY(flm_comm_agree(comm, flm_checkpoint_verify_share(c, flm_comm_rank(comm), flm_comm_size(comm))));
    *out = c;
    c = NULL;
done:
    flm_checkpoint_close(&c);
    return rc;
}

flm_status flm_checkpoint_resume(flm_comm *comm, const char *directory, flm_checkpoint **out)
{
    flm_status rc = FLM_OK, tried, local = FLM_OK;
    int64_t *steps = NULL, count = 0;

    FLM_TRY(candidates_share(comm, directory, &steps, &count));
    if (count == 0) *out = NULL;
    for (int64_t i = 0; i < count; i++) {
        tried = open_whole(comm, directory, steps[i], out);
        if (tried == FLM_OK) goto done;
        if (tried != FLM_E_IO && tried != FLM_E_MISSING && tried != FLM_E_FORMAT && tried != FLM_E_CHECKSUM)
            FLM_TRY(tried);
        if (flm_err_get_remote() < 0) /* the rank that detected it */
            flm_log(FLM_LOG_WARN, "%s; %s", flm_err_message(),
                    i + 1 < count ? "trying the previous checkpoint" : "there is no earlier checkpoint");
        flm_err_clear();
    }
    if (count > 0 && flm_comm_rank(comm) == 0)
        local = flm_err_raise(FLM_E_FORMAT, __FILE__, __LINE__,
                              "%s: none of the %" PRId64
                              " checkpoints is valid; to start again from step 0, move them elsewhere",
                              directory, count);
    FLM_TRY(flm_comm_agree(comm, local));
done:
    free(steps);
    return rc;
}
