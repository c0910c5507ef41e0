/* score_compare.c - see score_compare.h. SPDX-License-Identifier: Apache-2.0 */
#include "score/compare/score_compare.h"

#include "h5/h5_format.h"
#include "score/compare/score_overlap.h"
#include "score/compare/score_set.h"

#include <stdlib.h>

struct flm_score_compare {
    flm_comm *comm;
    const flm_score_options *o;
    flm_shards *shards; /* of --shards: the training rows; NULL: none */
};

/* A samples file must have the shards' vocabulary. */
static flm_status check_file(const flm_score_compare *c, const char *path)
{
    flm_status rc = FLM_OK;
    flm_samples *file = NULL;
    bool hdf5 = false;
    FLM_TRY(flm_format_is_hdf5(path, &hdf5));
    if (!hdf5) goto done;
    FLM_TRY(flm_samples_open_read(path, &file));
    FLM_TRY(flm_score_set_check_vocabulary(path, &flm_samples_get_info(file)->vocabulary, c->o->shards,
                                           &flm_shards_get_info(c->shards)->vocabulary));
done:
    flm_samples_close(&file);
    return rc;
}

static flm_status open_shards(flm_score_compare *c, const char *const *paths, int count)
{
    flm_status rc = FLM_OK;
    if (!c->o->shards[0]) goto done;
    FLM_TRY(flm_err_prefix(flm_shards_open(c->o->shards, "train", &c->shards), "--shards"));
    for (int i = 0; i < count; i++) FLM_TRY(check_file(c, paths[i]));
done:
    return rc;
}

flm_status flm_score_compare_begin(flm_comm *comm, const flm_score_options *o, const char *const *paths, int count,
                                   flm_score_compare **out)
{
    flm_status rc = FLM_OK;
    flm_score_compare *c = NULL;
    if (!o->shards[0]) goto done;
    c = calloc(1, sizeof *c);
    FLM_TRY(flm_comm_agree(comm, c ? FLM_OK : flm_err_raise(FLM_E_NOMEM, __FILE__, __LINE__, "no memory")));
    c->comm = comm;
    c->o = o;
    FLM_TRY(flm_comm_agree(comm, open_shards(c, paths, count)));
    *out = c;
    c = NULL;
done:
    flm_score_compare_end(&c);
    return rc;
}

void flm_score_compare_end(flm_score_compare **compare)
{
    if (!*compare) return;
    flm_shards_close(&(*compare)->shards);
    free(*compare);
    *compare = NULL;
}

static flm_status entry_read(const flm_score_compare *c, const flm_score_entry *e, flm_score_set *out)
{
    flm_source_rules rules = c->o->source;
    rules.keep_white = true;
    rules.log = false;
    return e->setting.steps > 0 ? flm_score_set_read_samples(e->path, &e->setting, out)
                                : flm_score_set_read_texts(e->path, &rules, out);
}

/* Rows of ids that are malloc'd. */
typedef struct own_rows {
    int32_t *ids;
    int64_t *starts;
} own_rows;

static flm_status entry_encode(const flm_score_compare *c, const flm_score_entry *e, own_rows *own, flm_id_rows *rows)
{
    flm_status rc = FLM_OK;
    flm_score_set set = {0};
    FLM_TRY(entry_read(c, e, &set));
    FLM_TRY(flm_score_set_encode(&set, &flm_shards_get_info(c->shards)->vocabulary, &own->ids, &own->starts));
    *rows = (flm_id_rows){own->ids, own->starts, set.rows};
done:
    flm_score_set_free(&set);
    return rc;
}

static flm_status compute_overlap(const flm_score_compare *c, flm_score_entry *entries, int count,
                                  bool (*stop_requested)(void))
{
    flm_status rc = FLM_OK, local = FLM_OK;
    own_rows *own = calloc((size_t)count, sizeof *own);
    flm_id_rows *rows = calloc((size_t)count, sizeof *rows);
    double(*share)[FLM_OVERLAP_ORDERS] = calloc((size_t)count, sizeof *share);
    if (!own || !rows || !share) local = flm_err_raise(FLM_E_NOMEM, __FILE__, __LINE__, "no memory for %d sets", count);
    for (int i = 0; i < count && local == FLM_OK; i++) local = entry_encode(c, &entries[i], &own[i], &rows[i]);
    FLM_TRY(flm_comm_agree(c->comm, local));
    FLM_TRY(flm_overlap_compute(c->comm, c->shards, rows, count, stop_requested, share));
    for (int i = 0; i < count; i++)
        for (int k = 0; k < FLM_OVERLAP_ORDERS; k++) entries[i].overlap[k] = share[i][k];
done:
    for (int i = 0; i < count && own; i++) {
        free(own[i].ids);
        free(own[i].starts);
    }
    free(own);
    free(rows);
    free(share);
    return rc;
}

flm_status flm_score_compare_run(flm_score_compare *c, flm_score_entry *entries, int count,
                                 bool (*stop_requested)(void))
{
    return c && c->shards ? compute_overlap(c, entries, count, stop_requested) : FLM_OK;
}
