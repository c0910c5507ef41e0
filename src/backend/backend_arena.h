/* backend_arena.h - one allocation for one purpose: measured first, allocated once, handed out in order.
 *
 * Layout code runs twice: on a new arena flm_arena_take only counts bytes (the tensors' data are NULL); after
 * flm_arena_commit the same calls in the same order return tensors with memory. So the memory of a run is known and
 * reported before its first step, and nothing in a step allocates. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_BACKEND_ARENA_H
#define FLM_BACKEND_ARENA_H

#include "backend/backend.h"

typedef struct flm_arena {
    flm_backend *be;
    char *base;   /* NULL while measuring */
    size_t used;  /* bytes given out, a multiple of 64 */
    size_t bytes; /* bytes of the allocation */
} flm_arena;

/* flm_arena_begin - an empty arena, which measures. */
flm_arena flm_arena_begin(flm_backend *be);

/* flm_arena_commit - allocate the measured bytes and start again from the beginning. what: named in the message.
 * Errors: FLM_E_NOMEM with the bytes asked for and free. */
flm_status flm_arena_commit(flm_arena *arena, const char *what);

/* flm_arena_take - the next tensor of this shape; data is NULL while measuring. Asserts that a committed arena is not
 * asked for more than was measured. */
flm_tensor flm_arena_take(flm_arena *arena, flm_dtype dtype, int ndim, const int64_t *dim);

#define flm_arena_1d(arena, dtype, a)       flm_arena_take((arena), (dtype), 1, (const int64_t[]){(a)})
#define flm_arena_2d(arena, dtype, a, b)    flm_arena_take((arena), (dtype), 2, (const int64_t[]){(a), (b)})
#define flm_arena_3d(arena, dtype, a, b, c) flm_arena_take((arena), (dtype), 3, (const int64_t[]){(a), (b), (c)})

/* flm_arena_rows - the next tensor [a, b] with padded rows (flm_tensor_2d_padded). */
flm_tensor flm_arena_rows(flm_arena *arena, flm_dtype dtype, int64_t a, int64_t b);

/* flm_arena_release - free the memory; accepts an arena that was never committed. */
void flm_arena_release(flm_arena *arena);

#endif
