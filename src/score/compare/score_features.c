/* score_features.c - see score_features.h: block i is computed by rank i modulo the number of ranks.
 * SPDX-License-Identifier: Apache-2.0 */
#include "score/compare/score_features.h"

#include "base/base_log.h"
#include "base/base_progress.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { REDUCE = 1 << 16 };

typedef struct features_run {
    flm_scorer *scorer;
    const flm_score_set *set;
    int64_t length, d;
    float *x;        /* [rows, d + 1]; the last one is 1 for texts that have features */
    float *block;    /* [batch, d] */
    int64_t *starts; /* [batch + 1] */
    int64_t *row;    /* [batch]: of each text of a block */
    flm_ids ids;
} features_run;

static flm_status run_begin(features_run *r)
{
    flm_status rc = FLM_OK;
    const size_t batch = (size_t)flm_scorer_get_batch(r->scorer), d = (size_t)r->d;
    r->x = calloc((size_t)r->set->rows * (d + 1), sizeof *r->x);
    r->block = malloc(batch * d * sizeof *r->block);
    r->starts = calloc(batch + 1, sizeof *r->starts);
    r->row = malloc(batch * sizeof *r->row);
    if (!r->x || !r->block || !r->starts || !r->row)
        FLM_FAIL(FLM_E_NOMEM, "%s: no memory for the features of %" PRId64 " texts", r->set->path, r->set->rows);
done:
    return rc;
}

static flm_status compute_block(features_run *r, int64_t first, int64_t count)
{
    flm_status rc = FLM_OK;
    char *text = NULL;
    size_t bytes;
    int64_t texts = 0;
    r->ids.count = 0;
    for (int64_t i = first; i < first + count; i++) {
        FLM_TRY(flm_score_set_get_text(r->set, i, true, &text, &bytes));
        FLM_TRY(flm_scorer_encode(r->scorer, text, bytes, r->length, &r->ids));
        free(text);
        text = NULL;
        if ((int64_t)r->ids.count == r->starts[texts]) continue;
        r->row[texts++] = i;
        r->starts[texts] = (int64_t)r->ids.count;
    }
    if (texts == 0) goto done;
    FLM_TRY(flm_scorer_compute_features(r->scorer, r->ids.ids, r->starts, texts, r->block));
    for (int64_t b = 0; b < texts; b++) {
        float *to = r->x + r->row[b] * (r->d + 1);
        memcpy(to, r->block + b * r->d, (size_t)r->d * sizeof *to);
        to[r->d] = 1;
    }
done:
    free(text);
    return flm_err_prefix(rc, r->set->path);
}

static flm_status compute_blocks(features_run *r, int rank, int size, bool (*stop_requested)(void), bool *stopped)
{
    flm_status rc = FLM_OK;
    const int64_t batch = flm_scorer_get_batch(r->scorer), rows = r->set->rows, blocks = (rows + batch - 1) / batch;
    flm_progress progress = flm_progress_begin(0, rank == 0);
    for (int64_t block = rank; block < blocks; block += size) {
        *stopped = stop_requested();
        if (*stopped) break;
        const int64_t first = block * batch, rest = rows - first;
        FLM_TRY(compute_block(r, first, rest < batch ? rest : batch));
        flm_progress_show(&progress, (double)(block + 1), (double)blocks, "features of %s", r->set->path);
    }
done:
    flm_progress_clear(&progress);
    return rc;
}

/* Every rank gets every rank's rows: each was computed by one rank and is zero on the others, so that sums are exact.
 */
static flm_status rows_share(flm_comm *comm, features_run *r)
{
    flm_status rc = FLM_OK;
    const int64_t all = r->set->rows * (r->d + 1);
    double *part = malloc(REDUCE * sizeof *part);
    FLM_TRY(
        flm_comm_agree(comm, part ? FLM_OK : flm_err_raise(FLM_E_NOMEM, __FILE__, __LINE__, "no memory for features")));
    for (int64_t first = 0; first < all; first += REDUCE) {
        const int64_t count = all - first < REDUCE ? all - first : REDUCE;
        for (int64_t i = 0; i < count; i++) part[i] = (double)r->x[first + i];
        FLM_TRY(flm_comm_sum_f64(comm, part, count));
        for (int64_t i = 0; i < count; i++) r->x[first + i] = (float)part[i];
    }
done:
    free(part);
    return rc;
}

flm_status flm_features_compute(flm_comm *comm, flm_scorer *scorer, const flm_score_set *set, int64_t length,
                                bool (*stop_requested)(void), flm_features *out)
{
    flm_status rc = FLM_OK;
    features_run r = {.scorer = scorer, .set = set, .length = length, .d = flm_scorer_get_width(scorer)};
    bool stopped = false;
    int64_t stops, rows = 0;

    FLM_TRY(flm_comm_agree(comm, run_begin(&r)));
    FLM_TRY(
        flm_comm_agree(comm, compute_blocks(&r, flm_comm_rank(comm), flm_comm_size(comm), stop_requested, &stopped)));
    stops = stopped;
    FLM_TRY(flm_comm_max_i64(comm, &stops, 1));
    if (stops) {
        flm_log(FLM_LOG_INFO, "stopped early, while features for MAUVE were computed; run the same command again");
        FLM_FAIL(FLM_E_INTERRUPTED, "stopped early");
    }
    FLM_TRY(rows_share(comm, &r));
    for (int64_t i = 0; i < set->rows; i++) {
        const float *from = r.x + i * (r.d + 1);
        if (from[r.d] != 1) continue;
        memmove(r.x + rows * r.d, from, (size_t)r.d * sizeof *r.x);
        rows++;
    }
    *out = (flm_features){rows, r.d, r.x};
    r.x = NULL;
done:
    free(r.x);
    free(r.block);
    free(r.starts);
    free(r.row);
    free(r.ids.ids);
    return rc;
}

void flm_features_free(flm_features *features)
{
    free(features->x);
    *features = (flm_features){0};
}
