/* train_run.c - prepares a run, and the loop of steps, reports, validations and checkpoints (train_run.h).
 * SPDX-License-Identifier: Apache-2.0 */
#include "train/train_run.h"

#include "base/base_clock.h"
#include "base/base_log.h"
#include "process/process_guard.h"
#include "train/train_internal.h"
#include "train/train_published.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* Tokens of a micro-batch where --micro-batch is 0. Fewer do not fill a GPU; with so many `small` uses 11 GiB, 15 GiB
 * in distillation. */
enum { MICRO_TOKENS = 8192, MICRO_TOKENS_GPU = 16384 };
/* --eval-steps: how many numbers, and the largest number. */
enum { EVAL_STEPS_MAX = 16, SAMPLE_STEPS_MAX = 1 << 20 };

static int64_t max(int64_t a, int64_t b) { return a > b ? a : b; }

/* A student has the shape of its teacher, an FLM that of the options. */
static flm_status choose_shape(const flm_run *run, flm_model_shape *shape)
{
    char given[128];
    const flm_train_options *o = run->o;
    const flm_shard_info *data = flm_shards_get_info(run->train);
    const flm_weights *teacher = run->frozen[FLM_ROLE_TEACHER].weights;
    if (teacher != NULL) {
        *shape = teacher->shape;
        shape->network = run->kind->network;
        return FLM_OK;
    }
    if (flm_model_preset(o->preset, shape) != FLM_OK) return flm_err_prefix(FLM_E_USAGE, "--preset");
    shape->network = run->kind->network;
    shape->L = data->L;
    shape->V = data->vocabulary.V;
    if (o->hidden_size) shape->d = o->hidden_size;
    if (o->heads) shape->H = o->heads;
    if (o->cond_size) shape->c = o->cond_size;
    if (o->blocks) shape->N = o->blocks;
    shape->logit_cap = o->logit_cap;
    if (flm_model_check(shape) != FLM_OK) {
        snprintf(given, sizeof given, "--preset %s with the given sizes", o->preset);
        return flm_err_prefix(FLM_E_USAGE, given);
    }
    return FLM_OK;
}

static flm_status choose_settings(const flm_run *run, flm_dtype act, flm_trainer_settings *s)
{
    flm_status rc = FLM_OK;
    const flm_train_options *o = run->o;
    *s = (flm_trainer_settings){.kind = run->kind,
                                .act = act,
                                .batch = o->batch,
                                .recompute = o->recompute,
                                .dropout = o->dropout,
                                .lr = {o->lr, o->warmup, o->lr_decay, o->steps, o->lr_min, o->schedule},
                                .psd = {o->diagonal_fraction, o->boundary},
                                .average_targets = o->target_weights == 1,
                                .seed = (uint64_t)o->seed,
                                .optimizer = {o->beta1, o->beta2, o->eps, o->weight_decay, o->clip, o->ema_decay}};
    for (int r = 0; r < FLM_ROLE_FILES; r++) s->frozen[r] = run->frozen[r].weights;
    FLM_TRY(choose_shape(run, &s->shape));
    const int64_t tokens = run->be->host_memory ? MICRO_TOKENS : MICRO_TOKENS_GPU;
    s->micro_batch = o->micro_batch ? o->micro_batch : max(1, tokens / s->shape.L);
    s->chunk = o->chunk ? o->chunk : flm_backend_chunk(run->be, s->shape.V);
done:
    return rc;
}

/* Open the training split, and the validation split where there is one. */
static flm_status open_shards(flm_run *run)
{
    flm_status rc = FLM_OK, local;
    FLM_TRY(flm_comm_agree(run->comm, flm_shards_open(run->o->data, "train", &run->train)));
    local = flm_shards_open(run->o->data, "valid", &run->valid);
    if (local == FLM_E_MISMATCH && !run->o->eval_only) { /* training needs no held-out rows */
        flm_err_clear();
        local = FLM_OK;
    }
    if (local == FLM_OK && run->valid != NULL && flm_shards_get_rows(run->valid) == 0) flm_shards_close(&run->valid);
    if (local == FLM_OK && run->valid == NULL && run->o->eval_only)
        local = flm_err_raise(FLM_E_MISMATCH, __FILE__, __LINE__,
                              "--eval-only: %s has no held-out rows; make some with flm_shard --valid-last N",
                              run->o->data);
    FLM_TRY(flm_comm_agree(run->comm, local));
done:
    return rc;
}

static flm_status collect_settings(flm_run *run, flm_dtype act)
{
    flm_status rc = FLM_OK;
    run->settings = flm_options_count(run->given);
    run->setting = calloc((size_t)run->settings + 1, sizeof *run->setting);
    if (run->setting == NULL) FLM_FAIL(FLM_E_NOMEM, "no memory for the list of options");
    for (int i = 0; i < run->settings; i++) {
        const char *name = flm_options_name(run->given, i), *value = flm_options_value(run->given, name);
        run->setting[i] = (flm_setting){name, flm_run_resolve_setting(run, act, name, value != NULL ? value : "")};
    }
done:
    return rc;
}

static flm_status max_shares(const flm_run *run, flm_run_shares *max_of)
{
    flm_status rc = FLM_OK;
    size_t part[FLM_TRAINER_MEMORY_PARTS];
    flm_trainer_memory(run->trainer, part);
    max_of->micro_batch = run->trainer->settings.micro_batch;
    for (int i = 0; i < FLM_TRAINER_MEMORY_PARTS; i++) max_of->part[i] = (int64_t)part[i];
    FLM_TRY(flm_comm_max_i64(run->comm, &max_of->micro_batch, 1));
    FLM_TRY(flm_comm_max_i64(run->comm, max_of->part, FLM_TRAINER_MEMORY_PARTS));
    max_of->total = 0;
    for (int i = 0; i < FLM_TRAINER_MEMORY_PARTS; i++) max_of->total += max_of->part[i];
done:
    return rc;
}

static void log_run_summary(const flm_run *run, const flm_run_shares *max_of)
{
    const flm_trainer *t = run->trainer;
    const flm_model_shape *s = &t->settings.shape;
    const bool converted = t->settings.act == FLM_DTYPE_BF16 && flm_backend_get_matmul(run->be) == FLM_MATMUL_FP32;
    const char *matmul = converted ? ", matmuls in fp32" : "";
    int64_t weights = 0;
    for (int i = 0; i < t->weights->parameters; i++) weights += t->weights->parameter[i].count;
    flm_log(FLM_LOG_INFO, "%s", flm_backend_describe(run->be));
    flm_log(FLM_LOG_INFO,
            "%s: L %" PRId64 ", V %" PRId64 ", d %" PRId64 ", H %" PRId64 ", c %" PRId64 ", N %" PRId64
            ", logit cap %g; %.1f M parameters; compute dtype %s%s",
            run->kind->name, s->L, s->V, s->d, s->H, s->c, s->N, s->logit_cap, (double)weights * 1e-6,
            flm_dtype_name(t->settings.act), matmul);
    if (flm_comm_size(run->comm) > 1 && !run->be->host_memory && !run->o->plan)
        flm_log(FLM_LOG_INFO, "gradients and weights are exchanged %s", flm_comm_describe(run->comm));
    flm_log(FLM_LOG_INFO,
            "%d rank%s, batch %" PRId64 " (micro-batches of at most %" PRId64 "), %" PRId64
            " rows per epoch; %.0f MiB per rank",
            flm_comm_size(run->comm), flm_comm_size(run->comm) == 1 ? "" : "s", t->settings.batch, max_of->micro_batch,
            flm_shards_get_rows(run->train), (double)max_of->total / (1 << 20));
}

/* Whether there may be a checkpoint to resume from, whose settings are needed first. A run directory is otherwise
 * created only when everything that the run reads has been found and checked. */
static flm_status resumes(const flm_run *run, bool *early)
{
    flm_status rc = FLM_OK;
    const char *resume = run->o->resume;
    char path[FLM_PATH_BYTES];
    int64_t found = 0;
    FLM_TRY(flm_path_join(path, run->o->out, "checkpoints"));
    if (flm_comm_rank(run->comm) == 0) found = access(path, F_OK) == 0;
    FLM_TRY(flm_comm_broadcast(run->comm, &found, sizeof found, 0));
    *early = !run->o->plan && (found != 0 || (strcmp(resume, "auto") != 0 && strcmp(resume, "no") != 0));
done:
    return rc;
}

static flm_status begin_directory(flm_run *run)
{
    flm_status rc = FLM_OK;
    FLM_TRY(flm_run_make_directory(run));
    FLM_TRY(flm_run_find_checkpoint(run));
done:
    return rc;
}

static flm_status prepare(flm_run *run, flm_run_shares *max_of)
{
    flm_status rc = FLM_OK;
    bool early = false; /* the run directory is looked at first */
    flm_trainer_settings settings;
    flm_dtype act;
    FLM_TRY(flm_run_check_plan(run->o));
    if (run->o->lr_min > run->o->lr)
        FLM_FAIL(FLM_E_USAGE, "--lr-min %g is larger than --lr %g", run->o->lr_min, run->o->lr);
    FLM_TRY(flm_options_int_list("eval-steps", run->o->eval_steps, 1, SAMPLE_STEPS_MAX, &run->sample_steps,
                                 &run->sample_steps_count));
    if (run->sample_steps_count > EVAL_STEPS_MAX)
        FLM_FAIL(FLM_E_USAGE, "--eval-steps %s: at most %d numbers are allowed", run->o->eval_steps, EVAL_STEPS_MAX);
    FLM_TRY(open_shards(run));
    FLM_TRY(resumes(run, &early));
    if (early) FLM_TRY(begin_directory(run));
    FLM_TRY(flm_run_choose_precision(run, &act));
    FLM_TRY(flm_comm_agree(run->comm, flm_run_choose_kind(run)));
    FLM_TRY(flm_run_load_teachers(run, act));
    FLM_TRY(choose_settings(run, act, &settings));
    if (!early) FLM_TRY(flm_run_check_init(run, &settings.shape));
    if (!run->o->plan && !early) FLM_TRY(begin_directory(run));
    if (!run->o->plan) FLM_TRY(flm_comm_agree(run->comm, flm_run_take_settings(run, &settings)));
    FLM_TRY(flm_comm_agree(run->comm, collect_settings(run, act)));
    FLM_TRY(flm_trainer_create(run->be, run->comm, &settings, &run->trainer));
    FLM_TRY(max_shares(run, max_of));
    if (run->o->plan && run->o->eval_samples > 0) {
        size_t bytes = 0;
        FLM_TRY(flm_trainer_sample_bytes(run->trainer, &bytes));
        max_of->sampling = (int64_t)bytes;
    }
    log_run_summary(run, max_of);
    if (run->resumed == NULL && !run->o->eval_only && flm_comm_rank(run->comm) == 0)
        flm_published_warn(flm_shards_get_info(run->train), run->o, &settings);
    if (!run->o->plan) FLM_TRY(flm_run_resume(run));
done:
    return rc;
}

static flm_status validate(flm_run *run, flm_losses *losses)
{
    flm_status rc = FLM_OK;
    const int64_t all = flm_shards_get_rows(run->valid), rows = run->o->eval_rows;
    const int64_t used = rows > 0 && rows < all ? rows : all;
    FLM_TRY(flm_trainer_validate(run->trainer, run->valid, used, losses));
    if (run->metrics != NULL) FLM_TRY(flm_metrics_write_validation(run->metrics, run->trainer->step, losses, used));
done:
    return rc;
}

/* Draw samples, if --eval-samples is set. */
static flm_status sample(flm_run *run)
{
    flm_status rc = FLM_OK;
    const int64_t samples = run->o->eval_samples, step = run->trainer->step;
    double entropy[EVAL_STEPS_MAX];
    if (samples == 0) goto done;
    FLM_TRY(flm_trainer_sample(run->trainer, run->sample_steps, run->sample_steps_count, samples, entropy));
    for (int i = 0; i < run->sample_steps_count; i++)
        FLM_TRY(flm_metrics_write_samples(run->metrics, step, run->sample_steps[i], samples, entropy[i]));
done:
    return rc;
}

static flm_status evaluate(flm_run *run)
{
    flm_status rc = FLM_OK;
    flm_losses losses;
    FLM_TRY(validate(run, &losses));
    if (flm_comm_rank(run->comm) == 0) {
        printf("step %" PRId64 "  valid_loss %.6f", run->trainer->step, losses.loss);
        if (!isnan(losses.error)) printf("  valid_error %.6f", losses.error);
        if (!isnan(losses.diagonal)) printf("  diagonal %.6f", losses.diagonal);
        if (!isnan(losses.off_diagonal)) printf("  off_diagonal %.6f", losses.off_diagonal);
        printf("\n");
    }
done:
    return rc;
}

/* The ranks that took longest and shortest for a step on average, without the time that they waited for others. Equal
 * ones: the lowest. Collective. */
static flm_status find_stragglers(const flm_run *run, double own, flm_metrics_ranks *out)
{
    flm_status rc = FLM_OK;
    const int size = flm_comm_size(run->comm);
    double *all = malloc((size_t)size * sizeof *all);
    if (all == NULL) rc = flm_err_raise(FLM_E_NOMEM, __FILE__, __LINE__, "no memory for the times of %d ranks", size);
    FLM_TRY(flm_comm_agree(run->comm, rc));
    FLM_TRY(flm_comm_gather(run->comm, &own, sizeof own, all, 0));
    *out = (flm_metrics_ranks){.slowest = own, .fastest = own};
    for (int r = 0; r < size && flm_comm_rank(run->comm) == 0; r++) {
        if (all[r] > out->slowest) *out = (flm_metrics_ranks){all[r], out->fastest, r, out->fastest_rank};
        if (all[r] < out->fastest) *out = (flm_metrics_ranks){out->slowest, all[r], out->slowest_rank, r};
    }
done:
    free(all);
    return rc;
}

/* Counters at the last report. */
typedef struct report_baseline {
    double seconds, waited_data, waited_comm;
    int64_t step;
} report_baseline;

static flm_status report(flm_run *run, const flm_step_result *result, double waited_data, report_baseline *last)
{
    flm_status rc = FLM_OK;
    const flm_trainer *t = run->trainer;
    const double now = flm_clock_seconds(), seconds = now - last->seconds, data = waited_data - last->waited_data;
    const double comm = flm_comm_seconds_waited(run->comm) - last->waited_comm;
    const int64_t sequences = t->step * t->settings.batch;
    const double speed = (double)((t->step - last->step) * t->settings.batch * t->settings.shape.L) / seconds;
    const double flops = 3 * flm_model_flops(&t->settings.shape) * speed / flm_comm_size(run->comm);
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    flm_metrics_ranks ranks;
    FLM_TRY(find_stragglers(run, (seconds - comm) / (double)(t->step - last->step), &ranks));
    const flm_metrics_step r = {.step = t->step,
                                .ranks = ranks,
                                .epoch = (sequences - 1) / flm_shards_get_rows(run->train),
                                .tokens_seen = sequences * t->settings.shape.L,
                                .losses = result->losses,
                                .grad_norm = result->grad_norm,
                                .lr = result->lr,
                                .tokens_per_second = speed,
                                .utilisation = run->o->peak_tflops > 0 && run->kind == &flm_kinds[FLM_KIND_FLM]
                                                   ? flops / (run->o->peak_tflops * 1e12)
                                                   : 0,
                                .seconds_data = data,
                                .seconds_compute = seconds - data - comm,
                                .seconds_communication = comm,
                                .memory_bytes = (int64_t)usage.ru_maxrss * 1024};
    FLM_TRY(flm_metrics_write_step(run->metrics, &r));
    *last = (report_baseline){now, waited_data, flm_comm_seconds_waited(run->comm), t->step};
done:
    return rc;
}

static bool due(int64_t step, int64_t every) { return every > 0 && step % every == 0; }

/* Train until the last step, or until a stop is requested on some rank. */
static flm_status loop(flm_run *run, bool (*stop_requested)(void))
{
    flm_status rc = FLM_OK;
    flm_trainer *t = run->trainer;
    const flm_train_options *o = run->o;
    const int64_t tokens = t->settings.batch * t->settings.shape.L;
    const double end = o->stop_after > 0 ? run->begin + 60 * o->stop_after : INFINITY;
    double waited = 0;
    flm_losses losses;
    report_baseline baseline = {flm_clock_seconds(), 0, flm_comm_seconds_waited(run->comm), t->step};
    flm_step_result result = {0};
    flm_guard *guard = NULL;
    FLM_TRY(flm_guard_start(run->comm, o->step_timeout, &guard));
    while (t->step < o->steps && !result.stop) {
        const int32_t *ids = NULL;
        flm_guard_begin(guard, t->step + 1);
        FLM_TRY(flm_loader_next(run->loader, &ids, &waited));
        FLM_TRY(flm_trainer_step(t, ids, stop_requested() || flm_clock_seconds() >= end, &result));
        flm_guard_end(guard);
        flm_metrics_show_progress(run->metrics, t->step, o->steps, result.losses.loss, tokens);
        const bool last = t->step == o->steps;
        if (due(t->step, o->log_every) || last) FLM_TRY(report(run, &result, waited, &baseline));
        const double begin = flm_clock_seconds(), begin_comm = flm_comm_seconds_waited(run->comm);
        /* The reports of a step come before its checkpoint: no report is missing when a killed run resumes. */
        if (run->valid != NULL && (due(t->step, o->eval_every) || last)) FLM_TRY(validate(run, &losses));
        if (due(t->step, o->eval_every) || last) FLM_TRY(sample(run));
        if (due(t->step, o->checkpoint_every) || last || result.stop) FLM_TRY(flm_run_save(run));
        baseline.seconds += flm_clock_seconds() - begin; /* reports count only the time of steps */
        baseline.waited_comm += flm_comm_seconds_waited(run->comm) - begin_comm;
    }
    if (t->step < o->steps) {
        flm_log(FLM_LOG_INFO,
                "stopped at step %" PRId64 " of %" PRId64 "; the state is saved and the same command%s resumes from it",
                t->step, o->steps, strcmp(o->resume, "no") == 0 ? " with --resume auto" : "");
        FLM_FAIL(FLM_E_INTERRUPTED, "stopped at step %" PRId64, t->step);
    }
done:
    flm_guard_stop(&guard);
    return rc;
}

static flm_status train(flm_run *run, bool (*stop_requested)(void))
{
    flm_status rc = FLM_OK;
    flm_trainer *t = run->trainer;
    FLM_TRY(flm_run_write_config(run));
    FLM_TRY(flm_comm_agree(run->comm, flm_metrics_open(run->comm, run->metrics_path, t->step, run->given,
                                                       flm_backend_describe(run->be), &run->metrics)));
    if (t->step == run->o->steps) {
        flm_log(FLM_LOG_INFO, "the run has already reached step %" PRId64 "; set --steps higher to continue", t->step);
        goto done;
    }
    FLM_TRY(flm_comm_agree(run->comm, flm_loader_start(run->train, t->settings.seed, true, t->settings.batch, t->first,
                                                       t->count, t->step, &run->loader)));
    FLM_TRY(loop(run, stop_requested));
done:
    return rc;
}

flm_status flm_train_run(flm_comm *comm, flm_backend *be, const flm_train_options *options, flm_options *given,
                         bool (*stop_requested)(void))
{
    flm_status rc = FLM_OK;
    flm_run run = {.comm = comm, .be = be, .o = options, .given = given, .begin = flm_clock_seconds()};
    flm_run_shares max_of = {0};
    FLM_TRY(prepare(&run, &max_of));
    if (options->plan)
        flm_run_print_plan(&run, &max_of);
    else if (options->eval_only)
        FLM_TRY(evaluate(&run));
    else
        FLM_TRY(train(&run, stop_requested));
done:
    flm_loader_stop(&run.loader);
    flm_metrics_close(&run.metrics);
    flm_trainer_destroy(&run.trainer);
    flm_run_release_teachers(&run);
    flm_checkpoint_close(&run.resumed);
    flm_shards_close(&run.valid);
    flm_shards_close(&run.train);
    flm_lock_release(&run.lock);
    free(run.setting);
    free(run.sample_steps);
    return rc;
}
