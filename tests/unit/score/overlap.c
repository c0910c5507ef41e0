/* overlap.c - the share of n-grams that occur in shards, against counting them one by one.
 * SPDX-License-Identifier: Apache-2.0 */
#include "score/compare/score_overlap.h"
#include "tests/unit/score/shards.h"

#include <math.h>

enum { L = 29, ROWS = 7, SETS = 3, SET_ROWS = 9 };

static int32_t shard[ROWS * L];

static bool never(void) { return false; }
static bool always(void) { return true; }

/* Two symbols, so that many 4-grams, some 8-grams and few 16-grams occur by chance. */
static int32_t symbol(int64_t i)
{
    const uint64_t x = (uint64_t)(i + 1) * 0x9E3779B97F4A7C15u;
    return (int32_t)(60 + ((x ^ x >> 29) * 0xBF58476D1CE4E5B9u >> 63));
}

/* Rows of other lengths, shorter ones than an n-gram too; row 7 is from the shards. */
static void set_make(int set, int32_t *ids, int64_t *starts)
{
    static const int64_t lengths[SET_ROWS] = {4, 0, 8, 3, 16, 57, 1, 20, 7};
    starts[0] = 0;
    for (int r = 0; r < SET_ROWS; r++) {
        starts[r + 1] = starts[r] + lengths[r];
        for (int64_t i = starts[r]; i < starts[r + 1]; i++)
            ids[i] = r == 7 && set == 1 ? shard[3 * L + 5 + i - starts[r]] : symbol(7777 * (set + 1) + i);
    }
}

static bool occurs(const int32_t *gram, int n)
{
    for (int64_t r = 0; r < ROWS; r++)
        for (int64_t i = 0; i + n <= L; i++)
            if (memcmp(shard + r * L + i, gram, (size_t)n * sizeof *gram) == 0) return true;
    return false;
}

static double count_share(const flm_id_rows *set, int n)
{
    int64_t all = 0, found = 0;
    for (int64_t r = 0; r < set->rows; r++)
        for (int64_t i = set->starts[r]; i + n <= set->starts[r + 1]; i++, all++) found += occurs(set->ids + i, n);
    return all > 0 ? (double)found / (double)all : NAN;
}

int main(int argc, char **argv)
{
    char directory[32] = "";
    flm_comm *comm = NULL;
    flm_shards *shards = NULL;
    int32_t ids[SETS][SET_ROWS * 60];
    int64_t starts[SETS][SET_ROWS + 1];
    flm_id_rows sets[SETS];
    double share[SETS][FLM_OVERLAP_ORDERS];

    MPI_Init(&argc, &argv);
    for (int64_t i = 0; i < ROWS * L; i++) shard[i] = symbol(i);
    for (int s = 0; s < SETS; s++) {
        set_make(s, ids[s], starts[s]);
        sets[s] = (flm_id_rows){ids[s], starts[s], s == 2 ? 2 : SET_ROWS};
    }
    tap_ok(flm_comm_create(MPI_COMM_WORLD, &comm) == FLM_OK && shards_write(directory, ROWS, L, shard) == FLM_OK &&
               flm_shards_open(directory, "train", &shards) == FLM_OK,
           "shards are written and opened %s", flm_err_message());
    tap_ok(flm_overlap_compute(comm, shards, sets, SETS, never, share) == FLM_OK, "n-grams are compared");
    for (int s = 0; s < SETS; s++)
        for (int k = 0; k < FLM_OVERLAP_ORDERS; k++) {
            const double want = count_share(&sets[s], flm_overlap_orders[k]);
            tap_ok(isnan(want) ? isnan(share[s][k]) : share[s][k] == want, "set %d, %d-grams: %g, expected %g", s,
                   flm_overlap_orders[k], share[s][k], want);
        }
    tap_ok(share[0][1] > 0 && share[0][1] < 1 && share[1][2] > share[0][2], "the figures differ");
    tap_ok(flm_overlap_compute(comm, shards, sets, SETS, always, share) == FLM_E_INTERRUPTED, "a stop is obeyed");
    flm_shards_close(&shards);
    shards_remove(directory);
    flm_comm_destroy(&comm);
    MPI_Finalize();
    return tap_end();
}
