/* score_rows.c - see score_rows.h: block i is scored by rank i modulo the number of ranks.
 * SPDX-License-Identifier: Apache-2.0 */
#include "score/score_rows.h"

#include "base/base_log.h"
#include "base/base_progress.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

typedef struct rows_run {
    flm_scorer *scorer;
    const flm_score_source *source;
    int64_t *missing; /* [missing_count] rows to score */
    int64_t missing_count;
    int64_t scored;                 /* rows that the protocol scores, the first ones */
    int64_t batch_first, batch_end; /* the protocol's batch whose longest text has `longest` ids; empty: none yet */
    size_t longest;
    int64_t *starts;       /* [batch + 1] */
    flm_text_score *score; /* [batch] */
    flm_ids ids;
} rows_run;

static flm_status run_begin(rows_run *r, const bool *present)
{
    flm_status rc = FLM_OK;
    const int64_t batch = flm_scorer_get_batch(r->scorer);
    r->missing = malloc((size_t)(r->source->rows + 1) * sizeof *r->missing);
    r->starts = malloc((size_t)(batch + 1) * sizeof *r->starts);
    r->score = malloc((size_t)batch * sizeof *r->score);
    if (!r->missing || !r->starts || !r->score)
        FLM_FAIL(FLM_E_NOMEM, "%s: no memory to score %" PRId64 " rows", r->source->name, r->source->rows);
    r->scored = flm_score_protocol_count(flm_scorer_get_protocol(r->scorer), r->source->rows);
    for (int64_t i = 0; i < r->scored; i++)
        if (!present[i]) r->missing[r->missing_count++] = i;
done:
    return rc;
}

/* Appends the ids of a row. */
static flm_status encode_row(rows_run *r, int64_t row, flm_ids *ids)
{
    flm_status rc = FLM_OK;
    char *text = NULL;
    size_t bytes;
    FLM_TRY(r->source->text(r->source->context, row, &text, &bytes));
    FLM_TRY(flm_scorer_encode(r->scorer, text, bytes, r->source->length, ids));
done:
    free(text);
    return rc;
}

/* Finds the longest text of the row's batch, for the protocol that pads. Rows come in ascending order. */
static flm_status find_longest(rows_run *r, int64_t row)
{
    flm_status rc = FLM_OK;
    flm_ids ids = {0};
    if (row >= r->batch_first && row < r->batch_end) goto done;
    flm_score_protocol_batch(flm_scorer_get_protocol(r->scorer), r->source->rows, row, &r->batch_first, &r->batch_end);
    r->longest = 0;
    for (int64_t i = r->batch_first; i < r->batch_end && r->batch_end - r->batch_first > 1; i++) {
        ids.count = 0;
        FLM_TRY(encode_row(r, i, &ids));
        if (ids.count > r->longest) r->longest = ids.count;
    }
done:
    free(ids.ids);
    return rc;
}

/* Scores rows missing[first] .. missing[first + count - 1]. */
static flm_status score_block(rows_run *r, int64_t first, int64_t count, double *nll, int64_t *positions)
{
    flm_status rc = FLM_OK;
    const flm_score_source *source = r->source;
    r->ids.count = 0;
    r->starts[0] = 0;
    for (int64_t i = 0; i < count; i++) {
        FLM_TRY(find_longest(r, r->missing[first + i]));
        FLM_TRY(encode_row(r, r->missing[first + i], &r->ids));
        FLM_TRY(flm_scorer_pad(r->scorer, r->starts[i], r->longest, &r->ids));
        r->starts[i + 1] = (int64_t)r->ids.count;
    }
    if (r->ids.count > 0)
        FLM_TRY(flm_scorer_score(r->scorer, r->ids.ids, r->starts, count, r->score));
    else
        memset(r->score, 0, (size_t)count * sizeof *r->score);
    for (int64_t i = 0; i < count; i++) {
        const int64_t row = r->missing[first + i];
        nll[row] = r->score[i].nll;
        positions[row] = r->score[i].positions;
        if (source->store) FLM_TRY(source->store(source->context, row, &r->score[i]));
    }
done:
    return flm_err_prefix(rc, source->name);
}

static flm_status score_blocks(rows_run *r, int rank, int size, double *nll, int64_t *positions,
                               bool (*stop_requested)(void), bool *stopped)
{
    flm_status rc = FLM_OK;
    const int64_t batch = flm_scorer_get_batch(r->scorer), blocks = (r->missing_count + batch - 1) / batch;
    flm_progress progress = flm_progress_begin(0, rank == 0);
    for (int64_t block = rank; block < blocks; block += size) {
        *stopped = stop_requested();
        if (*stopped) goto done;
        const int64_t first = block * batch, rest = r->missing_count - first;
        FLM_TRY(score_block(r, first, rest < batch ? rest : batch, nll, positions));
        flm_progress_show(&progress, (double)(block / size + 1), (double)((blocks - rank + size - 1) / size), "%s",
                          r->source->name);
    }
done:
    flm_progress_clear(&progress);
    return rc;
}

/* Every rank gets every rank's new rows: each row was scored by one rank and is zero on the others. */
static flm_status rows_share(flm_comm *comm, const rows_run *r, double *nll, int64_t *positions)
{
    flm_status rc = FLM_OK, local = FLM_OK;
    double *all = malloc((size_t)(2 * r->missing_count + 1) * sizeof *all);
    if (!all) local = flm_err_raise(FLM_E_NOMEM, __FILE__, __LINE__, "%s: no memory for its scores", r->source->name);
    FLM_TRY(flm_comm_agree(comm, local));
    for (int64_t i = 0; i < r->missing_count; i++) {
        all[2 * i] = nll[r->missing[i]];
        all[2 * i + 1] = (double)positions[r->missing[i]];
    }
    FLM_TRY(flm_comm_sum_f64(comm, all, 2 * r->missing_count));
    for (int64_t i = 0; i < r->missing_count; i++) {
        nll[r->missing[i]] = all[2 * i];
        positions[r->missing[i]] = (int64_t)all[2 * i + 1];
    }
done:
    free(all);
    return rc;
}

flm_status flm_score_rows_compute(flm_comm *comm, flm_scorer *scorer, const flm_score_source *source, double *nll,
                                  int64_t *positions, const bool *present, bool (*stop_requested)(void))
{
    flm_status rc = FLM_OK;
    rows_run r = {.scorer = scorer, .source = source};
    bool stopped = false;
    int64_t stops;

    FLM_TRY(flm_comm_agree(comm, run_begin(&r, present)));
    for (int64_t i = r.scored; i < source->rows; i++) nll[i] = 0, positions[i] = 0;
    for (int64_t i = 0; i < r.missing_count; i++) nll[r.missing[i]] = 0, positions[r.missing[i]] = 0;
    flm_log(FLM_LOG_INFO, "%s: %" PRId64 " of %" PRId64 " texts to score", source->name, r.missing_count, r.scored);
    FLM_TRY(flm_comm_agree(
        comm, score_blocks(&r, flm_comm_rank(comm), flm_comm_size(comm), nll, positions, stop_requested, &stopped)));
    stops = stopped;
    FLM_TRY(flm_comm_max_i64(comm, &stops, 1));
    if (stops) {
        flm_log(FLM_LOG_INFO, "stopped early; %s",
                source->store ? "the scores so far are stored, run the same command to compute the rest"
                              : "the scores so far are lost, --scores-dir would store those of text files");
        FLM_FAIL(FLM_E_INTERRUPTED, "stopped early");
    }
    FLM_TRY(rows_share(comm, &r, nll, positions));
done:
    free(r.missing);
    free(r.starts);
    free(r.score);
    free(r.ids.ids);
    return rc;
}
