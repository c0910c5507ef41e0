/* cpu_attention.h - what the forward and backward passes of attention share. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_CPU_ATTENTION_H
#define FLM_CPU_ATTENTION_H

#include "backend/cpu/cpu_internal.h"
#include "backend/cpu/cpu_math.h"
#include "backend/cpu/cpu_tile.h"

/* Scores exist one tile at a time: two tiles, and their rows of queries and keys, fit in the L2 cache. */
enum { FLM_ATTENTION_QUERIES = 64, FLM_ATTENTION_KEYS = 64 };

typedef struct flm_attention_sizes {
    int64_t B, L, H, h;
    int64_t ld;       /* h rounded up to FLM_TILE_COLUMNS: leading dimension of rows in tiles */
    int64_t padded_L; /* L rounded up to FLM_ATTENTION_KEYS */
    flm_dtype dtype;  /* of the activations */
    float scale;      /* 1 / sqrt(h) */
    float softcap;
    bool amx; /* products of whole tiles by AMX */
} flm_attention_sizes;

/* flm_attention_sizes_of - sizes of a checked qkv act [B, L, 3d] with H heads. The cap, at most 64, bounds the scores,
 * so that exp(score) neither overflows nor vanishes in fp32 and no running maximum is kept. */
flm_attention_sizes flm_attention_sizes_of(const flm_tensor *qkv, int64_t H, float softcap);

/* flm_attention_at - address of element (b, l, column) of an activation [B, L, columns]. */
static inline char *flm_attention_at(const flm_tensor *t, int64_t b, int64_t l, int64_t column)
{
    return (char *)t->data + (size_t)((b * t->dim[1] + l) * t->dim[2] + column) * flm_dtype_size(t->dtype);
}

/* flm_attention_parts - tasks per head in the forward pass: one if the heads alone keep the threads busy, at most one
 * per tile of queries. */
int64_t flm_attention_parts(const flm_attention_sizes *n, int threads);

/* flm_attention_store_keys - the gradients of keys [key, key + keys) of a head of a sample: grad_keys, times the
 * transposed rotations, and grad_values, both f32 [keys, ld]. angles: NULL, or cosines and sines f32 [L, h / 2, 2]. */
void flm_attention_store_keys(const flm_attention_sizes *n, const flm_tensor *grad_qkv, float *grad_keys,
                              const float *grad_values, const float *angles, int64_t b, int64_t head, int64_t key,
                              int64_t keys);

/* flm_attention_store_queries - the same for all queries of a head of a sample, f32 [L, ld]. */
void flm_attention_store_queries(const flm_attention_sizes *n, const flm_tensor *grad_qkv, float *grad_queries,
                                 const float *angles, int64_t b, int64_t head);

/* cpu_attention_pairs.c: both directions by bf16 products, and whether they are used. angles: of rope, or NULL. */
bool flm_attention_by_pairs(const flm_backend *be, const flm_tensor *qkv, int64_t H);
flm_status flm_attention_pairs(flm_backend *be, const flm_tensor *o, const flm_tensor *lse, const flm_tensor *qkv,
                               int64_t H, float softcap);
flm_status flm_attention_pairs_backward(flm_backend *be, const flm_tensor *grad_qkv, const flm_tensor *grad_o,
                                        const flm_tensor *o, const flm_tensor *qkv, const flm_tensor *lse, int64_t H,
                                        float softcap, const float *angles);

#endif
