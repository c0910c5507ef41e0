/* report_set.c - see report_set.h. SPDX-License-Identifier: Apache-2.0 */
#include "report/report_set.h"

#include "base/base_file.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_JSON_BYTES = 256 << 20, MAX_SCORER_BYTES = 512 };

const flm_figure flm_figures[FLM_FIGURES] = {
    {"gen_ppl", "generative perplexity", "",
     "perplexity of the scoring GPT-2 on the samples; repetitive text also has a low one"},
    {"gen_ppl_low", "", "", ""},
    {"gen_ppl_high", "", "", ""},
    {"entropy", "entropy", "nats",
     "of the histogram of the tokens of a sample, mean over samples; low: the sample repeats itself"},
    {"cross_entropy", "cross-entropy to the corpus", "nats a character",
     "of the samples under n-grams of the corpus; lower is better"},
    {"word_share", "words of the corpus", "%", "share of the words of three letters or more that occur in the corpus"},
    {"mauve", "MAUVE", "", "overlap of the distributions of samples and reference texts, 0 to 1; higher is better"},
    {"distinct_1", "distinct-1", "", "distinct tokens divided by all tokens of the set"},
    {"distinct_2", "distinct-2", "", "distinct pairs of tokens divided by all"},
    {"distinct_3", "distinct-3", "", "distinct triples of tokens divided by all"},
    {"repetition_4", "rep-4", "", "share of a sample's 4-grams that occurred in it before"},
    {"train_overlap_4", "train-4", "", "share of the 4-grams that occur in the training shards"},
    {"train_overlap_8", "train-8", "", "share of the 8-grams that occur in the training shards"},
    {"train_overlap_16", "train-16", "", "share of the 16-grams that occur in the training shards; high: copied text"},
};

/* ---- lists ---- */

/* The file of a path in the list, which is added if it is not there. */
static flm_status find_file(flm_report_sets *sets, const char *path, int *out)
{
    flm_status rc = FLM_OK;
    for (int i = 0; i < sets->files_count; i++)
        if (strcmp(sets->files[i].path, path) == 0 || flm_file_is_same(sets->files[i].path, path)) {
            *out = i;
            return FLM_OK;
        }
    flm_report_file *grown = realloc(sets->files, (size_t)(sets->files_count + 1) * sizeof *grown);
    if (!grown) FLM_FAIL(FLM_E_NOMEM, "no memory for a list of files");
    sets->files = grown;
    grown[sets->files_count] = (flm_report_file){.path = strdup(path)};
    if (!grown[sets->files_count].path) FLM_FAIL(FLM_E_NOMEM, "no memory for a list of files");
    grown[sets->files_count].name = grown[sets->files_count].path;
    *out = sets->files_count++;
done:
    return rc;
}

/* The set of that name, which is added behind the others of its file if it is not there. */
static flm_status find_set(flm_report_sets *sets, int file, const char *name, flm_report_set **out)
{
    flm_status rc = FLM_OK;
    int at = sets->count;
    for (int i = 0; i < sets->count; i++) {
        if (sets->sets[i].file != file) continue;
        at = i + 1;
        if (strcmp(sets->sets[i].name, name) != 0) continue;
        *out = &sets->sets[i];
        return FLM_OK;
    }
    flm_report_set *grown = realloc(sets->sets, (size_t)(sets->count + 1) * sizeof *grown);
    if (!grown) FLM_FAIL(FLM_E_NOMEM, "no memory for a list of sets");
    sets->sets = grown;
    memmove(grown + at + 1, grown + at, (size_t)(sets->count++ - at) * sizeof *grown);
    grown[at] = (flm_report_set){.file = file,
                                 .index = -1,
                                 .name = strdup(name),
                                 .series = strdup(""),
                                 .scorer = strdup(""),
                                 .steps = NAN,
                                 .rows = -1};
    for (int i = 0; i < FLM_FIGURES; i++) grown[at].value[i] = NAN;
    if (!grown[at].name || !grown[at].series || !grown[at].scorer)
        FLM_FAIL(FLM_E_NOMEM, "no memory for a list of sets");
    *out = &grown[at];
done:
    return rc;
}

static flm_status replace_text(char **text, const char *by)
{
    char *copy = strdup(by);
    if (!copy) return flm_err_raise(FLM_E_NOMEM, __FILE__, __LINE__, "no memory for a text");
    free(*text);
    *text = copy;
    return FLM_OK;
}

/* Splits a setting's name: "steps_8_noise_0.8" into 8 and "noise 0.8", "refine_8x2_threshold_0.9" into 16 and "refine,
 * threshold 0.9", "blocks_32x4" into "blocks of 32" and 4 for each of the blocks of L positions (L 0: unknown). */
static flm_status split_name(const char *name, int64_t L, flm_report_set *set)
{
    char series[FLM_SAMPLES_SETTING_BYTES + 16] = "";
    int64_t a = 0, b = 0;
    int used = 0;
    if (sscanf(name, "steps_%" SCNd64 "%n", &a, &used) == 1) {
        set->steps = (double)a;
    } else if (sscanf(name, "refine_%" SCNd64 "x%" SCNd64 "%n", &a, &b, &used) == 2 && used > 0) {
        set->steps = (double)a * (double)b;
        strcpy(series, "refine");
    } else if (sscanf(name, "blocks_%" SCNd64 "x%" SCNd64 "%n", &a, &b, &used) == 2 && used > 0 && a > 0) {
        if (L > 0) set->steps = (double)((L + a - 1) / a) * (double)b;
        snprintf(series, sizeof series, "blocks of %" PRId64, a);
    } else {
        used = 0;
    }
    const size_t begun = strlen(series);
    const char *rest = name + used + (name[used] == '_');
    snprintf(series + begun, sizeof series - begun, "%s%s", begun && *rest ? ", " : "", rest);
    for (char *c = series; *c; c++) *c = *c == '_' ? ' ' : *c;
    return replace_text(&set->series, series);
}

void flm_report_sets_free(flm_report_sets *sets)
{
    for (int i = 0; i < sets->files_count; i++) {
        flm_samples_close(&sets->files[i].samples);
        free(sets->files[i].path);
    }
    for (int i = 0; i < sets->count; i++) {
        free(sets->sets[i].name);
        free(sets->sets[i].series);
        free(sets->sets[i].scorer);
    }
    free(sets->files);
    free(sets->sets);
    *sets = (flm_report_sets){0};
}

bool flm_report_sets_have(const flm_report_sets *sets, flm_figure_id figure)
{
    for (int i = 0; i < sets->count; i++)
        if (isfinite(sets->sets[i].value[figure])) return true;
    return false;
}

/* ---- samples files ---- */

static flm_status add_set(flm_report_sets *sets, int file, int index)
{
    flm_status rc = FLM_OK;
    flm_report_set *set = NULL;
    const flm_samples *samples = sets->files[file].samples;
    const flm_samples_info *info = flm_samples_get_info(samples);
    char scorer[MAX_SCORER_BYTES];
    FLM_TRY(find_set(sets, file, flm_samples_get_name(samples, index), &set));
    set->index = index;
    set->rows = info->samples;
    FLM_TRY(split_name(set->name, info->L, set));
    FLM_TRY(flm_samples_get_scorer(samples, index, scorer, sizeof scorer));
    if (*scorer) FLM_TRY(replace_text(&set->scorer, scorer));
    for (int i = 0; i < FLM_FIGURES; i++) {
        double value = NAN;
        bool there = false;
        FLM_TRY(flm_samples_get_result(samples, index, flm_figures[i].key, &value, &there));
        if (there) set->value[i] = value;
    }
done:
    return rc;
}

flm_status flm_report_sets_add_samples(flm_report_sets *sets, const char *path)
{
    flm_status rc = FLM_OK;
    flm_samples *samples = NULL;
    int file;
    FLM_TRY(flm_samples_open_read(path, &samples));
    FLM_TRY(find_file(sets, path, &file));
    if (sets->files[file].samples) goto done;
    sets->files[file].samples = samples;
    samples = NULL;
    for (int i = 0; i < flm_samples_count(sets->files[file].samples); i++)
        FLM_TRY(flm_err_prefix(add_set(sets, file, i), path));
done:
    flm_samples_close(&samples);
    return rc;
}

/* ---- JSON ---- */

static flm_status add_entry(flm_report_sets *sets, const json_t *entry)
{
    flm_status rc = FLM_OK;
    flm_report_set *set = NULL;
    const char *path = json_string_value(json_object_get(entry, "file"));
    const char *setting = json_string_value(json_object_get(entry, "setting"));
    const char *scorer = json_string_value(json_object_get(entry, "scorer"));
    const json_t *steps = json_object_get(entry, "steps"), *rows = json_object_get(entry, "samples");
    char name[FLM_SAMPLES_SETTING_BYTES] = "texts";
    int file;
    if (!path) FLM_FAIL(FLM_E_FORMAT, "has no \"file\"");
    if (setting) /* version 0.1 has the number of steps only */
        snprintf(name, sizeof name, "%s", setting);
    else if (json_is_integer(steps))
        snprintf(name, sizeof name, "steps_%" PRId64, (int64_t)json_integer_value(steps));
    FLM_TRY(find_file(sets, path, &file));
    FLM_TRY(find_set(sets, file, name, &set));
    if (set->index < 0 && json_is_integer(rows)) set->rows = (int64_t)json_integer_value(rows);
    if (set->index < 0) FLM_TRY(split_name(name, 0, set));
    if (scorer && !*set->scorer) FLM_TRY(replace_text(&set->scorer, scorer));
    for (int i = 0; i < FLM_FIGURES; i++) {
        const json_t *value = json_object_get(entry, flm_figures[i].key);
        if (json_is_number(value) && isnan(set->value[i])) set->value[i] = json_number_value(value);
    }
done:
    return rc;
}

flm_status flm_report_sets_add_json(flm_report_sets *sets, const char *path)
{
    flm_status rc = FLM_OK;
    json_t *root = NULL;
    json_error_t error;
    char *text = NULL, where[48];
    size_t bytes;
    FLM_TRY(flm_file_read(path, MAX_JSON_BYTES, &text, &bytes));
    root = json_loadb(text, bytes, 0, &error);
    if (!root) FLM_FAIL(FLM_E_FORMAT, "%s: line %d: is not JSON: %s", path, error.line, error.text);
    if (!json_is_array(root))
        FLM_FAIL(FLM_E_FORMAT, "%s: is not the JSON of flm_score: expected an array of results", path);
    for (size_t i = 0; i < json_array_size(root); i++) {
        snprintf(where, sizeof where, "result %zu", i + 1);
        FLM_TRY(flm_err_prefix(flm_err_prefix(add_entry(sets, json_array_get(root, i)), where), path));
    }
done:
    json_decref(root);
    free(text);
    return rc;
}
