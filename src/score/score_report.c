/* score_report.c - see score_report.h. SPDX-License-Identifier: Apache-2.0 */
#include "score/score_report.h"

#include "base/base_file.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* "8" for the argmax of a flow of 8 steps without fresh noise, the name of another setting, "-" for texts. */
static const char *label_of(const flm_score_entry *e, char text[FLM_SAMPLES_SETTING_BYTES])
{
    const flm_samples_setting plain = flm_samples_setting_of_steps(e->setting.steps);
    if (e->setting.steps == 0) return strcpy(text, "-");
    if (flm_samples_setting_compare(&plain, &e->setting) != 0) return flm_samples_setting_name(&e->setting, text);
    snprintf(text, FLM_SAMPLES_SETTING_BYTES, "%" PRId64, e->setting.steps);
    return text;
}

/* The longest label, at least 7. */
static int label_width(const flm_score_entry *entries, int count)
{
    char text[FLM_SAMPLES_SETTING_BYTES];
    int width = 7;
    for (int i = 0; i < count; i++) {
        const int own = (int)strlen(label_of(&entries[i], text));
        width = own > width ? own : width;
    }
    return width;
}

void flm_score_report_print(const flm_score_entry *entries, int count)
{
    const int width = label_width(entries, count);
    char label[FLM_SAMPLES_SETTING_BYTES];
    printf("== %*s %7s %9s %10s %21s %9s %8s %6s %6s %6s %6s  %s\n", width, "steps", "texts", "positions", "Gen-PPL",
           "95 % interval", "protocol", "entropy", "dist-1", "dist-2", "dist-3", "rep-4", "file");
    for (int i = 0; i < count; i++) {
        const flm_score_result *r = &entries[i].result;
        printf("== %*s %7" PRId64 " %9" PRId64 " %10.4g %10.4g %10.4g %9s %8.4f %6.4f %6.4f %6.4f %6.4f  %s\n", width,
               label_of(&entries[i], label), r->rows, r->positions, r->gen_ppl, r->gen_ppl_low, r->gen_ppl_high,
               flm_score_protocol_names[entries[i].protocol.kind], r->entropy, r->distinct[0], r->distinct[1],
               r->distinct[2], r->repetition, entries[i].path);
    }
    for (int i = 0; i < count; i++)
        if (entries[i].result.unscored > 0)
            printf("== %s: %" PRId64 " texts are too short to be scored\n", entries[i].path,
                   entries[i].result.unscored);
    for (int i = 0; i < count; i++)
        if (entries[i].result.dropped > 0)
            printf("== %s: the last %" PRId64 " texts fill no batch of %" PRId64 " and are not scored\n",
                   entries[i].path, entries[i].result.dropped, entries[i].protocol.batch);
}

static int by_setting(const void *a, const void *b)
{
    const flm_score_entry *x = *(const flm_score_entry *const *)a, *y = *(const flm_score_entry *const *)b;
    return flm_samples_setting_compare(&x->setting, &y->setting);
}

/* The head line of a file: its number, its path, and the protocol of its figures. entries [count]: from its first. */
static void print_column(int column, const flm_score_entry *entries, int count)
{
    char text[FLM_SCORE_PROTOCOL_BYTES];
    const flm_score_entry *first = NULL;
    bool mixed = false;
    for (int i = 0; i < count && strcmp(entries[i].path, entries[0].path) == 0; i++) {
        if (!entries[i].scored) continue;
        if (!first) first = &entries[i];
        mixed = mixed || !flm_score_protocol_equal(&entries[i].protocol, &first->protocol);
    }
    printf("== %d: %s", column, entries[0].path);
    if (first)
        printf(" (protocol: %s)",
               mixed ? "differs between the sets" : flm_score_protocol_describe(&first->protocol, text));
    putchar('\n');
}

/* The figures of a setting, a column a file. */
static void print_row(const flm_score_entry *entries, int count, const flm_samples_setting *setting)
{
    for (int i = 0; i < count;) {
        const char *path = entries[i].path;
        const flm_score_entry *found = NULL;
        for (; i < count && strcmp(entries[i].path, path) == 0; i++)
            if (flm_samples_setting_compare(&entries[i].setting, setting) == 0 && entries[i].scored)
                found = &entries[i];
        if (found)
            printf(" |    %10.4g %10.4g %10.4g %8.4f", found->result.gen_ppl, found->result.gen_ppl_low,
                   found->result.gen_ppl_high, found->result.entropy);
        else
            printf(" |    %10s %10s %10s %8s", "-", "-", "-", "-");
    }
    putchar('\n');
}

flm_status flm_score_report_print_comparison(const flm_score_entry *entries, int count)
{
    flm_status rc = FLM_OK;
    const flm_score_entry **row = malloc((size_t)(count + 1) * sizeof *row);
    char label[FLM_SAMPLES_SETTING_BYTES];
    const int width = label_width(entries, count);
    int columns = 0;
    if (!row) FLM_FAIL(FLM_E_NOMEM, "no memory for a table of %d results", count);
    for (int i = 0; i < count; i++) row[i] = &entries[i];
    qsort(row, (size_t)count, sizeof *row, by_setting);
    for (int i = 0; i < count; i++)
        if (i == 0 || strcmp(entries[i].path, entries[i - 1].path) != 0)
            print_column(++columns, &entries[i], count - i);
    printf("== %*s", width, "steps");
    for (int c = 1; c <= columns; c++) printf(" | %2d %10s %21s %8s", c, "Gen-PPL", "95 % interval", "entropy");
    putchar('\n');
    for (int k = 0; k < count; k++) {
        if (k > 0 && flm_samples_setting_compare(&row[k]->setting, &row[k - 1]->setting) == 0) continue;
        printf("== %*s", width, label_of(row[k], label));
        print_row(entries, count, &row[k]->setting);
    }
done:
    free(row);
    return rc;
}

/* JSON has no NaN or infinity: null. */
static json_t *number(double value) { return isfinite(value) ? json_real(value) : json_null(); }

static json_t *entry_json(const char *scorer, const flm_score_entry *e)
{
    const flm_score_result *r = &e->result;
    const bool published = e->scored && e->protocol.kind == FLM_SCORE_PUBLISHED, samples = e->setting.steps > 0;
    char setting[FLM_SAMPLES_SETTING_BYTES];
    return json_pack("{ss so so so so so sI sI sI sI so so so so so so so so}", "file", e->path, "steps",
                     samples ? json_integer(e->setting.steps) : json_null(), "setting",
                     samples ? json_string(flm_samples_setting_name(&e->setting, setting)) : json_null(), "scorer",
                     scorer ? json_string(scorer) : json_null(), "protocol",
                     e->scored ? json_string(flm_score_protocol_names[e->protocol.kind]) : json_null(),
                     "protocol_batch", published ? json_integer(e->protocol.batch) : json_null(), "samples",
                     (json_int_t)r->rows, "unscored", (json_int_t)r->unscored, "dropped", (json_int_t)r->dropped,
                     "positions", (json_int_t)r->positions, "gen_ppl", number(r->gen_ppl), "gen_ppl_low",
                     number(r->gen_ppl_low), "gen_ppl_high", number(r->gen_ppl_high), "entropy", number(r->entropy),
                     "distinct_1", number(r->distinct[0]), "distinct_2", number(r->distinct[1]), "distinct_3",
                     number(r->distinct[2]), "repetition_4", number(r->repetition));
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

flm_status flm_score_report_write_entries(const char *path, const char *scorer, const flm_score_entry *entries,
                                          int count)
{
    flm_status rc = FLM_OK;
    char *text = NULL;
    size_t bytes = 0;
    FILE *memory = open_memstream(&text, &bytes);
    bool complete = memory != NULL;
    if (memory) fputs("[\n", memory);
    for (int i = 0; i < count && complete; i++) {
        json_t *entry = entry_json(scorer, &entries[i]);
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
