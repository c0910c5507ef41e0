/* bench_common.h - what all benchmarks share: repeated runs, median and spread, JSON lines.
 * A measurement is a warm-up and at least three timed runs. Figures are reported, never judged: a timing is not a test.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_BENCH_COMMON_H
#define FLM_BENCH_COMMON_H

#include "backend/backend.h"

#include <jansson.h>

enum { BENCH_RUNS_MIN = 3, BENCH_RUNS_MAX = 1000 };

/* Seconds of the timed runs. */
typedef struct bench_seconds {
    double median, min, max;
    int runs;
} bench_seconds;

typedef flm_status (*bench_work)(void *arg);

/* bench_measure - call work(arg) once untimed, then `runs` (3..1000) times; wall-clock seconds per call. be: the
 * backend that the work is queued on, whose sync is part of the time; NULL: none. On a device a run is a series of
 * calls of about 2 ms, at most 100: not for work of several ranks. Errors: those of work, and of be. */
flm_status bench_measure(flm_backend *be, bench_work work, void *arg, int runs, bench_seconds *out);

/* bench_devices - the values of --device, in the order of flm_device. bench_threads - OpenMP threads of the CPU
 * backend; 1 for a device. */
extern const char *const bench_devices[];
int bench_threads(const flm_backend *be);

typedef struct bench_report bench_report;

/* bench_report_create - JSON lines into the file `path` ("": none). The first line is the machine: backend (processor,
 * threads, library versions), release and revision of the suite, time. Errors: FLM_E_IO, FLM_E_NOMEM. */
flm_status bench_report_create(const char *bench, const char *path, const flm_backend *be, int threads,
                               bench_report **out);

/* bench_report_line - write one record and release it (also after an error); NULL gives FLM_E_NOMEM.
 * Errors: FLM_E_IO, FLM_E_NOMEM. */
flm_status bench_report_line(bench_report *report, json_t *record);

/* bench_report_finish - close the file. Accepts NULL, nulls it. Errors: FLM_E_IO, when the last bytes were refused. */
flm_status bench_report_finish(bench_report **report);

/* bench_seconds_json - {"median", "min", "max", "runs"}, seconds; NULL if out of memory. */
json_t *bench_seconds_json(const bench_seconds *s);

#endif
