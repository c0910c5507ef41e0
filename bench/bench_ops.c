/* bench_ops.c - each operation of a backend at the shapes of a training step, compared with the machine's bandwidth
 * and arithmetic.
 *
 * The bytes of an operation are those that it reads and writes once by definition; they are compared with a plain copy
 * in the same run, of arrays larger than any cache and of the size of activations. Attention is counted in FLOPs, 4 B
 * L^2 d forward (model.md section 11) and 10 B L^2 d backward (five matmuls), and compared with an fp32 matmul of the
 * step. SPDX-License-Identifier: Apache-2.0 */
#include "bench/bench_operands.h"

#include "backend/backend_ops.h"
#include "backend/cpu/cpu_internal.h"
#include "base/base_options.h"

#include <stdio.h>
#include <string.h>

static const char *const precisions[] = {"both", "fp32", "bf16", NULL};
enum { PRECISION_BOTH, PRECISION_FP32, PRECISION_BF16 };

#define FLM_OPT_STRUCT bench_ops_options
static const flm_option rows[] = {
    FLM_OPT_GROUP("Benchmark"),
    FLM_OPT_INT("threads", threads, "0", "N", "OpenMP threads\n0 = OMP_NUM_THREADS, else all cores", .max = 4096),
    FLM_OPT_INT("runs", runs, "9", "N", "timed runs of each op", .min = BENCH_RUNS_MIN, .max = BENCH_RUNS_MAX),
    FLM_OPT_INT("batch", batch, "32", "N", "sequences of a micro-batch, B", .min = 1, .max = 1 << 16),
    FLM_OPT_INT("length", length, "128", "N", "positions, L", .min = 1, .max = 1 << 16),
    FLM_OPT_INT("width", width, "768", "N", "the network's width d", .min = 1, .max = 1 << 16),
    FLM_OPT_INT("heads", heads, "12", "N", "attention heads, which divide the width", .min = 1, .max = 1 << 12),
    FLM_OPT_INT("vocabulary", vocabulary, "30522", "V", "vocabulary size", .min = 1, .limit = 1 << 24),
    FLM_OPT_INT("head-rows", head_rows, "512", "N", "tokens per chunk of the head\n0 = as flm_train", .limit = 1 << 24),
    FLM_OPT_INT("parameters", parameters, "23440896", "N", "weights of one optimiser slice", .min = 1,
                .limit = 1 << 30),
    FLM_OPT_INT("copy-mib", copy, "512", "N", "size in MiB of the array that is copied to measure the bandwidth",
                .min = 1, .max = 1 << 16),
    FLM_OPT_CHOICE("device", device, "auto", bench_devices, "device to compute on"),
    FLM_OPT_CHOICE("precision", precision, "both", precisions, "dtypes of activations to measure"),
    FLM_OPT_STRING("json", json, "", "FILE", "also write the results to this file, one JSON object per line"),
};

static const flm_options_spec spec = {
    .program = "bench_ops",
    .purpose = "Measure the operations of a training step, and the memory bandwidth.",
    FLM_OPT_ROWS(rows),
};

#define T(name) (&b->t[name])
#define OPS                        \
    const bench_operands *b = arg; \
    flm_backend *be = b->be

static const flm_dropout dropout = {0.1f, 7, 0}, no_dropout = {0, 7, 0};
static const flm_tensor no_context; /* a sequence has one condition */

static flm_status run_layernorm(void *arg)
{
    OPS;
    return flm_op_layernorm_modulate(be, T(ACT0), T(MEAN), T(RSTD), T(X), T(W), T(MOD), &no_context, 0, b->o->width);
}
static flm_status run_layernorm_backward(void *arg)
{
    OPS;
    return flm_op_layernorm_modulate_backward(be, T(X2), T(GRAD_W), T(GRAD_MOD), T(ACT0), T(X), T(MEAN), T(RSTD), T(W),
                                              T(MOD), &no_context, 0, b->o->width);
}
static flm_status run_gate(void *arg)
{
    OPS;
    return flm_op_gate_residual(be, T(X2), T(X), T(ACT0), T(MOD), &no_context, 0, &no_dropout);
}
static flm_status run_gate_dropout(void *arg)
{
    OPS;
    return flm_op_gate_residual(be, T(X2), T(X), T(ACT0), T(MOD), &no_context, 0, &dropout);
}
static flm_status run_gate_backward(void *arg)
{
    OPS;
    return flm_op_gate_residual_backward(be, T(ACT1), T(GRAD_MOD), T(X), T(ACT0), T(MOD), &no_context, 0, &dropout);
}
static flm_status run_gelu(void *arg) /* separate from the matmul on the CPU only */
{
    OPS;
    flm_cpu_gelu(be, T(WIDE1), T(WIDE0));
    return FLM_OK;
}
static flm_status run_gelu_backward(void *arg)
{
    OPS;
    return flm_op_gelu_backward(be, T(WIDE1), T(WIDE_SUM), T(WIDE0), T(WIDE1));
}
static flm_status run_rope(void *arg)
{
    OPS;
    return flm_op_rope(be, T(QKV1), T(ROPE));
}
static flm_status run_attention(void *arg)
{
    OPS;
    return flm_op_attention(be, T(ACT0), T(LSE), T(QKV0), b->o->heads, 50);
}
static flm_status run_attention_backward(void *arg)
{
    OPS;
    return flm_op_attention_backward(be, T(QKV1), T(ACT1), T(ACT0), T(QKV0), T(LSE), b->o->heads, 50, T(ROPE));
}
static flm_status run_embed(void *arg)
{
    OPS;
    return flm_op_embed_state(be, T(X2), T(X), T(TABLE), T(TOKENS), T(G));
}
static flm_status run_scatter(void *arg)
{
    OPS;
    return flm_op_embed_scatter(be, T(TABLE), T(X), T(TOKENS), T(G));
}
static flm_status run_scale(void *arg)
{
    OPS;
    return flm_op_sample_scale(be, T(X2), T(X), T(G));
}
static flm_status run_normal(void *arg)
{
    OPS;
    return flm_op_normal(be, T(X2), 5, 0);
}
static flm_status run_xent(void *arg)
{
    OPS;
    return flm_op_softmax_xent(be, T(LOSS), T(PROBS), T(LOGITS), T(TARGET), 1e-3f, 0);
}
static flm_status run_xent_capped(void *arg)
{
    OPS;
    return flm_op_softmax_xent(be, T(LOSS), T(PROBS), T(LOGITS), T(TARGET), 1e-3f, 30);
}
static flm_status distill_error(void *arg, bool softmax_backward)
{
    OPS;
    return flm_op_distill_error(be, &(flm_distill_error){.loss = T(LOSS),
                                                         .grad = T(PROBS),
                                                         .from = T(LOGITS),
                                                         .to = T(LOGITS_TO),
                                                         .residual = T(RESIDUAL),
                                                         .bias = T(V_SUM),
                                                         .coefficient = T(COEFFICIENT),
                                                         .softmax_backward = softmax_backward});
}
static flm_status run_distill(void *arg) { return distill_error(arg, false); }
static flm_status run_distill_through(void *arg) { return distill_error(arg, true); }
static flm_status run_mixture(void *arg)
{
    OPS;
    return flm_op_mixture_xent(be, &(flm_mixture_xent){.loss = T(LOSS),
                                                       .grad = T(PROBS),
                                                       .logits = T(LOGITS),
                                                       .first = T(LOGITS_TO),
                                                       .second = T(RESIDUAL),
                                                       .weight = T(WEIGHT),
                                                       .scale = 1e-3f,
                                                       .logit_cap = 30});
}
static flm_status run_softmax(void *arg)
{
    OPS;
    return flm_op_softmax(be, T(PROBS), T(LOGITS), 0);
}
static flm_status run_softmax_capped(void *arg)
{
    OPS;
    return flm_op_softmax(be, T(PROBS), T(LOGITS), 30);
}
static flm_status run_argmax(void *arg)
{
    OPS;
    return flm_op_argmax(be, T(INDEX), T(LOGITS));
}
static flm_status run_column_sum(void *arg)
{
    OPS;
    const flm_tensor flat = flm_tensor_flat(T(ACT1));
    return flm_op_column_sum(be, T(GRAD_W), &flat);
}
static flm_status run_column_sum_head(void *arg)
{
    OPS;
    return flm_op_column_sum(be, T(V_SUM), T(PROBS));
}
static flm_status run_axpby(void *arg)
{
    OPS;
    return flm_op_axpby(be, T(X2), 0.5f, T(X), 0.5f);
}
static flm_status run_cast(void *arg)
{
    OPS;
    return flm_op_cast(be, T(ACAST), T(AW));
}
static flm_status run_sum_squares(void *arg)
{
    OPS;
    return flm_op_sum_squares(be, T(TOTAL), T(AGRAD));
}
static flm_status run_adamw(void *arg)
{
    OPS;
    const flm_adamw p = {.w = *T(AW),
                         .m = *T(AM),
                         .v = *T(AV),
                         .ema = *T(AEMA),
                         .grad = *T(AGRAD),
                         .cast = *T(ACAST),
                         .norm_sq = T(TOTAL)->data,
                         .clip = 1,
                         .lr = 1e-4f,
                         .beta1 = 0.9f,
                         .beta2 = 0.999f,
                         .eps = 1e-8f,
                         .ema_decay = 0.999f,
                         .update = 100};
    return flm_op_adamw(be, &p);
}

/* One operation: the bytes it must move once, or its FLOPs. */
typedef struct op_case {
    const char *name;
    bench_work work;
    double bytes, flops;
    bool any_dtype; /* independent of the dtype of activations: measured once */
} op_case;

enum { CASES = 28 };

static void make_cases(const bench_ops_options *o, bool bf16, op_case *c)
{
    const double B = (double)o->batch, L = (double)o->length, d = (double)o->width, V = (double)o->vocabulary;
    const double n = B * L * d, a = bf16 ? 2 : 4, head = (double)o->head_rows * V, p = (double)o->parameters;
    const op_case all[CASES] = {
        {"layernorm_modulate", run_layernorm, n * (4 + a), 0, false},
        {"layernorm_modulate_backward", run_layernorm_backward, n * (12 + a), 0, false},
        {"gate_residual", run_gate, n * (8 + a), 0, false},
        {"gate_residual dropout", run_gate_dropout, n * (8 + a), 0, false},
        {"gate_residual_backward dropout", run_gate_backward, n * (4 + 2 * a), 0, false},
        {"gelu", run_gelu, 4 * n * 2 * a, 0, false},
        {"gelu_backward", run_gelu_backward, 4 * n * 3 * a, 0, false},
        {"rope", run_rope, 4 * n * a, 0, false},
        {"softmax_xent", run_xent, head * (4 + a), 0, false},
        {"softmax_xent capped", run_xent_capped, head * (4 + a), 0, false},
        {"distill_error", run_distill, head * (16 + a), 0, false},
        {"distill_error softmax_backward", run_distill_through, head * (16 + a), 0, false},
        {"mixture_xent capped", run_mixture, head * (12 + a), 0, false},
        {"softmax", run_softmax, head * (4 + a), 0, false},
        {"softmax capped", run_softmax_capped, head * (4 + a), 0, false},
        {"column_sum", run_column_sum, n * a, 0, false},
        {"column_sum head", run_column_sum_head, head * a, 0, false},
        {"attention", run_attention, 0, 4 * B * L * L * d, false},
        {"attention_backward", run_attention_backward, 0, 10 * B * L * L * d, false},
        {"argmax", run_argmax, head * 4, 0, true},
        {"embed_state", run_embed, n * 12, 0, true},
        {"embed_scatter", run_scatter, n * 12, 0, true},
        {"sample_scale", run_scale, n * 8, 0, true},
        {"normal", run_normal, n * 4, 0, true},
        {"axpby", run_axpby, n * 12, 0, true},
        {"cast f32 to bf16", run_cast, p * 6, 0, true},
        {"sum_squares", run_sum_squares, p * 4, 0, true},
        {"adamw", run_adamw, p * 38, 0, true},
    };
    memcpy(c, all, sizeof all);
}

/* An array copied by all threads, one part each; on a device, by the device. */
typedef struct copy_work {
    flm_backend *be;
    char *to;
    const char *from;
    size_t bytes;
    int threads;
} copy_work;

static flm_status run_copy(void *arg)
{
    const copy_work *w = arg;
    if (!w->be->host_memory) return w->be->memory->copy(w->be, w->to, w->from, w->bytes);
#pragma omp parallel for num_threads(w->threads)
    for (int i = 0; i < w->threads; i++) {
        const size_t at = w->bytes * (size_t)i / (size_t)w->threads,
                     end = w->bytes * (size_t)(i + 1) / (size_t)w->threads;
        memcpy(w->to + at, w->from + at, end - at);
    }
    return FLM_OK;
}

/* GB/s, read plus written, of a copy of `bytes`. */
static flm_status measure_copy(flm_backend *be, size_t bytes, int runs, const char *name, bench_report *report,
                               double *rate)
{
    flm_status rc = FLM_OK;
    void *to = NULL, *from = NULL;
    bench_seconds s;
    FLM_TRY(be->memory->alloc(be, bytes, &to));
    FLM_TRY(be->memory->alloc(be, bytes, &from));
    FLM_TRY(be->memory->zero(be, from, bytes));
    FLM_TRY(be->memory->zero(be, to, bytes));
    copy_work w = {be, to, from, bytes, bench_threads(be)};
    FLM_TRY(bench_measure(be, run_copy, &w, runs, &s));
    *rate = 2e-9 * (double)bytes / s.median;
    printf("%-32s %8.1f MiB: %6.1f GB/s (%.1f..%.1f)\n", name, (double)bytes / 0x1p20, *rate,
           2e-9 * (double)bytes / s.max, 2e-9 * (double)bytes / s.min);
    FLM_TRY(bench_report_line(report,
                              json_pack("{ss ss sI so sf}", "record", "copy", "name", name, "bytes", (json_int_t)bytes,
                                        "seconds", bench_seconds_json(&s), "gbytes_per_second", *rate)));
done:
    be->memory->release(be, to);
    be->memory->release(be, from);
    return rc;
}

typedef struct matmul_work {
    flm_backend *be;
    flm_matmul p;
} matmul_work;

static flm_status run_matmul(void *arg)
{
    matmul_work *w = arg;
    return flm_op_matmul(w->be, &w->p);
}

/* GFLOP/s of the widest matmul of the trunk in fp32, to compare attention with. Uses operands of the fp32 run. */
static flm_status measure_matmul(bench_operands *b, int runs, double *rate)
{
    flm_status rc = FLM_OK;
    const int64_t M = b->o->batch * b->o->length, d = b->o->width;
    const flm_tensor a = flm_tensor_2d(b->t[X].data, FLM_DTYPE_F32, M, d),
                     c = flm_tensor_2d(b->t[X2].data, FLM_DTYPE_F32, M, d);
    bench_seconds s;
    matmul_work w = {b->be, {0}};
    if (b->o->vocabulary < d) FLM_FAIL(FLM_E_ARG, "--vocabulary must be at least --width");
    const flm_tensor square = flm_tensor_2d(b->t[TABLE].data, FLM_DTYPE_F32, d, d);
    w.p = (flm_matmul){.a = &a, .b = &square, .transpose_b = true, .c = &c};
    FLM_TRY(bench_measure(b->be, run_matmul, &w, runs, &s));
    *rate = 2e-9 * (double)M * (double)d * (double)d / s.median;
done:
    return rc;
}

static flm_status bench_dtype(flm_backend *be, const bench_ops_options *o, bool bf16, bool first, double memory,
                              bench_report *report)
{
    flm_status rc = FLM_OK;
    op_case cases[CASES];
    bench_operands b = {.be = be, .o = o, .bf16 = bf16};
    const char *dtype = bf16 ? "bf16" : "f32";
    double product = 0;
    bench_operands_shape(&b);
    FLM_TRY(bench_operands_fill(&b));
    make_cases(o, bf16, cases);
    FLM_TRY(measure_matmul(&b, (int)o->runs, &product));
    printf("\nactivations %s; an fp32 matmul: %.1f GFLOP/s\n", dtype, product);
    printf("%-32s %10s %21s %10s %7s\n", "op", "ms", "min .. max", "rate", "share");
    for (int i = 0; i < CASES; i++) {
        const op_case *c = &cases[i];
        bench_seconds s;
        if (c->any_dtype && !first) continue;
        if (c->work == run_gelu && !be->host_memory) continue;
        FLM_TRY(bench_measure(be, c->work, &b, (int)o->runs, &s));
        const double rate = 1e-9 * (c->flops > 0 ? c->flops : c->bytes) / s.median;
        const double share = rate / (c->flops > 0 ? product : memory);
        printf("%-32s %10.3f %10.3f..%9.3f %5.1f %s %6.0f%%\n", c->name, 1e3 * s.median, 1e3 * s.min, 1e3 * s.max, rate,
               c->flops > 0 ? "GF/s" : "GB/s", 100 * share);
        FLM_TRY(bench_report_line(report, json_pack("{ss ss ss so sf sf sf sf}", "record", "op", "name", c->name,
                                                    "activations", c->any_dtype ? "none" : dtype, "seconds",
                                                    bench_seconds_json(&s), "bytes", c->bytes, "flops", c->flops,
                                                    "giga_per_second", rate, "share_of_copy_or_matmul", share)));
    }
done:
    for (int k = 0; k < TENSORS; k++) be->memory->release(be, b.t[k].data);
    return rc;
}

int main(int argc, char **argv)
{
    flm_status rc = FLM_OK;
    bench_ops_options o = {0};
    flm_options *parsed = NULL;
    flm_backend *be = NULL;
    bench_report *report = NULL;
    bool stop = false, both;
    double memory = 0, cache = 0;

    FLM_TRY(flm_options_parse(&spec, argc, argv, &o, true, &stop, &parsed));
    if (stop) goto done;
    if (o.width % (2 * o.heads) != 0) FLM_FAIL(FLM_E_USAGE, "--width must be a multiple of twice --heads");
    FLM_TRY(flm_backend_create((flm_device)o.device, (int)o.threads, 0, &be));
    if (o.head_rows == 0) o.head_rows = flm_backend_chunk(be, o.vocabulary);
    if (o.head_rows > o.batch * o.length) o.head_rows = o.batch * o.length;
    FLM_TRY(bench_report_create("ops", o.json, be, bench_threads(be), &report));
    printf("%s\n", flm_backend_describe(be));
    FLM_TRY(measure_copy(be, (size_t)o.copy << 20, (int)o.runs, "copy, memory", report, &memory));
    FLM_TRY(measure_copy(be, (size_t)(o.batch * o.length * o.width) * sizeof(float), (int)o.runs, "copy, activations",
                         report, &cache));
    both = o.precision == PRECISION_BOTH;
    if (o.precision != PRECISION_BF16) FLM_TRY(bench_dtype(be, &o, false, true, memory, report));
    if (o.precision != PRECISION_FP32) FLM_TRY(bench_dtype(be, &o, true, !both, memory, report));
    FLM_TRY(bench_report_finish(&report));
done:
    if (rc != FLM_OK) fprintf(stderr, "bench_ops: error: %s\n", flm_err_message());
    if (report) bench_report_finish(&report);
    flm_backend_destroy(&be);
    flm_options_destroy(&parsed);
    return rc == FLM_OK ? 0 : rc == FLM_E_USAGE ? 2 : 1;
}
