/* base_path.c - see base_path.h. SPDX-License-Identifier: Apache-2.0 */
#include "base/base_path.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

flm_status flm_path_format(char *path, const char *fmt, ...)
{
    va_list ap;
    int length;

    va_start(ap, fmt);
    length = vsnprintf(path, FLM_PATH_BYTES, fmt, ap);
    va_end(ap);
    if (length >= 0 && length < FLM_PATH_BYTES) return FLM_OK;
    return flm_err_raise(FLM_E_USAGE, __FILE__, __LINE__, "%.200s...: the path is too long (%d bytes, at most %d)",
                         path, length, FLM_PATH_BYTES - 1);
}

flm_status flm_path_join(char *path, const char *directory, const char *name)
{
    return flm_path_format(path, "%s/%s", directory, name);
}

flm_status flm_path_directory(char *directory, const char *path)
{
    const char *slash = strrchr(path, '/');

    if (!slash) return flm_path_format(directory, ".");
    return flm_path_format(directory, "%.*s", slash == path ? 1 : (int)(slash - path), path);
}

const char *flm_path_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}
