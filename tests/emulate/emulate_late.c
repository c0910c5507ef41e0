/* emulate_late.c - copies between host and emulated device take effect when a stream would be sure to have made them:
 * at the sync. What is read before it is NaN; a buffer that is changed while it is still to be sent ends the program.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/emulate/emulate_memory.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One copy that a sync has not ended. */
typedef struct late {
    char *host;
    char *bytes; /* what the host gets, or what it had when the copy to the device was queued */
    size_t count;
    bool to_host;
} late;

static late *all;
static int count, room;

static bool overlaps(const late *l, const char *host, size_t bytes)
{
    return l->host < host + bytes && host < l->host + l->count;
}

static void late_add(char *host, const char *bytes, size_t n, bool to_host)
{
    if (count == room) {
        late *more = realloc(all, (size_t)(2 * room + 16) * sizeof *more);
        if (!more) abort();
        all = more;
        room = 2 * room + 16;
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
        fprintf(stderr, "emulator: a host buffer of %zu bytes was changed before a sync, while it was being sent\n",
                l->count);
        abort();
    }
    free(l->bytes);
}

void emulate_late_to_device(void *to, const void *from, size_t bytes)
{
    if (bytes == 0) return;
    char *host = (char *)(uintptr_t)from;
    for (int i = 0; i < count; i++) /* queued in order: what is on its way to these bytes has come by then */
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
    for (int i = 0; i < count; i++) /* likewise: what was to be sent from these bytes has been */
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
    for (int i = 0; i < count; i++) late_end(&all[i]);
    count = 0;
}
