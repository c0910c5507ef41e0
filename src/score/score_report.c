/* score_report.c - see score_report.h: entries and JSON files. SPDX-License-Identifier: Apache-2.0 */
#include "score/score_report.h"

#include "base/base_file.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

flm_score_entry flm_score_entry_of_texts(const char *path)
{
    flm_score_entry e = {.path = path, .kind = "text", .mauve = {.value = NAN, .deviation = NAN}};
    for (int k = 0; k < FLM_OVERLAP_ORDERS; k++) e.overlap[k] = NAN;
    return e;
}

flm_score_entry flm_score_entry_of_set(const char *path, const flm_samples *file, int set)
{
    const flm_samples_info *info = flm_samples_get_info(file);
    flm_score_entry e = flm_score_entry_of_texts(path);
    e.setting = *flm_samples_get_setting(file, set);
    snprintf(e.kind, sizeof e.kind, "%s", info->kind);
    snprintf(e.precision, sizeof e.precision, "%s", info->precision);
    return e;
}

void flm_score_entry_set_scorer(flm_score_entry *entry, const char *description, int64_t length)
{
    char *limit;
    snprintf(entry->scorer, sizeof entry->scorer, "%s", description);
    entry->length = length;
    limit = strstr(entry->scorer, ", at most ");
    if (!limit) return;
    sscanf(limit, ", at most %" SCNd64, &entry->length);
    *limit = '\0';
}

/* JSON has no NaN or infinity: null. */
static json_t *number(double value) { return isfinite(value) ? json_real(value) : json_null(); }

static json_t *text_or_null(const char *text) { return text[0] ? json_string(text) : json_null(); }

static json_t *integer_if(bool is, int64_t value) { return is ? json_integer(value) : json_null(); }

json_t *flm_score_report_describe(const flm_score_entry *e)
{
    const flm_samples_setting *s = &e->setting;
    const bool samples = s->steps > 0;
    char name[FLM_SAMPLES_SETTING_BYTES];
    return json_pack("{ss ss so so so so so so sI so so}", "file", e->path, "kind", e->kind, "sampler",
                     text_or_null(samples ? flm_samples_sampler_names[s->sampler] : ""), "steps",
                     integer_if(samples, s->steps), "noise_level", number(samples ? s->noise_level : NAN),
                     "temperature", number(samples ? s->temperature : NAN), "precision", text_or_null(e->precision),
                     "setting", text_or_null(samples ? flm_samples_setting_name(s, name) : ""), "samples",
                     (json_int_t)e->result.rows, "scorer", text_or_null(e->scorer), "truncation",
                     integer_if(e->length > 0, e->length));
}

/* A set of samples with figures. */
static bool is_candidate(const flm_score_entry *e)
{
    return e->scored && e->setting.steps > 0 && isfinite(e->result.gen_ppl) && isfinite(e->result.entropy);
}

/* Figures of different scorers, protocols or numbers of tokens cannot be compared. */
static bool is_comparable(const flm_score_entry *a, const flm_score_entry *b)
{
    return strcmp(a->scorer, b->scorer) == 0 && a->length == b->length &&
           flm_score_protocol_equal(&a->protocol, &b->protocol);
}

void flm_score_report_mark_frontier(flm_score_entry *entries, int count)
{
    for (int i = 0; i < count; i++) {
        const flm_score_result *own = &entries[i].result;
        entries[i].frontier = is_candidate(&entries[i]);
        for (int k = 0; k < count && entries[i].frontier; k++) {
            const flm_score_result *r = &entries[k].result;
            if (is_candidate(&entries[k]) && is_comparable(&entries[i], &entries[k]) && r->gen_ppl <= own->gen_ppl &&
                r->entropy >= own->entropy && (r->gen_ppl < own->gen_ppl || r->entropy > own->entropy))
                entries[i].frontier = false;
        }
    }
}

/* The protocol and the figures. */
static json_t *figures_json(const flm_score_entry *e)
{
    const flm_score_result *r = &e->result;
    const bool published = e->scored && e->protocol.kind == FLM_SCORE_PUBLISHED;
    return json_pack("{so so sI sI sI so so so so so so so so}", "protocol",
                     text_or_null(e->scored ? flm_score_protocol_names[e->protocol.kind] : ""), "protocol_batch",
                     integer_if(published, e->protocol.batch), "unscored", (json_int_t)r->unscored, "dropped",
                     (json_int_t)r->dropped, "positions", (json_int_t)r->positions, "gen_ppl", number(r->gen_ppl),
                     "gen_ppl_low", number(r->gen_ppl_low), "gen_ppl_high", number(r->gen_ppl_high), "entropy",
                     number(r->entropy), "distinct_1", number(r->distinct[0]), "distinct_2", number(r->distinct[1]),
                     "distinct_3", number(r->distinct[2]), "repetition_4", number(r->repetition));
}

/* How they compare with the training shards and the reference. */
static json_t *comparison_json(const flm_score_entry *e)
{
    const bool compared = e->reference.path != NULL;
    json_t *all = json_pack(
        "{so so so so so so so}", "frontier", is_candidate(e) ? json_boolean(e->frontier) : json_null(), "reference",
        text_or_null(compared ? e->reference.path : ""), "reference_texts", integer_if(compared, e->reference.texts),
        "reference_truncation", integer_if(compared, e->reference.length), "mauve", number(e->mauve.value),
        "mauve_deviation", number(e->mauve.deviation), "mauve_clusters", integer_if(compared, e->mauve.clusters));
    char name[32];
    bool complete = all != NULL;
    for (int k = 0; k < FLM_OVERLAP_ORDERS && complete; k++) {
        snprintf(name, sizeof name, "train_overlap_%d", flm_overlap_orders[k]);
        complete = json_object_set_new(all, name, number(e->overlap[k])) == 0;
    }
    if (complete) return all;
    json_decref(all);
    return NULL;
}

/* NULL: no memory. */
static json_t *entry_json(const flm_score_entry *e)
{
    json_t *part[] = {flm_score_report_describe(e), figures_json(e), comparison_json(e)};
    bool complete = part[0] && part[1] && part[2];
    for (int i = 1; i < 3; i++) {
        complete = complete && json_object_update(part[0], part[i]) == 0;
        json_decref(part[i]);
    }
    if (complete) return part[0];
    json_decref(part[0]);
    return NULL;
}

flm_status flm_score_report_claim(const char *path, const char *const *inputs, int count, flm_lock **lock)
{
    flm_status rc = FLM_OK;
    char head[256];
    size_t got = 0;
    FLM_TRY(flm_file_check_output(path));
    for (int i = 0; i < count; i++)
        if (flm_file_is_same(path, inputs[i]))
            FLM_FAIL(FLM_E_USAGE, "--json %s: is an input, %s; it would be replaced", path, inputs[i]);
    if (access(path, F_OK) == 0) {
        FLM_TRY(flm_file_read_head(path, head, sizeof head - 1, &got));
        head[got] = '\0';
        const char first = head[strspn(head, " \t\r\n")];
        if (got > 0 && first != '[' && first != '{')
            FLM_FAIL(FLM_E_USAGE, "--json %s: exists and is not a JSON file; it would be replaced", path);
    }
    FLM_TRY(flm_lock_file(path, lock));
done:
    return rc;
}

flm_status flm_score_report_write(const char *path, json_t *value, size_t flags)
{
    flm_status rc = FLM_OK;
    char *text = value ? json_dumps(value, flags) : NULL;
    if (!text) FLM_FAIL(FLM_E_NOMEM, "%s: no memory for its content", path);
    FLM_TRY(flm_file_replace(path, text, strlen(text)));
done:
    free(text);
    json_decref(value);
    return rc;
}

flm_status flm_score_report_write_entries(const char *path, const flm_score_entry *entries, int count)
{
    flm_status rc = FLM_OK;
    char *text = NULL;
    size_t bytes = 0;
    FILE *memory = open_memstream(&text, &bytes);
    bool complete = memory != NULL;
    if (memory) fputs("[\n", memory);
    for (int i = 0; i < count && complete; i++) {
        json_t *entry = entry_json(&entries[i]);
        complete = entry && json_dumpf(entry, memory, JSON_REAL_PRECISION(10)) == 0;
        fputs(i + 1 < count ? ",\n" : "\n", memory);
        json_decref(entry);
    }
    if (memory) fputs("]\n", memory);
    if (!memory || fclose(memory) != 0 || !complete) FLM_FAIL(FLM_E_NOMEM, "%s: no memory for its content", path);
    FLM_TRY(flm_file_replace(path, text, strlen(text)));
done:
    free(text);
    return rc;
}
