/* report_curves.c - the section about training: curves over the step. SPDX-License-Identifier: Apache-2.0 */
#include "report/report_chart.h"
#include "report/report_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LABEL_BYTES = 600, LOG_RATIO = 20, MAX_SERIES = 256, MAX_DOTS = 20 };

/* The series of a chart under construction: their points and labels, which belong to it. */
typedef struct curves {
    flm_chart_series series[MAX_SERIES];
    void *owned[2 * MAX_SERIES];
    int count, owned_count;
} curves;

static void free_curves(curves *c)
{
    for (int i = 0; i < c->owned_count; i++) free(c->owned[i]);
    *c = (curves){0};
}

/* What is drawn: a number of the lines, or one made of several of them. */
typedef double (*number_of_line)(const flm_report_run *run, int64_t line, int argument);

static double metric_of(const flm_report_run *run, int64_t line, int metric)
{
    return flm_report_run_value(run, line, (flm_report_metric)metric);
}

/* Seconds a step, on average since the report before. */
static double step_time_of(const flm_report_run *run, int64_t line, int argument)
{
    (void)argument;
    return metric_of(run, line, FLM_METRIC_TOKENS_SEEN) / metric_of(run, line, FLM_METRIC_STEP) /
           metric_of(run, line, FLM_METRIC_TOKENS_PER_SECOND);
}

/* Mean entropy of samples of that many steps. */
static double entropy_of(const flm_report_run *run, int64_t line, int steps)
{
    return metric_of(run, line, FLM_METRIC_SAMPLE_STEPS) == steps ? metric_of(run, line, FLM_METRIC_SAMPLE_ENTROPY)
                                                                  : NAN;
}

/* Adds the series of a run: the lines whose number is finite. part: added to the label; NULL: none. */
static flm_status add_curve(curves *c, const flm_report_page *page, int run, number_of_line number, int argument,
                            const char *part, int dash)
{
    flm_status rc = FLM_OK;
    const flm_report_run *r = &page->runs[run];
    double *x = malloc((size_t)(2 * r->count + 1) * sizeof *x), *y = x ? x + r->count : NULL;
    char *label = malloc(LABEL_BYTES);
    int64_t count = 0;
    if (!x || !label) FLM_FAIL(FLM_E_NOMEM, "no memory for a curve");
    for (int64_t i = 0; i < r->count; i++) {
        const double value = number(r, i, argument);
        if (!isfinite(value)) continue;
        x[count] = flm_report_run_value(r, i, FLM_METRIC_STEP);
        y[count++] = value;
    }
    if (count == 0 || c->count == MAX_SERIES) goto done;
    snprintf(label, LABEL_BYTES, "%s%s%s", r->name, part ? ", " : "", part ? part : "");
    c->series[c->count++] = (flm_chart_series){.label = label,
                                               .color = run,
                                               .dash = dash + run / FLM_CHART_COLORS,
                                               .dots = count <= MAX_DOTS,
                                               .count = count,
                                               .x = x,
                                               .y = y};
    c->owned[c->owned_count++] = x;
    c->owned[c->owned_count++] = label;
    x = NULL;
    label = NULL;
done:
    free(x);
    free(label);
    return rc;
}

/* Whether values span so much that a logarithmic axis shows more of them. */
static bool spans_much(const curves *c)
{
    double min = INFINITY, max = 0;
    for (int k = 0; k < c->count; k++)
        for (int64_t i = 0; i < c->series[k].count; i++) {
            const double value = c->series[k].y[i];
            if (value > 0 && value < min) min = value;
            if (value > max) max = value;
        }
    return max > LOG_RATIO * min;
}

/* Whether curves are so different in length that a logarithmic axis shows more of the shorter ones. */
static bool lengths_differ(const curves *c)
{
    double min = INFINITY, max = 0;
    for (int k = 0; k < c->count; k++) {
        min = fmin(min, c->series[k].x[c->series[k].count - 1]);
        max = fmax(max, c->series[k].x[c->series[k].count - 1]);
    }
    return max > LOG_RATIO * min;
}

static flm_status write_chart(flm_report_page *page, curves *c, const char *title, const char *unit,
                              flm_chart_scale scale, const char *note)
{
    const flm_chart chart = {.title = title,
                             .note = note,
                             .x_label = "step",
                             .x_scale = lengths_differ(c) ? FLM_CHART_LOG : FLM_CHART_LINEAR,
                             .y_label = unit,
                             .y_scale = scale,
                             .log_first = spans_much(c),
                             .id = page->charts++,
                             .series = c->series,
                             .count = c->count};
    const flm_status rc = flm_chart_write(&chart, page->out);
    free_curves(c);
    return rc;
}

/* Whether a run is the first one of its kind. */
static bool is_first_of_kind(const flm_report_page *page, int run)
{
    for (int i = 0; i < run; i++)
        if (strcmp(flm_report_run_kind(&page->runs[i]), flm_report_run_kind(&page->runs[run])) == 0) return false;
    return true;
}

/* The losses of all runs of a run's kind: those of different kinds do not compare. */
static flm_status write_losses(flm_report_page *page, int run)
{
    flm_status rc = FLM_OK;
    static const struct {
        flm_report_metric metric;
        const char *part;
    } parts[] = {{FLM_METRIC_LOSS_DIAGONAL, "on the diagonal"}, {FLM_METRIC_LOSS_OFF_DIAGONAL, "off the diagonal"}};
    curves c = {0};
    const char *kind = flm_report_run_kind(&page->runs[run]);
    char title[128];
    for (int i = run; i < page->runs_count; i++) {
        if (strcmp(flm_report_run_kind(&page->runs[i]), kind) != 0) continue;
        FLM_TRY(add_curve(&c, page, i, metric_of, FLM_METRIC_LOSS, NULL, 0));
        FLM_TRY(add_curve(&c, page, i, metric_of, FLM_METRIC_VALID_LOSS, "validation", 1));
    }
    snprintf(title, sizeof title, "Loss%s%.64s", *kind ? ", kind " : "", kind);
    FLM_TRY(write_chart(page, &c, title, "nats a token", FLM_CHART_BOTH, NULL));
    for (int i = run; i < page->runs_count; i++)
        for (int k = 0; k < 2 && strcmp(flm_report_run_kind(&page->runs[i]), kind) == 0; k++)
            FLM_TRY(add_curve(&c, page, i, metric_of, (int)parts[k].metric, parts[k].part, k));
    snprintf(title, sizeof title, "Parts of the loss%s%.64s", *kind ? ", kind " : "", kind);
    FLM_TRY(
        write_chart(page, &c, title, "nats a token", FLM_CHART_BOTH,
                    "On the diagonal: the flow language model's own loss. Off the diagonal: how far the flow map is "
                    "from its target."));
done:
    free_curves(&c);
    return rc;
}

/* One number of all runs. */
static flm_status write_metric(flm_report_page *page, number_of_line number, flm_report_metric metric,
                               const char *title, const char *unit, flm_chart_scale scale)
{
    flm_status rc = FLM_OK;
    curves c = {0};
    for (int i = 0; i < page->runs_count; i++) FLM_TRY(add_curve(&c, page, i, number, (int)metric, NULL, 0));
    FLM_TRY(write_chart(page, &c, title, unit, scale, NULL));
done:
    free_curves(&c);
    return rc;
}

/* The next larger number of sampling steps that a run has entropies of; 0: none. */
static int next_steps(const flm_report_run *run, int after)
{
    double next = INFINITY;
    for (int64_t i = 0; i < run->count; i++) {
        const double steps = flm_report_run_value(run, i, FLM_METRIC_SAMPLE_STEPS);
        if (steps > after && steps < next) next = steps;
    }
    return next < 1e9 ? (int)next : 0;
}

static flm_status write_entropies(flm_report_page *page)
{
    flm_status rc = FLM_OK;
    curves c = {0};
    char part[48];
    for (int i = 0; i < page->runs_count; i++) {
        const int fewest = next_steps(&page->runs[i], 0);
        int largest = fewest;
        for (int steps = fewest; steps > 0; steps = next_steps(&page->runs[i], steps)) largest = steps;
        for (int steps = fewest; steps > 0; steps = steps < largest ? largest : 0) {
            snprintf(part, sizeof part, "%d sampling step%s", steps, steps == 1 ? "" : "s");
            FLM_TRY(add_curve(&c, page, i, entropy_of, steps, part, steps > fewest));
        }
    }
    FLM_TRY(
        write_chart(page, &c, "Entropy of samples", "nats", FLM_CHART_LINEAR,
                    "Mean entropy of the token histogram of the samples that validation draws, for the smallest and "
                    "the largest number of steps. A falling curve: samples repeat themselves."));
done:
    free_curves(&c);
    return rc;
}

flm_status flm_report_page_write_curves(flm_report_page *page)
{
    flm_status rc = FLM_OK;
    int64_t lines = 0;
    for (int i = 0; i < page->runs_count; i++) lines += page->runs[i].count;
    if (lines == 0) {
        flm_report_page_lacks(page, "curves", "Training",
                              page->runs_count == 0
                                  ? "No curves: give the directory of a run of <code>flm_train</code> or "
                                    "<code>flm_distill</code>."
                                  : "No curves yet: <code>metrics.jsonl</code> has no report of a step.");
        return FLM_OK;
    }
    flm_report_page_begin(
        page, "curves", "Training",
        "Every point is a report of the run. Of long runs, the line is the mean of neighbouring reports "
        "and the area behind it their range. Losses of different kinds measure different things.");
    fputs("<div class=\"charts\">\n", page->out);
    for (int i = 0; i < page->runs_count; i++)
        if (is_first_of_kind(page, i)) FLM_TRY(write_losses(page, i));
    FLM_TRY(write_metric(page, metric_of, FLM_METRIC_LR, "Learning rate", "rate", FLM_CHART_LINEAR));
    FLM_TRY(
        write_metric(page, metric_of, FLM_METRIC_GRAD_NORM, "Gradient norm", "norm before clipping", FLM_CHART_BOTH));
    FLM_TRY(write_metric(page, step_time_of, FLM_METRIC_STEP, "Step time", "seconds", FLM_CHART_BOTH));
    FLM_TRY(write_entropies(page));
    fputs("</div>\n", page->out);
    flm_report_page_end(page);
done:
    return rc;
}
