/* comm_internal.h - shared by comm.c and the transports. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_COMM_INTERNAL_H
#define FLM_COMM_INTERNAL_H

#include "comm/comm.h"
#include "comm/comm_wait.h"

#include <stdatomic.h>

/* One collective in progress: the first member of a transport's own request. */
struct flm_comm_request {
    const struct flm_transport *transport;
};

typedef enum flm_comm_kind { FLM_COMM_SUM, FLM_COMM_REDUCE_SCATTER, FLM_COMM_ALL_GATHER } flm_comm_kind;

/* A collective on an array of `count` > 0 elements. Rank r owns the elements [r * slice, (r + 1) * slice) that exist.
 * Sums are of f32 or f64; every transport but NCCL adds in the order of the ranks. */
typedef struct flm_comm_work {
    flm_comm_kind kind;
    void *x;
    flm_dtype dtype;
    int64_t count, slice;
} flm_comm_work;

/* A transport. Requests end in the order of their begins; each call may advance all requests in progress.
 * comm->transport serves host memory. comm->device, NULL without an attached device, serves the arrays of that device:
 * its state is comm->device_state, and it has no finish. */
typedef struct flm_transport {
    /* open - create the state. Errors: FLM_E_NOMEM. For a device: collective; it agrees on failures, except on those
     * that leave other ranks waiting inside a library, where the failing rank ends the job. */
    flm_status (*open)(flm_comm *comm);
    /* close - release the state, also after a failed open; nothing is in progress. */
    void (*close)(flm_comm *comm);
    /* begin - *out is NULL where the work is done already. Errors: FLM_E_ARG (too many at once), FLM_E_MPI. */
    flm_status (*begin)(flm_comm *comm, const flm_comm_work *work, flm_comm_request **out);
    flm_status (*progress)(flm_comm *comm);
    /* wait - until request, which is not NULL, is done; returns it to the pool. */
    flm_status (*wait)(flm_comm *comm, flm_comm_request *request);
    /* finish - until an MPI request of a collective on host memory is done. Requests in progress advance meanwhile:
     * other ranks may need them to reach that collective. */
    flm_status (*finish)(flm_comm *comm, MPI_Request *request);
} flm_transport;

extern const flm_transport flm_transport_self;   /* comm_self.c: one rank */
extern const flm_transport flm_transport_mpi;    /* comm_mpi.c: any number, host memory */
extern const flm_transport flm_transport_staged; /* comm_staged.c: device memory, by way of comm->transport */
extern const flm_transport flm_transport_nccl;   /* comm_nccl.c, if built in: GPUs */

/* flm_comm_probe_device - whether MPI sends and receives be's memory, by sending some of it to the next rank:
 * comm_probe.c. A library that crashes ends the job with a message. Collective. Errors: FLM_E_NOMEM, FLM_E_MPI,
 * FLM_E_DEVICE. */
flm_status flm_comm_probe_device(flm_comm *comm, flm_backend *be, bool *works);
enum { FLM_COMM_PROBE = 8 }; /* bytes that it sends */

/* flm_nccl_abort - abort every NCCL communicator of this process. Not collective. */
void flm_nccl_abort(void);

/* One wait for other ranks: what for, and how long it has taken. */
typedef struct flm_deadline {
    const char *what;              /* for the message */
    double last, waited, answered; /* the clock at the last check; seconds waited, then, and at the last answer */
} flm_deadline;

/* flm_deadline_begin - the beginning of a wait, and again wherever it has got further. flm_deadline_check - to be
 * called at every poll of a wait: answers other ranks that ask whether this one waits too. Not collective. Errors:
 * FLM_E_MPI after the timeout of the settings, which names the ranks and nodes that do not answer. Time in which this
 * process was stopped does not count. */
void flm_deadline_begin(flm_deadline *d, const char *what);
flm_status flm_deadline_check(flm_comm *comm, flm_deadline *d);

enum { FLM_COMM_SMALL = 64 };     /* largest sum, in elements, that is done by one all-gather */
enum { FLM_COMM_NODE_NAME = 64 }; /* bytes of a node's name, cut if it is longer */

struct flm_comm {
    const flm_transport *transport;
    void *state;                       /* of the transport */
    MPI_Comm mpi, roll;                /* roll: messages of comm_deadline.c */
    char (*names)[FLM_COMM_NODE_NAME]; /* [size]: nodes of the ranks */
    flm_comm_settings settings;
    _Atomic int waiting;       /* waits for messages in progress, 0 or 1 */
    _Atomic double polled;     /* the clock at the last poll of a wait */
    const char *_Atomic hurry; /* of flm_comm_hurry; NULL: none */
    int rank, size, local_rank;
    int node;                    /* the lowest rank on this node */
    double *small;               /* [size, FLM_COMM_SMALL] */
    flm_backend *be;             /* the attached device; NULL: none, or its memory is the host's */
    const flm_transport *device; /* serves its arrays; NULL where be is */
    void *device_state;
    double seconds_waited;
    bool cuda_aware; /* MPI sends and receives be's memory */
};

#endif
