/* base_log.h - one line of log on stderr: "host rank file:line: text". Results go to stdout, never here.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_BASE_LOG_H
#define FLM_BASE_LOG_H

#include <stdbool.h>

typedef enum flm_log_level { FLM_LOG_ERROR = 0, FLM_LOG_WARN = 1, FLM_LOG_INFO = 2, FLM_LOG_DEBUG = 3 } flm_log_level;

/* flm_log_init - remember the rank and the most verbose level to print. Not collective. */
void flm_log_init(int rank, flm_log_level max);

/* flm_log_write - print a line if level is at most the one set; INFO is printed by rank 0 alone. Use flm_log. */
void flm_log_write(flm_log_level level, const char *file, int line, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

#define flm_log(level, ...) flm_log_write((level), __FILE__, __LINE__, __VA_ARGS__)

#endif
