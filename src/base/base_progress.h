/* base_progress.h - a progress bar on the last line of a terminal; prints nothing if standard error is not a terminal.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_BASE_PROGRESS_H
#define FLM_BASE_PROGRESS_H

#include <stdbool.h>

typedef struct flm_progress {
    bool terminal; /* whether bars are drawn */
    bool shown;    /* a bar is on the last line */
    double begin;  /* seconds at the beginning */
    double done;   /* at the beginning */
    double drawn;  /* seconds when it was last drawn */
} flm_progress;

/* flm_progress_begin - begin at `done`, in whatever unit is counted. is_root false: never draw. */
flm_progress flm_progress_begin(double done, bool is_root);

/* flm_progress_show - draw the bar, per cent, the text, and the time left at the mean speed since the beginning; at
 * most ten times a second, and always when done is total. Errors: none, a closed terminal is ignored. */
void flm_progress_show(flm_progress *progress, double done, double total, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* flm_progress_clear - remove the bar, before other lines are printed. */
void flm_progress_clear(flm_progress *progress);

#endif
