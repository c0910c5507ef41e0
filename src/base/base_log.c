/* base_log.c - see base_log.h. SPDX-License-Identifier: Apache-2.0 */
#include "base/base_log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int log_rank;
static flm_log_level max_log = FLM_LOG_INFO;
static char log_host[64];

void flm_log_init(int rank, flm_log_level max)
{
    log_rank = rank;
    max_log = max;
    if (gethostname(log_host, sizeof log_host - 1) != 0) strcpy(log_host, "?");
}

void flm_log_write(flm_log_level level, const char *file, int line, const char *fmt, ...)
{
    static const char *const words[] = {"error: ", "warning: ", "", "debug: "};
    char text[2048];
    va_list ap;
    const char *base = strrchr(file, '/');

    if (level > max_log || (level == FLM_LOG_INFO && log_rank != 0)) return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    fprintf(stderr, "%s %d %s:%d: %s%s\n", log_host, log_rank, base ? base + 1 : file, line, words[level], text);
}
