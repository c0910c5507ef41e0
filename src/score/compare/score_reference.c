/* score_reference.c - see score_reference.h. SPDX-License-Identifier: Apache-2.0 */
#include "score/compare/score_reference.h"

#include "base/base_log.h"
#include "h5/h5_format.h"

#include <inttypes.h>
#include <sys/stat.h>

static flm_status read_shards(const char *path, int64_t rows, flm_score_set *out)
{
    flm_status rc = FLM_OK;
    flm_shards *shards = NULL;
    rc = flm_shards_open(path, "valid", &shards);
    if (rc == FLM_E_MISMATCH) {
        flm_err_clear();
        flm_log(FLM_LOG_INFO, "--reference %s: has no split valid; rows of the split train are the reference", path);
        rc = flm_shards_open(path, "train", &shards);
    }
    FLM_TRY(rc);
    FLM_TRY(flm_score_set_read_shards(path, shards, rows, out));
done:
    flm_shards_close(&shards);
    return rc;
}

static flm_status read_samples(const char *path, int64_t rows, flm_score_set *out)
{
    flm_status rc = FLM_OK;
    flm_samples *file = NULL;
    FLM_TRY(flm_samples_open_read(path, &file));
    if (flm_samples_count(file) != 1)
        FLM_FAIL(FLM_E_MISMATCH, "%s: has %d sets of samples; a reference has one", path, flm_samples_count(file));
    FLM_TRY(flm_score_set_read_samples(path, flm_samples_get_setting(file, 0), out));
    if (out->rows > rows) out->rows = rows;
done:
    flm_samples_close(&file);
    return rc;
}

flm_status flm_reference_read(const char *path, const flm_source_rules *rules, int64_t rows, flm_score_set *out)
{
    flm_status rc = FLM_OK;
    struct stat st;
    flm_score_set set = {0};
    bool hdf5 = false;
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
        FLM_TRY(read_shards(path, rows, &set));
    } else {
        FLM_TRY(flm_format_is_hdf5(path, &hdf5));
        FLM_TRY(hdf5 ? read_samples(path, rows, &set) : flm_score_set_read_texts(path, rules, &set));
        if (set.rows > rows) set.rows = rows;
    }
    if (set.rows < FLM_MAUVE_TEXTS)
        FLM_FAIL(FLM_E_MISMATCH, "%s: has %" PRId64 " texts; MAUVE needs at least %d", path, set.rows, FLM_MAUVE_TEXTS);
    *out = set;
    set = (flm_score_set){0};
done:
    flm_score_set_free(&set);
    return flm_err_prefix(rc, "--reference");
}

static flm_status compare_one(const flm_features *p, const flm_features *q, const char *path, uint64_t seed,
                              flm_mauve *out)
{
    flm_status rc = FLM_OK;
    const int64_t fewer = p->rows < q->rows ? p->rows : q->rows;
    if (fewer < FLM_MAUVE_TEXTS)
        FLM_FAIL(FLM_E_FORMAT, "only %" PRId64 " texts have a token; MAUVE needs at least %d", fewer, FLM_MAUVE_TEXTS);
    FLM_TRY(flm_mauve_compute(p->x, p->rows, q->x, q->rows, p->d, seed, out));
done:
    return flm_err_prefix(rc, path);
}

flm_status flm_reference_compare(flm_comm *comm, flm_scorer *scorer, const flm_score_set *reference,
                                 const flm_score_set *sets, int count, int64_t length, uint64_t seed,
                                 bool (*stop_requested)(void), flm_mauve *out, int64_t *texts)
{
    flm_status rc = FLM_OK;
    flm_features p = {0}, q = {0};
    FLM_TRY(flm_features_compute(comm, scorer, reference, length, stop_requested, &p));
    *texts = p.rows;
    for (int i = 0; i < count; i++) {
        FLM_TRY(flm_features_compute(comm, scorer, &sets[i], length, stop_requested, &q));
        FLM_TRY(
            flm_comm_agree(comm, flm_comm_rank(comm) == 0 ? compare_one(&p, &q, sets[i].path, seed, &out[i]) : FLM_OK));
        flm_features_free(&q);
    }
done:
    flm_features_free(&p);
    flm_features_free(&q);
    return rc;
}
