/* text_files.c - the files of vocabularies: read whole, and found. The places of shipped ones are compiled in as
 * FLM_DATA_PATH (src/text/local.mk); FLM_DATA_DIR in the environment stands for all of them.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/base_sha256.h"
#include "text/text_internal.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { FILE_MAX = 256 << 20 };

flm_status text_file_read(const char *path, char **data, size_t *bytes)
{
    flm_status rc = FLM_OK;
    FILE *file = fopen(path, "rb");
    char *all = NULL;
    size_t size = 0, capacity = 1 << 16;

    if (!file) FLM_FAIL(FLM_E_IO, "%s: cannot be opened: %s", path, strerror(errno));
    for (;;) {
        char *grown = realloc(all, capacity + 1);
        if (!grown) FLM_FAIL(FLM_E_NOMEM, "%s: no memory for %zu bytes", path, capacity);
        all = grown;
        size += fread(all + size, 1, capacity - size, file);
        if (ferror(file)) FLM_FAIL(FLM_E_IO, "%s: cannot be read: %s", path, strerror(errno));
        if (size < capacity) break;
        if (capacity >= FILE_MAX) FLM_FAIL(FLM_E_FORMAT, "%s: too large for a vocabulary", path);
        capacity *= 2;
    }
    all[size] = '\0';
    *data = all;
    *bytes = size;
    all = NULL;
done:
    if (file) fclose(file);
    free(all);
    return rc;
}

/* The file's path in the next folder of the list at *places, which moves on; false: none is left. */
static bool next_place(const char **places, const char *name, char *path, size_t room)
{
    size_t length = strcspn(*places, ":");
    int n;

    if (length == 0) return false;
    n = snprintf(path, room, "%.*s/vocabularies/%s", (int)length, *places, name);
    *places += length + ((*places)[length] == ':');
    return n > 0 && (size_t)n < room;
}

flm_status text_file_shipped(const char *name, const char *sha256, char **data, size_t *bytes)
{
    flm_status rc = FLM_OK;
    const char *chosen = getenv("FLM_DATA_DIR"), *places = FLM_DATA_PATH;
    char path[PATH_MAX], sum[FLM_SHA256_BYTES], *all = NULL;
    size_t size = 0;
    bool found = false;

    if (chosen && chosen[0]) {
        int n = snprintf(path, sizeof path, "%s/vocabularies/%s", chosen, name);
        found = n > 0 && (size_t)n < sizeof path; /* no other place is tried: it was asked for */
    } else {
        while (!found && next_place(&places, name, path, sizeof path)) found = access(path, F_OK) == 0;
    }
    if (!found)
        FLM_FAIL(FLM_E_IO, "vocabularies/%s is not below any of %s; FLM_DATA_DIR names the folder that holds it", name,
                 chosen && chosen[0] ? chosen : FLM_DATA_PATH);
    FLM_TRY(text_file_read(path, &all, &size));
    FLM_TRY(flm_sha256_of(all, size, sum));
    if (strcmp(sum, sha256) != 0)
        FLM_FAIL(FLM_E_CHECKSUM, "%s: not the published file: its sha256 is %s, not %s", path, sum, sha256);
    *data = all;
    *bytes = size;
    all = NULL;
done:
    free(all);
    return rc;
}
