/* score_compare.c - see score_compare.h. SPDX-License-Identifier: Apache-2.0 */
#include "score/compare/score_compare.h"

#include "h5/h5_format.h"
#include "score/compare/score_baseline.h"
#include "score/compare/score_overlap.h"
#include "score/compare/score_reference.h"
#include "score/compare/score_set.h"
#include "score/score_rows.h"
#include "score/score_samples.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct flm_score_compare {
    flm_comm *comm;
    const flm_score_options *o;
    flm_shards *shards;  /* of --shards: the training rows; NULL: none */
    flm_score_set *sets; /* [count], one an entry */
    int count;
};

static flm_source_rules rules_of(const flm_score_compare *c)
{
    flm_source_rules rules = c->o->source;
    rules.keep_white = true;
    rules.log = false;
    return rules;
}

/* A samples file must have the shards' vocabulary, and every file as many texts as MAUVE needs. */
static flm_status check_file(const flm_score_compare *c, const char *path)
{
    flm_status rc = FLM_OK;
    const flm_source_rules rules = rules_of(c);
    flm_samples *file = NULL;
    flm_score_texts texts = {0};
    int64_t rows;
    bool hdf5 = false;
    FLM_TRY(flm_format_is_hdf5(path, &hdf5));
    if (hdf5) {
        FLM_TRY(flm_samples_open_read(path, &file));
        rows = flm_samples_get_info(file)->samples;
        if (c->shards)
            FLM_TRY(flm_score_set_check_vocabulary(path, &flm_samples_get_info(file)->vocabulary, c->o->shards,
                                                   &flm_shards_get_info(c->shards)->vocabulary));
    } else {
        FLM_TRY(flm_score_texts_read(path, &rules, &texts));
        rows = texts.count;
    }
    if (c->o->reference[0] && rows < FLM_MAUVE_TEXTS)
        FLM_FAIL(FLM_E_MISMATCH, "%s: has %" PRId64 " texts; MAUVE against --reference needs at least %d", path, rows,
                 FLM_MAUVE_TEXTS);
done:
    flm_score_texts_free(&texts);
    flm_samples_close(&file);
    return rc;
}

static flm_status check_inputs(flm_score_compare *c, const char *const *paths, int count)
{
    flm_status rc = FLM_OK;
    const flm_source_rules rules = rules_of(c);
    flm_score_set reference = {0};
    if (c->o->shards[0]) FLM_TRY(flm_err_prefix(flm_shards_open(c->o->shards, "train", &c->shards), "--shards"));
    if (c->o->reference[0]) FLM_TRY(flm_reference_read(c->o->reference, &rules, FLM_MAUVE_TEXTS, &reference));
    for (int i = 0; i < count; i++) FLM_TRY(check_file(c, paths[i]));
done:
    flm_score_set_free(&reference);
    return rc;
}

flm_status flm_score_compare_begin(flm_comm *comm, const flm_score_options *o, const char *const *paths, int count,
                                   flm_score_compare **out)
{
    flm_status rc = FLM_OK;
    flm_score_compare *c = NULL;
    if (o->baselines && (!o->shards[0] || !o->gpt2[0])) FLM_FAIL(FLM_E_USAGE, "--baselines needs --shards and --gpt2");
    if (o->reference[0] && !o->gpt2[0]) FLM_FAIL(FLM_E_USAGE, "--reference needs --gpt2");
    if (!o->shards[0] && !o->reference[0]) goto done;
    c = calloc(1, sizeof *c);
    FLM_TRY(flm_comm_agree(comm, c ? FLM_OK : flm_err_raise(FLM_E_NOMEM, __FILE__, __LINE__, "no memory")));
    c->comm = comm;
    c->o = o;
    FLM_TRY(flm_comm_agree(comm, check_inputs(c, paths, count)));
    *out = c;
    c = NULL;
done:
    flm_score_compare_end(&c);
    return rc;
}

void flm_score_compare_end(flm_score_compare **compare)
{
    flm_score_compare *c = *compare;
    if (!c) return;
    *compare = NULL;
    flm_shards_close(&c->shards);
    for (int i = 0; i < c->count; i++) flm_score_set_free(&c->sets[i]);
    free(c->sets);
    free(c);
}

/* The sets of all entries, in their order. */
static flm_status sets_read(flm_score_compare *c, const flm_score_entry *entries, int count)
{
    flm_status rc = FLM_OK;
    const flm_source_rules rules = rules_of(c);
    c->sets = calloc((size_t)(count + FLM_BASELINE_KINDS), sizeof *c->sets);
    if (!c->sets) FLM_FAIL(FLM_E_NOMEM, "no memory for %d sets", count);
    for (c->count = 0; c->count < count; c->count++) {
        const flm_score_entry *e = &entries[c->count];
        FLM_TRY(e->setting.steps > 0 ? flm_score_set_read_samples(e->path, &e->setting, &c->sets[c->count])
                                     : flm_score_set_read_texts(e->path, &rules, &c->sets[c->count]));
    }
done:
    return rc;
}

/* ---- null baselines ---- */

static int64_t max_rows(const flm_score_compare *c)
{
    int64_t rows = 1;
    for (int i = 0; i < c->count; i++)
        if (c->sets[i].rows > rows) rows = c->sets[i].rows;
    return rows;
}

/* Rank 0 counts and draws; every rank gets the texts. Adds the sets. */
static flm_status baselines_draw(flm_score_compare *c)
{
    flm_status rc = FLM_OK, local = FLM_OK;
    const flm_shard_info *info = flm_shards_get_info(c->shards);
    const int64_t rows = max_rows(c);
    const int first = c->count;
    flm_baseline *baseline = NULL;
    for (; c->count < first + FLM_BASELINE_KINDS && local == FLM_OK; c->count++)
        local = flm_score_set_create(c->o->shards, &info->vocabulary, rows, info->L, &c->sets[c->count]);
    if (local == FLM_OK && flm_comm_rank(c->comm) == 0)
        local = flm_err_prefix(flm_baseline_create(c->shards, FLM_BASELINE_TOKENS, &baseline), c->o->shards);
    FLM_TRY(flm_comm_agree(c->comm, local));
    for (int k = 0; k < FLM_BASELINE_KINDS; k++) {
        int32_t *ids = c->sets[first + k].ids;
        if (baseline) flm_baseline_draw(baseline, (flm_baseline_kind)k, (uint64_t)c->o->seed, rows, ids);
        FLM_TRY(flm_comm_broadcast(c->comm, ids, rows * info->L * (int64_t)sizeof *ids, 0));
    }
done:
    flm_baseline_destroy(&baseline);
    return rc;
}

static flm_status text_of_row(void *context, int64_t row, char **text, size_t *bytes)
{
    return flm_score_set_get_text(context, row, false, text, bytes);
}

/* Scores a set as a samples file with its rows is scored. */
static flm_status set_score(const flm_score_compare *c, flm_scorer *scorer, flm_score_set *set, flm_score_entry *e,
                            bool (*stop_requested)(void))
{
    flm_status rc = FLM_OK, local = FLM_OK;
    const int64_t scored = flm_score_protocol_count(&c->o->protocol, set->rows);
    const int64_t length = flm_score_samples_length(scorer, set->L, c->o->length);
    double *nll = calloc((size_t)set->rows, sizeof *nll);
    int64_t *positions = calloc((size_t)set->rows, sizeof *positions), *starts = NULL;
    bool *present = calloc((size_t)set->rows, sizeof *present);
    int32_t *ids = NULL;
    char name[400];
    uint32_t identity;

    snprintf(name, sizeof name, "%.350s, %s", set->path, e->kind);
    const flm_score_source source = {set, name, set->rows, length, text_of_row, NULL};
    if (!nll || !positions || !present)
        local = flm_err_raise(FLM_E_NOMEM, __FILE__, __LINE__, "%s: no memory for its scores", name);
    if (local == FLM_OK) local = flm_score_set_encode(set, &set->vocabulary, &ids, &starts);
    FLM_TRY(flm_comm_agree(c->comm, local));
    FLM_TRY(flm_score_rows_compute(c->comm, scorer, &source, nll, positions, present, stop_requested));
    FLM_TRY(
        flm_comm_agree(c->comm, flm_score_result_compute(nll, positions, scored, &(flm_id_rows){ids, starts, set->rows},
                                                         c->o->bootstrap, (uint64_t)c->o->seed, &e->result)));
    e->scored = true;
    flm_score_entry_set_scorer(e, flm_scorer_describe(scorer, &identity), length);
done:
    free(nll);
    free(positions);
    free(present);
    free(ids);
    free(starts);
    return rc;
}

static flm_status baselines_add(flm_score_compare *c, flm_scorer *scorer, flm_score_entry **entries, int *count,
                                bool (*stop_requested)(void))
{
    flm_status rc = FLM_OK, local = FLM_OK;
    flm_score_entry *grown = realloc(*entries, (size_t)(*count + FLM_BASELINE_KINDS) * sizeof *grown);
    if (grown)
        *entries = grown;
    else
        local = flm_err_raise(FLM_E_NOMEM, __FILE__, __LINE__, "no memory for %d results", *count);
    FLM_TRY(flm_comm_agree(c->comm, local));
    FLM_TRY(baselines_draw(c));
    for (int k = 0; k < FLM_BASELINE_KINDS; k++) {
        flm_score_entry *e = &grown[*count];
        *e = flm_score_entry_of_texts(c->o->shards);
        snprintf(e->kind, sizeof e->kind, "%s", flm_baseline_names[k]);
        e->protocol = c->o->protocol;
        FLM_TRY(set_score(c, scorer, &c->sets[*count], e, stop_requested));
        ++*count;
    }
done:
    return rc;
}

/* ---- memorisation ---- */

static flm_status rows_create(const flm_score_compare *c, int i, int32_t **ids, int64_t **starts, flm_id_rows *rows)
{
    flm_status rc = FLM_OK;
    FLM_TRY(flm_score_set_encode(&c->sets[i], &flm_shards_get_info(c->shards)->vocabulary, ids, starts));
    *rows = (flm_id_rows){*ids, *starts, c->sets[i].rows};
done:
    return rc;
}

static flm_status compute_overlap(const flm_score_compare *c, flm_score_entry *entries, bool (*stop_requested)(void))
{
    flm_status rc = FLM_OK, local = FLM_OK;
    const size_t count = (size_t)c->count;
    int32_t **ids = calloc(count, sizeof *ids);
    int64_t **starts = calloc(count, sizeof *starts);
    flm_id_rows *rows = calloc(count, sizeof *rows);
    double(*share)[FLM_OVERLAP_ORDERS] = calloc(count, sizeof *share);
    if (!ids || !starts || !rows || !share)
        local = flm_err_raise(FLM_E_NOMEM, __FILE__, __LINE__, "no memory for %d sets", c->count);
    for (int i = 0; i < c->count && local == FLM_OK; i++) local = rows_create(c, i, &ids[i], &starts[i], &rows[i]);
    FLM_TRY(flm_comm_agree(c->comm, local));
    FLM_TRY(flm_overlap_compute(c->comm, c->shards, rows, c->count, stop_requested, share));
    for (int i = 0; i < c->count; i++)
        for (int k = 0; k < FLM_OVERLAP_ORDERS; k++) entries[i].overlap[k] = share[i][k];
done:
    for (int i = 0; i < c->count && ids && starts; i++) {
        free(ids[i]);
        free(starts[i]);
    }
    free(ids);
    free(starts);
    free(rows);
    free(share);
    return rc;
}

/* ---- reference texts ---- */

/* How many tokens of a text are compared: the same of all of them. */
static int64_t min_length(const flm_score_compare *c, const flm_scorer *scorer, const flm_score_set *reference)
{
    int64_t length = flm_scorer_get_length(scorer);
    if (c->o->length > 0) return length;
    if (reference->ids && reference->L < length) length = reference->L;
    for (int i = 0; i < c->count; i++)
        if (c->sets[i].ids && c->sets[i].L < length) length = c->sets[i].L;
    return length;
}

static flm_status compute_mauve(const flm_score_compare *c, flm_scorer *scorer, flm_score_entry *entries,
                                bool (*stop_requested)(void))
{
    flm_status rc = FLM_OK, local = FLM_OK;
    const flm_source_rules rules = rules_of(c);
    flm_score_set reference = {0};
    flm_mauve *mauve = calloc((size_t)c->count, sizeof *mauve);
    flm_score_reference own = {.path = c->o->reference};
    if (!mauve) local = flm_err_raise(FLM_E_NOMEM, __FILE__, __LINE__, "no memory for %d figures", c->count);
    if (local == FLM_OK) local = flm_reference_read(c->o->reference, &rules, max_rows(c), &reference);
    FLM_TRY(flm_comm_agree(c->comm, local));
    own.length = min_length(c, scorer, &reference);
    FLM_TRY(flm_reference_compare(c->comm, scorer, &reference, c->sets, c->count, own.length, (uint64_t)c->o->seed,
                                  stop_requested, mauve, &own.texts));
    for (int i = 0; i < c->count; i++) {
        entries[i].mauve = mauve[i];
        entries[i].reference = own;
    }
done:
    flm_score_set_free(&reference);
    free(mauve);
    return rc;
}

flm_status flm_score_compare_run(flm_score_compare *c, flm_scorer *scorer, flm_score_entry **entries, int *count,
                                 bool (*stop_requested)(void))
{
    flm_status rc = FLM_OK;
    if (!c) goto done;
    FLM_TRY(flm_comm_agree(c->comm, sets_read(c, *entries, *count)));
    if (c->o->baselines) FLM_TRY(baselines_add(c, scorer, entries, count, stop_requested));
    if (c->o->reference[0]) FLM_TRY(compute_mauve(c, scorer, *entries, stop_requested));
    if (c->shards) FLM_TRY(compute_overlap(c, *entries, stop_requested));
done:
    return rc;
}
