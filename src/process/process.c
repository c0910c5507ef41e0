/* process.c - see process.h. Owns the program's signals and its exit status; refuses to do anything else.
 *
 * What a failing job says is one message. A rank whose failure is another's (flm_err_remote) is silent; ranks that
 * fail side by side without having agreed take turns by rank, and the first to end the job silences the others,
 * because the launcher's SIGTERM reaches them while they wait. SPDX-License-Identifier: Apache-2.0 */
#include "config.h" /* first: program_invocation_short_name is a GNU extension */

#include "process/process.h"

#include "base/base_log.h"
#include "base/base_progress.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Milliseconds: between looks; before rank r speaks, r of at most TURNS turns; for ranks that should come too. */
enum { POLL_MS = 5, TURN_MS = 50, FIRST_TURN_MS = 250, TURNS = 40, PATIENCE_MS = 10000 };
enum { EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_INTERRUPTED = 75 /* EX_TEMPFAIL of sysexits.h */ };

static volatile sig_atomic_t signals_seen;

static void signal_take(int number)
{
    (void)number;
    if (signals_seen < SIG_ATOMIC_MAX) signals_seen++;
}

static flm_status signals_install(void)
{
    flm_status rc = FLM_OK;
    struct sigaction action = {.sa_handler = signal_take, .sa_flags = SA_RESTART}, ignore = {.sa_handler = SIG_IGN};

    sigemptyset(&action.sa_mask);
    sigemptyset(&ignore.sa_mask);
    if (sigaction(SIGTERM, &action, NULL) != 0 || sigaction(SIGUSR1, &action, NULL) != 0 ||
        sigaction(SIGXFSZ, &ignore, NULL) != 0) /* so that writing past a limit is an error (EFBIG) with a message */
        FLM_FAIL(FLM_E_IO, "cannot install the signal handlers: %s", strerror(errno));
done:
    return rc;
}

flm_status flm_process_init(int *argc, char ***argv, flm_comm **world)
{
    flm_status rc = FLM_OK;
    int provided;

    FLM_MPI(MPI_Init_thread(argc, argv, MPI_THREAD_FUNNELED, &provided));
    FLM_MPI(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN));
    FLM_MPI(MPI_Comm_set_errhandler(MPI_COMM_SELF, MPI_ERRORS_RETURN));
    if (provided < MPI_THREAD_FUNNELED)
        FLM_FAIL(FLM_E_MPI, "the MPI library offers thread level %d, MPI_THREAD_FUNNELED (%d) is needed", provided,
                 MPI_THREAD_FUNNELED);
    FLM_TRY(flm_comm_create(MPI_COMM_WORLD, world));
    flm_log_init(flm_comm_rank(*world), FLM_LOG_INFO);
    FLM_TRY(signals_install());
done:
    return rc;
}

bool flm_process_stop_requested(void) { return signals_seen > 0; }

int flm_process_finish(flm_status rc, flm_comm **world)
{
    if (rc != FLM_OK && rc != FLM_E_INTERRUPTED) flm_process_fail(rc);
    if (fflush(stdout) != 0 || ferror(stdout))
        flm_process_fail(
            flm_err_raise(FLM_E_IO, __FILE__, __LINE__, "cannot write to standard output: %s", strerror(errno)));
    flm_comm_destroy(world);
    MPI_Finalize();
    return rc == FLM_OK ? 0 : EXIT_INTERRUPTED;
}

static void sleep_ms(long ms)
{
    struct timespec span = {ms / 1000, ms % 1000 * 1000000};

    nanosleep(&span, NULL); /* a signal may cut it short: every caller looks again */
}

/* Wait so many milliseconds; true when a signal came meanwhile. */
static bool signalled_within(double ms)
{
    const sig_atomic_t before = signals_seen;

    for (const double end = flm_seconds() + ms * 1e-3; flm_seconds() < end; sleep_ms(POLL_MS))
        if (signals_seen != before) return true;
    return signals_seen != before;
}

/* The message in one write, so that lines of several programs do not mix. */
static void speak(flm_status rc, int rank)
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
        if (wrote < 0 && errno != EINTR) break; /* nobody listens; the exit status still tells */
        if (wrote > 0) {
            p += wrote;
            used -= (int)wrote;
        }
    }
}

/* Every rank is expected here with the same error: the lowest that is not another's speaks. False when they do not
 * all come in time. */
static bool usage_agree(int rank, int size, int *speaker)
{
    static int mine, lowest; /* outlive the request, should it never end */
    MPI_Request request;
    int done = 0;

    mine = flm_err_remote() < 0 ? rank : size;
    if (MPI_Iallreduce(&mine, &lowest, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD, &request) != MPI_SUCCESS) return false;
    for (const double end = flm_seconds() + PATIENCE_MS * 1e-3; !done && flm_seconds() < end;) {
        if (MPI_Test(&request, &done, MPI_STATUS_IGNORE) != MPI_SUCCESS) return false;
        if (!done) sleep_ms(POLL_MS);
    }
    *speaker = lowest < size ? lowest : 0;
    return done;
}

__attribute__((noreturn)) static void fail_usage(flm_status rc, int rank, int size)
{
    int speaker = rank;
    bool all = usage_agree(rank, size, &speaker);

    if (rank == speaker) speak(rc, rank);
    if (!all) MPI_Abort(MPI_COMM_WORLD, EXIT_USAGE);
    MPI_Finalize();
    exit(EXIT_USAGE);
}

__attribute__((noreturn)) static void fail_job(flm_status rc, int rank, int size)
{
    if (size == 1) { /* nobody to take down, and MPI_Abort would add ten lines to ours */
        speak(rc, rank);
        MPI_Finalize();
        exit(EXIT_FAILED);
    }
    if (flm_err_remote() >= 0) {
        if (signalled_within(PATIENCE_MS)) _exit(EXIT_FAILED);
    } else if (rank > 0) {
        int turn = rank < TURNS ? rank : TURNS;
        if (signalled_within(FIRST_TURN_MS + TURN_MS * turn)) _exit(EXIT_FAILED);
    }
    speak(rc, rank);
    alarm(PATIENCE_MS / 1000); /* should a device's library hang: SIGALRM ends the process, and so the job */
    flm_comm_abort();
    MPI_Abort(MPI_COMM_WORLD, EXIT_FAILED);
    _exit(EXIT_FAILED);
}

void flm_process_fail(flm_status rc)
{
    int initialized = 0, finalized = 0, rank = 0, size = 1;

    MPI_Initialized(&initialized);
    MPI_Finalized(&finalized);
    if (!initialized || finalized) {
        speak(rc, rank);
        exit(rc == FLM_E_USAGE ? EXIT_USAGE : EXIT_FAILED);
    }
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    if (rc == FLM_E_USAGE) fail_usage(rc, rank, size);
    fail_job(rc, rank, size);
}
