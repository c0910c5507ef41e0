/* flm_inspect.c - what a file or folder of the suite is, and whether it is whole.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/base_options.h"
#include "base/base_path.h"
#include "inspect/inspect.h"
#include "io/io_schema.h"
#include "process/process.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static const char *const no_yes[] = {"no", "yes", NULL};

static const flm_option table[] = {
    {"verify", FLM_OPTION_CHOICE, offsetof(flm_inspect_options, verify), "yes", 0, 0, no_yes, "Inspection", "yes|no",
     "Read all data and hold them against their checksums", false},
    {"rows", FLM_OPTION_INT, offsetof(flm_inspect_options, rows), "0", 0, 1e9, NULL, "Inspection", "N",
     "Print the first N rows of tokens as text", false},
};

/* Whether a folder holds a name. */
static bool holds(const char *directory, const char *name)
{
    char path[FLM_PATH_BYTES];
    struct stat st;
    return snprintf(path, sizeof path, "%s/%s", directory, name) < (int)sizeof path && lstat(path, &st) == 0;
}

static flm_status inspect_directory(const char *path, const flm_inspect_options *options)
{
    flm_status rc = FLM_OK;
    char below[FLM_PATH_BYTES];

    if (holds(path, "index.h5")) {
        FLM_TRY(flm_inspect_shards(path, options));
    } else if (holds(path, "latest")) {
        FLM_TRY(flm_inspect_checkpoints(path, options));
    } else if (holds(path, "checkpoints") || holds(path, "config.ini")) {
        printf("%s: run directory\n", path);
        FLM_TRY(flm_path_join(below, path, "checkpoints"));
        if (holds(path, "checkpoints")) FLM_TRY(flm_inspect_checkpoints(below, options));
    } else {
        FLM_FAIL(
            FLM_E_FORMAT,
            "%s: is no folder of the suite's, or an unfinished one: it holds neither index.h5, latest, checkpoints "
            "nor config.ini",
            path);
    }
done:
    return rc;
}

static flm_status inspect_file(const char *path, const flm_inspect_options *options)
{
    flm_status rc = FLM_OK;
    const char *kind = NULL;
    char directory[FLM_PATH_BYTES];

    FLM_TRY(flm_schema_kind(path, &kind));
    if (strcmp(kind, "checkpoint") == 0) {
        FLM_TRY(flm_inspect_checkpoint(path, options));
    } else if (strcmp(kind, "samples") == 0) {
        FLM_TRY(flm_inspect_samples(path, options));
    } else if (strcmp(kind, "shard") == 0) {
        FLM_TRY(flm_inspect_shard(path, options));
    } else { /* an index speaks for its folder */
        FLM_TRY(flm_path_directory(directory, path));
        FLM_TRY(flm_inspect_shards(directory, options));
    }
done:
    return rc;
}

static flm_status inspect(const flm_options *words, const flm_inspect_options *options)
{
    flm_status rc = FLM_OK;
    struct stat st;
    int count;
    const char *const *paths = flm_options_positional(words, &count);

    if (count == 0) FLM_FAIL(FLM_E_USAGE, "name a file or a folder to inspect; see --help");
    for (int i = 0; i < count; i++) {
        if (stat(paths[i], &st) != 0) FLM_FAIL(flm_status_from_errno(errno), "%s: %s", paths[i], strerror(errno));
        FLM_TRY(S_ISDIR(st.st_mode) ? inspect_directory(paths[i], options) : inspect_file(paths[i], options));
    }
done:
    return rc;
}

int main(int argc, char **argv)
{
    flm_status rc = FLM_OK;
    flm_comm *world = NULL;
    flm_options *words = NULL;
    flm_inspect_options options = {0};
    bool stop = false, first;

    FLM_TRY(flm_process_init(&argc, &argv, &world));
    first = flm_comm_rank(world) == 0;
    FLM_TRY(flm_options_parse("flm_inspect", "Say what files of the suite are, and check them.", "FILE|DIRECTORY...",
                              table, sizeof table / sizeof table[0], argc, argv, &options, first, &stop, &words));
    if (!stop) FLM_TRY(flm_comm_agree(world, first ? inspect(words, &options) : FLM_OK)); /* one rank is enough */
done:
    flm_options_destroy(&words);
    return flm_process_finish(rc, &world);
}
