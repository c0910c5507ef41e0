/* bench_comm.c - bandwidth of the collectives of the sharded optimiser, on the ranks it is started with.
 *
 * Defined as in nccl-tests (doc/PERFORMANCE.md): S is the size of the whole array, t the time of the slowest rank;
 * algbw = S / t, busbw = algbw (n - 1) / n for reduce-scatter and all-gather on n ranks, 2 (n - 1) / n for the sum.
 * Run it under mpirun. SPDX-License-Identifier: Apache-2.0 */
#include "bench/bench_common.h"

#include "base/base_options.h"
#include "process/process.h"

#include <stdio.h>

typedef struct options {
    int64_t runs, min, max;
    const char *json;
} options;

#define FLM_OPT_STRUCT options
static const flm_option rows[] = {
    FLM_OPT_GROUP("Benchmark"),
    FLM_OPT_INT("runs", runs, "10", "N", "timed runs of each size", .min = BENCH_RUNS_MIN, .max = BENCH_RUNS_MAX),
    FLM_OPT_INT("min-mib", min, "1", "N", "size of the smallest array in MiB", .min = 1, .max = 1 << 16),
    FLM_OPT_INT("max-mib", max, "256", "N", "size of the largest array in MiB; sizes grow fourfold", .min = 1,
                .max = 1 << 16),
    FLM_OPT_STRING("json", json, "", "FILE", "also write the results to this file, one JSON object per line"),
};

static const flm_option_rename renamed[] = {
    {"least", "min-mib", NULL, NULL}, {"most", "max-mib", NULL, NULL}, {NULL, NULL, NULL, NULL}};

static const flm_options_spec spec = {
    .program = "bench_comm",
    .purpose = "Measure the collectives of a training step; run it under mpirun.",
    FLM_OPT_ROWS(rows),
    .renamed = renamed,
};

typedef enum collective { REDUCE_SCATTER, ALL_GATHER, SUM, COLLECTIVES } collective;
static const char *const names[COLLECTIVES] = {"reduce-scatter", "all-gather", "sum"};

typedef struct work {
    flm_backend *be;
    flm_comm *world;
    collective which;
    float *x;
    int64_t slice;
} work;

static flm_status run(void *arg)
{
    work *w = arg;
    flm_status rc = FLM_OK;
    flm_comm_request *request = NULL;
    switch (w->which) {
    case REDUCE_SCATTER: FLM_TRY(flm_comm_reduce_scatter_begin(w->world, w->be, w->x, w->slice, &request)); break;
    case ALL_GATHER:
        FLM_TRY(flm_comm_all_gather_begin(w->world, w->be, w->x, FLM_DTYPE_F32, w->slice, &request));
        break;
    default: FLM_TRY(flm_comm_sum_f32_begin(w->world, w->be, w->x, w->slice * flm_comm_size(w->world), &request));
    }
    FLM_TRY(flm_comm_wait(w->world, &request));
done:
    return rc;
}

/* The figures of the slowest rank, on every rank. */
static flm_status slowest(flm_comm *world, bench_seconds *s)
{
    flm_status rc = FLM_OK;
    int64_t ns[] = {(int64_t)(s->median * 1e9), (int64_t)(s->min * 1e9), (int64_t)(s->max * 1e9)};
    FLM_TRY(flm_comm_max_i64(world, ns, 3));
    *s = (bench_seconds){1e-9 * (double)ns[0], 1e-9 * (double)ns[1], 1e-9 * (double)ns[2], s->runs};
done:
    return rc;
}

static flm_status measure(work *w, int64_t mib, int runs, bench_report *report)
{
    flm_status rc = FLM_OK;
    const int size = flm_comm_size(w->world);
    bench_seconds s;
    w->slice = (mib << 20) / (int64_t)sizeof(float) / size;
    const double gigabytes = 1e-9 * (double)(w->slice * size) * sizeof(float);
    const double factor = (w->which == SUM ? 2.0 : 1.0) * (size - 1) / size;
    FLM_TRY(flm_comm_barrier(w->world));
    FLM_TRY(bench_measure(NULL, run, w, runs, &s));
    FLM_TRY(slowest(w->world, &s));
    const double algbw = gigabytes / s.median;
    if (report == NULL) goto done;
    printf("%-14s %6lld MiB  %9.3f ms  %7.3f..%7.3f  algbw %6.2f GB/s  busbw %6.2f GB/s\n", names[w->which],
           (long long)mib, 1e3 * s.median, 1e3 * s.min, 1e3 * s.max, algbw, algbw * factor);
    FLM_TRY(bench_report_line(
        report, json_pack("{ss ss si sI so sf sf}", "record", "collective", "name", names[w->which], "ranks", size,
                          "bytes", (json_int_t)(w->slice * size * (int64_t)sizeof(float)), "seconds",
                          bench_seconds_json(&s), "algbw_gb_s", algbw, "busbw_gb_s", algbw * factor)));
done:
    return rc;
}

static flm_status bench(flm_comm *world, const options *o)
{
    flm_status rc = FLM_OK;
    work w = {.world = world};
    bench_report *report = NULL;
    void *memory = NULL;
    const size_t bytes = (size_t)o->max << 20;
    FLM_TRY(flm_backend_create(FLM_DEVICE_CPU, 1, flm_comm_local_rank(world), &w.be));
    FLM_TRY(w.be->memory->alloc(w.be, bytes, &memory));
    FLM_TRY(w.be->memory->zero(w.be, memory, bytes));
    w.x = memory;
    if (flm_comm_rank(world) == 0) {
        FLM_TRY(bench_report_create("comm", o->json, w.be, 1, &report));
        printf("%s\n%d ranks\n", flm_backend_describe(w.be), flm_comm_size(world));
    }
    for (int which = 0; which < COLLECTIVES; which++) {
        w.which = (collective)which;
        for (int64_t mib = o->min; mib <= o->max; mib *= 4) FLM_TRY(measure(&w, mib, (int)o->runs, report));
    }
    if (report) FLM_TRY(bench_report_finish(&report));
done:
    if (report) bench_report_finish(&report);
    if (w.be) w.be->memory->release(w.be, memory);
    flm_backend_destroy(&w.be);
    return rc;
}

int main(int argc, char **argv)
{
    flm_status rc = FLM_OK;
    options o = {0};
    flm_options *parsed = NULL;
    flm_comm *world = NULL;
    bool stop = false;

    FLM_TRY(flm_process_init(&argc, &argv, &world));
    FLM_TRY(flm_options_parse(&spec, argc, argv, &o, flm_comm_rank(world) == 0, &stop, &parsed));
    if (!stop) FLM_TRY(bench(world, &o));
done:
    flm_options_destroy(&parsed);
    return flm_process_finish(rc, &world);
}
