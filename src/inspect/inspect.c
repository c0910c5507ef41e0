/* inspect.c - see inspect.h: which kind of file or directory a path is. SPDX-License-Identifier: Apache-2.0 */
#include "inspect/inspect_internal.h"

#include "base/base_file.h"
#include "base/base_path.h"
#include "h5/h5_format.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool contains(const char *directory, const char *name)
{
    char path[FLM_PATH_BYTES];
    struct stat st;
    return snprintf(path, sizeof path, "%s/%s", directory, name) < (int)sizeof path && lstat(path, &st) == 0;
}

static flm_status inspect_directory(const char *path, const flm_inspect_options *options)
{
    flm_status rc = FLM_OK;
    char below[FLM_PATH_BYTES];

    if (contains(path, "index.h5")) {
        FLM_TRY(flm_inspect_shards(path, options));
    } else if (contains(path, "latest")) {
        FLM_TRY(flm_inspect_checkpoints(path, options));
    } else if (contains(path, "checkpoints") || contains(path, "config.ini")) {
        printf("%s: run directory\n", path);
        FLM_TRY(flm_path_join(below, path, "checkpoints"));
        if (contains(path, "checkpoints")) FLM_TRY(flm_inspect_checkpoints(below, options));
    } else {
        FLM_FAIL(FLM_E_FORMAT,
                 "%s: not a directory of this suite, or an unfinished one: found neither index.h5 (shards) nor latest "
                 "(checkpoints), nor checkpoints/ or config.ini (run directory)",
                 path);
    }
done:
    return rc;
}

static flm_status inspect_resolved(const char *path, const flm_inspect_options *options)
{
    flm_status rc = FLM_OK;
    const char *kind = NULL;
    char directory[FLM_PATH_BYTES];

    FLM_TRY(flm_format_identify(path, &kind));
    if (strcmp(kind, "checkpoint") == 0) {
        FLM_TRY(flm_inspect_checkpoint(path, options));
    } else if (strcmp(kind, "samples") == 0) {
        FLM_TRY(flm_inspect_samples(path, options));
    } else if (strcmp(kind, "shard") == 0) {
        FLM_TRY(flm_inspect_shard(path, options));
    } else { /* an index: the shard directory that it belongs to */
        FLM_TRY(flm_path_directory(directory, path));
        FLM_TRY(flm_inspect_shards(directory, options));
    }
done:
    return rc;
}

/* A link, such as `latest` of a run that goes on, is resolved once: every part of the output is of the same file. When
 * that is removed meanwhile, the file that the link names by then is taken. */
static flm_status inspect_file(const char *path, const flm_inspect_options *options)
{
    flm_status rc = FLM_OK;
    char *real = NULL, *before = NULL;

    for (;;) {
        free(before);
        before = real;
        if (!(real = realpath(path, NULL)))
            FLM_FAIL(flm_status_from_errno(errno), "%s: cannot be opened: %s", path, strerror(errno));
        if (before && strcmp(before, real) == 0) break; /* nothing has changed: the failure stays */
        flm_err_clear();
        rc = inspect_resolved(strcmp(flm_path_name(path), flm_path_name(real)) == 0 ? path : real, options);
        if (!flm_file_was_removed(rc, real)) break;
        printf("%s: was removed meanwhile\n", real);
    }
done:
    free(before);
    free(real);
    return rc;
}

flm_status flm_inspect_run(const char *path, const flm_inspect_options *options)
{
    flm_status rc = FLM_OK;
    struct stat st;

    if (stat(path, &st) != 0) FLM_FAIL(flm_status_from_errno(errno), "%s: %s", path, strerror(errno));
    FLM_TRY(S_ISDIR(st.st_mode) ? inspect_directory(path, options) : inspect_file(path, options));
done:
    return rc;
}
