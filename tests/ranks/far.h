/* far.h - a device for tests of what moves data: memory whose addresses mean nothing to the host, and copies that are
 * done at the next sync, in their order. It has no ops. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_TESTS_RANKS_FAR_H
#define FLM_TESTS_RANKS_FAR_H

#include "backend/backend.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { FAR_QUEUE = 4096 };
static const uintptr_t FAR_OFFSET = (uintptr_t)1 << 62; /* no address of x86-64 or AArch64 has this bit alone */

static struct far_copy {
    void *to;
    const void *from; /* NULL: zeros */
    size_t bytes;
} far_queue[FAR_QUEUE];
static int far_queued, far_held; /* copies under way; allocations, host's included */

static inline void *far_near(void *device) { return (void *)((uintptr_t)device - FAR_OFFSET); }
static inline const void *far_near_const(const void *device) { return (const void *)((uintptr_t)device - FAR_OFFSET); }

static flm_status far_sync(flm_backend *be)
{
    (void)be;
    for (int i = 0; i < far_queued; i++)
        if (far_queue[i].from)
            memmove(far_queue[i].to, far_queue[i].from, far_queue[i].bytes);
        else
            memset(far_queue[i].to, 0, far_queue[i].bytes);
    far_queued = 0;
    return FLM_OK;
}

static flm_status far_push(void *to, const void *from, size_t bytes)
{
    if (bytes == 0) return FLM_OK;
    if (far_queued == FAR_QUEUE) far_sync(NULL);
    far_queue[far_queued++] = (struct far_copy){to, from, bytes};
    return FLM_OK;
}

static flm_status far_host_alloc(flm_backend *be, size_t bytes, void **out)
{
    (void)be;
    if (!(*out = malloc(bytes + 1))) abort();
    far_held++;
    return FLM_OK;
}

static void far_host_release(flm_backend *be, void *data)
{
    far_sync(be);
    far_held -= data != NULL;
    free(data);
}

static flm_status far_alloc(flm_backend *be, size_t bytes, void **out)
{
    flm_status rc = far_host_alloc(be, bytes, out);
    *out = (void *)((uintptr_t)*out + FAR_OFFSET);
    return rc;
}

static void far_release(flm_backend *be, void *data)
{
    if (data) far_host_release(be, far_near(data));
}

static flm_status far_to_device(flm_backend *be, void *device, const void *host, size_t bytes)
{
    (void)be;
    return far_push(far_near(device), host, bytes);
}

static flm_status far_to_host(flm_backend *be, void *host, const void *device, size_t bytes)
{
    (void)be;
    return far_push(host, far_near_const(device), bytes);
}

static flm_status far_copy(flm_backend *be, void *to, const void *from, size_t bytes)
{
    (void)be;
    return far_push(far_near(to), far_near_const(from), bytes);
}

static flm_status far_zero(flm_backend *be, void *device, size_t bytes)
{
    (void)be;
    return far_push(far_near(device), NULL, bytes);
}

static flm_status far_available(flm_backend *be, size_t *bytes)
{
    (void)be;
    *bytes = (size_t)1 << 30;
    return FLM_OK;
}

/* far_open - the device. far_close - whether all that was taken of it has been given back. */
static inline flm_backend *far_open(void)
{
    static const flm_memory far_memory = {far_alloc,   far_release, far_host_alloc, far_host_release, far_to_device,
                                          far_to_host, far_copy,    far_zero,       far_available};
    static const flm_stream far_stream = {.sync = far_sync};
    static flm_backend far = {.name = "far", .memory = &far_memory, .stream = &far_stream, .host_memory = false};
    return &far;
}

static inline bool far_close(void) { return far_held == 0 && far_queued == 0; }

#endif
