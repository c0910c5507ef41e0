/* report_chart.c - see report_chart.h. SPDX-License-Identifier: Apache-2.0 */
#include "report/report_chart.h"

#include "report/report_axis.h"
#include "report/report_html.h"

#include <math.h>
#include <stdlib.h>

/* Units of the picture, which the page scales to its column. The text has 12 of them, a letter about 6.6. */
enum { WIDTH = 420, HEIGHT = 270, TOP = 26, BOTTOM = 42, RIGHT = 16, LETTER = 7 };
/* A series of more points is reduced to so many groups; so many points get a tooltip. */
enum { MAX_POINTS = 240, MAX_TIPS = 60 };

typedef struct picture {
    const flm_chart *chart;
    FILE *out;
    flm_axis x, y;
    double left;
} picture;

/* Letters of a UTF-8 text. */
static int letters(const char *text)
{
    int count = 0;
    for (; *text; text++) count += ((unsigned char)*text & 0xc0) != 0x80;
    return count;
}

/* ---- ranges ---- */

static bool is_visible(flm_chart_scale x_scale, flm_chart_scale y_scale, double x, double y)
{
    if (!isfinite(x) || !isfinite(y)) return false;
    return (x_scale == FLM_CHART_LINEAR || x > 0) && (y_scale == FLM_CHART_LINEAR || y > 0);
}

typedef struct range {
    double min, max;
} range;

static void widen(range *r, double value)
{
    r->min = value < r->min ? value : r->min;
    r->max = value > r->max ? value : r->max;
}

/* What the points and intervals of all series span; false: there is no point. */
static bool find_ranges(const flm_chart *c, flm_chart_scale y_scale, range *x, range *y)
{
    bool any = false;
    *x = *y = (range){INFINITY, -INFINITY};
    for (int k = 0; k < c->count; k++) {
        const flm_chart_series *s = &c->series[k];
        for (int64_t i = 0; i < s->count; i++) {
            if (!is_visible(c->x_scale, y_scale, s->x[i], s->y[i])) continue;
            any = true;
            widen(x, s->x[i]);
            widen(y, s->y[i]);
            if (s->low && is_visible(c->x_scale, y_scale, s->x[i], s->low[i])) widen(y, s->low[i]);
            if (s->high && is_visible(c->x_scale, y_scale, s->x[i], s->high[i])) widen(y, s->high[i]);
        }
    }
    return any;
}

bool flm_chart_has_points(const flm_chart *chart)
{
    range x, y;
    return find_ranges(chart, chart->y_scale == FLM_CHART_LOG ? FLM_CHART_LOG : FLM_CHART_LINEAR, &x, &y);
}

/* ---- places in the picture ---- */

static double x_of(const picture *p, double value)
{
    return p->left + flm_axis_place(&p->x, value) * (WIDTH - RIGHT - p->left);
}

static double y_of(const picture *p, double value)
{
    return HEIGHT - BOTTOM - flm_axis_place(&p->y, value) * (HEIGHT - BOTTOM - TOP);
}

static flm_status write_axes(picture *p)
{
    flm_status rc = FLM_OK;
    char text[FLM_HTML_NUMBER_BYTES];
    double last = -WIDTH;
    for (int i = 0; i < p->y.ticks; i++) {
        const double at = y_of(p, p->y.tick[i]);
        fprintf(p->out, "<path class=\"grid\" d=\"M%.1f %.1fH%d\"/>", p->left, at, WIDTH - RIGHT);
        fprintf(p->out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n", p->left - 6, at + 4,
                flm_html_short(p->y.tick[i], text));
    }
    for (int i = 0; i < p->x.ticks; i++) {
        const double at = x_of(p, p->x.tick[i]);
        fprintf(p->out, "<path class=\"grid\" d=\"M%.1f %dV%d\"/>", at, TOP, HEIGHT - BOTTOM);
        flm_html_short(p->x.tick[i], text);
        const double half = LETTER * letters(text) / 2.0;
        if (at - half < last + 4) continue; /* it would touch the one before */
        last = at + half;
        fprintf(p->out, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%s</text>\n", at, HEIGHT - BOTTOM + 17, text);
    }
    fprintf(p->out, "<path class=\"axis\" d=\"M%.1f %dV%dH%d\"/>", p->left, TOP, HEIGHT - BOTTOM, WIDTH - RIGHT);
    fputs("<text class=\"unit\" x=\"0\" y=\"13\">", p->out);
    FLM_TRY(flm_html_put_text(p->out, p->chart->y_label));
    fprintf(p->out, "</text><text class=\"unit\" x=\"%d\" y=\"%d\" text-anchor=\"end\">", WIDTH - RIGHT, HEIGHT - 6);
    FLM_TRY(flm_html_put_text(p->out, p->chart->x_label));
    fputs("</text>\n", p->out);
done:
    return rc;
}

/* ---- series ---- */

/* The points of a series as they are drawn: groups of neighbours, with what the values in each span. */
typedef struct line {
    double *x, *y, *min, *max; /* [count]; y NaN: a break */
    int64_t count;
    bool grouped;
} line;

static flm_status line_make(const picture *p, const flm_chart_series *s, line *out)
{
    flm_status rc = FLM_OK;
    const int64_t size = s->count > MAX_POINTS ? (s->count + MAX_POINTS - 1) / MAX_POINTS : 1;
    double *memory = malloc((size_t)(4 * (s->count / size + 1)) * sizeof *memory);
    if (!memory) FLM_FAIL(FLM_E_NOMEM, "no memory for a curve of %lld points", (long long)s->count);
    *out = (line){.x = memory, .count = (s->count + size - 1) / size, .grouped = size > 1};
    out->y = out->x + out->count;
    out->min = out->y + out->count;
    out->max = out->min + out->count;
    for (int64_t g = 0; g < out->count; g++) {
        range span = {INFINITY, -INFINITY};
        double x = 0, y = 0, n = 0;
        for (int64_t i = g * size; i < s->count && i < (g + 1) * size; i++) {
            if (!is_visible(p->x.scale, p->y.scale, s->x[i], s->y[i])) continue;
            x += s->x[i];
            y += s->y[i];
            n++;
            widen(&span, s->y[i]);
        }
        out->x[g] = n > 0 ? x / n : NAN;
        out->y[g] = n > 0 ? y / n : NAN;
        out->min[g] = span.min;
        out->max[g] = span.max;
    }
done:
    return rc;
}

static void write_path(const picture *p, const line *l)
{
    bool pen = false;
    for (int64_t i = 0; i < l->count; i++) {
        const bool there = isfinite(l->y[i]);
        if (there) fprintf(p->out, "%c%.1f %.1f", pen ? 'L' : 'M', x_of(p, l->x[i]), y_of(p, l->y[i]));
        pen = there;
    }
}

/* What the groups span, as an area. Groups without a point are left out. */
static void write_band(const picture *p, const flm_chart_series *s, const line *l)
{
    bool begun = false;
    fprintf(p->out, "<path class=\"band c%d\" d=\"", s->color % FLM_CHART_COLORS);
    for (int64_t i = 0; i < l->count; i++) {
        if (!isfinite(l->y[i])) continue;
        fprintf(p->out, "%c%.1f %.1f", begun ? 'L' : 'M', x_of(p, l->x[i]), y_of(p, l->max[i]));
        begun = true;
    }
    for (int64_t i = l->count - 1; i >= 0; i--)
        if (isfinite(l->y[i])) fprintf(p->out, "L%.1f %.1f", x_of(p, l->x[i]), y_of(p, l->min[i]));
    fputs("Z\"/>\n", p->out);
}

/* Tooltips, and the points themselves where they are marked. */
static flm_status write_points(const picture *p, const flm_chart_series *s, const line *l)
{
    flm_status rc = FLM_OK;
    char x[FLM_HTML_NUMBER_BYTES], y[FLM_HTML_NUMBER_BYTES];
    const int64_t every = s->dots ? 1 : (l->count + MAX_TIPS - 1) / MAX_TIPS;
    for (int64_t i = l->count - 1; i >= 0; i -= every) { /* the last point has one */
        if (!isfinite(l->y[i])) continue;
        fprintf(p->out, "<circle class=\"%s c%d\" cx=\"%.1f\" cy=\"%.1f\" r=\"%s\"><title>", s->dots ? "dot" : "tip",
                s->color % FLM_CHART_COLORS, x_of(p, l->x[i]), y_of(p, l->y[i]), s->dots ? "3.2" : "5");
        FLM_TRY(flm_html_put_text(p->out, s->label));
        fprintf(p->out, "\n%s: %s\n%s: %s", p->chart->x_label, flm_html_number(l->x[i], x), p->chart->y_label,
                flm_html_number(l->y[i], y));
        if (s->low && s->high && isfinite(s->low[i]) && isfinite(s->high[i]) && !l->grouped)
            fprintf(p->out, "\n95 %%: %s to %s", flm_html_number(s->low[i], x), flm_html_number(s->high[i], y));
        fputs("</title></circle>\n", p->out);
        if (!s->labels || l->grouped) continue;
        fprintf(p->out, "<text class=\"point\" x=\"%.1f\" y=\"%.1f\">", x_of(p, l->x[i]) + 6, y_of(p, l->y[i]) - 5);
        FLM_TRY(flm_html_put_text(p->out, s->labels[i]));
        fputs("</text>\n", p->out);
    }
done:
    return rc;
}

static void write_intervals(const picture *p, const flm_chart_series *s)
{
    for (int64_t i = 0; i < s->count; i++) {
        const double x = x_of(p, s->x[i]), low = y_of(p, s->low[i]), high = y_of(p, s->high[i]);
        if (!isfinite(x) || !isfinite(low) || !isfinite(high)) continue;
        fprintf(p->out, "<path class=\"bar c%d\" d=\"M%.1f %.1fV%.1fM%.1f %.1fh6M%.1f %.1fh6\"/>\n",
                s->color % FLM_CHART_COLORS, x, low, high, x - 3, low, x - 3, high);
    }
}

static flm_status write_series(const picture *p, const flm_chart_series *s)
{
    flm_status rc = FLM_OK;
    line l = {0};
    if (s->count == 0) return FLM_OK;
    FLM_TRY(line_make(p, s, &l));
    if (l.grouped) write_band(p, s, &l);
    fprintf(p->out, "<path class=\"line c%d d%d\" d=\"", s->color % FLM_CHART_COLORS, s->dash % FLM_CHART_DASHES);
    write_path(p, &l);
    fputs("\"/>\n", p->out);
    if (s->low && s->high && !l.grouped) write_intervals(p, s);
    FLM_TRY(write_points(p, s, &l));
done:
    free(l.x);
    return rc;
}

/* ---- the figure ---- */

static flm_status write_picture(const flm_chart *c, flm_chart_scale y_scale, const char *class, FILE *out)
{
    flm_status rc = FLM_OK;
    picture p = {.chart = c, .out = out};
    char text[FLM_HTML_NUMBER_BYTES];
    range x, y;
    int longest = 1;
    if (!find_ranges(c, y_scale, &x, &y)) return FLM_OK;
    p.x = flm_axis_make(c->x_scale, x.min, x.max);
    p.y = flm_axis_make(y_scale, y.min, y.max);
    for (int i = 0; i < p.y.ticks; i++) {
        const int length = letters(flm_html_short(p.y.tick[i], text));
        longest = length > longest ? length : longest;
    }
    p.left = 10 + LETTER * longest;
    fprintf(out, "<svg class=\"%s\" viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"", class, WIDTH, HEIGHT);
    FLM_TRY(flm_html_put_text(out, c->title));
    fputs("\">\n", out);
    FLM_TRY(write_axes(&p));
    for (int k = 0; k < c->count; k++) FLM_TRY(write_series(&p, &c->series[k]));
    fputs("</svg>\n", out);
done:
    return rc;
}

void flm_chart_write_key(int color, int dash, FILE *out)
{
    fprintf(out,
            "<svg class=\"key\" viewBox=\"0 0 26 10\" aria-hidden=\"true\"><path class=\"line c%d d%d\" "
            "d=\"M1 5H25\"/></svg>",
            color % FLM_CHART_COLORS, dash % FLM_CHART_DASHES);
}

static flm_status write_legend(const flm_chart *c, FILE *out)
{
    flm_status rc = FLM_OK;
    fputs("<ul class=\"legend\">", out);
    for (int k = 0; k < c->count; k++) {
        if (c->series[k].count == 0) continue;
        fputs("<li>", out);
        flm_chart_write_key(c->series[k].color, c->series[k].dash, out);
        FLM_TRY(flm_html_put_text(out, c->series[k].label));
        fputs("</li>", out);
    }
    fputs("</ul>\n", out);
done:
    return rc;
}

flm_status flm_chart_write(const flm_chart *c, FILE *out)
{
    flm_status rc = FLM_OK;
    const bool both = c->y_scale == FLM_CHART_BOTH;
    if (!flm_chart_has_points(c)) return FLM_OK;
    fputs("<figure class=\"chart\">\n<figcaption>", out);
    FLM_TRY(flm_html_put_text(out, c->title));
    fputs("</figcaption>\n", out);
    for (int i = 0; both && i < 2; i++)
        fprintf(out, "<input type=\"radio\" name=\"scale%d\" id=\"scale%d%c\"%s><label for=\"scale%d%c\">%s</label>\n",
                c->id, c->id, "ab"[i], (i == 1) == c->log_first ? " checked" : "", c->id, "ab"[i],
                i == 0 ? "linear" : "log");
    if (both) {
        FLM_TRY(write_picture(c, FLM_CHART_LINEAR, "plot linear", out));
        FLM_TRY(write_picture(c, FLM_CHART_LOG, "plot log", out));
    } else {
        FLM_TRY(write_picture(c, c->y_scale, "plot", out));
    }
    FLM_TRY(write_legend(c, out));
    if (c->note) {
        fputs("<p class=\"note\">", out);
        FLM_TRY(flm_html_put_text(out, c->note));
        fputs("</p>\n", out);
    }
    fputs("</figure>\n", out);
done:
    return rc;
}
