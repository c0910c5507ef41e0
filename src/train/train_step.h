/* train_step.h - the trainer: one training step over all ranks (micro-batches, reduction, update) and validation, of an
 * FLM or of a flow map distilled from frozen networks.
 *
 * Owns weights, activations, optimiser state, noise basis and objective of this rank. Step s uses the samples
 * [s * batch, (s + 1) * batch) of the infinite sequence of rows; of each batch this rank computes the samples [first,
 * first + count). Apart from rounding the result does not depend on the number of ranks or the micro-batch.
 *
 * Failures: a training step does not agree on local failures, since that would cost a collective per step. A rank that
 * fails in flm_trainer_step returns its error at once while the others may wait for it inside a collective; it must
 * end the job (flm_process_fail, which aborts all ranks). Errors that every rank computes from the same sums, as a loss
 * that is not finite, are returned by all. flm_trainer_create agrees on all local failures, flm_trainer_validate
 * and flm_trainer_sample on those of a batch (a damaged row of a shard, for instance).
 * Files, reports and signals belong to train_run.h. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_TRAIN_STEP_H
#define FLM_TRAIN_STEP_H

#include "flow/flow_objective.h"
#include "io/io_shard.h"
#include "train/train_optimizer.h"

typedef struct flm_trainer_settings {
    const flm_kind *kind;                      /* of the trained network */
    flm_model_shape shape;                     /* shape.network is kind->network */
    const flm_weights *frozen[FLM_ROLE_FILES]; /* owned by the caller; those that kind->objective needs */
    flm_psd_law psd;                           /* of the one-network flow map */
    bool average_targets;                      /* its targets come from the EMA weights, without dropout */
    flm_dtype act;                             /* compute dtype: f32 or bf16 */
    int64_t batch;                             /* sequences per step, over all ranks */
    int64_t micro_batch;                       /* max sequences per micro-batch of a rank */
    int64_t chunk;                             /* rows of logits computed at once */
    bool recompute;                            /* recompute activations in the backward pass (FLM_DIT_RECOMPUTE) */
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
    flm_weights *average; /* the EMA weights of settings.average_targets, else NULL */
    flm_dit *dit;
    flm_dit *inference; /* activations of passes without gradient; NULL where the objective has none */
    flm_objective *objective;
    int64_t first, count; /* this rank's samples of every batch */
    int64_t step;         /* updates done */
    double *t, *d;        /* [count]: times of the step's samples; lengths of their jumps */
    int32_t *context;     /* [count, L]: which of their tokens are context; NULL where none can be */
    int32_t *ids;         /* [micro_batch, L]: rows of a validation */
    int64_t *rows;        /* [micro_batch] */
} flm_trainer;

/* Means over the rows with a loss of a global batch, or of a validation. */
typedef struct flm_losses {
    double loss;                   /* in nats per token; not of the stages */
    double error;                  /* mean squared error that the loss is made of; NaN where it is made of none */
    double diagonal, off_diagonal; /* losses of the one-network map's samples of both kinds; NaN where there are none */
} flm_losses;

typedef struct flm_step_result {
    flm_losses losses;
    double grad_norm; /* global, before clipping */
    double lr;
    bool stop; /* a stop was requested on some rank */
} flm_step_result;

/* flm_trainer_create - allocates everything that a step needs. Weights are undefined until flm_optimizer_initialise or
 * flm_train_checkpoint_read. Collective.
 * Errors: FLM_E_USAGE (batch smaller than the number of ranks), FLM_E_ARG, FLM_E_NOMEM naming the amount. */
flm_status flm_trainer_create(flm_backend *be, flm_comm *comm, const flm_trainer_settings *settings, flm_trainer **out);

/* flm_trainer_destroy - accepts NULL, sets it to NULL. */
void flm_trainer_destroy(flm_trainer **trainer);

/* flm_trainer_memory - device memory of this rank's arenas in bytes [FLM_TRAINER_MEMORY_PARTS], one for each part;
 * flm_trainer_memory_name names a part. Not counted: what the libraries allocate on a GPU (a workspace of 32 MiB and
 * the CUDA context) and the scratch memory of the operations (some MiB). */
enum { FLM_TRAINER_MEMORY_PARTS = 6 };
void flm_trainer_memory(const flm_trainer *trainer, size_t *bytes);
const char *flm_trainer_memory_name(int part);

/* flm_trainer_step - one update.   in  ids: host i32 [count, L], this rank's samples; stop: a stop was requested here.
 * Collective. Errors: FLM_E_NUMERIC naming the step where loss or gradient is not finite (the weights are not updated),
 * FLM_E_ARG (an id outside the vocabulary), those of the backend. Source: model.md sections 4 and 5. */
flm_status flm_trainer_step(flm_trainer *trainer, const int32_t *ids, bool stop, flm_step_result *out);

/* flm_trainer_validate - mean losses on the first `rows` rows of a split, with the EMA weights and
 * without dropout. Times and noise are the same at every call. Collective. Errors: those of flm_shards_read and
 * flm_trainer_step. */
flm_status flm_trainer_validate(flm_trainer *trainer, const flm_shards *shards, int64_t rows, flm_losses *losses);

/* flm_trainer_sample - draw `samples` samples with the EMA weights for each of steps [count], the same ones as
 * flm_generate with this seed.   out entropy [count]: mean entropy of a sample's histogram of tokens, nats.
 * Allocates memory. Collective. Errors: FLM_E_NOMEM, FLM_E_NUMERIC, those of the backend. Source: model.md section 8.
 */
flm_status flm_trainer_sample(flm_trainer *trainer, const int64_t *steps, int count, int64_t samples, double *entropy);

/* flm_trainer_sample_bytes - device memory that flm_trainer_sample allocates and releases. Not collective.
 * Errors: FLM_E_NOMEM. */
flm_status flm_trainer_sample_bytes(flm_trainer *trainer, size_t *bytes);

#endif
