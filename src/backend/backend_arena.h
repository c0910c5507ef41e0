/* backend_arena.h - one allocation a purpose: measured first, taken once, given out by bumping.
 *
 * Layout code runs twice: on a fresh arena, flm_arena_take only counts (the tensors' data are NULL); after
 * flm_arena_commit the same calls in the same order hand out memory. So what a run needs is known, and reported,
 * before its first step, and nothing in a step allocates. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_BACKEND_ARENA_H
#define FLM_BACKEND_ARENA_H

#include "backend/backend.h"

typedef struct flm_arena {
    flm_backend *be;
    char *base;   /* NULL while measuring */
    size_t used;  /* bytes given out, a multiple of 64 */
    size_t bytes; /* bytes of the allocation */
} flm_arena;

/* flm_arena_begin - an empty arena that measures. */
flm_arena flm_arena_begin(flm_backend *be);

/* flm_arena_commit - allocate what was measured and start again from the beginning.
 * Errors: FLM_E_NOMEM naming what (for the message), the bytes asked and those free. */
flm_status flm_arena_commit(flm_arena *arena, const char *what);

/* flm_arena_take - the next tensor of this shape; data NULL while measuring. Asserts that a committed arena is never
 * asked for more than was measured. */
flm_tensor flm_arena_take(flm_arena *arena, flm_dtype dtype, int ndim, const int64_t *dim);

#define flm_arena_1d(arena, dtype, a)       flm_arena_take((arena), (dtype), 1, (const int64_t[]){(a)})
#define flm_arena_2d(arena, dtype, a, b)    flm_arena_take((arena), (dtype), 2, (const int64_t[]){(a), (b)})
#define flm_arena_3d(arena, dtype, a, b, c) flm_arena_take((arena), (dtype), 3, (const int64_t[]){(a), (b), (c)})

/* flm_arena_rows - the next tensor of a rows of b, padded: flm_tensor_2d_padded. */
flm_tensor flm_arena_rows(flm_arena *arena, flm_dtype dtype, int64_t a, int64_t b);

/* flm_arena_release - free it; accepts an arena that never committed. */
void flm_arena_release(flm_arena *arena);

#endif
