/* base_err.h - the error idiom of the suite, and the trace of an error.
 *
 * A function that can fail returns flm_status and its results by out-parameters, which a failure leaves as they were.
 * The first failure sets the message, and every caller that passes it on adds a frame. Nothing here prints or ends the
 * process: flm_process_fail (process/process.h) alone does that. The trace is per thread.
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
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_BASE_ERR_H
#define FLM_BASE_ERR_H

#include "base/base_status.h"

/* flm_err_raise - start a new trace with a formatted message; returns code. Use FLM_FAIL. */
flm_status flm_err_raise(flm_status code, const char *file, int line, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* flm_err_frame - add a frame "file:line: what" to the trace; returns code. Use FLM_TRY. */
flm_status flm_err_frame(flm_status code, const char *what, const char *file, int line);

/* flm_err_prefix - put "what: " before the message of a failure, unless it begins with what already; returns code. */
flm_status flm_err_prefix(flm_status code, const char *what);

/* flm_err_message - the message of the first failure, without frames; "" if there is none. */
const char *flm_err_message(void);

/* flm_err_trace - the frames of the first failure, a line each; "" if there is none. */
const char *flm_err_trace(void);

/* flm_err_clear - forget the trace, for a caller that handles a failure itself. */
void flm_err_clear(void);

/* flm_err_set_remote - record that the failure is another rank's, which reports it: this rank prints nothing. */
void flm_err_set_remote(int failing_rank);

/* flm_err_get_remote - the rank that reports the failure, or -1 if this one does. */
int flm_err_get_remote(void);

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
