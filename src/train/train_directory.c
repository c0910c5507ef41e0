/* train_directory.c - creates the run directory and writes config.ini (train_internal.h). SPDX-License-Identifier:
 * Apache-2.0 */
#include "base/base_file.h"
#include "train/train_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static flm_status make_directory(const char *path)
{
    flm_status rc = FLM_OK;
    struct stat status;
    if (mkdir(path, 0777) == 0) return FLM_OK;
    if (errno != EEXIST) FLM_FAIL(flm_status_from_errno(errno), "%s: cannot be created: %s", path, strerror(errno));
    if (stat(path, &status) != 0 || !S_ISDIR(status.st_mode)) FLM_FAIL(FLM_E_MISSING, "%s: is not a directory", path);
    if (access(path, W_OK | X_OK) != 0)
        FLM_FAIL(flm_status_from_errno(errno), "%s: cannot be written to: %s", path, strerror(errno));
done:
    return rc;
}

/* mkdir -p. */
static flm_status make_directories(const char *path)
{
    flm_status rc = FLM_OK;
    char part[FLM_PATH_BYTES];
    snprintf(part, sizeof part, "%s", path);
    for (char *slash = strchr(part + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (access(part, F_OK) != 0) FLM_TRY(make_directory(part));
        *slash = '/';
    }
    FLM_TRY(make_directory(part));
done:
    return rc;
}

flm_status flm_run_make_directory(flm_run *run)
{
    flm_status rc = FLM_OK, local = FLM_OK;
    FLM_TRY(flm_path_join(run->checkpoints, run->o->out, "checkpoints"));
    FLM_TRY(flm_path_join(run->metrics_path, run->o->out, "metrics.jsonl"));
    FLM_TRY(flm_path_join(run->config_path, run->o->out, "config.ini"));
    if (flm_comm_rank(run->comm) == 0) local = make_directories(run->checkpoints);
    if (flm_comm_rank(run->comm) == 0 && local == FLM_OK && !run->o->eval_only)
        local = flm_lock_directory(run->o->out, &run->lock);
    FLM_TRY(flm_comm_agree(run->comm, local));
done:
    return rc;
}

static flm_status write_config(const flm_run *run)
{
    flm_status rc = FLM_OK;
    char *text = NULL;
    size_t bytes = 0;
    FILE *memory = open_memstream(&text, &bytes);
    const bool written = memory != NULL && flm_options_write(run->given, memory) == FLM_OK;
    if (memory == NULL || fclose(memory) != 0 || !written)
        FLM_FAIL(FLM_E_NOMEM, "%s: no memory for its text", run->config_path);
    FLM_TRY(flm_file_replace(run->config_path, text, bytes));
done:
    free(text);
    return rc;
}

flm_status flm_run_write_config(flm_run *run)
{
    return flm_comm_agree(run->comm, flm_comm_rank(run->comm) == 0 ? write_config(run) : FLM_OK);
}
