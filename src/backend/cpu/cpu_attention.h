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
} flm_attention_sizes;

/* flm_attention_sizes_of - sizes of a checked qkv act [B, L, 3d] with H heads. The cap, at most 64, bounds the scores,
 * so that exp(score) neither overflows nor vanishes in fp32 and no running maximum is kept. */
flm_attention_sizes flm_attention_sizes_of(const flm_tensor *qkv, int64_t H, float softcap);

/* flm_attention_at - address of element (b, l, column) of an activation [B, L, columns]. */
static inline char *flm_attention_at(const flm_tensor *t, int64_t b, int64_t l, int64_t column)
{
    return (char *)t->data + (size_t)((b * t->dim[1] + l) * t->dim[2] + column) * flm_dtype_size(t->dtype);
}

#endif
