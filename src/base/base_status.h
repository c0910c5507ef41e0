/* base_status.h - status codes and the error trace.
 *
 * Owns the one error idiom of the suite: a function that can fail returns flm_status, results travel by
 * out-parameter, and the first failure leaves a message followed by one frame for every caller that passed it on.
 * Refuses to print or to end the process: flm_process_fail (process/process.h) alone does that.
 * The trace is per thread.
 *
 *     flm_status f(int n, thing **out)
 *     {
 *         flm_status rc = FLM_OK;
 *         thing *t = NULL;
 *         if (n < 0) FLM_FAIL(FLM_E_ARG, "f: n is %d, must not be negative", n);
 *         FLM_TRY(thing_create(n, &t));
 *         *out = t; t = NULL;
 *     done:
 *         thing_destroy(&t);
 *         return rc;
 *     }
 *
 * A function whose header lists FLM_E_IO may also return FLM_E_MISSING or FLM_E_NOMEM: flm_status_from_errno decides.
 * SPDX-License-Identifier: Apache-2.0 */
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
    FLM_E_MISSING = 14,     /* a file or directory that is missing or may not be opened */
    FLM_E_LOCKED = 15       /* another job writes there */
} flm_status;

/* flm_status_name - the code's name ("FLM_E_IO"), for messages. Never NULL. */
const char *flm_status_name(flm_status code);

/* flm_status_from_errno - the status of a system call that failed with `error`: FLM_E_MISSING (no such file, no
 * permission), FLM_E_NOMEM, else FLM_E_IO. */
flm_status flm_status_from_errno(int error);

/* flm_err_raise - start a new trace with a formatted message; returns code. Use FLM_FAIL. */
flm_status flm_err_raise(flm_status code, const char *file, int line, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* flm_err_frame - add a frame "file:line: what" to the trace; returns code. Use FLM_TRY. */
flm_status flm_err_frame(flm_status code, const char *what, const char *file, int line);

/* flm_err_prefix - put "what: " before the message of a failure that does not begin with it yet; returns code. */
flm_status flm_err_prefix(flm_status code, const char *what);

/* flm_err_message - the message of the first failure, without frames; "" when there is none. */
const char *flm_err_message(void);

/* flm_err_trace - the message and every frame, a line each; "" when there is none. */
const char *flm_err_trace(void);

/* flm_err_clear - forget the trace, for a caller that handles a failure itself. */
void flm_err_clear(void);

/* flm_err_set_remote - the failure is another rank's, which will speak; this rank stays silent. */
void flm_err_set_remote(int failing_rank);

/* flm_err_remote - the rank that will speak, or -1 when this rank does. */
int flm_err_remote(void);

#define FLM_TRY(call)                                     \
    do {                                                  \
        rc = (call);                                      \
        if (rc != FLM_OK) {                               \
            flm_err_frame(rc, #call, __FILE__, __LINE__); \
            goto done;                                    \
        }                                                 \
    } while (0)

#define FLM_FAIL(code, ...)                                          \
    do {                                                             \
        rc = flm_err_raise((code), __FILE__, __LINE__, __VA_ARGS__); \
        goto done;                                                   \
    } while (0)

#endif
