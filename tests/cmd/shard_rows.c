/* shard_rows.c - for shard.t: prints the rows of a split as numbers, one row a line. shard_rows DIR SPLIT
 * SPDX-License-Identifier: Apache-2.0 */
#include "io/io_shard.h"

#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    flm_status rc = FLM_OK;
    flm_shards *shards = NULL;
    int32_t *ids = NULL;
    int64_t L;

    if (argc != 3) return 2;
    FLM_TRY(flm_shards_open(argv[1], argv[2], &shards));
    L = flm_shards_get_info(shards)->L;
    ids = malloc((size_t)L * sizeof *ids);
    if (!ids) FLM_FAIL(FLM_E_NOMEM, "no memory for a row");
    for (int64_t row = 0; row < flm_shards_get_rows(shards); row++) {
        FLM_TRY(flm_shards_read(shards, &row, 1, ids));
        for (int64_t i = 0; i < L; i++) printf("%d%c", ids[i], i + 1 < L ? ' ' : '\n');
    }
done:
    if (rc != FLM_OK) fprintf(stderr, "shard_rows: %s\n", flm_err_message());
    free(ids);
    flm_shards_close(&shards);
    return rc != FLM_OK;
}
