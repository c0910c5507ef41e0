/* comm_internal.h - between the room and its transports. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_COMM_INTERNAL_H
#define FLM_COMM_INTERNAL_H

#include "comm/comm.h"

/* One collective under way: a transport's own begins with this. */
struct flm_comm_request {
    const struct flm_transport *transport; /* which carries it out */
};

typedef enum flm_comm_kind { FLM_COMM_SUM, FLM_COMM_REDUCE_SCATTER, FLM_COMM_ALL_GATHER } flm_comm_kind;

/* A divided collective on an array of `count` elements. Rank r owns the elements [r * slice, (r + 1) * slice) as far as
 * there are any; count > 0. Sums are of f32 or f64; in the order of the ranks, but by NCCL. */
typedef struct flm_comm_work {
    flm_comm_kind kind;
    void *x;
    flm_dtype dtype;
    int64_t count, slice;
} flm_comm_work;

/* What a transport does. Requests end in the order of their begins; each call may advance all that are under way.
 * comm->transport carries what the host can read. comm->device, where there is one, carries the arrays of the attached
 * device: open, close, begin, progress and wait as below, its state in comm->device_state; no finish. */
typedef struct flm_transport {
    /* open - make the state. Errors: FLM_E_NOMEM. A device's transport: collective, failures are agreed on inside, or
     * end the job by the rank that has them. */
    flm_status (*open)(flm_comm *comm);
    /* close - release the state, of a failed open too; nothing is under way. */
    void (*close)(flm_comm *comm);
    /* begin - *out may be NULL where nothing is left to wait for. Errors: FLM_E_ARG (too many at once), FLM_E_MPI. */
    flm_status (*begin)(flm_comm *comm, const flm_comm_work *work, flm_comm_request **out);
    flm_status (*progress)(flm_comm *comm);
    /* wait - until request, not NULL, is done; gives it back to the pool. */
    flm_status (*wait)(flm_comm *comm, flm_comm_request *request);
    /* finish - until one MPI request of a host collective is done. What is under way goes on meanwhile: other ranks may
     * need it to get as far as that collective. */
    flm_status (*finish)(flm_comm *comm, MPI_Request *request);
    /* sync - wait until all that is queued on the attached device is done. NULL: the device's own sync is enough. */
    flm_status (*sync)(flm_comm *comm);
} flm_transport;

extern const flm_transport flm_transport_self;   /* comm_self.c: one rank */
extern const flm_transport flm_transport_mpi;    /* comm_mpi.c: any number, host memory */
extern const flm_transport flm_transport_staged; /* comm_staged.c: device memory, through comm->transport */
extern const flm_transport flm_transport_nccl;   /* comm_nccl.c, where it is built: between GPUs */

/* flm_nccl_is_usable - whether every rank of comm has a GPU of its own, the attached one. Collective.
 * flm_nccl_abort - of every communicator of this process: let go of what is under way. */
flm_status flm_nccl_is_usable(flm_comm *comm, bool *fits);
void flm_nccl_abort(void);

enum { FLM_COMM_SMALL = 64 }; /* elements: sums up to this go by one all-gather */

struct flm_comm {
    const flm_transport *transport;
    void *state; /* the transport's */
    MPI_Comm mpi;
    int rank, size, local_rank;
    int node;                    /* the rank of this node's first */
    double *small;               /* [size, FLM_COMM_SMALL] */
    flm_backend *be;             /* the attached device; NULL: none, or one in host memory */
    const flm_transport *device; /* how its arrays travel; NULL with be */
    void *device_state;
    double seconds_waited;
    bool cuda_aware; /* MPI accepts be's pointers */
};

#endif
