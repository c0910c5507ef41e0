/* process.c - see process.h.
 *
 * A failing job prints one message. A rank that knows of another rank's failure (flm_err_get_remote) prints nothing.
 * Ranks that fail independently wait in turn, by rank: the first to report ends the job, and the launcher's SIGTERM
 * reaches the others while they wait. SPDX-License-Identifier: Apache-2.0 */
#include "config.h" /* first: program_invocation_short_name is a GNU extension */

#include "process/process.h"

#include "base/base_clock.h"
#include "base/base_log.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Milliseconds: polling interval; delay of rank 1's report, and the increment for each rank after it, up to rank
 * TURNS; timeout for the other ranks; time for the launcher to read a message before the job ends, as MPICH's drops
 * what it has not read. */
enum { POLL_MS = 5, FIRST_TURN_MS = 250, TURN_MS = 50, TURNS = 40, TIMEOUT_MS = 10000, READ_MS = 100 };

/* The signals that ask a program to stop are blocked in the main thread and in those that it starts, and collected by
 * polling: a handler could run there while oneDNN's kernels have the stack pointer in heap memory, and its frame would
 * overwrite what lies below. Threads that libraries start before main (OpenBLAS) do not block them and never run those
 * kernels: for them there is a handler. */
static sigset_t stop_signals;
static atomic_int signals_seen;

flm_exit_code flm_process_exit_code(flm_status rc)
{
    static const flm_exit_code codes[] = {
        [FLM_OK] = FLM_EXIT_OK,
        [FLM_E_USAGE] = FLM_EXIT_USAGE,
        [FLM_E_ARG] = FLM_EXIT_INTERNAL,
        [FLM_E_SHAPE] = FLM_EXIT_INTERNAL,
        [FLM_E_UNSUPPORTED] = FLM_EXIT_UNAVAILABLE,
        [FLM_E_NOMEM] = FLM_EXIT_MEMORY,
        [FLM_E_IO] = FLM_EXIT_IO,
        [FLM_E_FORMAT] = FLM_EXIT_INPUT,
        [FLM_E_CHECKSUM] = FLM_EXIT_INPUT,
        [FLM_E_MISMATCH] = FLM_EXIT_INPUT,
        [FLM_E_MPI] = FLM_EXIT_UNAVAILABLE,
        [FLM_E_DEVICE] = FLM_EXIT_UNAVAILABLE,
        [FLM_E_NUMERIC] = FLM_EXIT_NUMERIC,
        [FLM_E_INTERRUPTED] = FLM_EXIT_INTERRUPTED,
        [FLM_E_MISSING] = FLM_EXIT_MISSING,
        [FLM_E_LOCKED] = FLM_EXIT_LOCKED,
    };
    return (size_t)rc < sizeof codes / sizeof codes[0] ? codes[rc] : FLM_EXIT_INTERNAL;
}

static void count_signal(int number)
{
    (void)number;
    atomic_fetch_add(&signals_seen, 1);
}

static void collect_signals(void)
{
    const struct timespec no_wait = {0};
    while (sigtimedwait(&stop_signals, NULL, &no_wait) > 0) atomic_fetch_add(&signals_seen, 1);
}

static flm_status handle_signals(void)
{
    flm_status rc = FLM_OK;
    const struct sigaction count = {.sa_handler = count_signal, .sa_flags = SA_RESTART};
    if (sigaction(SIGTERM, &count, NULL) != 0 || sigaction(SIGUSR1, &count, NULL) != 0)
        FLM_FAIL(flm_status_from_errno(errno), "cannot handle signals: %s", strerror(errno));
done:
    return rc;
}

static flm_status block_signals(void)
{
    flm_status rc = FLM_OK;
    const struct sigaction ignore = {.sa_handler = SIG_IGN};

    FLM_TRY(handle_signals());
    sigemptyset(&stop_signals);
    sigaddset(&stop_signals, SIGTERM);
    sigaddset(&stop_signals, SIGUSR1);
    if (sigprocmask(SIG_BLOCK, &stop_signals, NULL) != 0 ||
        sigaction(SIGXFSZ, &ignore, NULL) != 0) /* so that writing past a limit is an error (EFBIG) with a message */
        FLM_FAIL(flm_status_from_errno(errno), "cannot block signals: %s", strerror(errno));
done:
    return rc;
}

flm_status flm_process_init(int *argc, char ***argv, flm_comm **world)
{
    flm_status rc = FLM_OK;
    int provided;

    FLM_TRY(block_signals());
    FLM_MPI(MPI_Init_thread(argc, argv, MPI_THREAD_FUNNELED, &provided));
    FLM_TRY(handle_signals()); /* MPICH has set a handler of its own for SIGUSR1 */
    FLM_MPI(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN));
    FLM_MPI(MPI_Comm_set_errhandler(MPI_COMM_SELF, MPI_ERRORS_RETURN));
    if (provided < MPI_THREAD_FUNNELED)
        FLM_FAIL(FLM_E_MPI, "the MPI library provides thread level %d; MPI_THREAD_FUNNELED (%d) is required", provided,
                 MPI_THREAD_FUNNELED);
    FLM_TRY(flm_comm_create(MPI_COMM_WORLD, world));
    flm_log_init(flm_comm_rank(*world), FLM_LOG_INFO);
done:
    return rc;
}

bool flm_process_stop_requested(void)
{
    collect_signals();
    return signals_seen > 0;
}

flm_status flm_process_poll(void)
{
    flm_status rc = FLM_OK;
    if (flm_process_stop_requested()) FLM_FAIL(FLM_E_INTERRUPTED, "stopped by a signal");
done:
    return rc;
}

int flm_process_finish(flm_status rc, flm_comm **world)
{
    if (rc != FLM_OK && rc != FLM_E_INTERRUPTED) flm_process_fail(rc);
    if (fflush(stdout) != 0)
        flm_process_fail(flm_err_raise(flm_status_from_errno(errno), __FILE__, __LINE__,
                                       "cannot write to standard output: %s", strerror(errno)));
    if (ferror(stdout)) /* errno is of something later */
        flm_process_fail(
            flm_err_raise(FLM_E_IO, __FILE__, __LINE__,
                          "cannot write to standard output: it was full or closed before all was written"));
    flm_comm_destroy(world);
    MPI_Finalize();
    return flm_process_exit_code(rc);
}

static void sleep_ms(long ms)
{
    struct timespec span = {ms / 1000, ms % 1000 * 1000000};

    nanosleep(&span, NULL); /* if interrupted, every caller polls again */
}

/* Wait for ms milliseconds or a signal; true when a signal arrived. */
static bool signalled_within(double ms)
{
    const double end = flm_clock_seconds() + ms * 1e-3;
    int before;

    collect_signals();
    before = signals_seen;
    while (signals_seen == before && flm_clock_seconds() < end) {
        sleep_ms(POLL_MS);
        collect_signals();
    }
    return signals_seen != before;
}

/* The message in one write, so that lines of several processes do not interleave. */
static void report(flm_status rc, int rank)
{
    char text[8192];
    const char *trace = getenv("FLM_TRACE"), *message = flm_err_message();
    bool internal = rc == FLM_E_ARG || rc == FLM_E_SHAPE, frames = internal || (trace && strcmp(trace, "1") == 0);
    int used = snprintf(text, sizeof text, "%s: error: %s", program_invocation_short_name,
                        *message ? message : flm_status_name(rc));

    if (rc == FLM_E_USAGE)
        used += snprintf(text + used, sizeof text - (size_t)used, "\n");
    else
        used += snprintf(text + used, sizeof text - (size_t)used, " (rank %d)\n", rank);
    if (frames) used += snprintf(text + used, sizeof text - (size_t)used, "%s", flm_err_trace());
    if ((size_t)used >= sizeof text) used = (int)sizeof text - 1;
    fflush(stdout);
    fflush(stderr);
    for (const char *p = text; used > 0;) {
        ssize_t wrote = write(STDERR_FILENO, p, (size_t)used);
        if (wrote < 0 && errno != EINTR) break; /* stderr is closed; the exit status remains */
        if (wrote > 0) {
            p += wrote;
            used -= (int)wrote;
        }
    }
}

/* All ranks are expected here with the same error: the reporter is the lowest rank whose error is its own. False when
 * some ranks do not arrive before the timeout. */
static bool agree_on_reporter(int rank, int size, int *reporter)
{
    static int mine, lowest; /* static: they must outlive a request that never completes */
    MPI_Request request;
    int done = 0;

    mine = flm_err_get_remote() < 0 ? rank : size;
    if (MPI_Iallreduce(&mine, &lowest, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD, &request) != MPI_SUCCESS) return false;
    for (const double end = flm_clock_seconds() + TIMEOUT_MS * 1e-3; !done && flm_clock_seconds() < end;) {
        if (MPI_Test(&request, &done, MPI_STATUS_IGNORE) != MPI_SUCCESS) return false;
        if (!done) sleep_ms(POLL_MS);
    }
    *reporter = lowest < size ? lowest : 0;
    return done;
}

__attribute__((noreturn)) static void fail_usage(flm_status rc, int rank, int size)
{
    int reporter = rank;
    bool all = agree_on_reporter(rank, size, &reporter);

    if (rank == reporter) report(rc, rank);
    if (!all) MPI_Abort(MPI_COMM_WORLD, FLM_EXIT_USAGE);
    MPI_Finalize();
    exit(FLM_EXIT_USAGE);
}

__attribute__((noreturn)) static void fail_job(flm_status rc, int rank, int size)
{
    const int code = (int)flm_process_exit_code(rc);

    if (size == 1) { /* no other rank to end, and MPI_Abort would print ten lines more */
        report(rc, rank);
        MPI_Finalize();
        exit(code);
    }
    if (flm_err_get_remote() >= 0) {
        if (signalled_within(TIMEOUT_MS)) _exit(code);
    } else if (rank > 0) {
        int turn = rank < TURNS ? rank : TURNS;
        if (signalled_within(FIRST_TURN_MS + TURN_MS * turn)) _exit(code);
    }
    report(rc, rank);
    sleep_ms(READ_MS);
    alarm(TIMEOUT_MS / 1000); /* if a device library hangs below, SIGALRM ends the process, and so the job */
    flm_comm_abort();
    MPI_Abort(MPI_COMM_WORLD, code);
    _exit(code);
}

void flm_process_fail(flm_status rc)
{
    int initialized = 0, finalized = 0, rank = 0, size = 1;

    MPI_Initialized(&initialized);
    MPI_Finalized(&finalized);
    if (!initialized || finalized) {
        report(rc, rank);
        exit((int)flm_process_exit_code(rc));
    }
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    if (rc == FLM_E_USAGE) fail_usage(rc, rank, size);
    fail_job(rc, rank, size);
}
