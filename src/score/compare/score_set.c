/* score_set.c - see score_set.h. SPDX-License-Identifier: Apache-2.0 */
#include "score/compare/score_set.h"

#include "base/base_share.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static flm_status open_tokenizer(const char *path, const flm_vocabulary *vocabulary, flm_tokenizer **out)
{
    flm_status rc = FLM_OK;
    if (flm_tokenizer_create(vocabulary->name, out) != FLM_OK)
        FLM_FAIL(FLM_E_MISMATCH, "%s: its tokens cannot be decoded: this release has no tokeniser \"%s\"", path,
                 vocabulary->name);
    if (strcmp(flm_tokenizer_sha256(*out), vocabulary->sha256) != 0)
        FLM_FAIL(FLM_E_MISMATCH, "%s: its vocabulary %s (sha256 %.8s...) differs from this release's", path,
                 vocabulary->name, vocabulary->sha256);
done:
    return rc;
}

flm_status flm_score_set_create(const char *path, const flm_vocabulary *vocabulary, int64_t rows, int64_t L,
                                flm_score_set *out)
{
    flm_status rc = FLM_OK;
    flm_score_set s = {.path = path, .vocabulary = *vocabulary, .rows = rows, .L = L};
    FLM_TRY(open_tokenizer(path, vocabulary, &s.tokenizer));
    if (rows <= (INT64_MAX >> 8) / L) s.ids = malloc((size_t)(rows * L) * sizeof *s.ids);
    if (!s.ids) FLM_FAIL(FLM_E_NOMEM, "%s: no memory for %" PRId64 " rows of %" PRId64 " tokens", path, rows, L);
    *out = s;
    s = (flm_score_set){0};
done:
    flm_score_set_free(&s);
    return rc;
}

flm_status flm_score_set_read_samples(const char *path, const flm_samples_setting *setting, flm_score_set *out)
{
    flm_status rc = FLM_OK;
    flm_samples *file = NULL;
    flm_score_set s = {0};
    FLM_TRY(flm_samples_open_read(path, &file));
    const flm_samples_info *info = flm_samples_get_info(file);
    const int set = flm_samples_find(file, setting);
    FLM_TRY(flm_score_set_create(path, &info->vocabulary, info->samples, info->L, &s));
    FLM_TRY(flm_samples_read(file, set, 0, s.rows, s.ids));
    *out = s;
    s = (flm_score_set){0};
done:
    flm_score_set_free(&s);
    flm_samples_close(&file);
    return rc;
}

flm_status flm_score_set_read_texts(const char *path, const flm_source_rules *rules, flm_score_set *out)
{
    flm_status rc = FLM_OK;
    flm_score_set s = {.path = path};
    FLM_TRY(flm_score_texts_read(path, rules, &s.texts));
    s.rows = s.texts.count;
    *out = s;
done:
    return rc;
}

flm_status flm_score_set_read_shards(const char *path, const flm_shards *shards, int64_t rows, flm_score_set *out)
{
    flm_status rc = FLM_OK;
    const flm_shard_info *info = flm_shards_get_info(shards);
    const int64_t all = flm_shards_get_rows(shards);
    flm_score_set s = {0};
    if (all == 0) FLM_FAIL(FLM_E_FORMAT, "%s: has no rows", path);
    if (rows > all) rows = all;
    FLM_TRY(flm_score_set_create(path, &info->vocabulary, rows, info->L, &s));
    for (int64_t i = 0; i < rows; i++) {
        const int64_t row = flm_share_of(all, i, rows).first;
        FLM_TRY(flm_shards_read(shards, &row, 1, s.ids + i * s.L));
    }
    *out = s;
    s = (flm_score_set){0};
done:
    flm_score_set_free(&s);
    return rc;
}

flm_status flm_score_set_get_text(const flm_score_set *set, int64_t row, bool bare, char **text, size_t *bytes)
{
    flm_status rc = FLM_OK;
    if (set->ids) {
        const int32_t *ids = set->ids + row * set->L;
        int64_t count = set->L;
        if (bare) {
            while (count > 0 && ids[count - 1] == set->vocabulary.end_id) count--;
            if (count > 0 && ids[0] == set->vocabulary.begin_id) ids++, count--;
        }
        FLM_TRY(flm_tokenizer_decode(set->tokenizer, ids, (size_t)count, text, bytes));
        goto done;
    }
    const int64_t first = set->texts.starts[row];
    *bytes = (size_t)(set->texts.starts[row + 1] - first);
    *text = malloc(*bytes + 1);
    if (!*text) FLM_FAIL(FLM_E_NOMEM, "%s: no memory for a text of %zu bytes", set->path, *bytes);
    if (*bytes > 0) memcpy(*text, set->texts.data + first, *bytes); /* data is NULL if all texts are empty */
    (*text)[*bytes] = '\0';
done:
    return rc;
}

flm_status flm_score_set_check_vocabulary(const char *path, const flm_vocabulary *own, const char *shards,
                                          const flm_vocabulary *vocabulary)
{
    flm_status rc = FLM_OK;
    if (strcmp(own->name, vocabulary->name) != 0 || strcmp(own->sha256, vocabulary->sha256) != 0)
        FLM_FAIL(FLM_E_MISMATCH,
                 "--shards %s: has tokens of %s (sha256 %.8s...), but %s has tokens of %s (sha256 %.8s...)", shards,
                 vocabulary->name, vocabulary->sha256, path, own->name, own->sha256);
done:
    return rc;
}

/* Rows of L ids as they are. */
static flm_status copy_ids(const flm_score_set *set, int32_t **ids, int64_t *starts)
{
    flm_status rc = FLM_OK;
    const size_t bytes = (size_t)(set->rows * set->L) * sizeof **ids;
    *ids = malloc(bytes);
    if (!*ids) FLM_FAIL(FLM_E_NOMEM, "%s: no memory for its tokens, %zu bytes", set->path, bytes);
    memcpy(*ids, set->ids, bytes);
    for (int64_t i = 0; i < set->rows; i++) starts[i + 1] = (i + 1) * set->L;
done:
    return rc;
}

flm_status flm_score_set_encode(const flm_score_set *set, const flm_vocabulary *vocabulary, int32_t **ids,
                                int64_t **starts)
{
    flm_status rc = FLM_OK;
    flm_tokenizer *tokenizer = NULL;
    flm_ids all = {0};
    int64_t *begin = calloc((size_t)set->rows + 1, sizeof *begin);
    if (!begin) FLM_FAIL(FLM_E_NOMEM, "%s: no memory for %" PRId64 " texts", set->path, set->rows);
    if (set->ids) {
        FLM_TRY(copy_ids(set, &all.ids, begin));
    } else {
        FLM_TRY(open_tokenizer(set->path, vocabulary, &tokenizer));
        for (int64_t i = 0; i < set->rows; i++) {
            const int64_t first = set->texts.starts[i], bytes = set->texts.starts[i + 1] - first;
            FLM_TRY(
                flm_tokenizer_encode(tokenizer, bytes > 0 ? set->texts.data + first : "", (size_t)bytes, &all, NULL));
            begin[i + 1] = (int64_t)all.count;
        }
    }
    *ids = all.ids;
    *starts = begin;
    all.ids = NULL;
    begin = NULL;
done:
    flm_tokenizer_destroy(&tokenizer);
    free(all.ids);
    free(begin);
    return rc;
}

void flm_score_set_free(flm_score_set *set)
{
    flm_tokenizer_destroy(&set->tokenizer);
    free(set->ids);
    flm_score_texts_free(&set->texts);
    *set = (flm_score_set){0};
}
