/* score_files.c - see score_files.h. SPDX-License-Identifier: Apache-2.0 */
#include "score/score_files.h"
#include "base/base_file.h"

#include "base/base_log.h"
#include "h5/h5_format.h"
#include "score/compare/score_compare.h"
#include "score/score_report.h"
#include "score/score_rows.h"
#include "score/score_samples.h"
#include "score/score_store.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

typedef struct scoring {
    flm_comm *comm;
    const flm_score_options *o;
    flm_scorer *scorer; /* NULL: report the figures that samples files have recorded */
    int64_t *steps;     /* [steps_count] of --steps; none: all */
    int steps_count;
    flm_score_entry *entries; /* [count], the result of each set */
    int count;
    bool (*stop_requested)(void);
} scoring;

static flm_status entry_add(scoring *s, const flm_score_entry *entry, flm_score_entry **out)
{
    flm_status rc = FLM_OK;
    flm_score_entry *grown = realloc(s->entries, (size_t)(s->count + 1) * sizeof *grown);
    if (!grown) FLM_FAIL(FLM_E_NOMEM, "no memory for %d results", s->count);
    s->entries = grown;
    s->entries[s->count] = *entry;
    s->entries[s->count].protocol = s->o->protocol;
    *out = &s->entries[s->count++];
done:
    return rc;
}

/* ---- samples files ---- */

static bool is_wanted(const scoring *s, int64_t steps)
{
    for (int i = 0; i < s->steps_count; i++)
        if (s->steps[i] == steps) return true;
    return s->steps_count == 0;
}

/* The figures that a samples file has recorded. Rank 0 checks that the rows and scores they are of are not damaged. */
static flm_status stored_result_read(const scoring *s, flm_samples *file, int set, flm_score_entry *e)
{
    flm_status rc = FLM_OK;
    int64_t rows, scores;
    char scorer[512];
    if (flm_comm_rank(s->comm) == 0) {
        FLM_TRY(flm_samples_verify(file, set, &rows));
        FLM_TRY(flm_samples_verify_scores(file, set, &scores));
    }
    FLM_TRY(flm_score_result_read(file, set, &e->result, &e->scored));
    FLM_TRY(flm_samples_get_scorer(file, set, scorer, sizeof scorer));
    e->protocol = flm_score_protocol_find(scorer);
    if (e->scored) flm_score_entry_set_scorer(e, scorer, 0);
    e->result.dropped = e->result.rows - flm_score_protocol_count(&e->protocol, e->result.rows);
done:
    return rc;
}

static flm_status samples_score(scoring *s, const char *path)
{
    flm_status rc = FLM_OK, local;
    flm_samples *file = NULL;
    flm_score_entry *e = NULL;
    uint32_t identity;
    int64_t length = 0;
    int used = 0;

    FLM_TRY(flm_comm_agree(s->comm, flm_samples_open_read(path, &file)));
    if (s->scorer) {
        length = flm_score_samples_length(s->scorer, flm_samples_get_info(file)->L, s->o->length);
        flm_samples_close(&file);
        FLM_TRY(flm_samples_open_scores(s->comm, path, s->o->token_nll ? length : 0, &file));
    }
    for (int i = 0; i < flm_samples_count(file); i++) {
        if (!is_wanted(s, flm_samples_get_setting(file, i)->steps)) continue;
        used++;
        const flm_score_entry own = flm_score_entry_of_set(path, file, i);
        local = entry_add(s, &own, &e);
        if (local == FLM_OK && !s->scorer) local = stored_result_read(s, file, i, e);
        FLM_TRY(flm_comm_agree(s->comm, local));
        if (!s->scorer) continue;
        FLM_TRY(flm_score_samples_compute(s->comm, s->scorer, file, path, i, s->o->length, s->o->token_nll,
                                          s->o->bootstrap, (uint64_t)s->o->seed, s->stop_requested, &e->result));
        e->scored = true;
        flm_score_entry_set_scorer(e, flm_scorer_describe(s->scorer, &identity), length);
    }
    if (used == 0)
        FLM_FAIL(FLM_E_USAGE, "%s: has no samples with these numbers of steps: --steps %s", path, s->o->steps);
    if (s->scorer) FLM_TRY(flm_samples_commit(s->comm, file));
    FLM_TRY(flm_comm_agree(s->comm, flm_samples_close(&file)));
done:
    flm_samples_close(&file);
    return rc;
}

/* ---- texts ---- */

static flm_status text_get(void *context, int64_t row, char **text, size_t *bytes)
{
    flm_status rc = FLM_OK;
    const flm_score_texts *t = ((const flm_score_store *)context)->texts;
    *bytes = (size_t)(t->starts[row + 1] - t->starts[row]);
    *text = malloc(*bytes + 1);
    if (!*text) FLM_FAIL(FLM_E_NOMEM, "no memory for a text of %zu bytes", *bytes);
    if (*bytes > 0) memcpy(*text, t->data + t->starts[row], *bytes); /* data is NULL if all texts are empty */
    (*text)[*bytes] = '\0';
done:
    return rc;
}

static flm_status text_store(void *context, int64_t row, const flm_text_score *score)
{
    return flm_score_store_write(context, row, score);
}

/* Rank 0 reads the stored scores; every rank gets them. nll, positions, present [count]. Collective. */
static flm_status stored_scores_share(const scoring *s, flm_score_store *store, const char *path, double *nll,
                                      int64_t *positions, bool *present)
{
    flm_status rc = FLM_OK, local;
    const int64_t n = store->texts->count;
    local = flm_score_store_open(store, s->o->scores_dir, path, flm_comm_rank(s->comm) == 0);
    if (local == FLM_OK && flm_comm_rank(s->comm) == 0)
        local = flm_err_prefix(flm_score_store_read(store, nll, positions, present), path);
    FLM_TRY(flm_comm_agree(s->comm, local));
    FLM_TRY(flm_comm_broadcast(s->comm, nll, n * (int64_t)sizeof *nll, 0));
    FLM_TRY(flm_comm_broadcast(s->comm, positions, n * (int64_t)sizeof *positions, 0));
    FLM_TRY(flm_comm_broadcast(s->comm, present, n * (int64_t)sizeof *present, 0));
done:
    return rc;
}

/* The figures; entropy and n-grams are those of GPT-2's ids. */
static flm_status texts_result(const scoring *s, const flm_score_texts *t, const double *nll, const int64_t *positions,
                               flm_score_result *out)
{
    flm_status rc = FLM_OK;
    flm_ids ids = {0};
    int64_t *starts = calloc((size_t)t->count + 1, sizeof *starts);
    if (!starts) FLM_FAIL(FLM_E_NOMEM, "no memory for %" PRId64 " texts", t->count);
    for (int64_t i = 0; i < t->count; i++) {
        FLM_TRY(flm_scorer_encode(s->scorer, t->data + t->starts[i], (size_t)(t->starts[i + 1] - t->starts[i]),
                                  s->o->length, &ids));
        starts[i + 1] = (int64_t)ids.count;
    }
    FLM_TRY(flm_score_result_compute(nll, positions, flm_score_protocol_count(&s->o->protocol, t->count),
                                     &(flm_id_rows){ids.ids, starts, t->count}, s->o->bootstrap, (uint64_t)s->o->seed,
                                     out));
done:
    free(ids.ids);
    free(starts);
    return rc;
}

static flm_status texts_score(scoring *s, const char *path)
{
    flm_status rc = FLM_OK, local;
    flm_source_rules rules = s->o->source;
    flm_score_texts texts = {0};
    const flm_score_entry own = flm_score_entry_of_texts(path);
    flm_score_entry *e = NULL;
    double *nll = NULL;
    int64_t *positions = NULL;
    bool *present = NULL;
    flm_score_store store = {.texts = &texts, .protocol = s->o->protocol, .length = s->o->length, .fd = -1};

    if (!s->scorer) FLM_FAIL(FLM_E_USAGE, "%s: is a text file; --gpt2 is needed to score it", path);
    rules.keep_white = true;
    rules.log = flm_comm_rank(s->comm) == 0;
    FLM_TRY(flm_comm_agree(s->comm, flm_score_texts_read(path, &rules, &texts)));
    nll = calloc((size_t)texts.count, sizeof *nll);
    positions = calloc((size_t)texts.count, sizeof *positions);
    present = calloc((size_t)texts.count, sizeof *present);
    local = entry_add(s, &own, &e);
    if (!nll || !positions || !present)
        local = flm_err_raise(FLM_E_NOMEM, __FILE__, __LINE__, "%s: no memory for its scores", path);
    FLM_TRY(flm_comm_agree(s->comm, local));
    const char *scorer = flm_scorer_describe(s->scorer, &store.scorer);
    if (s->o->scores_dir[0]) FLM_TRY(stored_scores_share(s, &store, path, nll, positions, present));
    const flm_score_source source = {&store,       path,     texts.count,
                                     s->o->length, text_get, s->o->scores_dir[0] ? text_store : NULL};
    FLM_TRY(flm_score_rows_compute(s->comm, s->scorer, &source, nll, positions, present, s->stop_requested));
    if (flm_comm_rank(s->comm) == 0) local = flm_err_prefix(texts_result(s, &texts, nll, positions, &e->result), path);
    FLM_TRY(flm_comm_agree(s->comm, local));
    e->scored = true;
    flm_score_entry_set_scorer(e, scorer, s->o->length ? s->o->length : flm_scorer_get_length(s->scorer));
done:
    free(nll);
    free(positions);
    free(present);
    flm_score_store_close(&store);
    flm_score_texts_free(&texts);
    return rc;
}

/* ---- all files ---- */

static flm_status report(const scoring *s)
{
    flm_status rc = FLM_OK;
    flm_score_report_mark_frontier(s->entries, s->count);
    if (s->o->compare && !s->o->sweep)
        FLM_TRY(flm_score_report_print_comparison(s->entries, s->count));
    else
        flm_score_report_print(s->entries, s->count);
    if (s->o->sweep) FLM_TRY(flm_score_report_print_frontier(s->entries, s->count));
    if (s->o->json[0]) FLM_TRY(flm_score_report_write_entries(s->o->json, s->entries, s->count));
    for (int i = 0; i < s->count; i++)
        if (s->entries[i].scored && s->scorer && s->entries[i].result.positions == 0)
            FLM_FAIL(FLM_E_FORMAT, "%s: no text can be scored: each has fewer than 2 tokens", s->entries[i].path);
done:
    return rc;
}

flm_status flm_score_files_check(flm_comm *comm, const flm_score_options *o)
{
    flm_score_compare *compare = NULL;
    const flm_status rc = flm_score_compare_begin(comm, o, NULL, 0, &compare);
    flm_score_compare_end(&compare);
    return rc;
}

flm_status flm_score_files_run(flm_comm *comm, flm_backend *be, const flm_score_options *o, const char *const *paths,
                               int count, bool (*stop_requested)(void))
{
    flm_status rc = FLM_OK;
    scoring s = {.comm = comm, .o = o, .stop_requested = stop_requested};
    flm_score_compare *compare = NULL;
    flm_lock *lock = NULL; /* of --json */
    bool hdf5 = false;

    if (count == 0) FLM_FAIL(FLM_E_USAGE, "no files to score; see --help");
    if (o->token_nll && !o->gpt2[0]) FLM_FAIL(FLM_E_USAGE, "--token-nll needs --gpt2");
    if (!o->gpt2[0] && !o->compare)
        FLM_FAIL(FLM_E_USAGE, "--gpt2 FILE is required: GPT-2 checkpoint made by flm_convert");
    if (o->json[0])
        FLM_TRY(flm_comm_agree(comm, flm_comm_rank(comm) == 0 ? flm_score_report_claim(o->json, paths, count, &lock)
                                                              : FLM_OK));
    if (o->steps[0]) FLM_TRY(flm_options_int_list("steps", o->steps, 1, 1 << 20, &s.steps, &s.steps_count));
    FLM_TRY(flm_score_compare_begin(comm, o, paths, count, &compare));
    if (o->gpt2[0]) {
        flm_log(FLM_LOG_INFO, "%s", flm_backend_describe(be));
        FLM_TRY(flm_comm_agree(comm, flm_scorer_create(be, o->gpt2, flm_scorer_dtype(be, (flm_precision)o->precision),
                                                       o->batch, o->length, o->chunk, &o->protocol, &s.scorer)));
    }
    for (int i = 0; i < count; i++) {
        FLM_TRY(flm_comm_agree(comm, flm_format_is_hdf5(paths[i], &hdf5)));
        FLM_TRY(hdf5 ? samples_score(&s, paths[i]) : texts_score(&s, paths[i]));
    }
    FLM_TRY(flm_score_compare_run(compare, s.scorer, &s.entries, &s.count, stop_requested));
    FLM_TRY(flm_comm_agree(comm, flm_comm_rank(comm) == 0 ? report(&s) : FLM_OK));
done:
    flm_score_compare_end(&compare);
    flm_lock_release(&lock);
    flm_scorer_destroy(&s.scorer);
    free(s.steps);
    free(s.entries);
    return rc;
}
