/* base_status.h - the status codes that functions return. A function whose header lists FLM_E_IO may also return
 * FLM_E_MISSING or FLM_E_NOMEM: flm_status_from_errno decides. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_BASE_STATUS_H
#define FLM_BASE_STATUS_H

typedef enum flm_status {
    FLM_OK = 0,
    FLM_E_USAGE = 1,       /* bad option or configuration, the same on every rank; rank 0 reports it */
    FLM_E_ARG = 2,         /* an argument outside its documented range: an internal error */
    FLM_E_SHAPE = 3,       /* tensor shapes that do not match: an internal error */
    FLM_E_UNSUPPORTED = 4, /* the device or this build cannot do it: no such op, dtype, shape, GPU, compression */
    FLM_E_NOMEM = 5,
    FLM_E_IO = 6,       /* the operating system failed to read or write: disk full, quota, I/O error */
    FLM_E_FORMAT = 7,   /* a file with other content than expected, truncated, or with an unsupported feature */
    FLM_E_CHECKSUM = 8, /* a file whose bytes changed */
    FLM_E_MISMATCH = 9, /* files or options that do not match each other */
    FLM_E_MPI = 10,
    FLM_E_DEVICE = 11,      /* a device or its library failed */
    FLM_E_NUMERIC = 12,     /* not finite, not positive definite */
    FLM_E_INTERRUPTED = 13, /* stopped by a signal; the state is saved */
    FLM_E_MISSING = 14,     /* a file or directory that is missing or not accessible */
    FLM_E_LOCKED = 15       /* another job writes there */
} flm_status;

/* flm_status_name - the code's name ("FLM_E_IO"), for messages. Never NULL. */
const char *flm_status_name(flm_status code);

/* flm_status_from_errno - the status of a system call that failed with `error`: FLM_E_MISSING (no such file, no
 * permission), FLM_E_NOMEM, else FLM_E_IO. */
flm_status flm_status_from_errno(int error);

#endif
