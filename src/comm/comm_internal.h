/* comm_internal.h - between the room and its transports. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_COMM_INTERNAL_H
#define FLM_COMM_INTERNAL_H

#include "comm/comm.h"

typedef enum flm_comm_kind { FLM_COMM_SUM, FLM_COMM_REDUCE_SCATTER, FLM_COMM_ALL_GATHER } flm_comm_kind;

/* A divided collective on an array of `count` elements in memory that the host can read. Rank r owns the elements
 * [r * slice, (r + 1) * slice) as far as there are any; count > 0. Sums are of f32 or f64, in the order of the ranks.
 */
typedef struct flm_comm_work {
    flm_comm_kind kind;
    void *x;
    flm_dtype dtype;
    int64_t count, slice;
} flm_comm_work;

/* What a transport does. Requests end in the order of their begins; each call may advance all that are under way. */
typedef struct flm_transport {
    /* open - make comm->state. Not collective. Errors: FLM_E_NOMEM. */
    flm_status (*open)(flm_comm *comm);
    /* close - release comm->state; nothing is under way. */
    void (*close)(flm_comm *comm);
    /* begin - *out may be NULL where nothing is left to wait for. Errors: FLM_E_ARG (too many at once), FLM_E_MPI. */
    flm_status (*begin)(flm_comm *comm, const flm_comm_work *work, flm_comm_request **out);
    flm_status (*progress)(flm_comm *comm);
    /* wait - until request, not NULL, is done; gives it back to the pool. */
    flm_status (*wait)(flm_comm *comm, flm_comm_request *request);
    /* finish - until one MPI request of a host collective is done. What is under way goes on meanwhile: other ranks may
     * need it to get as far as that collective. */
    flm_status (*finish)(flm_comm *comm, MPI_Request *request);
} flm_transport;

extern const flm_transport flm_comm_self; /* comm_self.c: one rank */
extern const flm_transport flm_comm_mpi;  /* comm_mpi.c: any number, host memory */

enum { FLM_COMM_SMALL = 64 }; /* elements: sums up to this go by one all-gather */

struct flm_comm {
    const flm_transport *transport;
    void *state; /* the transport's */
    MPI_Comm mpi;
    int rank, size, local_rank, local_size;
    double *small; /* [size, FLM_COMM_SMALL] */
};

#endif
