/* report_axis.c - see report_axis.h. SPDX-License-Identifier: Apache-2.0 */
#include "report/report_axis.h"

#include <math.h>

/* Ticks of a linear axis: at multiples of 1, 2 or 5 times a power of ten, about five of them. */
static void tick_linear(flm_axis *a)
{
    const double wanted = (a->max - a->min) / 5, power = pow(10, floor(log10(wanted)));
    const double factor = wanted / power <= 1 ? 1 : wanted / power <= 2 ? 2 : wanted / power <= 5 ? 5 : 10;
    const double step = factor * power, first = ceil(a->min / step - 1e-9);
    for (int i = 0; a->ticks < FLM_AXIS_TICKS; i++) {
        const double value = (first + i) * step;
        if (value > a->max + 1e-9 * step) break;
        a->tick[a->ticks++] = fabs(value) < 1e-9 * step ? 0 : value;
    }
}

/* Ticks of a logarithmic axis: powers of base, every n-th where there are too many; of base 10 with 2 and 5 times as
 * much between them where there are few. */
static void tick_log(flm_axis *a, double base)
{
    static const double between[] = {1, 2, 5}, fine[] = {1, 1.5, 2, 3, 4, 5, 6, 8};
    const double unit = log(base), decades = (a->max - a->min) / unit;
    const double max = base == 2 ? 10 : 7;
    const int skip = decades > max ? (int)ceil(decades / max) : 1;
    const bool narrow = base == 10 && decades < 0.9;
    const double *factors = narrow ? fine : between;
    const int count = base != 10 || decades > 2.5 ? 1 : narrow ? 8 : 3;
    for (int power = (int)floor(a->min / unit); power <= a->max / unit + 1e-9; power++)
        for (int k = 0; k < count && a->ticks < FLM_AXIS_TICKS; k++) {
            const double value = pow(base, power) * factors[k], at = log(value);
            if (power % skip == 0 && at >= a->min - 1e-9 && at <= a->max + 1e-9) a->tick[a->ticks++] = value;
        }
}

flm_axis flm_axis_make(flm_chart_scale scale, double min, double max)
{
    flm_axis a = {.scale = scale, .min = min, .max = max};
    double margin;
    if (scale != FLM_CHART_LINEAR) {
        a.min = log(min);
        a.max = log(max);
    }
    if (!(a.max - a.min > 1e-9 * fabs(a.max))) { /* one value */
        const double around = scale != FLM_CHART_LINEAR ? 0.7 : a.max != 0 ? 0.1 * fabs(a.max) : 1;
        a.min -= around;
        a.max += around;
    }
    margin = 0.04 * (a.max - a.min);
    if (scale == FLM_CHART_LINEAR && a.min >= 0 && a.min < 0.3 * a.max)
        a.min = 0;
    else
        a.min -= margin;
    a.max += margin;
    if (scale == FLM_CHART_LINEAR)
        tick_linear(&a);
    else
        tick_log(&a, scale == FLM_CHART_LOG2 ? 2 : 10);
    return a;
}

double flm_axis_place(const flm_axis *a, double value)
{
    if (!isfinite(value) || (a->scale != FLM_CHART_LINEAR && value <= 0)) return NAN;
    return ((a->scale == FLM_CHART_LINEAR ? value : log(value)) - a->min) / (a->max - a->min);
}
