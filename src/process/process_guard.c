/* process_guard.c - see process_guard.h. SPDX-License-Identifier: Apache-2.0 */
#include "config.h" /* first: program_invocation_short_name is a GNU extension */

#include "process/process_guard.h"

#include "backend/backend_trace.h"
#include "base/base_clock.h"
#include "comm/comm_wait.h"
#include "process/process.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { POLL_MS = 50 };
static const double max_poll = 1;  /* seconds between two polls that count: more, and the process was stopped */
static const double patience = 10; /* seconds that a rank which waits for others leaves the report to them */

struct flm_guard {
    flm_comm *comm;
    double seconds;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t ended;
    bool stop;
    _Atomic int64_t step, begun; /* step: -1 between steps; begun: how many have begun */
};

/* In one write, from a thread that may not call MPI; then the launcher ends the others. */
__attribute__((noreturn)) static void end_job(const flm_guard *g, int64_t step)
{
    char text[512];
    const char *op = flm_trace_last_op();
    const int rank = flm_comm_rank(g->comm);
    const int used =
        snprintf(text, sizeof text,
                 "%s: error: step %" PRId64 " is not finished after %g s (--step-timeout) on rank %d, node "
                 "%s; last operation: %s%s\n",
                 program_invocation_short_name, step, g->seconds, rank, flm_comm_node_name(g->comm, rank),
                 op ? op : "none", flm_comm_is_waiting(g->comm) ? "; it waits for other ranks" : "");
    if (used > 0 && write(STDERR_FILENO, text, (size_t)used) < 0) _exit(FLM_EXIT_IO);
    _exit(FLM_EXIT_UNAVAILABLE);
}

/* Wait for POLL_MS, or until the guard stops. */
static bool stopped(flm_guard *g)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += POLL_MS * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&g->lock);
    if (!g->stop) pthread_cond_timedwait(&g->ended, &g->lock, &until);
    const bool stop = g->stop;
    pthread_mutex_unlock(&g->lock);
    return stop;
}

static void *watch(void *arg)
{
    flm_guard *g = arg;
    double last = flm_clock_seconds(), taken = 0;
    int64_t begun = -1;
    while (!stopped(g)) {
        const double now = flm_clock_seconds(), passed = now - last;
        const int64_t step = g->step;
        last = now;
        taken = step < 0 || begun != g->begun ? 0 : taken + (passed < max_poll ? passed : max_poll);
        begun = g->begun;
        if (step < 0 || taken <= g->seconds) continue;
        if (!flm_comm_is_waiting(g->comm) || taken > g->seconds + patience) end_job(g, step);
        flm_comm_hurry(g->comm, "--step-timeout"); /* its report names the ranks that it waits for */
    }
    return NULL;
}

flm_status flm_guard_start(flm_comm *comm, double seconds, flm_guard **out)
{
    flm_status rc = FLM_OK;
    flm_guard *g = NULL;
    if (seconds <= 0) goto done;
    g = calloc(1, sizeof *g);
    if (g == NULL) FLM_FAIL(FLM_E_NOMEM, "no memory for the deadline of a step");
    *g = (flm_guard){.comm = comm, .seconds = seconds, .step = -1};
    pthread_mutex_init(&g->lock, NULL);
    pthread_cond_init(&g->ended, NULL);
    if (pthread_create(&g->thread, NULL, watch, g) != 0) FLM_FAIL(FLM_E_NOMEM, "cannot start a thread");
    *out = g;
    g = NULL;
done:
    free(g);
    return rc;
}

void flm_guard_stop(flm_guard **guard)
{
    flm_guard *g = *guard;
    if (g == NULL) return;
    pthread_mutex_lock(&g->lock);
    g->stop = true;
    pthread_cond_signal(&g->ended);
    pthread_mutex_unlock(&g->lock);
    pthread_join(g->thread, NULL);
    pthread_cond_destroy(&g->ended);
    pthread_mutex_destroy(&g->lock);
    free(g);
    *guard = NULL;
}

void flm_guard_begin(flm_guard *g, int64_t step)
{
    if (g == NULL) return;
    g->begun++;
    g->step = step;
}

void flm_guard_end(flm_guard *g)
{
    if (g != NULL) g->step = -1;
}
