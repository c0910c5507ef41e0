/* score_baseline.c - see score_baseline.h. SPDX-License-Identifier: Apache-2.0 */
#include "score/compare/score_baseline.h"

#include "base/base_philox.h"
#include "base/base_share.h"

#include <inttypes.h>
#include <stdlib.h>

const char *const flm_baseline_names[FLM_BASELINE_KINDS] = {"unigram", "bigram"};

struct flm_baseline {
    int64_t V, L, count;
    int32_t begin_id;
    int64_t *first;     /* [V + 1]: the successors of id a are successor[first[a]] .. successor[first[a + 1] - 1] */
    int32_t *successor; /* [count] */
};

/* Reads the rows twice: to count every token's successors, then to store them. first[a + 1] is where the next
 * successor of a goes. */
static flm_status read_rows(flm_baseline *b, const flm_shards *shards, int64_t rows, int32_t *ids, bool store)
{
    flm_status rc = FLM_OK;
    for (int64_t i = 0; i < rows; i++) {
        const int64_t row = flm_share_of(flm_shards_get_rows(shards), i, rows).first;
        FLM_TRY(flm_shards_read(shards, &row, 1, ids));
        for (int64_t k = 1; k < b->L; k++)
            if (store)
                b->successor[b->first[ids[k - 1] + 1]++] = ids[k];
            else
                b->first[ids[k - 1] + 1]++;
    }
done:
    return rc;
}

/* From numbers of successors to where they begin: first[a + 1] becomes the sum of those below a. */
static void prefix_sums(flm_baseline *b)
{
    int64_t sum = 0;
    for (int64_t a = 0; a < b->V; a++) {
        const int64_t own = b->first[a + 1];
        b->first[a + 1] = sum;
        sum += own;
    }
}

flm_status flm_baseline_create(const flm_shards *shards, int64_t max_tokens, flm_baseline **out)
{
    flm_status rc = FLM_OK;
    const flm_shard_info *info = flm_shards_get_info(shards);
    const int64_t all = flm_shards_get_rows(shards), max = max_tokens / info->L,
                  rows = all <= max ? all
                         : max > 0  ? max
                                    : 1;
    flm_baseline *b = calloc(1, sizeof *b);
    int32_t *ids = malloc((size_t)info->L * sizeof *ids);
    if (!b || !ids) FLM_FAIL(FLM_E_NOMEM, "baselines: no memory for a row");
    b->V = info->vocabulary.V;
    b->L = info->L;
    b->begin_id = (int32_t)info->vocabulary.begin_id;
    b->count = rows * (b->L - 1);
    if (b->count == 0) FLM_FAIL(FLM_E_FORMAT, "baselines: the shards have no rows of two tokens");
    b->first = calloc((size_t)b->V + 1, sizeof *b->first);
    b->successor = malloc((size_t)b->count * sizeof *b->successor);
    if (!b->first || !b->successor)
        FLM_FAIL(FLM_E_NOMEM, "baselines: no memory for the counts of %" PRId64 " tokens", b->count);
    FLM_TRY(read_rows(b, shards, rows, ids, false));
    prefix_sums(b);
    FLM_TRY(read_rows(b, shards, rows, ids, true));
    *out = b;
    b = NULL;
done:
    free(ids);
    flm_baseline_destroy(&b);
    return rc;
}

static int32_t choose(const flm_baseline *b, flm_baseline_kind kind, int32_t before, double uniform)
{
    const int64_t first = b->first[before], count = b->first[before + 1] - first;
    if (kind == FLM_BASELINE_UNIGRAM || count == 0) return b->successor[(int64_t)(uniform * (double)b->count)];
    return b->successor[first + (int64_t)(uniform * (double)count)];
}

void flm_baseline_draw(const flm_baseline *b, flm_baseline_kind kind, uint64_t seed, int64_t rows, int32_t *ids)
{
    const uint64_t stream = flm_philox_stream(seed, FLM_RANDOM_BASELINE, 0, (uint32_t)kind);
    for (int64_t r = 0; r < rows; r++) {
        int32_t *row = ids + r * b->L;
        row[0] = b->begin_id;
        for (int64_t k = 1; k < b->L; k++) {
            const flm_philox4 random = flm_philox_at(stream, (uint64_t)r, (uint32_t)k, 0);
            row[k] = choose(b, kind, row[k - 1], flm_philox_uniform(random.v[0], random.v[1]));
        }
    }
}

void flm_baseline_destroy(flm_baseline **baseline)
{
    flm_baseline *b = *baseline;
    if (!b) return;
    *baseline = NULL;
    free(b->first);
    free(b->successor);
    free(b);
}
