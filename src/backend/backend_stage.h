/* backend_stage.h - copies to the device of small host arrays that may change at once: they go through pinned memory,
 * so that the host does not wait for the device before it prepares the next micro-batch.
 *
 * Leaves to others: arrays that stay unchanged until a wait (flm_memory.to_device). SPDX-License-Identifier: Apache-2.0
 */
#ifndef FLM_BACKEND_STAGE_H
#define FLM_BACKEND_STAGE_H

#include "backend/backend.h"

/* What may be on its way without a wait: 64 MiB hold the inputs of half a million tokens in the largest objective. */
enum { FLM_STAGE_BLOCKS = 64, FLM_STAGE_BLOCK_BYTES = 1 << 20 };

typedef struct flm_stage {
    flm_backend *be;
    char *block[FLM_STAGE_BLOCKS]; /* from host_alloc, when first needed */
    int current;                   /* the block in use */
    size_t used;                   /* bytes of it */
    int64_t waits;                 /* be->waits at the last copy: after a later wait all blocks are free */
} flm_stage;

/* flm_stage_begin - an empty stage; allocates nothing. flm_stage_end - release it, after a wait for the device. */
flm_stage flm_stage_begin(flm_backend *be);
void flm_stage_end(flm_stage *stage);

/* flm_stage_to_device - queue the copy of host bytes, which may change afterwards. Waits for the device only where all
 * blocks are on their way. Where the device's memory is the host's, a plain copy. Not collective. Errors: FLM_E_NOMEM,
 * the backend's. */
flm_status flm_stage_to_device(flm_stage *stage, void *device, const void *host, size_t bytes);

#endif
