/* backend_stage.c - see backend_stage.h. SPDX-License-Identifier: Apache-2.0 */
#include "backend/backend_stage.h"

#include <string.h>

flm_stage flm_stage_begin(flm_backend *be) { return (flm_stage){.be = be, .waits = be->waits}; }

void flm_stage_end(flm_stage *stage)
{
    for (int i = 0; i < FLM_STAGE_BLOCKS && stage->block[i] != NULL; i++)
        stage->be->memory->host_release(stage->be, stage->block[i]);
    memset(stage, 0, sizeof *stage);
}

/* Room for at least one byte in the current block. */
static flm_status make_room(flm_stage *stage)
{
    flm_status rc = FLM_OK;
    flm_backend *be = stage->be;
    void *block = NULL;
    if (stage->waits != be->waits) stage->current = 0, stage->used = 0;
    if (stage->used == FLM_STAGE_BLOCK_BYTES) stage->current++, stage->used = 0;
    if (stage->current == FLM_STAGE_BLOCKS) {
        FLM_TRY(be->stream->sync(be));
        stage->current = 0;
    }
    if (stage->block[stage->current] == NULL) {
        FLM_TRY(be->memory->host_alloc(be, FLM_STAGE_BLOCK_BYTES, &block));
        stage->block[stage->current] = block;
    }
    stage->waits = be->waits;
done:
    return rc;
}

flm_status flm_stage_to_device(flm_stage *stage, void *device, const void *host, size_t bytes)
{
    flm_status rc = FLM_OK;
    flm_backend *be = stage->be;
    if (be->host_memory) return be->memory->to_device(be, device, host, bytes);
    for (size_t at = 0, n; at < bytes; at += n) {
        FLM_TRY(make_room(stage));
        const size_t left = FLM_STAGE_BLOCK_BYTES - stage->used;
        char *to = stage->block[stage->current] + stage->used;
        n = bytes - at < left ? bytes - at : left;
        memcpy(to, (const char *)host + at, n);
        FLM_TRY(be->memory->to_device(be, (char *)device + at, to, n));
        stage->used += n;
    }
done:
    return rc;
}
