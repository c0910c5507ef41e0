/* score_table.c - see score_report.h: the tables on stdout. SPDX-License-Identifier: Apache-2.0 */
#include "score/score_report.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LABEL_BYTES = 48, NUMBER_BYTES = 16, CRC_BYTES = 9 };

/* "8", "32x4" (positions of a block, steps of it), "8x1" (rounds, steps of one), "-" for texts. */
static const char *steps_of(const flm_score_entry *e, char text[LABEL_BYTES])
{
    const flm_samples_setting *s = &e->setting;
    if (s->steps == 0) return strcpy(text, "-");
    if (s->sampler == FLM_SAMPLES_FLOW)
        snprintf(text, LABEL_BYTES, "%" PRId64, s->steps);
    else
        snprintf(text, LABEL_BYTES, "%" PRId64 "x%" PRId64,
                 s->sampler == FLM_SAMPLES_BLOCKS ? s->block_length : s->rounds, s->steps);
    return text;
}

/* A setting of samples, "-" for texts. */
static const char *setting_of(const flm_score_entry *e, double value, char text[NUMBER_BYTES])
{
    if (e->setting.steps == 0) return strcpy(text, "-");
    snprintf(text, NUMBER_BYTES, "%g", value);
    return text;
}

/* A figure, "-" where there is none. */
static const char *figure_of(double value, char text[NUMBER_BYTES])
{
    if (!isfinite(value)) return strcpy(text, "-");
    snprintf(text, NUMBER_BYTES, "%.4f", value);
    return text;
}

/* The checksum of the weights in a scorer's description, "-" where there is none. */
static const char *scorer_of(const flm_score_entry *e, char text[CRC_BYTES])
{
    const char *found = strstr(e->scorer, "crc32c ");
    if (!found || sscanf(found, "crc32c %8[0-9a-f]", text) != 1) strcpy(text, "-");
    return text;
}

static int max_of(int a, int b) { return a > b ? a : b; }

/* How the texts of each entry were made and scored, and their Gen-PPL and entropy. */
static void print_conditions(const flm_score_entry *entries, int count)
{
    char label[LABEL_BYTES], noise[NUMBER_BYTES], temperature[NUMBER_BYTES], crc[CRC_BYTES];
    int kind = 4, steps = 5;
    for (int i = 0; i < count; i++) {
        kind = max_of(kind, (int)strlen(entries[i].kind));
        steps = max_of(steps, (int)strlen(steps_of(&entries[i], label)));
    }
    printf("== %2s %-*s %*s %5s %4s %4s %7s %8s %5s %-9s %9s %19s %7s\n", "#", kind, "kind", steps, "steps", "noise",
           "temp", "prec", "samples", "scorer", "cut", "protocol", "Gen-PPL", "95 % interval", "entropy");
    for (int i = 0; i < count; i++) {
        const flm_score_entry *e = &entries[i];
        const flm_score_result *r = &e->result;
        printf("== %2d %-*s %*s %5s %4s %4s %7" PRId64, i + 1, kind, e->kind, steps, steps_of(e, label),
               setting_of(e, e->setting.noise_level, noise), setting_of(e, e->setting.temperature, temperature),
               e->precision[0] ? e->precision : "-", r->rows);
        if (e->scored)
            printf(" %8s %5" PRId64 " %-9s %9.4g %9.4g %9.4g %7.4f\n", scorer_of(e, crc), e->length,
                   flm_score_protocol_names[e->protocol.kind], r->gen_ppl, r->gen_ppl_low, r->gen_ppl_high, r->entropy);
        else
            printf(" %8s %5s %-9s %9s %9s %9s %7s\n", "-", "-", "-", "-", "-", "-", "-");
    }
}

/* The figures of diversity and comparison: their heads, and one of an entry by number, NaN where it has none. */
enum { OVERLAP = FLM_SCORE_DISTINCT + 1, MAUVE = OVERLAP + FLM_OVERLAP_ORDERS, FIGURES = MAUVE + 2 };
static const char *const heads[FIGURES] = {"dist-1",  "dist-2",   "dist-3", "rep-4", "train-4",
                                           "train-8", "train-16", "MAUVE",  "+-"};

static double figure(const flm_score_entry *e, int k)
{
    if (k >= MAUVE) return k == MAUVE ? e->mauve.value : e->mauve.deviation;
    if (k >= OVERLAP) return e->overlap[k - OVERLAP];
    if (!e->scored) return NAN;
    return k < FLM_SCORE_DISTINCT ? e->result.distinct[k] : e->result.repetition;
}

/* Diversity of the texts of each entry, how they compare with others, and what they are. Columns of comparisons that
 * were not made are left out. */
static void print_figures(const flm_score_entry *entries, int count)
{
    char text[NUMBER_BYTES], name[FLM_SAMPLES_SETTING_BYTES];
    bool used[FIGURES];
    for (int k = 0; k < FIGURES; k++) {
        used[k] = k < OVERLAP;
        for (int i = 0; i < count; i++) used[k] = used[k] || isfinite(figure(&entries[i], k));
    }
    printf("== %2s %9s", "#", "positions");
    for (int k = 0; k < FIGURES; k++)
        if (used[k]) printf(" %*s", max_of(6, (int)strlen(heads[k])), heads[k]);
    puts("  file and set");
    for (int i = 0; i < count; i++) {
        const flm_score_entry *e = &entries[i];
        printf("== %2d %9" PRId64, i + 1, e->result.positions);
        for (int k = 0; k < FIGURES; k++)
            if (used[k]) printf(" %*s", max_of(6, (int)strlen(heads[k])), figure_of(figure(e, k), text));
        printf("  %s", e->path);
        if (e->setting.steps > 0) printf(" %s", flm_samples_setting_name(&e->setting, name));
        putchar('\n');
    }
}

/* The scorers by their numbers, each once. */
static void print_scorers(const flm_score_entry *entries, int count)
{
    char crc[CRC_BYTES];
    for (int i = 0; i < count; i++) {
        bool repeated = !entries[i].scored || !entries[i].scorer[0];
        for (int k = 0; k < i && !repeated; k++) repeated = strcmp(entries[k].scorer, entries[i].scorer) == 0;
        if (!repeated) printf("== scorer %s: %s\n", scorer_of(&entries[i], crc), entries[i].scorer);
    }
}

void flm_score_report_print(const flm_score_entry *entries, int count)
{
    print_conditions(entries, count);
    print_figures(entries, count);
    print_scorers(entries, count);
    if (count > 0 && entries[0].reference.path)
        printf("== reference of MAUVE: %s, %" PRId64 " texts, cut at %" PRId64 " tokens\n", entries[0].reference.path,
               entries[0].reference.texts, entries[0].reference.length);
    for (int i = 0; i < count; i++)
        if (entries[i].result.unscored > 0)
            printf("== %s: %" PRId64 " texts are too short to be scored\n", entries[i].path,
                   entries[i].result.unscored);
    for (int i = 0; i < count; i++)
        if (entries[i].scored && entries[i].result.dropped > 0)
            printf("== %s: the last %" PRId64 " texts fill no batch of %" PRId64 " and are not scored\n",
                   entries[i].path, entries[i].result.dropped, entries[i].protocol.batch);
}

/* ---- side by side ---- */

/* "8" for the argmax of a flow of 8 steps without fresh noise, the name of another setting, "-" for texts. */
static const char *label_of(const flm_score_entry *e, char text[FLM_SAMPLES_SETTING_BYTES])
{
    const flm_samples_setting plain = flm_samples_setting_of_steps(e->setting.steps);
    if (e->setting.steps == 0) return strcpy(text, "-");
    if (flm_samples_setting_compare(&plain, &e->setting) != 0) return flm_samples_setting_name(&e->setting, text);
    snprintf(text, FLM_SAMPLES_SETTING_BYTES, "%" PRId64, e->setting.steps);
    return text;
}

/* Null baselines have no setting to stand beside, and are the last entries. */
static int count_others(const flm_score_entry *entries, int count)
{
    while (count > 0 && entries[count - 1].setting.steps == 0 && strcmp(entries[count - 1].kind, "text") != 0) count--;
    return count;
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
    printf("== file %d: %s, %s", column, entries[0].path, entries[0].kind);
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
            printf(" | %9.4g %9.4g %9.4g %7.4f", found->result.gen_ppl, found->result.gen_ppl_low,
                   found->result.gen_ppl_high, found->result.entropy);
        else
            printf(" | %9s %9s %9s %7s", "-", "-", "-", "-");
    }
    putchar('\n');
}

flm_status flm_score_report_print_comparison(const flm_score_entry *entries, int count)
{
    flm_status rc = FLM_OK;
    const flm_score_entry **row = malloc((size_t)(count + 1) * sizeof *row);
    char label[FLM_SAMPLES_SETTING_BYTES];
    int columns = 0, width = 7;
    if (!row) FLM_FAIL(FLM_E_NOMEM, "no memory for a table of %d results", count);
    flm_score_report_print(entries, count);
    count = count_others(entries, count);
    for (int i = 0; i < count; i++) row[i] = &entries[i], width = max_of(width, (int)strlen(label_of(row[i], label)));
    qsort(row, (size_t)count, sizeof *row, by_setting);
    for (int i = 0; i < count; i++)
        if (i == 0 || strcmp(entries[i].path, entries[i - 1].path) != 0)
            print_column(++columns, &entries[i], count - i);
    printf("== %*s", width, "steps");
    for (int c = 1; c <= columns; c++) printf(" | %d %7s %19s %7s", c, "Gen-PPL", "95 % interval", "entropy");
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

/* ---- frontier ---- */

static int by_entropy(const void *a, const void *b)
{
    const flm_score_entry *x = *(const flm_score_entry *const *)a, *y = *(const flm_score_entry *const *)b;
    const double s = x->result.entropy, t = y->result.entropy;
    return s != t ? (s < t) - (s > t) : (x > y) - (x < y);
}

flm_status flm_score_report_print_frontier(const flm_score_entry *entries, int count)
{
    flm_status rc = FLM_OK;
    const flm_score_entry **row = malloc((size_t)(count + 1) * sizeof *row);
    char text[FLM_SAMPLES_SETTING_BYTES];
    int rows = 0;
    if (!row) FLM_FAIL(FLM_E_NOMEM, "no memory for a table of %d results", count);
    for (int i = 0; i < count; i++)
        if (entries[i].scored && entries[i].setting.steps > 0) row[rows++] = &entries[i];
    qsort(row, (size_t)rows, sizeof *row, by_entropy);
    puts("== frontier: * no other set has a Gen-PPL as low and an entropy as high");
    printf("==   %7s %9s %19s %2s  %s\n", "entropy", "Gen-PPL", "95 % interval", "#", "kind and setting");
    for (int i = 0; i < rows; i++) {
        const flm_score_result *r = &row[i]->result;
        printf("== %c %7.4f %9.4g %9.4g %9.4g %2d  %s: %s\n", row[i]->frontier ? '*' : ' ', r->entropy, r->gen_ppl,
               r->gen_ppl_low, r->gen_ppl_high, (int)(row[i] - entries) + 1, row[i]->kind,
               flm_samples_setting_describe(&row[i]->setting, text));
    }
done:
    free(row);
    return rc;
}
