/* base_progress.c - see base_progress.h. SPDX-License-Identifier: Apache-2.0 */
#include "base/base_progress.h"

#include "base/base_clock.h"

#include <stdarg.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { BAR = 16, COLUMNS_MIN = 40, COLUMNS_MAX = 160 };
static const double redraw_seconds = 0.1;

flm_progress flm_progress_begin(double done, bool is_root)
{
    return (flm_progress){.terminal = is_root && isatty(STDERR_FILENO), .begin = flm_clock_seconds(), .done = done};
}

/* "1:02:03 left", "2:03 left", or nothing if it is not known yet. */
static void format_left(double seconds, char *text, size_t size)
{
    const long s = (long)(seconds + 0.5);
    text[0] = '\0';
    if (!(seconds >= 0 && seconds < 1e8)) return;
    if (s >= 3600)
        snprintf(text, size, "  %ld:%02ld:%02ld left", s / 3600, s / 60 % 60, s % 60);
    else
        snprintf(text, size, "  %ld:%02ld left", s / 60, s % 60);
}

void flm_progress_show(flm_progress *p, double done, double total, const char *fmt, ...)
{
    char text[256], left[32], line[512], bar[BAR + 1];
    struct winsize window;
    const double now = flm_clock_seconds(), speed = (done - p->done) / (now - p->begin),
                 share = total > 0 ? done / total : 1;
    int columns = 80;
    va_list ap;

    if (!p->terminal || (done < total && now - p->drawn < redraw_seconds)) return;
    p->drawn = now;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    format_left(speed > 0 ? (total - done) / speed : -1, left, sizeof left);
    for (int i = 0; i < BAR; i++) bar[i] = (i + 1) <= share * BAR ? '#' : '.';
    bar[BAR] = '\0';
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col >= COLUMNS_MIN)
        columns = window.ws_col < COLUMNS_MAX ? window.ws_col : COLUMNS_MAX;
    snprintf(line, sizeof line, "[%s] %3.0f %%  %s%s", bar, 100 * share, text, left);
    fprintf(stderr, "\r%-*.*s", columns - 1, columns - 1, line);
    fflush(stderr);
    p->shown = true;
}

void flm_progress_clear(flm_progress *p)
{
    if (!p->shown) return;
    fprintf(stderr, "\r\033[K"); /* ECMA-48: erase to the end of the line */
    fflush(stderr);
    p->shown = false;
}
