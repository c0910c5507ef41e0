/* bench_gemm.c - the machine's measured peak, and what share of it each matrix product of a training step reaches.
 *
 * Peak of a dtype: the best rate over the step's own product shapes and 4096 cubed, with the operands in the layouts
 * the library likes best. Beside it each product as the suite does it: plain row-major operands, transposes, bias and
 * accumulation included. FLOPs of a product: 2 M N K (model.md section 9). SPDX-License-Identifier: Apache-2.0 */
#include "bench/bench_common.h"

#include "backend/backend_ops.h"
#include "backend/cpu/cpu_internal.h"
#include "base/base_options.h"

#include <stdio.h>

typedef struct options {
    int64_t threads, runs, tokens, width, vocabulary, head_rows;
    const char *json;
    int precision;
} options;

static const char *const precisions[] = {"both", "fp32", "bf16", NULL};
enum { PRECISION_BOTH, PRECISION_FP32, PRECISION_BF16 };

#define INT_OPTION(field, text, low, high, what, words)                                                         \
    {                                                                                                           \
        .name = what, .type = FLM_OPTION_INT, .offset = offsetof(options, field), .preset = text, .least = low, \
        .most = high, .group = "Benchmark", .unit = "N", .help = words                                          \
    }

static const flm_option table[] = {
    INT_OPTION(threads, "0", 0, 4096, "threads", "OpenMP threads; 0: as the environment says"),
    INT_OPTION(runs, "5", BENCH_RUNS_LEAST, BENCH_RUNS_MOST, "runs", "timed runs of each product"),
    INT_OPTION(tokens, "4096", 1, 1 << 24, "tokens", "tokens of a micro-batch, M of the trunk's products"),
    INT_OPTION(width, "768", 1, 1 << 16, "width", "the network's width d"),
    INT_OPTION(vocabulary, "30522", 1, 1 << 24, "vocabulary", "V, N of the head's products"),
    INT_OPTION(head_rows, "1024", 1, 1 << 24, "head-rows", "tokens of one chunk of the head"),
    {.name = "precision",
     .type = FLM_OPTION_CHOICE,
     .offset = offsetof(options, precision),
     .preset = "both",
     .choices = precisions,
     .group = "Benchmark",
     .help = "dtypes to measure"},
    {.name = "json",
     .type = FLM_OPTION_STRING,
     .offset = offsetof(options, json),
     .preset = "",
     .group = "Benchmark",
     .unit = "FILE",
     .help = "also write the figures there, a JSON object a line"},
};

/* One product: what it is for, its sizes and how the step computes it. */
typedef struct product_case {
    const char *name;
    int64_t M, N, K;
    bool transpose_a, transpose_b, bias, accumulate, f32_out;
} product_case;

enum { LINEARS = 5, CASES = 3 * LINEARS + 1 };

/* Forward, input gradient and weight gradient of y = x W^T + b with W [out, in], as the model calls them. */
static int linear_cases(product_case *c, const char *const names[3], int64_t rows, int64_t out, int64_t in, bool bias,
                        bool f32_out)
{
    c[0] = (product_case){names[0], rows, out, in, .transpose_b = true, .bias = bias, .f32_out = f32_out};
    c[1] = (product_case){names[1], rows, in, out, .f32_out = false};
    c[2] = (product_case){names[2], out, in, rows, .transpose_a = true, .accumulate = true, .f32_out = true};
    return 3;
}

static int make_cases(const options *o, product_case *c)
{
    static const char *const names[LINEARS][3] = {
        {"qkv", "qkv grad x", "qkv grad W"},
        {"attention out", "attention out grad x", "attention out grad W"},
        {"mlp up", "mlp up grad x", "mlp up grad W"},
        {"mlp down", "mlp down grad x", "mlp down grad W"},
        {"head chunk", "head chunk grad x", "head chunk grad W"},
    };
    int64_t d = o->width;
    int count = 0;
    count += linear_cases(c + count, names[0], o->tokens, 3 * d, d, false, false);
    count += linear_cases(c + count, names[1], o->tokens, d, d, false, false);
    count += linear_cases(c + count, names[2], o->tokens, 4 * d, d, true, false);
    count += linear_cases(c + count, names[3], o->tokens, d, 4 * d, true, false);
    count += linear_cases(c + count, names[4], o->head_rows, o->vocabulary, d, true, true);
    c[count++] = (product_case){"4096 cubed", 4096, 4096, 4096, .f32_out = false};
    return count;
}

typedef struct work {
    flm_backend *be;
    flm_matmul p;
} work;

static flm_status run_plain(void *arg)
{
    work *w = arg;
    return w->be->ops->matmul(w->be, &w->p);
}

static flm_status run_preferred(void *arg)
{
    work *w = arg;
    return flm_cpu_matmul_preferred(w->be, &w->p);
}

/* Memory for one operand, filled with normal numbers. */
static flm_status operand(flm_backend *be, flm_tensor *t, int64_t rows, int64_t columns, flm_dtype dtype, uint64_t key)
{
    flm_status rc = FLM_OK;
    void *wide = NULL, *data = NULL;
    size_t elements = (size_t)(rows * columns);
    flm_tensor normal;

    FLM_TRY(be->memory->alloc(be, elements * sizeof(float), &wide));
    normal = flm_tensor_3d(wide, FLM_DTYPE_F32, 1, rows, columns);
    FLM_TRY(be->ops->normal(be, &normal, key, 0));
    if (dtype == FLM_DTYPE_F32) {
        data = wide;
        wide = NULL;
    } else {
        flm_tensor from = flm_tensor_2d(wide, FLM_DTYPE_F32, rows, columns);
        FLM_TRY(be->memory->alloc(be, elements * flm_dtype_size(dtype), &data));
        flm_tensor to = flm_tensor_2d(data, dtype, rows, columns);
        FLM_TRY(be->ops->cast(be, &to, &from));
    }
    *t = flm_tensor_2d(data, dtype, rows, columns);
    data = NULL;
done:
    be->memory->release(be, wide);
    be->memory->release(be, data);
    return rc;
}

/* Measure one product both ways, in FLOPs a second. */
static flm_status measure(flm_backend *be, const product_case *c, flm_dtype dtype, int runs, bench_seconds *plain,
                          bench_seconds *preferred)
{
    flm_status rc = FLM_OK;
    flm_tensor a = flm_tensor_none(), b = a, out = a, bias = a;
    work w = {be, {0}};

    FLM_TRY(operand(be, &a, c->transpose_a ? c->K : c->M, c->transpose_a ? c->M : c->K, dtype, 1));
    FLM_TRY(operand(be, &b, c->transpose_b ? c->N : c->K, c->transpose_b ? c->K : c->N, dtype, 2));
    FLM_TRY(operand(be, &out, c->M, c->N, c->f32_out ? FLM_DTYPE_F32 : dtype, 3));
    FLM_TRY(operand(be, &bias, 1, c->N, FLM_DTYPE_F32, 4));
    bias = flm_tensor_1d(bias.data, FLM_DTYPE_F32, c->N);
    w.p = (flm_matmul){.a = &a,
                       .b = &b,
                       .c = &out,
                       .transpose_a = c->transpose_a,
                       .transpose_b = c->transpose_b,
                       .accumulate = c->accumulate,
                       .bias = c->bias ? &bias : NULL};
    FLM_TRY(bench_measure(run_preferred, &w, runs, preferred));
    FLM_TRY(bench_measure(run_plain, &w, runs, plain));
done:
    be->memory->release(be, a.data);
    be->memory->release(be, b.data);
    be->memory->release(be, out.data);
    be->memory->release(be, bias.data);
    return rc;
}

static flm_status bench_dtype(flm_backend *be, const options *o, flm_dtype dtype, bench_report *report)
{
    flm_status rc = FLM_OK;
    product_case cases[CASES];
    bench_seconds plain[CASES], preferred[CASES];
    int count = make_cases(o, cases), best = 0;
    double rate[CASES], peak = 0;

    for (int i = 0; i < count; i++) {
        FLM_TRY(measure(be, &cases[i], dtype, (int)o->runs, &plain[i], &preferred[i]));
        rate[i] = 2e-9 * (double)cases[i].M * (double)cases[i].N * (double)cases[i].K;
        if (rate[i] / preferred[i].median > peak) {
            peak = rate[i] / preferred[i].median;
            best = i;
        }
    }
    printf("\n%s: peak %.1f GFLOP/s (%s, layouts of the library's choice)\n", flm_dtype_name(dtype), peak,
           cases[best].name);
    printf("%-22s %6s %6s %6s  %9s %9s %15s %6s\n", "product", "M", "N", "K", "preferred", "plain", "min .. max",
           "share");
    for (int i = 0; i < count; i++) {
        const product_case *c = &cases[i];
        printf("%-22s %6lld %6lld %6lld  %9.1f %9.1f %7.1f..%6.1f %5.1f%%\n", c->name, (long long)c->M, (long long)c->N,
               (long long)c->K, rate[i] / preferred[i].median, rate[i] / plain[i].median, rate[i] / plain[i].most,
               rate[i] / plain[i].least, 100 * rate[i] / plain[i].median / peak);
        FLM_TRY(bench_report_line(
            report,
            json_pack("{ss ss ss sI sI sI sb sb sb sb ss so so sf sf sf}", "record", "product", "name", c->name,
                      "dtype", flm_dtype_name(dtype), "M", (json_int_t)c->M, "N", (json_int_t)c->N, "K",
                      (json_int_t)c->K, "transpose_a", c->transpose_a, "transpose_b", c->transpose_b, "bias", c->bias,
                      "accumulate", c->accumulate, "result", flm_dtype_name(c->f32_out ? FLM_DTYPE_F32 : dtype),
                      "plain_seconds", bench_seconds_json(&plain[i]), "preferred_seconds",
                      bench_seconds_json(&preferred[i]), "plain_gflops", rate[i] / plain[i].median, "preferred_gflops",
                      rate[i] / preferred[i].median, "plain_share_of_peak", rate[i] / plain[i].median / peak)));
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

    FLM_TRY(flm_options_parse("bench_gemm", "measure the matrix products of a training step and the machine's peak",
                              NULL, table, (int)(sizeof table / sizeof table[0]), argc, argv, &o, true, &stop,
                              &parsed));
    if (stop) goto done;
    FLM_TRY(flm_backend_create(FLM_DEVICE_CPU, (int)o.threads, 0, &be));
    FLM_TRY(bench_report_create("gemm", o.json, be, flm_cpu_threads(be), &report));
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
