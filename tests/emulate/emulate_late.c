/* emulate_late.c - copies between the host and the emulated device take effect as late as a stream permits: at the
 * sync. A host buffer that is read before it holds NaN; one that is changed before it was sent ends the program.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/emulate/emulate_memory.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A copy that no sync has completed. */
typedef struct late {
    char *host;
    char *bytes; /* for the host; or its buffer's contents when the copy to the device was queued */
    size_t count;
    bool to_host;
} late;

static late *all;
static int count, capacity;

typedef struct range {
    const char *data;
    size_t bytes;
} range;

static range *pinned;
static int pinned_count;
static long waits;

void emulate_pin(void *data, size_t bytes)
{
    range *more = realloc(pinned, (size_t)(pinned_count + 1) * sizeof *more);
    if (!more) abort();
    pinned = more;
    pinned[pinned_count++] = (range){data, bytes};
}

void emulate_unpin(void *data)
{
    for (int i = 0; i < pinned_count; i++)
        if (pinned[i].data == data) {
            pinned[i] = pinned[--pinned_count];
            return;
        }
    abort();
}

long emulate_waits(void) { return waits; }

void emulate_wait(void) { waits++; }

static void wait_unless_pinned(const char *host, size_t bytes)
{
    bool holds = false;
    for (int i = 0; i < pinned_count; i++)
        holds |= pinned[i].data <= host && host + bytes <= pinned[i].data + pinned[i].bytes;
    waits += !holds;
}

static bool overlaps(const late *l, const char *host, size_t bytes)
{
    return l->host < host + bytes && host < l->host + l->count;
}

static void late_add(char *host, const char *bytes, size_t n, bool to_host)
{
    if (count == capacity) {
        late *more = realloc(all, (size_t)(2 * capacity + 16) * sizeof *more);
        if (!more) abort();
        all = more;
        capacity = 2 * capacity + 16;
    }
    all[count] = (late){host, malloc(n), n, to_host};
    if (!all[count].bytes) abort();
    memcpy(all[count++].bytes, bytes, n);
}

static void late_end(const late *l)
{
    if (l->to_host)
        memcpy(l->host, l->bytes, l->count);
    else if (memcmp(l->host, l->bytes, l->count) != 0) {
        fprintf(stderr, "emulator: a host buffer of %zu bytes was changed before the sync of its copy to the device\n",
                l->count);
        abort();
    }
    free(l->bytes);
}

void emulate_late_to_device(void *to, const void *from, size_t bytes)
{
    if (bytes == 0) return;
    char *host = (char *)(uintptr_t)from;
    wait_unless_pinned(host, bytes);
    for (int i = 0; i < count; i++) /* earlier copies to these bytes are complete by then */
        if (all[i].to_host && overlaps(&all[i], host, bytes)) memcpy(all[i].host, all[i].bytes, all[i].count);
    late_add(host, host, bytes, false);
    emulate_open();
    memcpy(to, host, bytes);
    emulate_close();
}

void emulate_late_to_host(void *to, const void *from, size_t bytes)
{
    if (bytes == 0) return;
    int kept = 0;
    wait_unless_pinned(to, bytes);
    for (int i = 0; i < count; i++) /* earlier copies from these bytes are, too */
        if (!all[i].to_host && overlaps(&all[i], to, bytes))
            late_end(&all[i]);
        else
            all[kept++] = all[i];
    count = kept;
    emulate_open();
    late_add(to, from, bytes, true);
    emulate_close();
    memset(to, 0xFF, bytes);
}

void emulate_late_sync(void)
{
    waits++;
    for (int i = 0; i < count; i++) late_end(&all[i]);
    count = 0;
}
