/* base_status.c - see base_status.h. SPDX-License-Identifier: Apache-2.0 */
#include "base/base_status.h"

#include <errno.h>
#include <stddef.h>

const char *flm_status_name(flm_status code)
{
    static const char *const names[] = {
        "FLM_OK",        "FLM_E_USAGE",       "FLM_E_ARG",      "FLM_E_SHAPE",    "FLM_E_UNSUPPORTED", "FLM_E_NOMEM",
        "FLM_E_IO",      "FLM_E_FORMAT",      "FLM_E_CHECKSUM", "FLM_E_MISMATCH", "FLM_E_MPI",         "FLM_E_DEVICE",
        "FLM_E_NUMERIC", "FLM_E_INTERRUPTED", "FLM_E_MISSING",  "FLM_E_LOCKED",
    };
    if (code < 0 || (size_t)code >= sizeof names / sizeof names[0]) return "unknown status";
    return names[code];
}

flm_status flm_status_from_errno(int error)
{
    switch (error) {
    case ENOENT:
    case ENOTDIR:
    case EISDIR:
    case ELOOP:
    case ENAMETOOLONG:
    case EACCES:
    case EPERM:
    case EROFS: return FLM_E_MISSING;
    case ENOMEM: return FLM_E_NOMEM;
    default: return FLM_E_IO;
    }
}
