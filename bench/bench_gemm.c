/* bench_gemm.c - the measured peak of the machine, and the share of it that each matmul of a training step reaches.
 *
 * Peak of a dtype: the best rate over the shapes of the step and 4096 cubed, with the operands in the layouts that the
 * library prefers. Beside it each matmul as the suite computes it: row-major operands, transposes, bias and
 * accumulation included. FLOPs of a matmul: 2 M N K (model.md section 11). SPDX-License-Identifier: Apache-2.0 */
#include "bench/bench_matmuls.h"

#include "base/base_options.h"

#include <stdio.h>

typedef struct options {
    int64_t threads, runs, tokens, width, vocabulary, head_rows, cube;
    const char *json;
    int precision, device;
} options;

static const char *const precisions[] = {"both", "fp32", "bf16", NULL};
enum { PRECISION_BOTH, PRECISION_FP32, PRECISION_BF16 };

#define FLM_OPT_STRUCT options
static const flm_option rows[] = {
    FLM_OPT_GROUP("Benchmark"),
    FLM_OPT_INT("threads", threads, "0", "N", "OpenMP threads\n0 = OMP_NUM_THREADS, else all cores", .max = 4096),
    FLM_OPT_INT("runs", runs, "5", "N", "timed runs of each matmul", .min = BENCH_RUNS_MIN, .max = BENCH_RUNS_MAX),
    FLM_OPT_INT("tokens", tokens, "4096", "N", "tokens per micro-batch (M of the trunk's matmuls)", .min = 1,
                .limit = 1 << 24),
    FLM_OPT_INT("width", width, "768", "N", "the network's width d", .min = 1, .max = 1 << 16),
    FLM_OPT_INT("vocabulary", vocabulary, "30522", "N", "vocabulary size (N of the head's matmuls)", .min = 1,
                .limit = 1 << 24),
    FLM_OPT_INT("head-rows", head_rows, "1024", "N", "tokens per chunk of the head\n0 = as flm_train",
                .limit = 1 << 24),
    FLM_OPT_INT("cube", cube, "4096", "N", "size (M = N = K) of one more matmul", .min = 1, .max = 1 << 15),
    FLM_OPT_CHOICE("device", device, "auto", bench_devices, "device to compute on"),
    FLM_OPT_CHOICE("precision", precision, "both", precisions, "dtypes to measure"),
    FLM_OPT_STRING("json", json, "", "FILE", "also write the results to this file, one JSON object per line"),
};

static const flm_options_spec spec = {
    .program = "bench_gemm",
    .purpose = "Measure the matmuls of a training step and the machine's peak.",
    FLM_OPT_ROWS(rows),
};

static flm_status bench_dtype(flm_backend *be, const options *o, flm_dtype dtype, bench_report *report)
{
    flm_status rc = FLM_OK;
    bench_matmul cases[BENCH_MATMULS];
    bench_seconds plain[BENCH_MATMULS], preferred[BENCH_MATMULS];
    int count = bench_matmuls_make(o->tokens, o->width, o->vocabulary, o->head_rows, o->cube, cases), best = 0;
    double rate[BENCH_MATMULS], peak = 0;

    for (int i = 0; i < count; i++) {
        FLM_TRY(bench_matmul_measure(be, &cases[i], dtype, (int)o->runs, &plain[i], &preferred[i]));
        rate[i] = 1e-9 * bench_matmul_flops(&cases[i]);
        if (rate[i] / preferred[i].median > peak) {
            peak = rate[i] / preferred[i].median;
            best = i;
        }
    }
    printf("\n%s: peak %.1f GFLOP/s (%s, layouts chosen by the library)\n", flm_dtype_name(dtype), peak,
           cases[best].name);
    printf("%-22s %6s %6s %6s  %9s %9s %15s %6s\n", "matmul", "M", "N", "K", "preferred", "plain", "min .. max",
           "share");
    for (int i = 0; i < count; i++) {
        const bench_matmul *c = &cases[i];
        printf("%-22s %6lld %6lld %6lld  %9.1f %9.1f %7.1f..%6.1f %5.1f%%\n", c->name, (long long)c->M, (long long)c->N,
               (long long)c->K, rate[i] / preferred[i].median, rate[i] / plain[i].median, rate[i] / plain[i].max,
               rate[i] / plain[i].min, 100 * rate[i] / plain[i].median / peak);
        FLM_TRY(bench_report_line(
            report,
            json_pack("{ss ss ss sI sI sI sb sb sb sb ss so so sf sf sf}", "record", "matmul", "name", c->name, "dtype",
                      flm_dtype_name(dtype), "M", (json_int_t)c->M, "N", (json_int_t)c->N, "K", (json_int_t)c->K,
                      "transpose_a", c->transpose_a, "transpose_b", c->transpose_b, "bias", c->bias, "accumulate",
                      c->accumulate, "result", flm_dtype_name(c->f32_out ? FLM_DTYPE_F32 : dtype), "plain_seconds",
                      bench_seconds_json(&plain[i]), "preferred_seconds", bench_seconds_json(&preferred[i]),
                      "plain_gflops", rate[i] / plain[i].median, "preferred_gflops", rate[i] / preferred[i].median,
                      "plain_share_of_peak", rate[i] / plain[i].median / peak)));
    }
    FLM_TRY(bench_report_line(report, json_pack("{ss ss sf ss}", "record", "peak", "dtype", flm_dtype_name(dtype),
                                                "gflops", peak, "name", cases[best].name)));
done:
    return rc;
}

int main(int argc, char **argv)
{
    flm_status rc = FLM_OK;
    options o = {0};
    flm_options *parsed = NULL;
    flm_backend *be = NULL;
    bench_report *report = NULL;
    bool stop = false;

    FLM_TRY(flm_options_parse(&spec, argc, argv, &o, true, &stop, &parsed));
    if (stop) goto done;
    FLM_TRY(flm_backend_create((flm_device)o.device, (int)o.threads, 0, &be));
    if (o.head_rows == 0) o.head_rows = flm_backend_chunk(be, o.vocabulary);
    FLM_TRY(bench_report_create("gemm", o.json, be, bench_threads(be), &report));
    printf("%s\n", flm_backend_describe(be));
    if (o.precision != PRECISION_BF16) FLM_TRY(bench_dtype(be, &o, FLM_DTYPE_F32, report));
    if (o.precision != PRECISION_FP32) FLM_TRY(bench_dtype(be, &o, FLM_DTYPE_BF16, report));
    FLM_TRY(bench_report_finish(&report));
done:
    if (rc != FLM_OK) fprintf(stderr, "bench_gemm: error: %s\n", flm_err_message());
    if (report) bench_report_finish(&report);
    flm_backend_destroy(&be);
    flm_options_destroy(&parsed);
    return rc == FLM_OK ? 0 : rc == FLM_E_USAGE ? 2 : 1;
}
