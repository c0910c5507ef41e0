/* bench_train.c - a training step of the whole network, or of a stage of distillation: tokens per second, share of the
 * machine's peak, memory.
 *
 * The tokens are random, so no files are needed. The peak is measured in the same run, by all ranks at once, before and
 * after the steps; the share counts model FLOPs (model.md section 11: three times the forward pass; for a stage of
 * distillation, those of its passes), not the work really done. --profile adds where the time of a step goes,
 * --sample-steps how fast the network samples. With several ranks (mpirun) rates are summed. SPDX-License-Identifier:
 * Apache-2.0 */
#include "bench/bench_profile.h"

#include "base/base_clock.h"
#include "base/base_philox.h"
#include "cmd/cmd_backend.h"
#include "cmd/cmd_options.h"
#include "process/process.h"
#include "train/train_step.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

typedef struct options {
    const char *preset, *json;
    int64_t length, vocabulary, batch, micro_batch, chunk, runs, sample_steps, cube, seed, threads;
    double dropout, logit_cap;
    bool recompute, profile;
    int device, precision, matmul, kind;
    flm_comm_settings comm;
} options;

static const char *kinds[FLM_KINDS + 1]; /* the names, NULL-terminated; filled by main */

#define FLM_OPT_STRUCT options
static const flm_option rows[] = {
    FLM_OPT_GROUP("Benchmark"),
    FLM_OPT_STRING("preset", preset, "small", "small|mini|tiny", "network size"),
    FLM_OPT_INT("length", length, "128", "L", "sequence length", .min = 1, .limit = 1 << 20),
    FLM_OPT_INT("vocabulary", vocabulary, "30522", "V", "vocabulary size", .min = 2, .limit = 1 << 24),
    FLM_OPT_INT("batch", batch, "32", "N", "sequences per step, over all ranks", .min = 1, .limit = 1 << 20),
    FLM_OPT_INT("micro-batch", micro_batch, "32", "N", "sequences per rank and pass", .min = 1, .limit = 1 << 20),
    FLM_OPT_INT("chunk", chunk, "0", "N", "number of tokens whose logits are computed at once\n0 = as flm_train",
                .limit = 1 << 20),
    FLM_OPT_INT("runs", runs, "3", "N", "timed steps", .min = BENCH_RUNS_MIN, .max = BENCH_RUNS_MAX),
    FLM_OPT_FLOAT("dropout", dropout, "0.1", "P", "dropout probability", .max = 0.9),
    FLM_OPT_FLOAT("logit-cap", logit_cap, "30", "C", "cap of the logits\n0 = none", .max = 1000),
    FLM_OPT_BOOL("recompute", recompute, "no", "recompute activations in the backward pass"),
    FLM_OPT_BOOL("profile", profile, "no", "print the time of each part of a step, as JSON lines"),
    FLM_OPT_INT("sample-steps", sample_steps, "0", "N",
                "also measure sampling of one micro-batch per rank in N steps\n0 = do not", .limit = 1 << 20),
    FLM_OPT_INT("cube", cube, "4096", "N", "size (M = N = K) of one more matmul for the peak", .min = 1,
                .max = 1 << 15),
    FLM_OPT_CHOICE("objective", kind, "flm", kinds, "kind of model to train"),
    FLM_OPT_STRING("json", json, "", "FILE", "also write the results to this file, one JSON object per line"),
    FLM_CMD_OPTIONS_COMMON,
};

static const flm_options_spec spec = {
    .program = "bench_train",
    .purpose = "Measure a training step.",
    FLM_OPT_ROWS(rows),
};

typedef struct work {
    flm_weights *frozen[FLM_ROLE_FILES];
    flm_trainer *trainer;
    int32_t *ids;
} work;

static flm_status run_step(void *arg)
{
    work *w = arg;
    flm_step_result result;
    flm_status rc = flm_trainer_step(w->trainer, w->ids, false, &result);
    if (rc == FLM_OK) rc = w->trainer->be->stream->sync(w->trainer->be);
    return rc;
}

/* Tokens distributed like words: the r-th is drawn with frequency 1 / r (Zipf), so that rows of E repeat. */
static flm_status make_ids(const flm_trainer *t, int32_t **out)
{
    flm_status rc = FLM_OK;
    const int64_t count = t->count * t->settings.shape.L, V = t->settings.shape.V;
    int32_t *ids = malloc((size_t)count * sizeof *ids);
    if (ids == NULL) FLM_FAIL(FLM_E_NOMEM, "no memory for %lld tokens", (long long)count);
    for (int64_t i = 0; i < count; i++) {
        const flm_philox4 r = flm_philox4x32(t->settings.seed, (uint32_t)(t->first * t->settings.shape.L + i), 0, 0, 0);
        double x = 1, u = flm_philox_uniform(r.v[0], r.v[1]);
        for (int64_t left = V; left > 1; left /= 2) x *= 1 + u; /* V^u up to rounding */
        ids[i] = (int32_t)(x >= (double)V ? V - 1 : x - 1);
    }
    *out = ids;
done:
    return rc;
}

/* A frozen network with initial weights, of another seed than the student's. */
static flm_status make_frozen(flm_backend *be, const flm_trainer_settings *s, flm_network network, uint64_t seed,
                              flm_weights **out)
{
    flm_status rc = FLM_OK;
    flm_model_shape shape = s->shape;
    float *values = NULL;
    shape.network = network;
    FLM_TRY(flm_weights_create(be, &shape, s->act, 1, false, out));
    for (int i = 0; i < (*out)->parameters; i++) {
        const flm_parameter *p = &(*out)->parameter[i];
        free(values);
        values = malloc((size_t)p->count * sizeof *values);
        if (values == NULL) FLM_FAIL(FLM_E_NOMEM, "no memory for %s", p->name);
        flm_parameter_initial(p, i, seed, 0, p->count, values);
        FLM_TRY(flm_weights_set(*out, i, values));
    }
done:
    free(values);
    return rc;
}

static flm_status make_teachers(flm_backend *be, const options *o, flm_trainer_settings *s, work *w)
{
    flm_status rc = FLM_OK;
    s->kind = &flm_kinds[o->kind];
    s->shape.network = s->kind->network;
    s->psd = (flm_psd_law){0.5, 32};
    for (int r = 0; r < FLM_ROLE_FILES; r++) {
        const flm_kind *kind = s->kind->objective->networks[r].kind;
        if (kind == NULL || kind == s->kind) continue; /* an any-order map learns from data */
        FLM_TRY(make_frozen(be, s, kind->network, s->seed + 1 + (uint64_t)r, &w->frozen[r]));
        s->frozen[r] = w->frozen[r];
    }
done:
    return rc;
}

/* Model FLOPs per token of a step. */
static double step_flops(const options *o, const flm_model_shape *s)
{
    const flm_objective_ops *ops = flm_kinds[o->kind].objective;
    const double head = 2.0 * (double)s->V * (double)s->d;
    return ops->trunk_passes * (flm_model_flops(s) - head) + ops->head_passes * head;
}

static flm_status measure_peak(flm_comm *comm, flm_backend *be, const flm_trainer_settings *s, int64_t cube,
                               flm_dtype dtype, double *sum)
{
    flm_status rc = FLM_OK;
    bench_matmul products[BENCH_MATMULS];
    int best;
    const int count = bench_matmuls_make(s->micro_batch * s->shape.L, s->shape.d, s->shape.V, s->chunk, cube, products);
    FLM_TRY(flm_comm_barrier(comm));
    FLM_TRY(bench_peak(be, products, count, dtype, BENCH_RUNS_MIN, sum, &best));
    FLM_TRY(flm_comm_sum_f64(comm, sum, 1));
done:
    return rc;
}

/* Device memory in the trainer's arenas. */
static size_t arena_bytes(const flm_trainer *t)
{
    size_t part[FLM_TRAINER_MEMORY_PARTS], sum = 0;
    flm_trainer_memory(t, part);
    for (int i = 0; i < FLM_TRAINER_MEMORY_PARTS; i++) sum += part[i];
    return sum;
}

static flm_status report_figures(const options *o, const flm_trainer *t, flm_backend *be, const double peak[3],
                                 double memory_gib, const bench_seconds *seconds, bench_report *report)
{
    flm_status rc = FLM_OK;
    const double mean_peak = (peak[0] + peak[1]) / 2, tokens = (double)(t->settings.batch * t->settings.shape.L);
    const double flops = step_flops(o, &t->settings.shape) * tokens;
    const double share = flops / seconds->median / mean_peak;
    printf("%s, %s\n", flm_backend_describe(be), flm_dtype_name(t->settings.act));
    printf("%s, %d ranks, batch %lld, micro-batch %lld, L %lld, V %lld\n", kinds[o->kind], flm_comm_size(t->comm),
           (long long)t->settings.batch, (long long)t->settings.micro_batch, (long long)t->settings.shape.L,
           (long long)t->settings.shape.V);
    printf("step %.3f s (%.3f .. %.3f of %d), %.0f tokens/s, %.1f GFLOP/s\n", seconds->median, seconds->min,
           seconds->max, seconds->runs, tokens / seconds->median, 1e-9 * flops / seconds->median);
    printf("peak of %s %.1f GFLOP/s before, %.1f after: share %.1f %%\n", flm_dtype_name(t->settings.act),
           1e-9 * peak[0], 1e-9 * peak[1], 100 * share);
    printf("peak of f32 %.1f GFLOP/s: share %.1f %%\n", 1e-9 * peak[2], 100 * flops / seconds->median / peak[2]);
    printf("peak memory of rank 0: %.2f GiB (%.2f in arenas)\n", memory_gib, (double)arena_bytes(t) / (1 << 30));
    FLM_TRY(bench_report_line(
        report,
        json_pack("{ss ss si ss sI sI sI sI sI sf sf sf sf so sf sf sf sf}", "record", "train", "objective",
                  kinds[o->kind], "ranks", flm_comm_size(t->comm), "dtype", flm_dtype_name(t->settings.act), "batch",
                  (json_int_t)t->settings.batch, "micro_batch", (json_int_t)t->settings.micro_batch, "chunk",
                  (json_int_t)t->settings.chunk, "L", (json_int_t)t->settings.shape.L, "V",
                  (json_int_t)t->settings.shape.V, "logit_cap", t->settings.shape.logit_cap, "peak_gflops_before",
                  1e-9 * peak[0], "peak_gflops_after", 1e-9 * peak[1], "peak_gflops_f32", 1e-9 * peak[2],
                  "step_seconds", bench_seconds_json(seconds), "tokens_per_second", tokens / seconds->median, "gflops",
                  1e-9 * flops / seconds->median, "share_of_peak", share, "memory_gib", memory_gib)));
done:
    return rc;
}

/* Where the time of a step goes, on one rank: with more, waiting for others would be timed too. */
static flm_status profile_steps(const options *o, flm_backend *be, work *w, bench_report *report)
{
    flm_status rc = FLM_OK;
    const flm_trainer_settings *s = &w->trainer->settings;
    bench_matmul products[BENCH_MATMULS];
    bench_profile *profile = NULL;
    const int count =
        bench_matmuls_make(s->micro_batch * s->shape.L, s->shape.d, s->shape.V, s->chunk, o->cube, products);
    if (flm_comm_size(w->trainer->comm) > 1) FLM_FAIL(FLM_E_USAGE, "--profile needs a single rank");
    FLM_TRY(bench_profile_begin(be, products, count, &profile));
    for (int i = 0; i < (int)o->runs; i++) FLM_TRY(run_step(w));
    FLM_TRY(bench_profile_write(profile, (int)o->runs, kinds[o->kind], report));
done:
    bench_profile_end(&profile);
    return rc;
}

/* Samples as flm_generate draws them, one micro-batch per rank: the cost of each further batch, without the algebra of
 * the noise and the allocations, which happen once per program. */
static flm_status measure_samples(const options *o, flm_trainer *t, bench_report *report)
{
    enum { MANY = 17, FEW = 16 };
    flm_status rc = FLM_OK;
    const int more = o->sample_steps < FEW ? (int)(FEW / o->sample_steps) : 1;
    const int64_t samples = t->settings.micro_batch * flm_comm_size(t->comm);
    int64_t steps[MANY];
    double entropy[MANY], seconds[2];
    for (int i = 0; i < MANY; i++) steps[i] = o->sample_steps;
    FLM_TRY(flm_trainer_sample(t, steps, 1, samples, entropy));
    for (int i = 0; i < 2; i++) {
        FLM_TRY(flm_comm_barrier(t->comm));
        const double begin = flm_clock_seconds();
        FLM_TRY(flm_trainer_sample(t, steps, i == 0 ? 1 : 1 + more, samples, entropy));
        FLM_TRY(flm_comm_barrier(t->comm));
        seconds[i] = flm_clock_seconds() - begin;
    }
    const double tokens = (double)(more * samples * t->settings.shape.L), took = seconds[1] - seconds[0];
    if (flm_comm_rank(t->comm) != 0) goto done;
    printf("sampling in %lld steps: %.0f tokens/s\n", (long long)o->sample_steps, tokens / took);
    FLM_TRY(bench_report_line(report, json_pack("{ss ss sI sI sI sf sf}", "record", "sample", "objective",
                                                kinds[o->kind], "steps", (json_int_t)o->sample_steps, "samples",
                                                (json_int_t)(more * samples), "L", (json_int_t)t->settings.shape.L,
                                                "seconds", took, "tokens_per_second", tokens / took)));
done:
    return rc;
}

/* GiB that the step takes; on a device, the decrease of its free memory. */
static flm_status memory_taken(flm_backend *be, size_t before, double *gib)
{
    flm_status rc = FLM_OK;
    struct rusage usage;
    size_t after = 0;
    getrusage(RUSAGE_SELF, &usage);
    *gib = (double)usage.ru_maxrss / (1 << 20);
    if (be->host_memory) goto done;
    FLM_TRY(be->memory->available(be, &after));
    *gib = ((double)before - (double)after) / (1 << 30);
done:
    return rc;
}

static flm_status bench(flm_comm *comm, flm_backend *be, const options *o)
{
    flm_status rc = FLM_OK;
    const bool bf16 = flm_backend_precision(be, (flm_precision)o->precision) == FLM_PRECISION_BF16;
    flm_trainer_settings s = {.act = bf16 ? FLM_DTYPE_BF16 : FLM_DTYPE_F32,
                              .batch = o->batch,
                              .micro_batch = o->micro_batch,
                              .chunk = o->chunk ? o->chunk : flm_backend_chunk(be, o->vocabulary),
                              .recompute = o->recompute,
                              .dropout = o->dropout,
                              .lr = {.lr = 3e-4},
                              .seed = (uint64_t)o->seed,
                              .optimizer = {0.9, 0.999, 1e-8, 0, 1, 0.9999}};
    work w = {0};
    double peak[3], gib = 0; /* of the step's dtype, before and after; of fp32 */
    size_t free_before = 0;
    bench_seconds seconds;
    bench_report *report = NULL;
    FLM_TRY(bench_report_create("train", flm_comm_rank(comm) == 0 ? o->json : "", be, (int)o->threads, &report));
    FLM_TRY(be->memory->available(be, &free_before));
    FLM_TRY(flm_model_preset(o->preset, &s.shape));
    s.shape.L = o->length;
    s.shape.V = o->vocabulary;
    s.shape.logit_cap = o->logit_cap;
    FLM_TRY(make_teachers(be, o, &s, &w));
    FLM_TRY(flm_trainer_create(be, comm, &s, &w.trainer));
    FLM_TRY(flm_optimizer_initialise(w.trainer->optimizer, s.seed));
    FLM_TRY(make_ids(w.trainer, &w.ids));
    FLM_TRY(run_step(&w)); /* memory of a step, before the measurement of the peak allocates its own */
    FLM_TRY(memory_taken(be, free_before, &gib));
    FLM_TRY(measure_peak(comm, be, &w.trainer->settings, o->cube, s.act, &peak[0]));
    FLM_TRY(bench_measure(NULL, run_step, &w, (int)o->runs, &seconds)); /* as many steps on every rank */
    FLM_TRY(measure_peak(comm, be, &w.trainer->settings, o->cube, s.act, &peak[1]));
    FLM_TRY(measure_peak(comm, be, &w.trainer->settings, o->cube, FLM_DTYPE_F32, &peak[2]));
    if (flm_comm_rank(comm) == 0) FLM_TRY(report_figures(o, w.trainer, be, peak, gib, &seconds, report));
    if (o->profile) FLM_TRY(profile_steps(o, be, &w, report));
    if (o->sample_steps) FLM_TRY(measure_samples(o, w.trainer, report));
    FLM_TRY(bench_report_finish(&report));
done:
    if (report) bench_report_finish(&report);
    free(w.ids);
    flm_trainer_destroy(&w.trainer);
    for (int r = 0; r < FLM_ROLE_FILES; r++) flm_weights_destroy(&w.frozen[r]);
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
    for (int i = 0; i < FLM_KINDS; i++) kinds[i] = flm_kinds[i].name;
    FLM_TRY(flm_process_init(&argc, &argv, &world));
    FLM_TRY(flm_options_parse(&spec, argc, argv, &o, flm_comm_rank(world) == 0, &stop, &parsed));
    if (stop) goto done;
    FLM_TRY(flm_cmd_backend_open(world, &o.comm, (flm_device)o.device, o.threads, o.matmul, &be));
    FLM_TRY(flm_comm_attach(world, be));
    FLM_TRY(bench(world, be, &o));
done:
    if (rc != FLM_OK) flm_process_fail(rc);
    flm_options_destroy(&parsed);
    flm_comm_detach(world);
    flm_backend_destroy(&be);
    return flm_process_finish(rc, &world);
}
