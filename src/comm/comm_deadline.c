/* comm_deadline.c - how long a rank waits for others, and which of them it waits for in vain (comm_internal.h).
 *
 * A rank that has waited for the timeout calls the roll: it asks every other rank for a message, and a rank that waits
 * in a collective itself answers. Those that do not answer are named: they have stopped, hang, or compute. The messages
 * have a communicator of their own, since the collectives stay unfinished.
 * SPDX-License-Identifier: Apache-2.0 */
#include "comm/comm_internal.h"

#include "base/base_clock.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { TAG_CALL, TAG_ANSWER };

/* How many missing ranks a message names. */
enum { NAMED = 4 };

static const double max_poll = 1;       /* seconds between two polls that count: more, and this process was stopped */
static const double answer_every = 0.1; /* seconds between two looks for calls */
static const double recent = 1;         /* seconds: a rank that polled within them, for the GPU, waits */
static const double min_grace = 0.5,
                    max_grace = 2; /* seconds in which an answer must come: the timeout, within these */

bool flm_comm_is_waiting(const flm_comm *comm)
{
    return comm->waiting > 0 || flm_clock_seconds() - comm->polled < recent;
}

void flm_comm_hurry(flm_comm *comm, const char *option) { comm->hurry = option; }

void flm_deadline_begin(flm_deadline *d, const char *what)
{
    *d = (flm_deadline){.last = flm_clock_seconds(), .what = what};
}

/* Take every message of the roll; answer calls. present: [size], set for the ranks that sent one; may be NULL. */
static flm_status take_messages(flm_comm *comm, bool *present)
{
    static char nothing; /* outlives the requests */
    flm_status rc = FLM_OK;
    for (;;) {
        int found = 0;
        MPI_Status status;
        MPI_Request request;
        FLM_MPI(MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, comm->roll, &found, &status));
        if (!found) break;
        FLM_MPI(MPI_Recv(NULL, 0, MPI_CHAR, status.MPI_SOURCE, status.MPI_TAG, comm->roll, MPI_STATUS_IGNORE));
        if (present) present[status.MPI_SOURCE] = true;
        if (status.MPI_TAG != TAG_CALL) continue;
        FLM_MPI(MPI_Isend(&nothing, 0, MPI_CHAR, status.MPI_SOURCE, TAG_ANSWER, comm->roll, &request));
        FLM_MPI(MPI_Request_free(&request));
    }
done:
    return rc;
}

static flm_status call_roll(flm_comm *comm, bool *present)
{
    static char nothing;
    flm_status rc = FLM_OK;
    present[comm->rank] = true;
    for (int r = 0; r < comm->size; r++) {
        MPI_Request request;
        if (r == comm->rank) continue;
        FLM_MPI(MPI_Isend(&nothing, 0, MPI_CHAR, r, TAG_CALL, comm->roll, &request));
        FLM_MPI(MPI_Request_free(&request));
    }
    const double grace = fmin(fmax(comm->settings.timeout, min_grace), max_grace);
    for (const double end = flm_clock_seconds() + grace; flm_clock_seconds() < end;) {
        FLM_TRY(take_messages(comm, present));
        nanosleep(&(struct timespec){0, 1000000}, NULL);
    }
done:
    return rc;
}

/* The ranks that are not present, as text. */
static void list_missing(const flm_comm *comm, const bool *present, char *text, size_t bytes)
{
    int missing = 0;
    size_t used = 0;
    for (int r = 0; r < comm->size; r++) {
        if (present[r]) continue;
        missing++;
        if (missing > NAMED || used >= bytes) continue;
        used += (size_t)snprintf(text + used, bytes - used, "%srank %d on node %s", missing > 1 ? ", " : "", r,
                                 flm_comm_node_name(comm, r));
    }
    if (missing > NAMED && used < bytes) snprintf(text + used, bytes - used, " and %d more", missing - NAMED);
}

static flm_status report(flm_comm *comm, const flm_deadline *d)
{
    flm_status rc = FLM_OK;
    char text[NAMED * (FLM_COMM_NODE_NAME + 40)] = "";
    const char *hurry = comm->hurry, *option = hurry ? hurry : "--comm-timeout";
    bool *present = calloc((size_t)comm->size, sizeof *present);
    if (present == NULL) FLM_FAIL(FLM_E_NOMEM, "no memory for a list of %d ranks", comm->size);
    FLM_TRY(call_roll(comm, present));
    list_missing(comm, present, text, sizeof text);
    if (*text)
        FLM_FAIL(FLM_E_MPI, "%s: waited %.3g s for other ranks (%s); no answer from %s: stopped, hanging or slow",
                 d->what, comm->hurry ? d->waited : comm->settings.timeout, option, text);
    FLM_FAIL(FLM_E_MPI,
             "%s: waited %.3g s for other ranks (%s); all of them answer, so that the network or the GPUs "
             "are at fault",
             d->what, comm->hurry ? d->waited : comm->settings.timeout, option);
done:
    free(present);
    return rc;
}

flm_status flm_deadline_check(flm_comm *comm, flm_deadline *d)
{
    flm_status rc = FLM_OK;
    const double now = flm_clock_seconds(), passed = now - d->last;
    if (comm->size == 1) return FLM_OK;
    d->last = now;
    comm->polled = now;
    d->waited += passed < max_poll ? passed : max_poll;
    if (d->waited - d->answered >= answer_every) {
        d->answered = d->waited;
        FLM_TRY(take_messages(comm, NULL));
    }
    if (comm->hurry || (comm->settings.timeout > 0 && d->waited > comm->settings.timeout)) FLM_TRY(report(comm, d));
done:
    return rc;
}
