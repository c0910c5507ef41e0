/* path.c - paths joined, cut into directory and name, and refused when they are too long.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/base_path.h"
#include "tests/tap.h"

#include <string.h>

static void directory_is(const char *path, const char *directory, const char *name)
{
    char found[FLM_PATH_BYTES] = "";
    tap_ok(flm_path_directory(found, path) == FLM_OK && strcmp(found, directory) == 0, "directory of %s: %s", path,
           found);
    tap_ok(strcmp(flm_path_name(path), name) == 0, "name of %s: %s", path, flm_path_name(path));
}

int main(void)
{
    char path[FLM_PATH_BYTES] = "", longest[FLM_PATH_BYTES];

    tap_ok(flm_path_join(path, "runs/one", "config.ini") == FLM_OK && strcmp(path, "runs/one/config.ini") == 0,
           "joined: %s", path);
    tap_ok(flm_path_format(path, "%s/%08d.h5", "d", 7) == FLM_OK && strcmp(path, "d/00000007.h5") == 0, "formatted: %s",
           path);
    directory_is("a/b/c.h5", "a/b", "c.h5");
    directory_is("/c.h5", "/", "c.h5");
    directory_is("c.h5", ".", "c.h5");

    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    tap_ok(flm_path_format(path, "%s", longest) == FLM_OK && strcmp(path, longest) == 0, "%zu bytes fit",
           strlen(longest));
    tap_ok(flm_path_format(path, "%s.", longest) == FLM_E_USAGE, "one byte more is refused: %s", flm_err_message());
    tap_ok(strstr(flm_err_message(), "4096 bytes, at most 4095") != NULL, "with both lengths");
    tap_ok(flm_path_join(path, longest, "x") == FLM_E_USAGE, "so is a name that makes it too long");
    return tap_end();
}
