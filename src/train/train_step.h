/* train_step.h - one training step over all ranks, of an FLM or of a flow map that is distilled from frozen networks:
 * micro-batches, reduction, update; and validation.
 *
 * Owns the trained network's weights, activations, optimiser state, noise basis and objective of this rank. Step s uses
 * the global batch's samples s * batch ... of the endless sequence of rows; this rank computes samples [first, first +
 * count) of each. The result does not depend on the number of ranks or the micro-batch but for rounding.
 * Refuses: files, schedules of reports, signals. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_TRAIN_STEP_H
#define FLM_TRAIN_STEP_H

#include "flow/flow_objective.h"
#include "io/io_shard.h"
#include "train/train_optimizer.h"

typedef struct flm_trainer_settings {
    flm_model_shape shape;                 /* its network kind goes with the frozen networks: flow_objective.h */
    const flm_weights *teacher, *flow_map; /* the caller's; NULL, NULL: an FLM; teacher alone: stage one; both: two */
    flm_dtype act;                         /* compute dtype: f32 or bf16 */
    int64_t batch;                         /* sequences a step, all ranks together */
    int64_t micro_batch;                   /* sequences a rank holds at once, at most */
    int64_t chunk;                         /* rows of logits at once */
    bool recompute;                        /* activations are made again in the backward pass: FLM_DIT_RECOMPUTE */
    double dropout;
    flm_lr_schedule lr;
    uint64_t seed;
    flm_optimizer_settings optimizer;
} flm_trainer_settings;

typedef struct flm_trainer {
    flm_backend *be;
    flm_comm *comm;
    flm_trainer_settings settings;
    flm_gamma *gamma;
    flm_weights *weights;
    flm_optimizer *optimizer;
    flm_noise_basis *basis;
    flm_dit *dit;
    flm_dit *frozen; /* activations of passes without gradient; NULL for an FLM */
    flm_objective *objective;
    int64_t first, count; /* this rank's samples of every batch */
    int64_t step;         /* updates done */
    double *t, *d;        /* [count] times of the step; lengths of its jumps */
    int32_t *ids;         /* [micro_batch, L] rows of validation */
    int64_t *rows;        /* [micro_batch] */
} flm_trainer;

typedef struct flm_step_result {
    double loss;      /* mean over the global batch: of an FLM in nats a token */
    double error;     /* of a distillation: the mean squared error behind the loss, which stage one weights; FLM: NaN */
    double grad_norm; /* global, before clipping */
    double lr;
    bool stop; /* some rank was asked to stop */
} flm_step_result;

/* flm_trainer_create - everything a step needs is allocated here; weights are undefined until
 * flm_optimizer_initialise or flm_train_checkpoint_read. Collective.
 * Errors: FLM_E_USAGE (fewer sequences in the batch than ranks), FLM_E_ARG, FLM_E_NOMEM saying how much. */
flm_status flm_trainer_create(flm_backend *be, flm_comm *comm, const flm_trainer_settings *settings, flm_trainer **out);

/* flm_trainer_destroy - accepts NULL, nulls it. */
void flm_trainer_destroy(flm_trainer **trainer);

/* flm_trainer_memory - device memory of this rank's arenas in bytes [FLM_TRAINER_MEMORY_PARTS], one for each part;
 * flm_trainer_memory_name names a part. Not counted: what the libraries allocate on a GPU (a workspace of 32 MiB and
 * the CUDA context) and the scratch memory of the operations (some MiB). */
enum { FLM_TRAINER_MEMORY_PARTS = 6 };
void flm_trainer_memory(const flm_trainer *trainer, size_t *bytes);
const char *flm_trainer_memory_name(int part);

/* flm_trainer_step - one update.   in  ids host i32 [count, L]: this rank's samples; stop: this rank was asked to stop.
 * Collective. Errors: FLM_E_NUMERIC naming the step where loss or gradient is not finite (weights are those before),
 * FLM_E_ARG (an id outside the vocabulary), the backend's. Source: model.md sections 4 and 5. */
flm_status flm_trainer_step(flm_trainer *trainer, const int32_t *ids, bool stop, flm_step_result *out);

/* flm_trainer_validate - mean loss (and error, as above) of the first `rows` rows of a split with the EMA weights,
 * without dropout; the same times and noise at every call. Collective. Errors: those of flm_shards_read and of a step.
 */
flm_status flm_trainer_validate(flm_trainer *trainer, const flm_shards *shards, int64_t rows, double *loss,
                                double *error);

/* flm_trainer_sample - samples of the EMA weights with each of count numbers of steps: those that flm_generate makes
 * with this seed. out entropy [count]: mean histogram entropy of a sample, nats. Allocates: not for use inside a step.
 * Collective. Errors: FLM_E_NOMEM, FLM_E_NUMERIC, the backend's. Source: model.md section 8. */
flm_status flm_trainer_sample(flm_trainer *trainer, const int64_t *steps, int count, int64_t samples, double *entropy);

/* flm_trainer_sample_bytes - device memory that this takes while it lasts. Not collective. Errors: FLM_E_NOMEM. */
flm_status flm_trainer_sample_bytes(flm_trainer *trainer, size_t *bytes);

#endif
