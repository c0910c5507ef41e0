/* prep_verify.c - flm_shard --verify: reads every row of a shard directory. SPDX-License-Identifier: Apache-2.0 */
#include "prep.h"

#include "process/process.h"

#include <stdio.h>
#include <stdlib.h>

/* Read this rank's rows, a few at a time. */
static flm_status read_share(const flm_shards *shards, flm_comm *comm)
{
    flm_status rc = FLM_OK;
    enum { ROWS = 64 };
    const int64_t size = flm_comm_size(comm), rows = flm_shards_get_rows(shards), L = flm_shards_get_info(shards)->L;
    int64_t numbers[ROWS];
    int32_t *ids = malloc(ROWS * (size_t)L * sizeof *ids);

    if (!ids) FLM_FAIL(FLM_E_NOMEM, "no memory for rows of %lld ids", (long long)L);
    for (int64_t row = flm_comm_rank(comm) * (int64_t)ROWS; row < rows; row += size * ROWS) {
        const int64_t count = rows - row < ROWS ? rows - row : ROWS;
        FLM_TRY(flm_process_poll());
        for (int64_t i = 0; i < count; i++) numbers[i] = row + i;
        FLM_TRY(flm_shards_read(shards, numbers, count, ids));
    }
done:
    free(ids);
    return rc;
}

/* optional: a directory without this split is valid too. */
static flm_status verify_split(const char *directory, const char *split, bool optional, flm_comm *comm)
{
    flm_status rc = FLM_OK;
    flm_shards *shards = NULL;

    rc = flm_shards_open(directory, split, &shards);
    if (rc == FLM_E_MISMATCH && optional) {
        flm_err_clear();
        rc = FLM_OK;
    }
    FLM_TRY(flm_comm_agree(comm, rc));
    if (!shards) goto done;
    rc = read_share(shards, comm);
    FLM_TRY(flm_prep_end_pass(comm, rc));
    if (flm_comm_rank(comm) == 0)
        printf("%s: %s: %lld rows of %lld ids, all valid\n", directory, split, (long long)flm_shards_get_rows(shards),
               (long long)flm_shards_get_info(shards)->L);
done:
    flm_shards_close(&shards);
    return rc;
}

flm_status flm_prep_verify(const char *directory, flm_comm *comm)
{
    flm_status rc = FLM_OK;

    FLM_TRY(verify_split(directory, "train", false, comm));
    FLM_TRY(verify_split(directory, "valid", true, comm));
done:
    return rc;
}
