/* train_step.c - the trainer (train_step.h). SPDX-License-Identifier: Apache-2.0 */
#include "train/train_step.h"

#include "base/base_philox.h"
#include "base/base_share.h"
#include "flow/flow_time.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static int64_t min(int64_t a, int64_t b) { return a < b ? a : b; }

/* The samples of n that this rank computes. */
static flm_share own_share(const flm_comm *comm, int64_t n)
{
    return flm_share_of(n, flm_comm_rank(comm), flm_comm_size(comm));
}

/* The networks without gradient, in order of roles. */
static void list_networks(const flm_trainer *t, const flm_weights **frozen)
{
    for (int r = 0; r < FLM_ROLE_FILES; r++) frozen[r] = t->settings.frozen[r];
    frozen[FLM_ROLE_AVERAGE] = t->average;
}

static flm_status create_inference(flm_trainer *trainer, int64_t chunk)
{
    const flm_trainer_settings *s = &trainer->settings;
    int64_t max_batch = s->micro_batch;
    if (!s->kind->objective->inference) return FLM_OK;
    flm_objective_inference_size(s->kind->objective, &max_batch, &chunk);
    return flm_dit_create(trainer->be, &s->shape, s->act, max_batch, chunk, FLM_DIT_INFERENCE, &trainer->inference);
}

/* Noise basis, activations and objective, by the networks involved. */
static flm_status create_objective(flm_trainer *trainer)
{
    flm_status rc = FLM_OK;
    flm_backend *be = trainer->be;
    const flm_trainer_settings *s = &trainer->settings;
    const int64_t chunk = min(s->chunk, s->micro_batch * s->shape.L);
    flm_tensor E[FLM_ROLES];
    flm_objective_parts parts = {.kind = s->kind, .gamma = trainer->gamma, .psd = s->psd};
    list_networks(trainer, parts.frozen);
    FLM_TRY(flm_noise_create(be, s->shape.V, s->shape.d, flm_kind_embeddings(parts.frozen, E), E, &trainer->basis));
    trainer->basis->in_parts = s->act == FLM_DTYPE_BF16;
    trainer->basis->frozen_change = trainer->average != NULL;
    /* A GPU's matmuls give GELU of values that are not rounded: gelu of h_pre would have other bits. */
    const flm_dit_memory stored = be->kind == FLM_BACKEND_CPU ? FLM_DIT_STORE_PRODUCTS : FLM_DIT_STORE_ALL;
    const flm_dit_memory memory = s->recompute ? FLM_DIT_RECOMPUTE : stored;
    FLM_TRY(flm_dit_create(be, &s->shape, s->act, s->micro_batch, chunk, memory, &trainer->dit));
    FLM_TRY(create_inference(trainer, chunk));
    parts.dit = trainer->dit;
    parts.basis = trainer->basis;
    parts.inference = trainer->inference;
    FLM_TRY(flm_objective_create(&parts, &trainer->objective));
done:
    return rc;
}

static flm_status create_parts(flm_trainer *trainer)
{
    flm_status rc = FLM_OK;
    const flm_trainer_settings *s = &trainer->settings;
    const int size = flm_comm_size(trainer->comm);
    const size_t max_share = (size_t)((s->batch + size - 1) / size);
    FLM_TRY(flm_kind_make_gamma(s->kind, s->shape.V, &trainer->gamma));
    FLM_TRY(flm_weights_create(trainer->be, &s->shape, s->act, size, true, &trainer->weights));
    FLM_TRY(flm_optimizer_create(trainer->weights, trainer->comm, &s->optimizer, &trainer->optimizer));
    if (s->average_targets) FLM_TRY(flm_weights_create(trainer->be, &s->shape, s->act, size, false, &trainer->average));
    FLM_TRY(create_objective(trainer));
    trainer->t = malloc(max_share * sizeof *trainer->t);
    trainer->d = malloc(max_share * sizeof *trainer->d);
    if (s->kind->objective->context)
        trainer->context = malloc(max_share * (size_t)s->shape.L * sizeof *trainer->context);
    trainer->ids = malloc((size_t)(s->micro_batch * s->shape.L) * sizeof *trainer->ids);
    trainer->rows = malloc((size_t)s->micro_batch * sizeof *trainer->rows);
    if (trainer->t == NULL || trainer->d == NULL || trainer->ids == NULL || trainer->rows == NULL ||
        (s->kind->objective->context && trainer->context == NULL))
        FLM_FAIL(FLM_E_NOMEM, "no memory for the tokens of %lld sequences", (long long)s->micro_batch);
done:
    return rc;
}

flm_status flm_trainer_create(flm_backend *be, flm_comm *comm, const flm_trainer_settings *settings, flm_trainer **out)
{
    flm_status rc = FLM_OK;
    flm_trainer *trainer = NULL;
    if (settings->batch < flm_comm_size(comm))
        FLM_FAIL(FLM_E_USAGE, "--batch %lld is smaller than the number of ranks (%d)", (long long)settings->batch,
                 flm_comm_size(comm));
    trainer = calloc(1, sizeof *trainer);
    if (trainer == NULL) rc = flm_err_raise(FLM_E_NOMEM, __FILE__, __LINE__, "no memory for the trainer");
    FLM_TRY(flm_comm_agree(comm, rc));
    *trainer = (flm_trainer){.be = be, .comm = comm, .settings = *settings};
    const flm_share own = own_share(comm, settings->batch);
    trainer->first = own.first;
    trainer->count = own.count;
    trainer->settings.micro_batch = min(settings->micro_batch, trainer->count);
    FLM_TRY(flm_comm_agree(comm, create_parts(trainer)));
    *out = trainer;
    trainer = NULL;
done:
    flm_trainer_destroy(&trainer);
    return rc;
}

void flm_trainer_destroy(flm_trainer **trainer)
{
    flm_trainer *t = *trainer;
    if (t == NULL) return;
    flm_objective_destroy(&t->objective);
    flm_dit_destroy(&t->inference);
    flm_dit_destroy(&t->dit);
    flm_noise_destroy(&t->basis);
    flm_optimizer_destroy(&t->optimizer);
    flm_weights_destroy(&t->average);
    flm_weights_destroy(&t->weights);
    flm_gamma_destroy(&t->gamma);
    free(t->t);
    free(t->d);
    free(t->context);
    free(t->ids);
    free(t->rows);
    free(t);
    *trainer = NULL;
}

void flm_trainer_memory(const flm_trainer *t, size_t *bytes)
{
    const flm_trainer_settings *s = &t->settings;
    size_t frozen = t->inference != NULL ? t->inference->arena.bytes : 0;
    for (int r = 0; r < FLM_ROLE_FILES; r++) frozen += s->frozen[r] != NULL ? s->frozen[r]->arena.bytes : 0;
    if (t->average != NULL) frozen += t->average->arena.bytes;
    const size_t part[FLM_TRAINER_MEMORY_PARTS] = {t->weights->arena.bytes, t->optimizer->arena.bytes,
                                                   t->dit->arena.bytes,     flm_objective_bytes(t->objective),
                                                   t->basis->arena.bytes,   frozen};
    for (int i = 0; i < FLM_TRAINER_MEMORY_PARTS; i++) bytes[i] = part[i];
}

const char *flm_trainer_memory_name(int part)
{
    static const char *const name[FLM_TRAINER_MEMORY_PARTS] = {
        "weights and gradients", "optimiser and EMA", "activations", "objective", "noise basis", "frozen networks"};
    return name[part];
}

/* An embedding that is not finite is the result of the last step. */
static flm_status locate(const flm_trainer *trainer, flm_status rc)
{
    char where[80];
    snprintf(where, sizeof where, "after step %lld (the last checkpoint is kept)", (long long)trainer->step);
    return rc == FLM_E_NUMERIC ? flm_err_prefix(rc, where) : rc;
}

/* Begin the objective with the current weights. An embedding that is not finite is found here first, on all ranks, or
 * by a device at the step's wait. */
static flm_status begin_objective(flm_trainer *trainer)
{
    flm_status rc = FLM_OK;
    if (trainer->average != NULL) FLM_TRY(flm_optimizer_gather_average(trainer->optimizer, trainer->average));
    FLM_TRY(flm_objective_begin(trainer->objective, trainer->comm, trainer->weights));
done:
    return locate(trainer, rc);
}

/* Sums over all rows of this rank, then of all ranks, in the order in which they are added. */
enum { LOSS, ERROR, DIAGONAL, DIAGONAL_ROWS, ROWS, LOSS_SUMS };

/* After flm_objective_fetch and a wait. What the device found in the embedding is found here, on all ranks. */
static flm_status loss_sums(flm_trainer *trainer, double *sums)
{
    flm_status rc = FLM_OK;
    flm_objective_sums own;
    FLM_TRY(locate(trainer, flm_objective_sums_of(trainer->objective, &own)));
    sums[LOSS] = own.loss;
    sums[ERROR] = own.error;
    sums[DIAGONAL] = own.diagonal;
    sums[DIAGONAL_ROWS] = own.diagonal_rows;
    sums[ROWS] = own.rows;
done:
    return rc;
}

static flm_losses losses_of(const flm_trainer *trainer, const double *sums)
{
    const double rows = fmax(sums[ROWS], 1);
    const bool diagonal = trainer->settings.kind->objective->diagonal;
    const double others = rows - sums[DIAGONAL_ROWS];
    return (flm_losses){.loss = sums[LOSS] / rows,
                        .error = sums[ERROR] / rows,
                        .diagonal = diagonal && sums[DIAGONAL_ROWS] > 0 ? sums[DIAGONAL] / sums[DIAGONAL_ROWS] : NAN,
                        .off_diagonal = diagonal && others > 0 ? (sums[LOSS] - sums[DIAGONAL]) / others : NAN};
}

/* Draw times, and where there are any the context tokens, of this rank's samples of a global batch of n. Returns the
 * number of their tokens that have a loss. */
static int64_t draw_samples(flm_trainer *trainer, flm_random_purpose purpose, uint64_t step, int64_t n, flm_share own)
{
    const flm_trainer_settings *s = &trainer->settings;
    flm_objective_times(trainer->objective, s->seed, purpose, step, n, own.first, own.count, trainer->t, trainer->d);
    if (trainer->context == NULL) return own.count * s->shape.L;
    return flm_time_context(s->seed, purpose, step, n, own.first, own.count, s->shape.L, trainer->context);
}

/* Samples [at, ...) of this rank: which of their tokens are context, NULL where none can be. */
static const int32_t *context_at(const flm_trainer *trainer, int64_t at)
{
    return trainer->context != NULL ? trainer->context + at * trainer->settings.shape.L : NULL;
}

/* Compute this rank's micro-batches of a step, whose global batch has `rows` rows with a loss. During the last backward
 * pass the hook begins the reductions. */
static flm_status accumulate(flm_trainer *trainer, const int32_t *ids, double rows)
{
    flm_status rc = FLM_OK;
    const flm_trainer_settings *s = &trainer->settings;
    const flm_dit_hook hook = flm_optimizer_hook(trainer->optimizer);
    const uint64_t step = (uint64_t)trainer->step;
    for (int64_t at = 0; at < trainer->count; at += s->micro_batch) {
        const int64_t B = min(s->micro_batch, trainer->count - at);
        const flm_dit_dropout dropout = {
            .p = (float)s->dropout, .seed = s->seed, .step = step, .first_sample = trainer->first + at};
        const flm_micro_batch batch = {
            .B = B,
            .tokens = ids + at * s->shape.L,
            .t = trainer->t + at,
            .d = trainer->d + at,
            .context = context_at(trainer, at),
            .noise = {NULL, flm_philox_stream(s->seed, FLM_RANDOM_NOISE, step, 0), trainer->first + at},
            .dropout = s->dropout > 0 ? &dropout : NULL,
            .scale = 1 / fmax(rows, 1),
            .backward = true,
            .hook = at + B == trainer->count ? &hook : NULL};
        FLM_TRY(flm_objective_micro_batch(trainer->objective, trainer->weights, &batch));
    }
done:
    return rc;
}

flm_status flm_trainer_step(flm_trainer *trainer, const int32_t *ids, bool stop, flm_step_result *out)
{
    flm_status rc = FLM_OK;
    const flm_trainer_settings *s = &trainer->settings;
    const double lr = flm_lr_schedule_rate(&s->lr, trainer->step);
    double sums[LOSS_SUMS + 1] = {[LOSS_SUMS] = stop}, norm;
    FLM_TRY(flm_weights_zero_grad(trainer->weights));
    FLM_TRY(begin_objective(trainer));
    double rows = (double)draw_samples(trainer, FLM_RANDOM_TIME, (uint64_t)trainer->step, s->batch,
                                       own_share(trainer->comm, s->batch));
    if (trainer->context != NULL) /* elsewhere every row has a loss */
        FLM_TRY(flm_comm_sum_f64(trainer->comm, &rows, 1));
    else
        rows = (double)(s->batch * s->shape.L);
    FLM_TRY(accumulate(trainer, ids, rows));
    FLM_TRY(flm_objective_fetch(trainer->objective));
    FLM_TRY(flm_optimizer_reduce(trainer->optimizer, trainer->basis));
    FLM_TRY(trainer->be->stream->sync(trainer->be)); /* the only wait for the device in a step */
    FLM_TRY(loss_sums(trainer, sums));
    FLM_TRY(flm_optimizer_norm(trainer->optimizer, sums, LOSS_SUMS + 1, &norm));
    const flm_losses losses = losses_of(trainer, sums);
    const double loss = losses.loss;
    if (!isfinite(loss) || !isfinite(norm))
        FLM_FAIL(FLM_E_NUMERIC,
                 "step %lld: the %s is not finite (loss %g, gradient norm %g); the last checkpoint is kept; resume "
                 "with a lower --lr",
                 (long long)trainer->step + 1, isfinite(loss) ? "gradient" : "loss", loss, norm);
    FLM_TRY(flm_optimizer_update(trainer->optimizer, lr, trainer->step));
    trainer->step++;
    *out = (flm_step_result){losses, norm, lr, sums[LOSS_SUMS] > 0};
done:
    return rc;
}

/* Compute this rank's share of one validation batch, rows [begin, begin + n) of the split. */
static flm_status validate_batch(flm_trainer *trainer, const flm_shards *shards, int64_t begin, int64_t n,
                                 uint64_t number)
{
    flm_status rc = FLM_OK;
    const flm_trainer_settings *s = &trainer->settings;
    const flm_share own = own_share(trainer->comm, n);
    draw_samples(trainer, FLM_RANDOM_VALIDATION, number, n, own);
    for (int64_t at = 0; at < own.count; at += s->micro_batch) {
        const int64_t B = min(s->micro_batch, own.count - at);
        for (int64_t i = 0; i < B; i++) trainer->rows[i] = begin + own.first + at + i;
        FLM_TRY(flm_shards_read(shards, trainer->rows, B, trainer->ids));
        const flm_micro_batch batch = {
            .B = B,
            .tokens = trainer->ids,
            .t = trainer->t + at,
            .d = trainer->d + at,
            .context = context_at(trainer, at),
            .noise = {NULL, flm_philox_stream(s->seed, FLM_RANDOM_VALIDATION, number, FLM_VALIDATION_NOISE),
                      own.first + at}};
        FLM_TRY(flm_objective_micro_batch(trainer->objective, trainer->weights, &batch));
    }
done:
    return rc;
}

flm_status flm_trainer_validate(flm_trainer *trainer, const flm_shards *shards, int64_t rows, flm_losses *losses)
{
    flm_status rc = FLM_OK, local = FLM_OK;
    const flm_trainer_settings *s = &trainer->settings;
    double sums[LOSS_SUMS] = {0};
    FLM_TRY(flm_optimizer_swap_ema(trainer->optimizer, true));
    FLM_TRY(begin_objective(trainer));
    for (int64_t begin = 0; begin < rows && local == FLM_OK; begin += s->batch)
        local = validate_batch(trainer, shards, begin, min(s->batch, rows - begin), (uint64_t)(begin / s->batch));
    if (local == FLM_OK) local = flm_objective_fetch(trainer->objective);
    if (local == FLM_OK) local = trainer->be->stream->sync(trainer->be);
    if (local == FLM_OK) local = loss_sums(trainer, sums);
    FLM_TRY(flm_comm_agree(trainer->comm, local));
    FLM_TRY(flm_comm_sum_f64(trainer->comm, sums, LOSS_SUMS));
    FLM_TRY(flm_optimizer_swap_ema(trainer->optimizer, false));
    *losses = losses_of(trainer, sums);
    if (!isfinite(losses->loss))
        FLM_FAIL(FLM_E_NUMERIC, "step %lld: the validation loss is not finite", (long long)trainer->step);
done:
    return rc;
}
