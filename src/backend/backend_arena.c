/* backend_arena.c - see backend_arena.h. SPDX-License-Identifier: Apache-2.0 */
#include "backend/backend_arena.h"

#include <assert.h>

/* Alignment of every tensor: a cache line, and the widest vector register. */
enum { ARENA_ALIGN = 64 };

flm_arena flm_arena_begin(flm_backend *be) { return (flm_arena){.be = be}; }

flm_status flm_arena_commit(flm_arena *arena, const char *what)
{
    flm_status rc = FLM_OK;
    void *base = NULL;

    assert(!arena->base);
    FLM_TRY(flm_err_prefix(arena->be->memory->alloc(arena->be, arena->used ? arena->used : ARENA_ALIGN, &base), what));
    arena->base = base;
    arena->bytes = arena->used;
    arena->used = 0;
done:
    return rc;
}

/* t with memory for its bytes. */
static flm_tensor place(flm_arena *arena, flm_tensor t)
{
    size_t bytes = (flm_tensor_bytes(&t) + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN;

    if (arena->base) {
        assert(bytes <= arena->bytes - arena->used);
        t.data = arena->base + arena->used;
    }
    arena->used += bytes;
    return t;
}

flm_tensor flm_arena_take(flm_arena *arena, flm_dtype dtype, int ndim, const int64_t *dim)
{
    return place(arena, flm_tensor_make(NULL, dtype, ndim, dim));
}

flm_tensor flm_arena_rows(flm_arena *arena, flm_dtype dtype, int64_t a, int64_t b)
{
    return place(arena, flm_tensor_2d_padded(NULL, dtype, a, b));
}

void flm_arena_release(flm_arena *arena)
{
    if (arena->base) arena->be->memory->release(arena->be, arena->base);
    *arena = flm_arena_begin(arena->be);
}
