/* report_axis.h - private to report: the scale of an axis and its ticks. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_REPORT_AXIS_H
#define FLM_REPORT_AXIS_H

#include "report/report_chart.h"

enum { FLM_AXIS_TICKS = 16 };

typedef struct flm_axis {
    flm_chart_scale scale; /* not FLM_CHART_BOTH */
    double min, max;       /* of the data, min < max; of logarithms on a logarithmic axis */
    int ticks;
    double tick[FLM_AXIS_TICKS]; /* values of the data */
} flm_axis;

/* flm_axis_make - an axis that shows all values in [min, max], which are above 0 for a logarithmic one: its ends are
 * moved outward by a few per cent, and to 0 if that is near. */
flm_axis flm_axis_make(flm_chart_scale scale, double min, double max);

/* flm_axis_place - where a value is between the ends: 0 to 1. NaN for one that the axis cannot show. */
double flm_axis_place(const flm_axis *axis, double value);

#endif
