/* io_checkpoint_directory.c - the names in a checkpoint directory: listing, publishing, removing, and the checkpoint
 * that a path names. Does not touch files with other names. SPDX-License-Identifier: Apache-2.0 */
#include "base/base_file.h"
#include "base/base_log.h"
#include "io/io_checkpoint_internal.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ATTEMPTS = 20 }; /* to open a checkpoint that a run may remove meanwhile */

static const char LATEST[] = "latest", LATEST_TEMPORARY[] = ".latest.tmp";

void flm_checkpoint_file_name(int64_t step, char name[FLM_CHECKPOINT_NAME_BYTES])
{
    snprintf(name, FLM_CHECKPOINT_NAME_BYTES, "step-%08" PRId64 ".h5", step);
}

void flm_checkpoint_temporary_name(int64_t step, char name[FLM_CHECKPOINT_NAME_BYTES])
{
    snprintf(name, FLM_CHECKPOINT_NAME_BYTES, ".step-%08" PRId64 ".h5.tmp", step);
}

/* The step of exactly such a name, or -1. */
static int64_t step_of(const char *name)
{
    char again[FLM_CHECKPOINT_NAME_BYTES];
    size_t digits;
    int64_t step;

    if (strncmp(name, "step-", 5) != 0) return -1;
    digits = strspn(name + 5, "0123456789");
    if (digits < 8 || digits > 16) return -1;
    step = strtoll(name + 5, NULL, 10);
    flm_checkpoint_file_name(step, again);
    return strcmp(name, again) == 0 ? step : -1;
}

static int by_step(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

flm_status flm_checkpoint_list(const char *directory, int64_t **steps, int *count)
{
    flm_status rc = FLM_OK;
    int64_t *list = NULL, *grown;
    int n = 0;
    DIR *dir = opendir(directory);
    const struct dirent *entry;

    if (!dir && errno != ENOENT)
        FLM_FAIL(flm_status_from_errno(errno), "%s: cannot be listed: %s", directory, strerror(errno));
    while (dir && (errno = 0, entry = readdir(dir))) {
        int64_t step = step_of(entry->d_name);
        if (step < 0) continue;
        grown = realloc(list, (size_t)(n + 1) * sizeof *list);
        if (!grown) FLM_FAIL(FLM_E_NOMEM, "%s: no memory to list it", directory);
        list = grown;
        list[n++] = step;
    }
    if (dir && errno != 0)
        FLM_FAIL(flm_status_from_errno(errno), "%s: cannot be listed: %s", directory, strerror(errno));
    if (n > 0) qsort(list, (size_t)n, sizeof *list, by_step);
    *steps = list;
    *count = n;
    list = NULL;
done:
    free(list);
    if (dir) closedir(dir);
    return rc;
}

int64_t flm_checkpoint_read_latest(const char *directory)
{
    char path[FLM_PATH_BYTES], target[FLM_CHECKPOINT_NAME_BYTES + 1];
    ssize_t length;

    if (snprintf(path, sizeof path, "%s/%s", directory, LATEST) >= (int)sizeof path) return -1;
    length = readlink(path, target, sizeof target - 1);
    if (length < 0) return -1;
    target[length] = '\0';
    return step_of(target);
}

/* Remove one name of a directory; a failure is a warning, as a leftover file costs only space. */
static void remove_name(const char *directory, const char *name)
{
    char path[FLM_PATH_BYTES];

    if (snprintf(path, sizeof path, "%s/%s", directory, name) >= (int)sizeof path) return;
    if (unlink(path) != 0 && errno != ENOENT) flm_log(FLM_LOG_WARN, "%s: cannot be removed: %s", path, strerror(errno));
}

void flm_checkpoint_sweep(const char *directory)
{
    DIR *dir = opendir(directory);
    const struct dirent *entry;

    while (dir && (entry = readdir(dir))) {
        const char *name = entry->d_name;
        size_t length = strlen(name);
        if (strcmp(name, LATEST_TEMPORARY) == 0 ||
            (length > 10 && strncmp(name, ".step-", 6) == 0 && strcmp(name + length - 7, ".h5.tmp") == 0))
            remove_name(directory, name);
    }
    if (dir) closedir(dir);
}

flm_status flm_checkpoint_publish(const char *directory, int64_t step)
{
    flm_status rc = FLM_OK;
    char name[FLM_CHECKPOINT_NAME_BYTES], temporary[FLM_CHECKPOINT_NAME_BYTES];
    char from[FLM_PATH_BYTES], to[FLM_PATH_BYTES], link[FLM_PATH_BYTES], latest[FLM_PATH_BYTES];

    flm_checkpoint_file_name(step, name);
    flm_checkpoint_temporary_name(step, temporary);
    FLM_TRY(flm_path_join(from, directory, temporary));
    FLM_TRY(flm_path_join(to, directory, name));
    FLM_TRY(flm_path_join(link, directory, LATEST_TEMPORARY));
    FLM_TRY(flm_path_join(latest, directory, LATEST));
    if (symlink(name, link) != 0)
        FLM_FAIL(flm_status_from_errno(errno), "%s: cannot be created: %s", link, strerror(errno));
    FLM_TRY(flm_file_rename(from, to));
    FLM_TRY(flm_file_sync_directory(directory)); /* the file has its name on disk before `latest` points to it */
    FLM_TRY(flm_file_rename(link, latest));
    FLM_TRY(flm_file_sync_directory(directory));
done:
    if (rc != FLM_OK) remove_name(directory, LATEST_TEMPORARY);
    return rc;
}

void flm_checkpoint_prune(const char *directory, int64_t step, int keep)
{
    int64_t *steps = NULL;
    int count = 0, over;
    char name[FLM_CHECKPOINT_NAME_BYTES];

    if (keep <= 0) return;
    if (flm_checkpoint_list(directory, &steps, &count) != FLM_OK) {
        flm_log(FLM_LOG_WARN, "old checkpoints are kept: %s", flm_err_message());
        flm_err_clear();
        return;
    }
    over = count - keep;
    for (int i = count - 1; i >= 0 && over > 0 && steps[i] > step; i--, over--) {
        flm_checkpoint_file_name(steps[i], name);
        remove_name(directory, name);
    }
    for (int i = 0; i < count && over > 0 && steps[i] < step; i++, over--) {
        flm_checkpoint_file_name(steps[i], name);
        remove_name(directory, name);
    }
    free(steps);
}

flm_status flm_checkpoint_find(const char *given, char *path)
{
    static const char *const inside[] = {"", "/checkpoints/latest", "/latest"};
    flm_status rc = FLM_OK;
    struct stat status;
    char *real = NULL, tried[FLM_PATH_BYTES];

    if (stat(given, &status) != 0)
        FLM_FAIL(flm_status_from_errno(errno), "%s: cannot be opened: %s", given, strerror(errno));
    for (size_t i = S_ISDIR(status.st_mode) ? 1 : 0; i < sizeof inside / sizeof inside[0] && !real; i++) {
        FLM_TRY(flm_path_format(tried, "%s%s", given, inside[i]));
        /* a run may remove the file that the link named between the steps of realpath: the link names another by then
         */
        for (int attempt = 0; !real && attempt < ATTEMPTS; attempt++) real = realpath(tried, NULL);
        if (!real && (errno != ENOENT || lstat(tried, &status) == 0))
            FLM_FAIL(flm_status_from_errno(errno == 0 ? ENOENT : errno), "%s: cannot be opened: %s", tried,
                     strerror(errno == 0 ? ENOENT : errno));
    }
    if (!real)
        FLM_FAIL(FLM_E_FORMAT, "%s: the directory has no checkpoint (neither checkpoints/latest nor latest)", given);
    if (snprintf(path, FLM_CHECKPOINT_PATH_BYTES, "%s", real) >= FLM_CHECKPOINT_PATH_BYTES)
        FLM_FAIL(FLM_E_MISSING, "%.200s...: the path is too long", real);
done:
    free(real);
    return rc;
}

static bool is_name_of_run(const char *path)
{
    char directory[FLM_PATH_BYTES];
    const char *name = flm_path_name(path);
    struct stat status;
    bool named = strcmp(name, LATEST) == 0 || step_of(name) >= 0;

    if (named && flm_path_directory(directory, path) == FLM_OK) {
        char latest[FLM_PATH_BYTES];
        named = flm_path_join(latest, directory, LATEST) == FLM_OK && lstat(latest, &status) == 0;
    }
    flm_err_clear();
    return named;
}

bool flm_checkpoint_is_of_run(const char *path)
{
    char *real = realpath(path, NULL);
    const bool owned = is_name_of_run(path) || (real && is_name_of_run(real));
    free(real);
    return owned;
}

flm_status flm_checkpoint_find_collective(flm_comm *comm, const char *given, char *path)
{
    flm_status rc = FLM_OK;
    FLM_TRY(flm_comm_agree(comm, flm_comm_rank(comm) == 0 ? flm_checkpoint_find(given, path) : FLM_OK));
    FLM_TRY(flm_comm_broadcast(comm, path, FLM_CHECKPOINT_PATH_BYTES, 0));
done:
    return rc;
}

flm_status flm_checkpoint_open_found(const char *given, char *path, flm_checkpoint **out)
{
    flm_status rc = FLM_OK;
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
        flm_err_clear();
        FLM_TRY(flm_checkpoint_find(given, path));
        rc = flm_checkpoint_open(path, out);
        if (!flm_file_was_removed(rc, path)) break;
    }
done:
    return rc;
}

flm_status flm_checkpoint_open_collective(flm_comm *comm, const char *given, char *path, flm_checkpoint **out)
{
    flm_status rc = FLM_OK, local = FLM_OK;
    flm_checkpoint *opened = NULL;
    int64_t removed = 1;
    for (int attempt = 0; removed && attempt < ATTEMPTS; attempt++) {
        flm_err_clear();
        flm_checkpoint_close(&opened);
        FLM_TRY(flm_checkpoint_find_collective(comm, given, path));
        local = flm_checkpoint_open(path, &opened);
        removed = flm_file_was_removed(local, path);
        FLM_TRY(flm_comm_max_i64(comm, &removed, 1));
    }
    FLM_TRY(flm_comm_agree(comm, local));
    *out = opened;
    opened = NULL;
done:
    flm_checkpoint_close(&opened);
    return rc;
}
