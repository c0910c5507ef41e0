/* cmd_threads.c - see cmd_threads.h. SPDX-License-Identifier: Apache-2.0 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* sched_getaffinity */
#endif
#include "cmd/cmd_threads.h"

#include "base/base_log.h"

#include <omp.h>
#include <sched.h>
#include <stdlib.h>

/* What rank 0 has to know of a rank: its node, its threads, the cores that it may run on. */
typedef struct place {
    int32_t node, threads;
    cpu_set_t cores;
} place;

/* The places of all ranks on rank 0, in all [size]. Collective. */
static flm_status gather_places(flm_comm *world, int threads, place **all)
{
    flm_status rc = FLM_OK, local = FLM_OK;
    place mine = {.node = flm_comm_node(world), .threads = threads};
    *all = calloc((size_t)flm_comm_size(world), sizeof **all);
    if (*all == NULL) local = flm_err_raise(FLM_E_NOMEM, __FILE__, __LINE__, "no memory for the cores of all ranks");
    FLM_TRY(flm_comm_agree(world, local));
    if (sched_getaffinity(0, sizeof mine.cores, &mine.cores) != 0) CPU_ZERO(&mine.cores); /* more than CPU_SETSIZE */
    FLM_TRY(flm_comm_gather(world, &mine, sizeof mine, *all, 0));
done:
    return rc;
}

/* The number of cores of rank `own`, each divided by the number of ranks that may run on it. */
static double share_of(const place *all, int size, int own)
{
    int ranks[CPU_SETSIZE] = {0};
    double share = 0;
    for (int r = 0; r < size; r++)
        for (int core = 0; all[r].node == all[own].node && core < CPU_SETSIZE; core++)
            ranks[core] += CPU_ISSET(core, &all[r].cores) != 0;
    for (int core = 0; core < CPU_SETSIZE; core++)
        if (CPU_ISSET(core, &all[own].cores)) share += 1.0 / ranks[core];
    return share;
}

flm_status flm_cmd_threads_choose(flm_comm *world, int64_t asked, int *threads)
{
    flm_status rc = FLM_OK;
    const int rank = flm_comm_rank(world), size = flm_comm_size(world);
    const bool given = asked > 0 || getenv("OMP_NUM_THREADS") != NULL;
    place *all = NULL;

    FLM_TRY(gather_places(world, 0, &all));
    for (int r = 0; rank == 0 && r < size; r++) all[r].threads = (int)(share_of(all, size, r) + 1e-6); /* fractions */
    FLM_TRY(flm_comm_broadcast(world, all, size * (int64_t)sizeof *all, 0));
    *threads = asked > 0 ? (int)asked : omp_get_max_threads();
    if (!given && CPU_COUNT(&all[rank].cores) > 0) *threads = all[rank].threads > 1 ? all[rank].threads : 1;
done:
    free(all);
    return rc;
}

/* Threads and cores of the ranks on the node of rank `own`. */
static void count_node(const place *all, int size, int own, int *threads, int *cores)
{
    cpu_set_t used;
    CPU_ZERO(&used);
    *threads = 0;
    for (int r = 0; r < size; r++) {
        if (all[r].node != all[own].node) continue;
        *threads += all[r].threads;
        CPU_OR(&used, &used, &all[r].cores);
    }
    *cores = CPU_COUNT(&used);
}

flm_status flm_cmd_threads_report(flm_comm *world, int threads)
{
    flm_status rc = FLM_OK;
    const int size = flm_comm_size(world);
    place *all = NULL;
    int on_node, cores;

    FLM_TRY(gather_places(world, threads, &all));
    if (flm_comm_rank(world) != 0) goto done;
    count_node(all, size, 0, &on_node, &cores);
    flm_log(FLM_LOG_INFO, "%d rank%s x %d thread%s; first node: %d thread%s, %d core%s", size, size == 1 ? "" : "s",
            threads, threads == 1 ? "" : "s", on_node, on_node == 1 ? "" : "s", cores, cores == 1 ? "" : "s");
    for (int r = 0; r < size; r++) {
        if (all[r].node != r) continue; /* the first rank of its node */
        count_node(all, size, r, &on_node, &cores);
        if (cores > 0 && on_node > cores) {
            flm_log(FLM_LOG_WARN,
                    "%d threads share %d core%s on the node of rank %d: slow; use fewer ranks, or --threads", on_node,
                    cores, cores == 1 ? "" : "s", r);
            break;
        }
    }
done:
    free(all);
    return rc;
}
