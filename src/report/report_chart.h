/* report_chart.h - line charts as inline SVG. Owns axes, ticks, lines, legend and tooltips; colours are classes of the
 * page's style (report_style.css). SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_REPORT_CHART_H
#define FLM_REPORT_CHART_H

#include "base/base_err.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum { FLM_CHART_COLORS = 8, FLM_CHART_DASHES = 4 };

typedef enum flm_chart_scale {
    FLM_CHART_LINEAR,
    FLM_CHART_LOG,  /* ticks at powers of ten, and between them */
    FLM_CHART_LOG2, /* ticks at powers of two */
    FLM_CHART_BOTH  /* of y: a linear and a logarithmic picture, and two buttons */
} flm_chart_scale;

typedef struct flm_chart_series {
    const char *label;
    int color, dash; /* 0, 1, ...; taken modulo the numbers above */
    bool dots;       /* mark the points */
    int64_t count;   /* points */
    const double *x,
        *y; /* [count]; a point that is not finite, or not above 0 on a logarithmic axis, breaks the line */
    const double *low, *high;  /* [count] ends of an interval of y; NULL: none */
    const char *const *labels; /* [count] shown beside the points; NULL: none */
} flm_chart_series;

typedef struct flm_chart {
    const char *title, *note; /* note: a sentence below; NULL: none */
    const char *x_label, *y_label;
    flm_chart_scale x_scale, y_scale;
    bool log_first; /* of FLM_CHART_BOTH: the logarithmic picture is shown at first */
    int id;         /* distinguishes the charts of a page */
    const flm_chart_series *series;
    int count;
} flm_chart;

/* flm_chart_write - a <figure>; nothing if no series has a point. Series of many points are drawn as means of groups of
 * neighbours over the range of each group. Errors: FLM_E_NOMEM. */
flm_status flm_chart_write(const flm_chart *chart, FILE *out);

/* flm_chart_has_points - whether there is anything to draw. */
bool flm_chart_has_points(const flm_chart *chart);

/* flm_chart_write_key - the sample of a series' line that legends and tables show. */
void flm_chart_write_key(int color, int dash, FILE *out);

#endif
