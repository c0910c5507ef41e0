/* sample_score.c - samples scored by the job that made them, and the JSON of the published evaluation.
 * SPDX-License-Identifier: Apache-2.0 */
#include "sample/sample_generate.h"
#include "score/score_report.h"
#include "score/score_samples.h"
#include "text/text_tokenizer.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DRAWS = 1000 }; /* of the bootstrap: the default of flm_score */

/* Scores every set into the samples file. */
static flm_status score_all(flm_comm *comm, flm_backend *be, const flm_generate_options *o, int count,
                            bool (*stop_requested)(void), flm_score_entry *entries)
{
    flm_status rc = FLM_OK;
    flm_scorer *scorer = NULL;
    flm_samples *file = NULL;
    uint32_t identity;
    FLM_TRY(flm_comm_agree(comm, flm_scorer_create(be, o->score, flm_scorer_dtype(be, (flm_precision)o->precision),
                                                   o->protocol.batch, 0, 0, &o->protocol, &scorer)));
    FLM_TRY(flm_samples_open_scores(comm, o->out, 0, &file));
    const int64_t length = flm_score_samples_length(scorer, flm_samples_get_info(file)->L, 0);
    for (int i = 0; i < count; i++) {
        const int set = flm_samples_find(file, &entries[i].setting);
        entries[i].protocol = o->protocol;
        FLM_TRY(flm_score_samples_compute(comm, scorer, file, o->out, set, 0, false, DRAWS, (uint64_t)o->seed,
                                          stop_requested, &entries[i].result));
        entries[i].scored = true;
        flm_score_entry_set_scorer(&entries[i], flm_scorer_describe(scorer, &identity), length);
    }
    FLM_TRY(flm_samples_commit(comm, file));
    FLM_TRY(flm_comm_agree(comm, flm_samples_close(&file)));
    if (flm_comm_rank(comm) == 0) flm_score_report_print(entries, count);
done:
    flm_samples_close(&file);
    flm_scorer_destroy(&scorer);
    return rc;
}

/* A set in the format of the published evaluation, and how it was made and scored. */
static flm_status evaluation(flm_samples *file, flm_tokenizer *tokenizer, const flm_score_entry *e, json_t **out)
{
    flm_status rc = FLM_OK;
    json_t *conditions = NULL;
    const flm_samples_info *info = flm_samples_get_info(file);
    json_t *texts = json_array();
    int32_t *ids = malloc((size_t)info->L * sizeof *ids);
    char *text = NULL;
    size_t bytes;
    double entropy = NAN;
    bool there;
    const int set = flm_samples_find(file, &e->setting);
    if (!texts || !ids) FLM_FAIL(FLM_E_NOMEM, "no memory for %" PRId64 " texts", info->samples);
    for (int64_t i = 0; i < info->samples; i++) {
        FLM_TRY(flm_samples_read(file, set, i, 1, ids));
        FLM_TRY(flm_tokenizer_decode(tokenizer, ids, (size_t)info->L, &text, &bytes));
        if (json_array_append_new(texts, json_stringn(text, bytes)) != 0)
            FLM_FAIL(FLM_E_NOMEM, "no memory for %" PRId64 " texts", info->samples);
        free(text);
        text = NULL;
    }
    FLM_TRY(flm_samples_get_result(file, set, "entropy", &entropy, &there));
    *out = json_pack("{so so so}", "generative_ppl",
                     e->scored && isfinite(e->result.gen_ppl) ? json_real(e->result.gen_ppl) : json_null(), "entropy",
                     there && isfinite(entropy) ? json_real(entropy) : json_null(), "generated_seqs", texts);
    texts = NULL; /* json_pack owns it, even if it fails */
    if (*out && e->scored) {
        json_object_set_new(*out, "protocol", json_string(flm_score_protocol_names[e->protocol.kind]));
        if (e->protocol.kind == FLM_SCORE_PUBLISHED)
            json_object_set_new(*out, "protocol_batch", json_integer(e->protocol.batch));
    }
    conditions = flm_score_report_describe(e);
    if (!*out || !conditions || json_object_update_missing(*out, conditions) != 0)
        FLM_FAIL(FLM_E_NOMEM, "no memory for the evaluation");
done:
    json_decref(conditions);
    json_decref(texts);
    free(text);
    free(ids);
    return rc;
}

static flm_status write_json(const flm_generate_options *o, const flm_score_entry *entries, int count)
{
    flm_status rc = FLM_OK;
    flm_samples *file = NULL;
    flm_tokenizer *tokenizer = NULL;
    json_t *all = json_object(), *one = NULL;
    char name[FLM_SAMPLES_SETTING_BYTES];
    FLM_TRY(flm_samples_open_read(o->out, &file));
    rc = flm_tokenizer_create(flm_samples_get_info(file)->vocabulary.name, &tokenizer);
    FLM_TRY(rc == FLM_E_ARG ? flm_err_prefix(FLM_E_FORMAT, o->out) : rc);
    if (strcmp(flm_tokenizer_sha256(tokenizer), flm_samples_get_info(file)->vocabulary.sha256) != 0)
        FLM_FAIL(FLM_E_MISMATCH, "%s: its vocabulary %s differs from this release's", o->out,
                 flm_samples_get_info(file)->vocabulary.name);
    for (int i = 0; i < count; i++) {
        FLM_TRY(evaluation(file, tokenizer, &entries[i], &one));
        if (count == 1) break;
        if (json_object_set_new(all, flm_samples_setting_name(&entries[i].setting, name), one) != 0)
            FLM_FAIL(FLM_E_NOMEM, "no memory for the evaluation");
    }
    json_t *value = count == 1 ? one : all;
    if (count > 1) all = NULL;
    FLM_TRY(flm_score_report_write(o->json, value, JSON_INDENT(4)));
done:
    json_decref(all);
    flm_tokenizer_destroy(&tokenizer);
    flm_samples_close(&file);
    return rc;
}

/* An entry for each setting, not scored yet. */
static flm_status entries_describe(const char *path, const flm_samples_setting *settings, int count,
                                   flm_score_entry *entries)
{
    flm_status rc = FLM_OK;
    flm_samples *file = NULL;
    FLM_TRY(flm_samples_open_read(path, &file));
    for (int i = 0; i < count; i++) {
        entries[i] = flm_score_entry_of_set(path, file, flm_samples_find(file, &settings[i]));
        entries[i].result.rows = flm_samples_get_info(file)->samples;
    }
done:
    flm_samples_close(&file);
    return rc;
}

flm_status flm_generate_score(flm_comm *comm, flm_backend *be, const flm_generate_options *o,
                              const flm_samples_setting *settings, int count, bool (*stop_requested)(void))
{
    flm_status rc = FLM_OK, local = FLM_OK;
    flm_score_entry *entries = calloc((size_t)count, sizeof *entries);
    if (!entries) local = flm_err_raise(FLM_E_NOMEM, __FILE__, __LINE__, "no memory for %d results", count);
    FLM_TRY(flm_comm_agree(comm, local));
    FLM_TRY(flm_comm_agree(comm, entries_describe(o->out, settings, count, entries)));
    if (o->score[0]) FLM_TRY(score_all(comm, be, o, count, stop_requested, entries));
    if (o->json[0]) FLM_TRY(flm_comm_agree(comm, flm_comm_rank(comm) == 0 ? write_json(o, entries, count) : FLM_OK));
done:
    free(entries);
    return rc;
}
