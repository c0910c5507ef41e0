/* text_files.c - reading vocabulary files, and finding the shipped ones: beside the program, where an installation that
 * was moved has them (FLM_DATA_RELATIVE, from bindir), then in the folders of FLM_DATA_PATH; both are compiled in
 * (src/text/local.mk). FLM_DATA_DIR in the environment replaces them. SPDX-License-Identifier: Apache-2.0 */
#include "base/base_file.h"
#include "base/base_path.h"
#include "base/base_sha256.h"
#include "text/text_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { FILE_MAX = 256 << 20 };

static flm_status read_file(const char *path, char **data, size_t *bytes)
{
    return flm_file_read(path, FILE_MAX, data, bytes);
}

/* The file's path in the first folder of the list at *folders, which moves to the next one; false at its end. */
static bool next_path(const char **folders, const char *name, char *path)
{
    size_t length = strcspn(*folders, ":");
    int n;

    if (length == 0) return false;
    n = snprintf(path, FLM_PATH_BYTES, "%.*s/vocabularies/%s", (int)length, *folders, name);
    *folders += length + ((*folders)[length] == ':');
    return n > 0 && n < FLM_PATH_BYTES;
}

/* The file's path beside the running program; false where that cannot be told, as /proc is missing. */
static bool beside_path(const char *name, char *path)
{
    char program[FLM_PATH_BYTES], directory[FLM_PATH_BYTES];
    const ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);

    if (length <= 0) return false;
    program[length] = '\0';
    if (flm_path_directory(directory, program) == FLM_OK &&
        flm_path_format(path, "%s/%s/vocabularies/%s", directory, FLM_DATA_RELATIVE, name) == FLM_OK)
        return true;
    flm_err_clear();
    return false;
}

static flm_status read_shipped(const flm_text_shipped *shipped, char **data, size_t *bytes)
{
    flm_status rc = FLM_OK;
    const char *chosen = getenv("FLM_DATA_DIR"), *folders = FLM_DATA_PATH;
    char path[FLM_PATH_BYTES], digest[FLM_SHA256_BYTES], *all = NULL;
    size_t size = 0;
    bool found = false;

    if (chosen && chosen[0]) {
        FLM_TRY(flm_path_format(path, "%s/vocabularies/%s", chosen, shipped->name));
        found = true; /* no other folder is tried: the user asked for this one */
    } else {
        found = beside_path(shipped->name, path) && access(path, F_OK) == 0;
        while (!found && next_path(&folders, shipped->name, path)) found = access(path, F_OK) == 0;
    }
    if (!found)
        FLM_FAIL(FLM_E_MISSING, "vocabularies/%s: not found in %s; set FLM_DATA_DIR to the folder that contains it",
                 shipped->name, chosen && chosen[0] ? chosen : FLM_DATA_PATH);
    FLM_TRY(read_file(path, &all, &size));
    FLM_TRY(flm_sha256_digest(all, size, digest));
    if (strcmp(digest, shipped->sha256) != 0)
        FLM_FAIL(FLM_E_CHECKSUM, "%s: SHA-256 mismatch: found %s, expected %s, that of the published file", path,
                 digest, shipped->sha256);
    *data = all;
    *bytes = size;
    all = NULL;
done:
    free(all);
    return rc;
}

flm_status flm_text_read_vocabulary(const char *path, const flm_text_shipped *shipped, char **data, size_t *bytes)
{
    return path ? read_file(path, data, bytes) : read_shipped(shipped, data, bytes);
}

flm_status flm_text_check_utf8(const char *path, const char *text, size_t bytes)
{
    flm_status rc = FLM_OK;
    const size_t valid = flm_utf8_valid(text, bytes);

    if (valid < bytes) FLM_FAIL(FLM_E_FORMAT, "%s: not UTF-8 at byte %zu", path, valid);
done:
    return rc;
}

const char *flm_text_next_line(const char **p, const char *end, size_t *length)
{
    const char *line = *p, *stop = memchr(line, '\n', (size_t)(end - line));

    *p = stop ? stop + 1 : end;
    if (!stop) stop = end;
    if (stop > line && stop[-1] == '\r') stop--;
    *length = (size_t)(stop - line);
    return line;
}
