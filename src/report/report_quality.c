/* report_quality.c - the section about quality against steps: curves and a table of the figures of all sets.
 * SPDX-License-Identifier: Apache-2.0 */
#include "report/report_chart.h"
#include "report/report_html.h"
#include "report/report_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LABEL_BYTES = 600 };

/* A curve: the sets of one file that differ in the number of steps alone. */
typedef struct curve {
    int file;
    const char *series;
    char label[LABEL_BYTES];
    int color, dash;
    int count;
    double *x, *y, *low, *high; /* [sets of the page] */
    const char **labels;
} curve;

typedef struct curves {
    curve *all;
    int count;
} curves;

/* ---- colours ---- */

/* Whether a path is a directory or inside it; the directory is absolute and without links. */
static bool is_inside(const char *given, const char *directory)
{
    const size_t length = strlen(directory);
    char *path = realpath(given, NULL);
    const char *name = path ? path : given; /* a file that is not there any more */
    const bool inside = strncmp(name, directory, length) == 0 && (name[length] == '/' || name[length] == '\0');
    free(path);
    return inside;
}

/* The run that a file's samples are of: the file is in its directory, or they were drawn from a checkpoint there.
 * -1: none of the page. */
static int run_of(const flm_report_page *page, const flm_report_file *file)
{
    int found = -1;
    for (int i = 0; i < page->runs_count && found < 0; i++) {
        char *run = realpath(page->runs[i].path, NULL);
        if (run && is_inside(file->path, run)) found = i;
        if (run && file->samples && is_inside(flm_samples_get_info(file->samples)->checkpoint, run)) found = i;
        free(run);
    }
    return found;
}

/* A curve has its run's colour, and a dash of its own among the curves of that run; others have the colours behind. */
static void choose_colors(const flm_report_page *page, curves *c)
{
    int others = page->runs_count;
    for (int i = 0; i < c->count; i++) {
        const int run = run_of(page, &page->sets.files[c->all[i].file]);
        c->all[i].color = run >= 0 ? run : others++;
        for (int k = 0; run >= 0 && k < i; k++) c->all[i].dash += c->all[k].color == run;
    }
}

/* ---- curves ---- */

static void free_curves(curves *c)
{
    for (int i = 0; c->all && i < c->count; i++) {
        free(c->all[i].x);
        free(c->all[i].labels);
    }
    free(c->all);
}

static flm_status add_curve(const flm_report_page *page, curves *c, const flm_report_set *set)
{
    flm_status rc = FLM_OK;
    const size_t n = (size_t)page->sets.count;
    const flm_samples *samples = page->sets.files[set->file].samples;
    curve *new = &c->all[c->count];
    if (samples && flm_samples_get_prompts(samples)->count > 0) return FLM_OK; /* a part of the text was given */
    for (int i = 0; i < c->count; i++)
        if (c->all[i].file == set->file && strcmp(c->all[i].series, set->series) == 0) return FLM_OK;
    *new = (curve){.file = set->file, .series = set->series};
    new->x = malloc(4 * n * sizeof *new->x);
    new->labels = malloc(n * sizeof *new->labels);
    c->count++;
    if (!new->x || !new->labels) FLM_FAIL(FLM_E_NOMEM, "no memory for a curve");
    new->y = new->x + n;
    new->low = new->y + n;
    new->high = new->low + n;
    snprintf(new->label, sizeof new->label, "%s%s%s", page->sets.files[set->file].name, *set->series ? ", " : "",
             set->series);
done:
    return rc;
}

static flm_status find_curves(const flm_report_page *page, curves *c)
{
    flm_status rc = FLM_OK;
    c->all = calloc((size_t)page->sets.count + 1, sizeof *c->all);
    if (!c->all) FLM_FAIL(FLM_E_NOMEM, "no memory for curves");
    for (int i = 0; i < page->sets.count; i++) FLM_TRY(add_curve(page, c, &page->sets.sets[i]));
    choose_colors(page, c);
done:
    return rc;
}

/* Fills in the points of a curve: a figure over the steps, or (over >= 0) over another figure, with the steps shown.
 * texts [sets of the page, ...]: the labels. */
static void fill_curve(const flm_report_page *page, curve *c, flm_figure_id figure, int over,
                       char (*texts)[FLM_HTML_NUMBER_BYTES])
{
    const bool ppl = figure == FLM_FIGURE_GEN_PPL;
    c->count = 0;
    for (int i = 0; i < page->sets.count; i++) {
        const flm_report_set *s = &page->sets.sets[i];
        const double x = over >= 0 ? s->value[over] : s->steps;
        if (s->file != c->file || strcmp(s->series, c->series) != 0 || !isfinite(s->value[figure]) || !isfinite(x))
            continue;
        c->x[c->count] = x;
        c->y[c->count] = s->value[figure];
        c->low[c->count] = ppl ? s->value[FLM_FIGURE_GEN_PPL_LOW] : NAN;
        c->high[c->count] = ppl ? s->value[FLM_FIGURE_GEN_PPL_HIGH] : NAN;
        c->labels[c->count++] = flm_html_count(isfinite(s->steps) ? (int64_t)s->steps : 0, texts[i]);
    }
}

static flm_status write_chart(flm_report_page *page, curves *c, flm_figure_id figure, int over, const char *title,
                              const char *note)
{
    flm_status rc = FLM_OK;
    flm_chart_series *series = calloc((size_t)c->count + 1, sizeof *series);
    char(*texts)[FLM_HTML_NUMBER_BYTES] = malloc(((size_t)page->sets.count + 1) * sizeof *texts);
    const flm_figure *f = &flm_figures[figure];
    const bool ppl = figure == FLM_FIGURE_GEN_PPL;
    if (!series || !texts) FLM_FAIL(FLM_E_NOMEM, "no memory for a chart");
    for (int i = 0; i < c->count; i++) {
        curve *k = &c->all[i];
        fill_curve(page, k, figure, over, texts);
        series[i] = (flm_chart_series){.label = k->label,
                                       .color = k->color,
                                       .dash = k->dash,
                                       .dots = true,
                                       .count = k->count,
                                       .x = k->x,
                                       .y = k->y,
                                       .low = k->low,
                                       .high = k->high,
                                       .labels = over >= 0 ? k->labels : NULL};
    }
    const flm_chart chart = {.title = title,
                             .note = note,
                             .x_label = over >= 0 ? "entropy (nats)" : "sampling steps",
                             .x_scale = over >= 0 ? FLM_CHART_LINEAR : FLM_CHART_LOG2,
                             .y_label = *f->unit ? f->unit : f->title,
                             .y_scale = ppl ? FLM_CHART_BOTH : FLM_CHART_LINEAR,
                             .log_first = true,
                             .id = page->charts++,
                             .series = series,
                             .count = c->count};
    FLM_TRY(flm_chart_write(&chart, page->out));
done:
    free(texts);
    free(series);
    return rc;
}

static flm_status write_charts(flm_report_page *page)
{
    flm_status rc = FLM_OK;
    static const flm_figure_id drawn[] = {FLM_FIGURE_GEN_PPL, FLM_FIGURE_CROSS_ENTROPY, FLM_FIGURE_ENTROPY,
                                          FLM_FIGURE_WORD_SHARE, FLM_FIGURE_MAUVE};
    curves c = {0};
    char title[96], note[256];
    FLM_TRY(find_curves(page, &c));
    fputs("<div class=\"charts\">\n", page->out);
    for (size_t i = 0; i < sizeof drawn / sizeof drawn[0]; i++) {
        const flm_figure *f = &flm_figures[drawn[i]];
        snprintf(title, sizeof title, "%c%s", *f->title & ~0x20, f->title + 1);
        snprintf(note, sizeof note, "%c%s.", *f->help & ~0x20, f->help + 1);
        FLM_TRY(write_chart(page, &c, drawn[i], -1, title, note));
    }
    FLM_TRY(write_chart(page, &c, FLM_FIGURE_GEN_PPL, FLM_FIGURE_ENTROPY, "Generative perplexity against entropy",
                        "The number at a point is that of its steps. Good samples are low and to the right: a low "
                        "perplexity at a low entropy means repetition."));
    fputs("</div>\n", page->out);
done:
    free_curves(&c);
    return rc;
}

/* ---- table ---- */

static bool is_column(const flm_report_page *page, flm_figure_id figure)
{
    return flm_figures[figure].title[0] && flm_report_sets_have(&page->sets, figure);
}

static flm_status write_row(flm_report_page *page, const flm_report_set *s)
{
    flm_status rc = FLM_OK;
    char text[FLM_HTML_NUMBER_BYTES], low[FLM_HTML_NUMBER_BYTES], high[FLM_HTML_NUMBER_BYTES];
    FILE *out = page->out;
    fputs("<tr><th scope=\"row\">", out);
    FLM_TRY(flm_html_put_text(out, page->sets.files[s->file].name));
    fputs("</th><td>", out);
    FLM_TRY(flm_html_put_text(out, *s->series ? s->series : "–"));
    fprintf(out, "</td><td class=\"n\">%s</td>", isfinite(s->steps) ? flm_html_count((int64_t)s->steps, text) : "–");
    fprintf(out, "<td class=\"n\">%s</td>", s->rows >= 0 ? flm_html_count(s->rows, text) : "–");
    for (int f = 0; f < FLM_FIGURES; f++) {
        if (!is_column(page, (flm_figure_id)f)) continue;
        fprintf(out, "<td class=\"n\">%s", flm_html_number(s->value[f], text));
        if (f == FLM_FIGURE_GEN_PPL && isfinite(s->value[FLM_FIGURE_GEN_PPL_LOW]))
            fprintf(out, " <small>%s–%s</small>", flm_html_number(s->value[FLM_FIGURE_GEN_PPL_LOW], low),
                    flm_html_number(s->value[FLM_FIGURE_GEN_PPL_HIGH], high));
        fputs("</td>", out);
    }
    fputs("</tr>\n", out);
done:
    return rc;
}

/* Every scorer once. */
static flm_status write_scorers(flm_report_page *page)
{
    flm_status rc = FLM_OK;
    bool any = false;
    for (int i = 0; i < page->sets.count; i++) {
        const char *scorer = page->sets.sets[i].scorer;
        bool known = !*scorer;
        for (int k = 0; k < i; k++) known = known || strcmp(page->sets.sets[k].scorer, scorer) == 0;
        if (known) continue;
        fputs(any ? "<br>" : "<p class=\"note\">Scorer: ", page->out);
        FLM_TRY(flm_html_put_text(page->out, scorer));
        any = true;
    }
    if (any) fputs("</p>\n", page->out);
done:
    return rc;
}

static flm_status write_table(flm_report_page *page)
{
    flm_status rc = FLM_OK;
    fputs("<div class=\"scroll\"><table>\n<thead><tr><th scope=\"col\">samples</th><th scope=\"col\">setting</th>"
          "<th class=\"n\" scope=\"col\">steps</th><th class=\"n\" scope=\"col\">texts</th>",
          page->out);
    for (int f = 0; f < FLM_FIGURES; f++) {
        if (!is_column(page, (flm_figure_id)f)) continue;
        fprintf(page->out, "<th class=\"n\" scope=\"col\" title=\"%s\">%s <small>%s</small></th>", flm_figures[f].help,
                flm_figures[f].title, f == FLM_FIGURE_GEN_PPL ? "95 %" : flm_figures[f].unit);
    }
    fputs("</tr></thead>\n<tbody>\n", page->out);
    for (int i = 0; i < page->sets.count; i++) FLM_TRY(write_row(page, &page->sets.sets[i]));
    fputs("</tbody>\n</table></div>\n", page->out);
    FLM_TRY(write_scorers(page));
done:
    return rc;
}

flm_status flm_report_page_write_quality(flm_report_page *page)
{
    flm_status rc = FLM_OK;
    if (page->sets.count == 0) {
        flm_report_page_lacks(page, "quality", "Quality against steps",
                              "No samples: give a samples file of <code>flm_generate</code>, or the file of "
                              "<code>flm_score --json</code>.");
        return FLM_OK;
    }
    flm_report_page_begin(page, "quality", "Quality against steps",
                          "Steps are those of the sampler per position: rounds times steps in refinement, steps times "
                          "blocks from block to block. Texts that continue prompts are in the table only.");
    FLM_TRY(write_charts(page));
    if (!flm_report_sets_have(&page->sets, FLM_FIGURE_GEN_PPL))
        fputs("<p class=\"lacks\">No generative perplexity: <code>flm_score --gpt2 GPT2.h5 SAMPLES.h5</code> adds it "
              "to a "
              "samples file.</p>\n",
              page->out);
    FLM_TRY(write_table(page));
    flm_report_page_end(page);
done:
    return rc;
}
