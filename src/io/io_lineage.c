/* io_lineage.c - see io_lineage.h. SPDX-License-Identifier: Apache-2.0 */
#include "io/io_lineage.h"

#include "io/io_checkpoint_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

flm_status flm_lineage_hash(const flm_checkpoint *checkpoint, char *sha256)
{
    flm_status rc = FLM_OK;
    flm_sha256 *sum = NULL;
    char *block = malloc(FLM_IO_BLOCK_BYTES);
    const char *path;
    const int fd = flm_checkpoint_get_descriptor(checkpoint, &path);
    struct stat status;

    if (!block) FLM_FAIL(FLM_E_NOMEM, "%s: no memory to read it", path);
    if (fstat(fd, &status) != 0)
        FLM_FAIL(flm_status_from_errno(errno), "%s: cannot be read: %s", path, strerror(errno));
    FLM_TRY(flm_sha256_begin(&sum));
    for (int64_t at = 0; at < status.st_size; at += FLM_IO_BLOCK_BYTES) {
        const int64_t left = status.st_size - at, bytes = left < FLM_IO_BLOCK_BYTES ? left : FLM_IO_BLOCK_BYTES;
        FLM_TRY(flm_file_read_at(fd, path, block, (size_t)bytes, at));
        FLM_TRY(flm_sha256_add(sum, block, (size_t)bytes));
    }
    FLM_TRY(flm_sha256_end(&sum, sha256));
done:
    flm_sha256_destroy(&sum);
    free(block);
    return rc;
}

flm_status flm_lineage_add(char *lineage, const char *role, const char *sha256, int64_t step, const char *path)
{
    flm_status rc = FLM_OK;
    const size_t used = strlen(lineage), room = FLM_LINEAGE_BYTES - used;
    if (snprintf(lineage + used, room, "%s %s %" PRId64 " %s\n", role, sha256, step, path) >= (int)room) {
        lineage[used] = '\0';
        FLM_FAIL(FLM_E_ARG, "%s: the path is too long to be recorded in a distilled checkpoint", path);
    }
done:
    return rc;
}

bool flm_lineage_get(const char *lineage, const char *role, char *sha256, char *path)
{
    const size_t length = strlen(role);
    for (const char *line = lineage; *line;) {
        const char *end = strchr(line, '\n');
        int at = 0;
        if (!end) return false;
        if (strncmp(line, role, length) == 0 && line[length] == ' ') {
            const char *sum = line + length + 1;
            if (strspn(sum, "0123456789abcdef") != FLM_SHA256_BYTES - 1) return false;
            if (sscanf(sum + FLM_SHA256_BYTES - 1, " %*[0-9] %n", &at) != 0 || at == 0) return false;
            const char *name = sum + FLM_SHA256_BYTES - 1 + at;
            if (name >= end || end - name >= FLM_CHECKPOINT_PATH_BYTES) return false;
            snprintf(sha256, FLM_SHA256_BYTES, "%s", sum);
            snprintf(path, FLM_CHECKPOINT_PATH_BYTES, "%.*s", (int)(end - name), name);
            return true;
        }
        line = end + 1;
    }
    return false;
}
