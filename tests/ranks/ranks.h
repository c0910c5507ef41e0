/* ranks.h - TAP of several ranks: a test passes if it passes on all ranks; rank 0 prints the result.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_TESTS_RANKS_H
#define FLM_TESTS_RANKS_H

#include "tests/tap.h"

#include <mpi.h>

/* ranks_ok - one test; returns, on every rank, whether ok was true on all. Collective over the world. */
__attribute__((format(printf, 2, 3))) static inline int ranks_ok(int ok, const char *fmt, ...)
{
    char name[256];
    int rank, all = ok != 0;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(name, sizeof name, fmt, ap);
    va_end(ap);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    if (!ok) fprintf(stderr, "# rank %d: %s\n", rank, name);
    MPI_Allreduce(MPI_IN_PLACE, &all, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD);
    if (rank == 0) return tap_ok(all, "%s", name);
    tap_failed += !all;
    return all;
}

/* ranks_end - print the plan on rank 0, finalize MPI, return the exit status of main. */
static inline int ranks_end(void)
{
    int rank;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Finalize();
    return rank == 0 ? tap_end() : tap_failed != 0;
}

#endif
