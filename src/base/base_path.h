/* base_path.h - names of files built from parts, in buffers of FLM_PATH_BYTES, and what such names consist of.
 * A path that does not fit is a usage error: all paths come from options. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_BASE_PATH_H
#define FLM_BASE_PATH_H

#include "base/base_err.h"

enum { FLM_PATH_BYTES = 4096 }; /* Linux's PATH_MAX, the final NUL included */

/* flm_path_join - "directory/name" into path [FLM_PATH_BYTES]. Errors: FLM_E_USAGE (too long). */
flm_status flm_path_join(char *path, const char *directory, const char *name);

/* flm_path_format - a path [FLM_PATH_BYTES] as printf makes it. Aliasing: no argument may be path itself.
 * Errors: FLM_E_USAGE (too long). */
flm_status flm_path_format(char *path, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* flm_path_directory - the directory of a file into directory [FLM_PATH_BYTES]: what precedes the last slash, "/" for a
 * file of the root, "." for a name alone. Errors: FLM_E_USAGE (too long). */
flm_status flm_path_directory(char *directory, const char *path);

/* flm_path_name - the part of a path after its last slash. Points into path. */
const char *flm_path_name(const char *path);

#endif
