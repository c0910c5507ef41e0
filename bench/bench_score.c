/* bench_score.c - scoring by GPT-2: tokens per second of wall-clock time and of CPU time, on random ids in sequences of
 * one length. Compare with bench/score_transformers.py on the same model.
 * SPDX-License-Identifier: Apache-2.0 */
#include "bench/bench_common.h"

#include "base/base_philox.h"
#include "cmd/cmd_backend.h"
#include "cmd/cmd_options.h"
#include "process/process.h"
#include "score/score_gpt2.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

typedef struct options {
    const char *gpt2, *json;
    int64_t length, batch, chunk, runs, seed, threads;
    int device, precision, matmul;
    flm_comm_settings comm;
} options;

#define FLM_OPT_STRUCT options
static const flm_option rows[] = {
    FLM_OPT_GROUP("Benchmark"),
    FLM_OPT_STRING("gpt2", gpt2, NULL, "FILE", "checkpoint of kind gpt2", .required = true),
    FLM_OPT_INT("length", length, "1024", "N", "tokens per sequence", .min = 1, .limit = 1 << 20),
    FLM_OPT_INT("batch", batch, "1", "N", "sequences at once", .min = 1, .max = 1 << 16),
    FLM_OPT_INT("chunk", chunk, "333", "N", "number of tokens whose logits are computed at once", .min = 1,
                .limit = 1 << 20),
    FLM_OPT_INT("runs", runs, "3", "N", "timed runs", .min = BENCH_RUNS_MIN, .max = BENCH_RUNS_MAX),
    FLM_OPT_STRING("json", json, "", "FILE", "also write the results to this file, one JSON object per line"),
    FLM_CMD_OPTIONS_COMMON,
};

static const flm_options_spec spec = {
    .program = "bench_score",
    .purpose = "Measure the scoring of texts with GPT-2.",
    FLM_OPT_ROWS(rows),
};

typedef struct work {
    flm_gpt2 *gpt2;
    int32_t *ids;
    int64_t *starts, batch;
    float *nll;
    double processor[BENCH_RUNS_MAX + 1]; /* seconds of every run, the warm-up first */
    int runs;
} work;

static double processor_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static flm_status run(void *arg)
{
    work *w = arg;
    const double begin = processor_seconds();
    const flm_status rc = flm_gpt2_compute_nll(w->gpt2, w->ids, w->starts, w->batch, w->nll);
    w->processor[w->runs++] = processor_seconds() - begin;
    return rc;
}

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static flm_status work_make(flm_backend *be, const options *o, flm_dtype act, work *w)
{
    flm_status rc = FLM_OK;
    flm_checkpoint *checkpoint = NULL;
    const int64_t tokens = o->batch * o->length;
    FLM_TRY(flm_checkpoint_open(o->gpt2, &checkpoint));
    const flm_checkpoint_info *info = flm_checkpoint_get_info(checkpoint);
    FLM_TRY(flm_gpt2_create(be, checkpoint, act, tokens > info->L ? tokens : info->L, o->chunk, &w->gpt2));
    w->batch = o->batch;
    w->ids = malloc((size_t)tokens * sizeof *w->ids);
    w->nll = malloc((size_t)tokens * sizeof *w->nll);
    w->starts = malloc((size_t)(o->batch + 1) * sizeof *w->starts);
    if (!w->ids || !w->nll || !w->starts) FLM_FAIL(FLM_E_NOMEM, "no memory for %lld tokens", (long long)tokens);
    for (int64_t i = 0; i < tokens; i++)
        w->ids[i] =
            (int32_t)(flm_philox4x32((uint64_t)o->seed, (uint32_t)i, 0, 0, 0).v[0] % (uint64_t)info->vocabulary.V);
    for (int64_t b = 0; b <= o->batch; b++) w->starts[b] = b * o->length;
done:
    flm_checkpoint_close(&checkpoint);
    return rc;
}

static flm_status bench(flm_backend *be, const options *o)
{
    flm_status rc = FLM_OK;
    const bool bf16 = flm_backend_precision(be, (flm_precision)o->precision) == FLM_PRECISION_BF16;
    const double tokens = (double)(o->batch * o->length);
    work w = {0};
    bench_seconds seconds;
    bench_report *report = NULL;
    FLM_TRY(work_make(be, o, bf16 ? FLM_DTYPE_BF16 : FLM_DTYPE_F32, &w));
    FLM_TRY(bench_measure(NULL, run, &w, (int)o->runs, &seconds));
    qsort(w.processor + 1, (size_t)o->runs, sizeof w.processor[0], by_size);
    const double processor = w.processor[1 + o->runs / 2];
    printf("%s, %s\n", flm_backend_describe(be), bf16 ? "bf16" : "fp32");
    printf("batch %lld of %lld tokens: %.3f s (%.3f .. %.3f of %d), %.1f tokens/s, %.1f tokens a processor's second\n",
           (long long)o->batch, (long long)o->length, seconds.median, seconds.min, seconds.max, seconds.runs,
           tokens / seconds.median, tokens / processor);
    FLM_TRY(bench_report_create("score", o->json, be, (int)o->threads, &report));
    FLM_TRY(
        bench_report_line(report, json_pack("{ss ss sI sI so sf sf}", "record", "score", "dtype", bf16 ? "bf16" : "f32",
                                            "batch", (json_int_t)o->batch, "length", (json_int_t)o->length, "seconds",
                                            bench_seconds_json(&seconds), "tokens_per_second", tokens / seconds.median,
                                            "tokens_per_processor_second", tokens / processor)));
    FLM_TRY(bench_report_finish(&report));
done:
    if (report) bench_report_finish(&report);
    flm_gpt2_destroy(&w.gpt2);
    free(w.ids);
    free(w.nll);
    free(w.starts);
    return rc;
}

int main(int argc, char **argv)
{
    flm_status rc = FLM_OK;
    flm_comm *world = NULL;
    flm_backend *be = NULL;
    flm_options *parsed = NULL;
    options o = {0};
    bool stop = false;
    FLM_TRY(flm_process_init(&argc, &argv, &world));
    FLM_TRY(flm_options_parse(&spec, argc, argv, &o, flm_comm_rank(world) == 0, &stop, &parsed));
    if (stop) goto done;
    FLM_TRY(flm_cmd_backend_open(world, &o.comm, (flm_device)o.device, o.threads, o.matmul, &be));
    FLM_TRY(bench(be, &o));
done:
    if (rc != FLM_OK) flm_process_fail(rc);
    flm_options_destroy(&parsed);
    flm_backend_destroy(&be);
    return flm_process_finish(rc, &world);
}
