/* bench_common.c - see bench_common.h. SPDX-License-Identifier: Apache-2.0 */
#include "bench/bench_common.h"

#include "backend/cpu/cpu_internal.h"
#include "base/base_clock.h"
#include "base/base_path.h"
#include "base/base_version.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct bench_report {
    FILE *file; /* NULL: nothing is written */
    char path[FLM_PATH_BYTES];
};

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

const char *const bench_devices[] = {"auto", "cpu", "cuda", NULL};

int bench_threads(const flm_backend *be) { return be->kind == FLM_BACKEND_CPU ? flm_cpu_threads(be) : 1; }

/* Seconds per call of a series of calls. */
static flm_status run_calls(flm_backend *be, bench_work work, void *arg, int calls, double *seconds)
{
    flm_status rc = FLM_OK;
    const double begin = flm_clock_seconds();
    for (int i = 0; i < calls; i++) FLM_TRY(work(arg));
    if (be) FLM_TRY(be->stream->sync(be));
    *seconds = (flm_clock_seconds() - begin) / calls;
done:
    return rc;
}

/* On a device, as many calls as take about 2 ms: queuing one call and waiting for it costs microseconds, which a step
 * does not pay. */
static flm_status choose_calls(flm_backend *be, bench_work work, void *arg, int *calls)
{
    enum { CALLS_MAX = 100 };
    static const double long_enough = 2e-3;
    flm_status rc = FLM_OK;
    double once;
    *calls = 1;
    if (be == NULL || be->host_memory) goto done;
    FLM_TRY(run_calls(be, work, arg, 1, &once));
    *calls = once * CALLS_MAX <= long_enough ? CALLS_MAX : once >= long_enough ? 1 : (int)(long_enough / once) + 1;
done:
    return rc;
}

flm_status bench_measure(flm_backend *be, bench_work work, void *arg, int runs, bench_seconds *out)
{
    flm_status rc = FLM_OK;
    double seconds[BENCH_RUNS_MAX];
    int calls;

    assert(runs >= BENCH_RUNS_MIN && runs <= BENCH_RUNS_MAX);
    FLM_TRY(run_calls(be, work, arg, 1, &seconds[0]));
    FLM_TRY(choose_calls(be, work, arg, &calls));
    for (int i = 0; i < runs; i++) FLM_TRY(run_calls(be, work, arg, calls, &seconds[i]));
    qsort(seconds, (size_t)runs, sizeof seconds[0], by_size);
    *out = (bench_seconds){(seconds[(runs - 1) / 2] + seconds[runs / 2]) / 2, seconds[0], seconds[runs - 1], runs};
done:
    return rc;
}

flm_status bench_report_create(const char *bench, const char *path, const flm_backend *be, int threads,
                               bench_report **out)
{
    flm_status rc = FLM_OK;
    bench_report *report = calloc(1, sizeof *report);
    time_t seconds = time(NULL);
    struct tm utc;
    char text[32];

    if (!report) FLM_FAIL(FLM_E_NOMEM, "%s: out of memory (%zu bytes)", bench, sizeof *report);
    FLM_TRY(flm_path_format(report->path, "%s", path));
    if (*path && !(report->file = fopen(path, "w")))
        FLM_FAIL(flm_status_from_errno(errno), "%s: %s", path, strerror(errno));
    gmtime_r(&seconds, &utc);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
    FLM_TRY(
        bench_report_line(report, json_pack("{ss ss ss si ss ss ss}", "record", "machine", "bench", bench, "backend",
                                            flm_backend_describe(be), "threads", threads, "release",
                                            flm_version_string(), "revision", flm_version_revision(), "time", text)));
    *out = report;
    report = NULL;
done:
    if (report) {
        if (report->file) fclose(report->file);
        free(report);
    }
    return rc;
}

flm_status bench_report_line(bench_report *report, json_t *record)
{
    flm_status rc = FLM_OK;

    if (!record) FLM_FAIL(FLM_E_NOMEM, "%s: out of memory for a record", report->path);
    if (report->file && (json_dumpf(record, report->file, JSON_REAL_PRECISION(6)) != 0 ||
                         fputc('\n', report->file) == EOF || fflush(report->file) != 0))
        FLM_FAIL(flm_status_from_errno(errno), "%s: %s", report->path, strerror(errno));
done:
    json_decref(record);
    return rc;
}

flm_status bench_report_finish(bench_report **report)
{
    flm_status rc = FLM_OK;

    if (!*report) return FLM_OK;
    if ((*report)->file && fclose((*report)->file) != 0)
        FLM_FAIL(flm_status_from_errno(errno), "%s: %s", (*report)->path, strerror(errno));
done:
    free(*report);
    *report = NULL;
    return rc;
}

json_t *bench_seconds_json(const bench_seconds *s)
{
    return json_pack("{sf sf sf si}", "median", s->median, "min", s->min, "max", s->max, "runs", s->runs);
}
