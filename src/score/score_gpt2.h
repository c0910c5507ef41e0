/* score_gpt2.h - GPT-2, forward only: the negative log-likelihood of every token of a batch of sequences.
 *
 * Sequences lie one after the other, without padding, and attention keeps them apart: what a sequence is scored depends
 * on nothing beside it. Products take operands of the compute dtype; the residual stream, LN statistics and the loss
 * are fp32. The head never holds more than `chunk` rows of V logits.
 * Source: Radford et al., "Language models are unsupervised multitask learners", 2019, as in Hugging Face transformers
 * 4.49.0 (GPT2LMHeadModel): pre-LN, learned positions, gelu_tanh, eps 1e-5, head tied to the embedding.
 * Refuses: texts, files of samples, ranks. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_SCORE_GPT2_H
#define FLM_SCORE_GPT2_H

#include "backend/backend_ops.h"
#include "io/io_checkpoint.h"

typedef struct flm_gpt2_shape {
    int64_t L, V, d, H, N; /* positions, vocabulary, hidden size, heads, blocks */
    int64_t end_id;        /* <|endoftext|> */
} flm_gpt2_shape;

/* flm_gpt2_list_datasets - names and shapes of every weight, with `prefix` before them; *out is malloc'd.
 * Errors: FLM_E_ARG (a size), FLM_E_NOMEM. */
flm_status flm_gpt2_list_datasets(const flm_gpt2_shape *shape, const char *prefix, flm_checkpoint_dataset **out,
                                  int *count);

/* flm_gpt2_shape_check - sizes within bounds, H divides d. Errors: FLM_E_ARG naming the size and what is allowed. */
flm_status flm_gpt2_shape_check(const flm_gpt2_shape *shape);

typedef struct flm_gpt2 flm_gpt2;

/* flm_gpt2_create - the weights of a checkpoint of kind gpt2, as compute dtype act, and room for batches of max_rows
 * tokens in all (at least L; rounded up to FLM_GPT2_ROWS). chunk: rows of logits at once. Not collective: each rank
 * reads the whole. Errors: FLM_E_MISMATCH (another kind; a tensor is missing or has another shape), FLM_E_FORMAT,
 * FLM_E_CHECKSUM, FLM_E_IO, FLM_E_NOMEM with the bytes asked. */
flm_status flm_gpt2_create(flm_backend *be, const flm_checkpoint *checkpoint, flm_dtype act, int64_t max_rows,
                           int64_t chunk, flm_gpt2 **out);

/* flm_gpt2_destroy - accepts NULL, nulls it. */
void flm_gpt2_destroy(flm_gpt2 **gpt2);

const flm_gpt2_shape *flm_gpt2_get_shape(const flm_gpt2 *gpt2);

/* Rows of a pass are a multiple of this, whatever the batch: few sizes of products are planned, and a row's result
 * does not depend on how many there are. */
enum { FLM_GPT2_ROWS = 128 };

/* flm_gpt2_compute_nll - nll[i] = -log p(ids[i] | the ids of its sequence before it), in nats; 0 for the first of a
 * sequence. in  ids i32 [starts[B]], starts [B + 1] ascending from 0, at most max_rows and no sequence over L; host
 * memory out nll f32 [starts[B]], host memory. Errors: FLM_E_ARG (an id outside 0..V-1, sizes), those of the backend.
 */
flm_status flm_gpt2_compute_nll(flm_gpt2 *gpt2, const int32_t *ids, const int64_t *starts, int64_t B, float *nll);

#endif
