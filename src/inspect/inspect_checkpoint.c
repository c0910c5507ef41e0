/* inspect_checkpoint.c - checkpoints, and directories of checkpoints. SPDX-License-Identifier: Apache-2.0 */
#include "base/base_file.h"
#include "base/base_path.h"
#include "inspect/inspect_internal.h"
#include "process/process.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static flm_status checkpoint_verify(const char *path)
{
    flm_status rc = FLM_OK;
    flm_checkpoint *checkpoint = NULL;
    const flm_checkpoint_dataset *d;
    int64_t elements = 0;
    int count;

    FLM_TRY(flm_checkpoint_open(path, &checkpoint));
    FLM_TRY(flm_checkpoint_verify(checkpoint));
    d = flm_checkpoint_get_datasets(checkpoint, &count);
    for (int i = 0; i < count; i++) elements += flm_checkpoint_elements(&d[i]);
    printf("  verified: %" PRId64 " values in %d datasets match their checksums\n", elements, count);
done:
    flm_checkpoint_close(&checkpoint);
    return rc;
}

flm_status flm_inspect_checkpoint(const char *path, const flm_inspect_options *options)
{
    flm_status rc = FLM_OK;

    if (options->rows > 0) FLM_FAIL(FLM_E_USAGE, "%s: is a checkpoint, which has no rows to print", path);
    FLM_TRY(flm_inspect_structure(path, "checkpoint"));
    if (options->verify) FLM_TRY(checkpoint_verify(path));
done:
    return rc;
}

static int is_checkpoint(const struct dirent *entry)
{
    const char *name = entry->d_name;
    const size_t digits = strncmp(name, "step-", 5) == 0 ? strspn(name + 5, "0123456789") : 0;
    return digits >= 8 && strcmp(name + 5 + digits, ".h5") == 0;
}

static bool read_link(const char *path, char *target, size_t size)
{
    const ssize_t length = readlink(path, target, size - 1);
    target[length > 0 ? length : 0] = '\0';
    return length > 0;
}

/* Whether a link names no file. One that has changed since target was read is that of a run which goes on. */
static bool is_dangling(const char *path, const char *target)
{
    char now[256];
    return access(path, F_OK) != 0 && read_link(path, now, sizeof now) && strcmp(now, target) == 0;
}

flm_status flm_inspect_checkpoints(const char *directory, const flm_inspect_options *options)
{
    flm_status rc = FLM_OK;
    struct dirent **entries = NULL;
    char path[FLM_PATH_BYTES], target[256] = "";
    int count = scandir(directory, &entries, is_checkpoint, alphasort);

    if (count < 0) FLM_FAIL(flm_status_from_errno(errno), "%s: cannot be listed: %s", directory, strerror(errno));
    FLM_TRY(flm_path_join(path, directory, "latest"));
    printf("%s: %d checkpoint%s", directory, count, count == 1 ? "" : "s");
    if (read_link(path, target, sizeof target)) {
        printf(", latest is %s", target);
        if (is_dangling(path, target)) {
            putchar('\n');
            FLM_FAIL(FLM_E_FORMAT, "%s: points to %s, which does not exist", path, target);
        }
    }
    putchar('\n');
    for (int i = 0; i < count; i++) {
        FLM_TRY(flm_process_poll());
        FLM_TRY(flm_path_join(path, directory, entries[i]->d_name));
        rc = flm_inspect_checkpoint(path, options);
        if (flm_file_was_removed(rc, path)) { /* by the run, which keeps the newest only */
            printf("%s: was removed meanwhile\n", path);
            flm_err_clear();
            rc = FLM_OK;
        }
        FLM_TRY(rc);
    }
done:
    for (int i = 0; i < count; i++) free(entries[i]);
    free(entries);
    return rc;
}
