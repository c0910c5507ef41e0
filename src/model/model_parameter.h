/* model_parameter.h - the parameters of a network: name, shape, initial value and bucket of each, in one table.
 *
 * Weights in memory, checkpoints, distillation and the converter of published weights all follow it; the names and
 * shapes in hdf5-schemas/checkpoint.schema are checked against it by a test. Leaves memory to model_weights.h.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_MODEL_PARAMETER_H
#define FLM_MODEL_PARAMETER_H

#include "model/model.h"

#include <stddef.h>

enum { FLM_PARAMETER_NAME_BYTES = 64 };

typedef enum flm_parameter_init { FLM_INIT_ZERO, FLM_INIT_ONE, FLM_INIT_UNIFORM } flm_parameter_init;

typedef struct flm_parameter {
    char name[FLM_PARAMETER_NAME_BYTES]; /* "blocks.3.attn_qkv.weight", ...: model.md section 2 */
    int ndim;
    int64_t dim[2], count; /* [out, in], [V, d] or [n]; elements */
    flm_parameter_init init;
    double bound; /* of FLM_INIT_UNIFORM: U(-bound, bound) */
    bool reinit;  /* a distillation begins with the initial value, not with the teacher's */
    int bucket;
    int64_t offset; /* elements from the start of the bucket */
    int block;      /* -1: outside of the blocks */
    size_t view;    /* of its tensor: bytes from the start of flm_block_weights, or of flm_dit_weights outside */
} flm_parameter;

/* The buckets by what they hold. */
enum { FLM_BUCKET_EMBEDDING = 0, FLM_BUCKET_TIME = 1 };
static inline int flm_bucket_block_matrices(int64_t block) { return 2 + 2 * (int)block; }
static inline int flm_bucket_block_small(int64_t block) { return 3 + 2 * (int)block; }
static inline int flm_bucket_head_matrix(int64_t N) { return 2 + 2 * (int)N; }
static inline int flm_bucket_head_small(int64_t N) { return 3 + 2 * (int)N; }
static inline int flm_bucket_two_time(int64_t N) { return 4 + 2 * (int)N; } /* emb_u, and the weighting network */

enum { FLM_WEIGHTING_WIDTH = 128 }; /* hidden units of the loss-weighting network: model.md section 6 */

/* flm_parameter_make_table - the parameters of a network in the order of its layers, the embedding first. Names depend
 * on N and the form of the network alone. out *table [*count], to be freed. Errors: FLM_E_NOMEM.
 * Source: model.md sections 2, 6 and 7. */
flm_status flm_parameter_make_table(const flm_model_shape *shape, flm_parameter **table, int *count);

/* flm_parameter_find - index of a name in a table, or -1. */
int flm_parameter_find(const flm_parameter *table, int count, const char *name);

/* flm_parameter_initial - elements [first, first + count) of a parameter's initial values, a function of (seed, index,
 * element) alone, so that any rank can compute any part. index: of the parameter. Host memory. A student of a
 * distillation begins with these values where parameter->reinit, elsewhere with its teacher's.
 * Source: model.md sections 2, 6 and 7. */
void flm_parameter_initial(const flm_parameter *parameter, int index, uint64_t seed, int64_t first, int64_t count,
                           float *values);

#endif
