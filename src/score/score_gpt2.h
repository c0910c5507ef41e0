/* score_gpt2.h - GPT-2, forward pass only: the negative log-likelihood (NLL) of every token of a batch of sequences,
 * and their last hidden states. Owns the network and the loading of its weights; leaves texts, samples files and ranks
 * to others.
 *
 * Sequences are packed one after the other without padding, and attention is masked at their boundaries, so the NLL of
 * a sequence does not depend on the batch. Operands of matmuls have the compute dtype; the residual stream, LN
 * statistics and the loss are fp32. At most `chunk` rows of V logits are held at once.
 * Source: Radford et al., "Language models are unsupervised multitask learners", 2019, as in Hugging Face transformers
 * 4.49.0 (GPT2LMHeadModel): pre-LN, learned positions, gelu_tanh, eps 1e-5, head tied to the embedding.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_SCORE_GPT2_H
#define FLM_SCORE_GPT2_H

#include "backend/backend_ops.h"
#include "io/io_checkpoint.h"

typedef struct flm_gpt2_shape {
    int64_t L, V, d, H, N; /* positions, vocabulary, hidden size, heads, blocks */
    int64_t end_id;        /* of <|endoftext|> */
} flm_gpt2_shape;

/* flm_gpt2_list_datasets - name and shape of every weight, in the order of loading; names begin with `prefix`. *out
 * [*count] is malloc'd. Errors: FLM_E_ARG (the shape), FLM_E_NOMEM. */
flm_status flm_gpt2_list_datasets(const flm_gpt2_shape *shape, const char *prefix, flm_checkpoint_dataset **out,
                                  int *count);

/* flm_gpt2_shape_check - check that sizes are within bounds and H divides d. Errors: FLM_E_ARG naming the size and its
 * bounds. */
flm_status flm_gpt2_shape_check(const flm_gpt2_shape *shape);

typedef struct flm_gpt2 flm_gpt2;

/* flm_gpt2_create - load the weights of a checkpoint of kind gpt2 as compute dtype act, and allocate activations for
 * batches of at most max_rows tokens (at least L; rounded up to a multiple of FLM_GPT2_ROWS). chunk: rows of logits at
 * once. Not collective: each rank reads all weights.
 * Errors: FLM_E_MISMATCH (another kind; a tensor is missing or has another shape), FLM_E_FORMAT, FLM_E_CHECKSUM,
 * FLM_E_IO, FLM_E_NOMEM with the bytes requested. */
flm_status flm_gpt2_create(flm_backend *be, const flm_checkpoint *checkpoint, flm_dtype act, int64_t max_rows,
                           int64_t chunk, flm_gpt2 **out);

/* flm_gpt2_destroy - accepts NULL, nulls it. */
void flm_gpt2_destroy(flm_gpt2 **gpt2);

/* flm_gpt2_get_shape - owned by gpt2. */
const flm_gpt2_shape *flm_gpt2_get_shape(const flm_gpt2 *gpt2);

/* A forward pass computes a multiple of so many rows: matmuls then have few different sizes, which libraries plan once,
 * and a row's result does not depend on the number of rows. */
enum { FLM_GPT2_ROWS = 128 };

/* flm_gpt2_compute_nll - nll[i] = -log p(ids[i] | the ids before it in its sequence), in nats; 0 for the first id of a
 * sequence. Sequence b is ids[starts[b]] .. ids[starts[b + 1] - 1], at most L ids. All in host memory. Not collective.
 * in  ids i32 [starts[B]], starts [B + 1] ascending from 0 to at most max_rows   out nll f32 [starts[B]]
 * Errors: FLM_E_ARG (an id outside 0..V-1, sizes), those of the backend. */
flm_status flm_gpt2_compute_nll(flm_gpt2 *gpt2, const int32_t *ids, const int64_t *starts, int64_t B, float *nll);

/* flm_gpt2_compute_features - features[b] = the hidden state behind the last layer norm at the last id of sequence b,
 * as `hidden_states[-1]` of transformers. As flm_gpt2_compute_nll, but no sequence may be empty.
 * out features f32 [B, d] */
flm_status flm_gpt2_compute_features(flm_gpt2 *gpt2, const int32_t *ids, const int64_t *starts, int64_t B,
                                     float *features);

#endif
