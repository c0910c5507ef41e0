/* base_err.c - see base_err.h and base_status.h. Fixed buffers: reporting an error must not allocate.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/base_err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { MESSAGE_BYTES = 1536, TRACE_BYTES = 6144 };

static _Thread_local char message[MESSAGE_BYTES];
static _Thread_local char trace[TRACE_BYTES];
static _Thread_local int remote_rank = -1;

static void trace_append(const char *text, const char *file, int line)
{
    const char *base = strrchr(file, '/');
    size_t used = strlen(trace);
    snprintf(trace + used, sizeof trace - used, "  at %s:%d: %s\n", base ? base + 1 : file, line, text);
}

flm_status flm_err_raise(flm_status code, const char *file, int line, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(message, sizeof message, fmt, ap);
    va_end(ap);
    remote_rank = -1;
    trace[0] = '\0';
    trace_append(flm_status_name(code), file, line);
    return code;
}

flm_status flm_err_frame(flm_status code, const char *what, const char *file, int line)
{
    if (code != FLM_OK) trace_append(what, file, line);
    return code;
}

const char *flm_err_message(void) { return message; }
const char *flm_err_trace(void) { return trace; }

void flm_err_clear(void)
{
    message[0] = trace[0] = '\0';
    remote_rank = -1;
}

void flm_err_set_remote(int failing_rank) { remote_rank = failing_rank; }
int flm_err_get_remote(void) { return remote_rank; }

flm_status flm_err_prefix(flm_status code, const char *what)
{
    char text[MESSAGE_BYTES];

    if (code == FLM_OK || strncmp(flm_err_message(), what, strlen(what)) == 0) return code;
    snprintf(text, sizeof text, "%s", flm_err_message());
    return flm_err_raise(code, __FILE__, __LINE__, "%s: %s", what, text);
}

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
