/* train_samples.c - draws samples with the EMA weights during training and measures their entropy (train_step.h).
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/base_share.h"
#include "flow/flow_sampler.h"
#include "score/score_statistics.h"
#include "train/train_step.h"

/* Allocated for each validation and released after it: only a training step must not allocate. */
typedef struct sampling {
    flm_noise_basis *basis;
    flm_sampler *sampler;
} sampling;

static flm_status create(flm_trainer *t, sampling *s)
{
    flm_status rc = FLM_OK;
    const flm_model_shape *shape = &t->settings.shape;
    const flm_kind *kind = t->settings.kind;
    flm_sampler_parts parts = {.kind = kind, .dit = t->dit, .weights = t->weights, .gamma = t->gamma};
    flm_tensor E[FLM_ROLES];
    for (int r = 0; r < FLM_ROLE_FILES; r++) /* the frozen networks that the sampler needs */
        if (kind->sampler->networks[r].kind != NULL) parts.frozen[r] = t->settings.frozen[r];
    const int frozen = flm_kind_embeddings(parts.frozen, E);
    FLM_TRY(flm_noise_create(t->be, shape->V, shape->d, frozen, E, &s->basis));
    parts.basis = s->basis;
    FLM_TRY(flm_sampler_create(&parts, &s->sampler));
done:
    return rc;
}

static void release(sampling *s)
{
    flm_sampler_destroy(&s->sampler);
    flm_noise_destroy(&s->basis);
}

flm_status flm_trainer_sample_bytes(flm_trainer *t, size_t *bytes)
{
    flm_status rc = FLM_OK;
    sampling s = {0};
    FLM_TRY(create(t, &s));
    *bytes = s.basis->arena.bytes + flm_sampler_bytes(s.sampler);
done:
    release(&s);
    return rc;
}

/* Draw this rank's share of the samples; *sum: of their entropies. */
static flm_status run(flm_trainer *t, const sampling *s, int64_t steps, int64_t samples, double *sum)
{
    flm_status rc = FLM_OK;
    const flm_share own = flm_share_of(samples, flm_comm_rank(t->comm), flm_comm_size(t->comm));
    const int64_t max = t->settings.micro_batch, end = own.first + own.count;
    double part;
    *sum = 0;
    for (int64_t at = own.first; at < end; at += max) {
        const int64_t B = end - at < max ? end - at : max;
        const flm_sampling how = {.steps = steps,
                                  .noise = {NULL, flm_philox_stream(t->settings.seed, FLM_RANDOM_SAMPLE, 0, 0), at}};
        FLM_TRY(flm_sampler_run(s->sampler, B, &how, t->ids));
        FLM_TRY(flm_statistics_sum_entropy(t->ids, B, t->settings.shape.L, &part));
        *sum += part;
    }
done:
    return rc;
}

flm_status flm_trainer_sample(flm_trainer *t, const int64_t *steps, int count, int64_t samples, double *entropy)
{
    flm_status rc = FLM_OK;
    sampling s = {0};
    FLM_TRY(flm_optimizer_swap_ema(t->optimizer, true));
    FLM_TRY(flm_comm_agree(t->comm, create(t, &s)));
    FLM_TRY(flm_noise_update(s.basis, t->comm, &t->weights->w.E));
    for (int i = 0; i < count; i++) {
        FLM_TRY(flm_comm_agree(t->comm, run(t, &s, steps[i], samples, &entropy[i])));
        FLM_TRY(flm_comm_sum_f64(t->comm, &entropy[i], 1));
        entropy[i] /= (double)samples;
    }
    release(&s); /* before its weights change */
    FLM_TRY(flm_optimizer_swap_ema(t->optimizer, false));
done:
    release(&s);
    return rc;
}
