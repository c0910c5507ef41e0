/* run_probe.c - a program for run.t: it starts and ends like every program of the suite, and fails as --mode specifies.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/base_options.h"
#include "comm/comm_internal.h"
#include "process/process.h"
#include "process/process_affinity.h"
#include "process/process_guard.h"
#include "tests/ranks/mock_device.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

typedef enum probe_mode {
    PROBE_NOTHING,     /* end well */
    PROBE_FAIL_ONE,    /* --rank fails, the others sit in a barrier that never ends */
    PROBE_FAIL_ALL,    /* every rank fails by itself, without having agreed */
    PROBE_FAIL_AGREED, /* --rank fails, the ranks agree on it */
    PROBE_USAGE_ONE,   /* --rank alone finds its usage wrong, the ranks agree on it */
    PROBE_FRAMES,      /* an internal error: the frames are shown */
    PROBE_INTERRUPTED, /* wait for a signal, end as a program that saved its state */
    PROBE_RAISE,       /* the same, each rank sends itself --signal */
    PROBE_STATUS,      /* end with --status, without a message */
    PROBE_LATE,        /* --rank sleeps for 20 seconds, the others wait for it for one, in --wait */
    PROBE_DEVICE,      /* probe whether MPI sends the memory of a device that it cannot read */
    PROBE_STEP,        /* --rank hangs in a step with a deadline, the others wait for it */
    PROBE_BIND         /* bind to the cores of a GPU by the files in --root */
} probe_mode;

static const char *const modes[] = {"nothing", "fail-one",    "fail-all", "fail-agreed", "usage-one",
                                    "frames",  "interrupted", "raise",    "status",      "late",
                                    "probe",   "step",        "bind",     NULL};
static const char *const waits[] = {"barrier", "sum", "gather", NULL};

typedef struct probe_values {
    int mode, wait;
    int64_t rank, signal, status;
    const char *root;
} probe_values;

#define FLM_OPT_STRUCT probe_values
static const flm_option rows[] = {
    FLM_OPT_GROUP("Probe"),
    FLM_OPT_CHOICE("mode", mode, "nothing", modes, "What to do"),
    FLM_OPT_CHOICE("wait", wait, "barrier", waits, "With late: where"),
    FLM_OPT_INT("rank", rank, "0", "R", "The rank that fails", .max = 64),
    FLM_OPT_STRING("root", root, "/sys", "DIR", "With bind: in place of /sys"),
    FLM_OPT_INT("signal", signal, "15", "N", "Signal to raise", .min = 1, .max = 64),
    FLM_OPT_INT("status", status, "0", "N", "flm_status to end with", .max = 99),
};

static const flm_options_spec spec = {
    .program = "run_probe",
    .purpose = "End in the way given by --mode.",
    FLM_OPT_ROWS(rows),
};

/* At most 20 seconds: a test that waits in vain fails rather than hangs. */
static flm_status wait_for_signal(void)
{
    flm_status rc = FLM_OK;
    struct timespec tick = {0, 10000000};

    printf("waiting\n");
    fflush(stdout);
    for (int i = 0; i < 2000 && !flm_process_stop_requested(); i++) nanosleep(&tick, NULL);
    if (!flm_process_stop_requested()) FLM_FAIL(FLM_E_ARG, "no signal came");
    FLM_FAIL(FLM_E_INTERRUPTED, "asked to stop; the state is saved");
done:
    return rc;
}

static flm_status sync_nothing(flm_backend *be)
{
    (void)be;
    return FLM_OK;
}

static flm_status wait_for_late(const probe_values *values, flm_comm *world)
{
    static const flm_stream stream = {.sync = sync_nothing};
    static float x[1 << 20]; /* more than a message that MPI sends before it is received */
    flm_status rc = FLM_OK;
    flm_backend host = {.name = "host", .stream = &stream, .host_memory = true};
    flm_comm_request *request = NULL;

    FLM_TRY(flm_comm_barrier(world));
    flm_comm_configure(world, &(flm_comm_settings){.timeout = 0.5});
    if (flm_comm_rank(world) == values->rank) nanosleep(&(struct timespec){20, 0}, NULL);
    if (values->wait == 0) FLM_TRY(flm_comm_barrier(world));
    if (values->wait == 1) FLM_TRY(flm_comm_sum_f32_begin(world, &host, x, 1 << 20, &request));
    if (values->wait == 2)
        FLM_TRY(flm_comm_all_gather_begin(world, &host, x, FLM_DTYPE_F32, (1 << 20) / flm_comm_size(world), &request));
    FLM_TRY(flm_comm_wait(world, &request));
done:
    return rc;
}

static flm_status hang_in_step(const probe_values *values, flm_comm *world)
{
    flm_status rc = FLM_OK;
    flm_guard *guard = NULL;
    FLM_TRY(flm_guard_start(world, 0.5, &guard));
    for (int64_t step = 1; step < 3; step++) { /* more than half a second between steps is no matter */
        flm_guard_begin(guard, step);
        flm_guard_end(guard);
        nanosleep(&(struct timespec){0, 700000000}, NULL);
    }
    flm_guard_begin(guard, 7);
    if (flm_comm_rank(world) == values->rank) nanosleep(&(struct timespec){30, 0}, NULL);
    FLM_TRY(flm_comm_barrier(world));
done:
    flm_guard_stop(&guard);
    return rc;
}

static flm_status act(const probe_values *values, flm_comm *world)
{
    flm_status rc = FLM_OK, local = FLM_OK;
    char line[256];
    bool works = false, chosen = flm_comm_rank(world) == values->rank;

    switch ((probe_mode)values->mode) {
    case PROBE_NOTHING:
        if (flm_process_stop_requested()) FLM_FAIL(FLM_E_ARG, "asked to stop before any signal");
        printf("ended well\n");
        break;
    case PROBE_FAIL_ONE:
        if (chosen) FLM_FAIL(FLM_E_IO, "the disk is full");
        FLM_TRY(flm_comm_barrier(world));
        break;
    case PROBE_FAIL_ALL: FLM_FAIL(FLM_E_IO, "the disk is full");
    case PROBE_FAIL_AGREED:
    case PROBE_USAGE_ONE:
        if (chosen)
            local = flm_err_raise(values->mode == PROBE_USAGE_ONE ? FLM_E_USAGE : FLM_E_FORMAT, __FILE__, __LINE__,
                                  "only this rank knows");
        FLM_TRY(flm_comm_agree(world, local));
        break;
    case PROBE_FRAMES: FLM_FAIL(FLM_E_SHAPE, "x is [2], y is [3]");
    case PROBE_RAISE:
        if (raise((int)values->signal) != 0) FLM_FAIL(FLM_E_ARG, "cannot raise signal %d", (int)values->signal);
        FLM_TRY(wait_for_signal());
        break;
    case PROBE_INTERRUPTED: FLM_TRY(wait_for_signal()); break;
    case PROBE_LATE: FLM_TRY(wait_for_late(values, world)); break;
    case PROBE_DEVICE: FLM_TRY(flm_comm_probe_device(world, mock_open(), &works)); break;
    case PROBE_STEP: FLM_TRY(hang_in_step(values, world)); break;
    case PROBE_BIND:
        FLM_TRY(flm_affinity_bind(values->root, "0000:1B:00.0", line, sizeof line));
        printf("%s\n", line);
        break;
    case PROBE_STATUS: return (flm_status)values->status;
    }
done:
    return rc;
}

int main(int argc, char **argv)
{
    flm_status rc = FLM_OK;
    flm_comm *world = NULL;
    flm_options *options = NULL;
    probe_values values = {0};
    bool stop = false;

    FLM_TRY(flm_process_init(&argc, &argv, &world));
    FLM_TRY(flm_options_parse(&spec, argc, argv, &values, flm_comm_rank(world) == 0, &stop, &options));
    if (!stop) FLM_TRY(act(&values, world));
done:
    flm_options_destroy(&options);
    return flm_process_finish(rc, &world);
}
