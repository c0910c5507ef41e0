/* mock_device.h - a device for tests of data transfers: the host cannot read its memory, and copies are done at the
 * next sync, in order, so that a missing sync shows. It has no operations. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_TESTS_RANKS_MOCK_DEVICE_H
#define FLM_TESTS_RANKS_MOCK_DEVICE_H

#include "backend/backend.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { MOCK_QUEUE = 4096 };
static const uintptr_t MOCK_OFFSET = (uintptr_t)1 << 62; /* no valid address on x86-64 or AArch64 */

static struct mock_copy {
    void *to;
    const void *from; /* NULL: zeros */
    size_t bytes;
} mock_queue[MOCK_QUEUE];
static int mock_queued, mock_held; /* queued copies; live allocations, those of pinned host memory included */
static size_t mock_read;           /* bytes that were copied to the host */

static inline void *mock_address(void *device) { return (void *)((uintptr_t)device - MOCK_OFFSET); }
static inline const void *mock_address_const(const void *device)
{
    return (const void *)((uintptr_t)device - MOCK_OFFSET);
}

static flm_status mock_sync(flm_backend *be)
{
    (void)be;
    for (int i = 0; i < mock_queued; i++)
        if (mock_queue[i].from)
            memmove(mock_queue[i].to, mock_queue[i].from, mock_queue[i].bytes);
        else
            memset(mock_queue[i].to, 0, mock_queue[i].bytes);
    mock_queued = 0;
    return FLM_OK;
}

static flm_status mock_push(void *to, const void *from, size_t bytes)
{
    if (bytes == 0) return FLM_OK;
    if (mock_queued == MOCK_QUEUE) mock_sync(NULL);
    mock_queue[mock_queued++] = (struct mock_copy){to, from, bytes};
    return FLM_OK;
}

static flm_status mock_host_alloc(flm_backend *be, size_t bytes, void **out)
{
    (void)be;
    if (!(*out = malloc(bytes + 1))) abort();
    mock_held++;
    return FLM_OK;
}

static void mock_host_release(flm_backend *be, void *data)
{
    mock_sync(be);
    mock_held -= data != NULL;
    free(data);
}

static flm_status mock_alloc(flm_backend *be, size_t bytes, void **out)
{
    flm_status rc = mock_host_alloc(be, bytes, out);
    *out = (void *)((uintptr_t)*out + MOCK_OFFSET);
    return rc;
}

static void mock_release(flm_backend *be, void *data)
{
    if (data) mock_host_release(be, mock_address(data));
}

static flm_status mock_to_device(flm_backend *be, void *device, const void *host, size_t bytes)
{
    (void)be;
    return mock_push(mock_address(device), host, bytes);
}

static flm_status mock_to_host(flm_backend *be, void *host, const void *device, size_t bytes)
{
    (void)be;
    mock_read += bytes;
    return mock_push(host, mock_address_const(device), bytes);
}

static flm_status mock_copy(flm_backend *be, void *to, const void *from, size_t bytes)
{
    (void)be;
    return mock_push(mock_address(to), mock_address_const(from), bytes);
}

static flm_status mock_zero(flm_backend *be, void *device, size_t bytes)
{
    (void)be;
    return mock_push(mock_address(device), NULL, bytes);
}

static flm_status mock_available(flm_backend *be, size_t *bytes)
{
    (void)be;
    *bytes = (size_t)1 << 30;
    return FLM_OK;
}

/* mock_open - the device. mock_close - whether all its memory is released and no copy is queued. */
static inline flm_backend *mock_open(void)
{
    static const flm_memory mock_memory = {mock_alloc,        mock_release,   mock_host_alloc,
                                           mock_host_release, mock_to_device, mock_to_host,
                                           mock_copy,         mock_zero,      mock_available};
    static const flm_stream mock_stream = {.sync = mock_sync};
    static flm_backend mock = {.name = "mock", .memory = &mock_memory, .stream = &mock_stream, .host_memory = false};
    return &mock;
}

static inline bool mock_close(void) { return mock_held == 0 && mock_queued == 0; }

#endif
