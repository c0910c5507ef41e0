/* status.c - the error trace: first message, frames in order, remote failures, no overflow.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/base_err.h"
#include "tests/tap.h"

#include <pthread.h>
#include <string.h>

static int released;

static flm_status inner(int code)
{
    flm_status rc = FLM_OK;

    if (code) FLM_FAIL((flm_status)code, "inner said %d of %s", code, "this");
done:
    released++;
    return rc;
}

static flm_status outer(int code)
{
    flm_status rc = FLM_OK;

    FLM_TRY(inner(code));
    FLM_TRY(inner(0));
done:
    released++;
    return rc;
}

static flm_status deep(int depth)
{
    flm_status rc = FLM_OK;

    if (depth == 0) FLM_FAIL(FLM_E_ARG, "the bottom");
    FLM_TRY(deep(depth - 1));
done:
    return rc;
}

static void *other_thread(void *argument)
{
    *(int *)argument = flm_err_message()[0] == '\0' && inner(FLM_E_NUMERIC) == FLM_E_NUMERIC;
    return NULL;
}

static void test_trace(void)
{
    const char *inner_at, *outer_at;

    tap_ok(outer(0) == FLM_OK && released == 3 && flm_err_message()[0] == '\0' && flm_err_trace()[0] == '\0',
           "no failure, no message");
    released = 0;
    tap_ok(outer(FLM_E_IO) == FLM_E_IO && released == 2, "the code travels up, everything is released once");
    tap_ok(strcmp(flm_err_message(), "inner said 6 of this") == 0, "the message is the first failure's: %s",
           flm_err_message());
    inner_at = strstr(flm_err_trace(), "status.c:");
    outer_at = strstr(flm_err_trace(), "inner(code)");
    tap_ok(inner_at && outer_at && inner_at < outer_at && strstr(inner_at, "FLM_E_IO") < outer_at,
           "frames stand in order, with file and line");
    tap_ok(!strchr(flm_err_trace(), '/'), "a frame names the file without its folder");
    tap_ok(inner(FLM_E_SHAPE) == FLM_E_SHAPE && strstr(flm_err_trace(), "FLM_E_IO") == NULL,
           "a new failure begins a new trace");
    flm_err_clear();
    tap_ok(flm_err_message()[0] == '\0' && flm_err_trace()[0] == '\0', "cleared");
}

static void test_bounds(void)
{
    static char text[8000];

    memset(text, 'x', sizeof text - 1);
    tap_ok(flm_err_raise(FLM_E_IO, "f.c", 1, "%s", text) == FLM_E_IO && strlen(flm_err_message()) > 1000 &&
               strlen(flm_err_message()) < sizeof text - 1,
           "a long message is cut, not overrun: %zu characters", strlen(flm_err_message()));
    tap_ok(deep(1000) == FLM_E_ARG && strlen(flm_err_trace()) < 8192 && strcmp(flm_err_message(), "the bottom") == 0,
           "a thousand frames are cut, not overrun");
}

static void test_remote(void)
{
    flm_err_clear();
    tap_ok(flm_err_get_remote() == -1, "nobody else speaks at first");
    flm_err_set_remote(3);
    tap_ok(flm_err_get_remote() == 3, "another rank's failure is remembered");
    inner(FLM_E_IO);
    tap_ok(flm_err_get_remote() == -1, "a failure of one's own is one's own");
}

static void test_names(void)
{
    int distinct = 1;

    for (int a = FLM_OK; a <= FLM_E_INTERRUPTED; a++) {
        const char *name = flm_status_name((flm_status)a);
        distinct &= strncmp(name, a ? "FLM_E_" : "FLM_OK", 6) == 0;
        for (int b = FLM_OK; b < a; b++) distinct &= strcmp(name, flm_status_name((flm_status)b)) != 0;
    }
    tap_ok(distinct, "every code has its own name");
    tap_ok(strcmp(flm_status_name(FLM_E_INTERRUPTED), "FLM_E_INTERRUPTED") == 0, "the last name is the last code's");
    tap_ok(flm_status_name((flm_status)99) != NULL && flm_status_name((flm_status)-1) != NULL,
           "a number that is no code has a name too");
}

int main(void)
{
    pthread_t thread;
    int own = 0;

    test_trace();
    test_bounds();
    test_remote();
    test_names();
    inner(FLM_E_IO);
    if (pthread_create(&thread, NULL, other_thread, &own) == 0) pthread_join(thread, NULL);
    tap_ok(own && strcmp(flm_err_message(), "inner said 6 of this") == 0, "each thread has its own trace");
    return tap_end();
}
