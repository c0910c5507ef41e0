/* base_progress.h - a progress bar on one line of a terminal; nothing where standard error is no terminal.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_BASE_PROGRESS_H
#define FLM_BASE_PROGRESS_H

#include <stdbool.h>

typedef struct flm_progress {
    bool terminal; /* standard error is one */
    bool shown;    /* a bar stands on the last line */
    double begin;  /* seconds: when it began; done then */
    double done;
    double drawn; /* seconds: when it was last drawn */
} flm_progress;

/* flm_progress_begin - begin at `done` of whatever is counted; speak false: never draw (ranks but the first). */
flm_progress flm_progress_begin(double done, bool speak);

/* flm_progress_show - redraw, at most ten times a second (always where done is total): bar, per cent, text, time left
 * by the mean speed since the beginning. Errors: none; a terminal that went away is not missed. */
void flm_progress_show(flm_progress *progress, double done, double total, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* flm_progress_clear - remove the bar, before other lines are printed. */
void flm_progress_clear(flm_progress *progress);

/* flm_seconds - of a clock that only goes forward. */
double flm_seconds(void);

#endif
