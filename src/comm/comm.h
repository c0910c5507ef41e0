/* comm.h - groups of ranks: agreement on failure, reductions, and the divided-optimiser collectives.
 *
 * A transport fills the table in comm_internal.h: `self` (one rank) and `mpi` for host memory, `staged` and `nccl` for
 * a device's (flm_comm_attach). Counts are int64_t elements and are split below INT_MAX inside. MPI_ERRORS_RETURN is
 * set on every communicator made here. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_COMM_H
#define FLM_COMM_H

#include "backend/backend.h"

#include <mpi.h>

typedef struct flm_comm flm_comm;
typedef struct flm_comm_request flm_comm_request; /* one collective under way; at most FLM_COMM_REQUESTS at once */

enum { FLM_COMM_REQUESTS = 256 };

/* flm_comm_create - a group over a duplicate of mpi. Collective over mpi. Errors: FLM_E_MPI, FLM_E_NOMEM. */
flm_status flm_comm_create(MPI_Comm mpi, flm_comm **out);

/* flm_comm_destroy - collective; accepts NULL, nulls it. */
void flm_comm_destroy(flm_comm **comm);

/* flm_comm_attach - prepare for collectives on be's arrays, where the host cannot read them: by NCCL where it is built,
 * be is a GPU and every rank has one of its own; else through pinned host memory (gathers straight from the device,
 * where MPI says that it can), in the same order of sums as on host memory. At most one device; stays until
 * flm_comm_detach, which comes before be is destroyed. Both collective. Errors: FLM_E_NOMEM, FLM_E_DEVICE;
 * FLM_E_MISMATCH where the ranks' devices are of different kinds. */
flm_status flm_comm_attach(flm_comm *comm, flm_backend *be);
void flm_comm_detach(flm_comm *comm);

/* flm_comm_describe - how arrays of the attached device travel, for logs: "in host memory", "by NCCL 2.28", ... */
const char *flm_comm_describe(const flm_comm *comm);

/* flm_comm_abort - for a job that fails: let go of what is under way on devices, which would wait for ever. Not
 * collective; nothing but the end of the process may follow. */
void flm_comm_abort(void);

int flm_comm_rank(const flm_comm *comm);
int flm_comm_size(const flm_comm *comm);
int flm_comm_local_rank(const flm_comm *comm); /* among the ranks of this node */

/* flm_comm_agree - make a local failure common: every rank gets FLM_OK, or the code of the lowest failing rank, which
 * alone will speak (the others are marked by flm_err_set_remote). Collective. */
flm_status flm_comm_agree(flm_comm *comm, flm_status local);

/* flm_comm_barrier - collective. */
flm_status flm_comm_barrier(flm_comm *comm);

/* flm_comm_sum_f64 / max_i64 - in place over all ranks; identical bits on every rank. Host memory. Collective. */
flm_status flm_comm_sum_f64(flm_comm *comm, double *x, int64_t count);
flm_status flm_comm_max_i64(flm_comm *comm, int64_t *x, int64_t count);

/* flm_comm_broadcast - bytes from root. Host memory. Collective. */
flm_status flm_comm_broadcast(flm_comm *comm, void *bytes, int64_t count, int root);

/* flm_comm_gather - count bytes of every rank to root, in rank order: all is [size * count] on root, ignored
 * elsewhere. Host memory. Collective. */
flm_status flm_comm_gather(flm_comm *comm, const void *mine, int64_t count, void *all, int root);

/* flm_comm_sum_f32_begin - in place sum over ranks of f32 x [count] on be's memory. Deterministic for a given number
 * of ranks (NCCL: and machines). Collective; the same order of begins on every rank. Ends with flm_comm_wait, after
 * which what is queued on be finds the sum. Errors also FLM_E_UNSUPPORTED: device memory of a device not attached. */
flm_status flm_comm_sum_f32_begin(flm_comm *comm, flm_backend *be, float *x, int64_t count, flm_comm_request **out);

/* flm_comm_reduce_scatter_begin - x is [size * slice] f32 on be; afterwards this rank's slice
 * x[rank * slice .. + slice) holds the sum over ranks; the rest of x is undefined. Deterministic for a given number of
 * ranks. Collective, as above. */
flm_status flm_comm_reduce_scatter_begin(flm_comm *comm, flm_backend *be, float *x, int64_t slice,
                                         flm_comm_request **out);

/* flm_comm_all_gather_begin - x is [size * slice] of dtype on be; every rank's own slice is in place, afterwards all
 * are. Collective, as above. */
flm_status flm_comm_all_gather_begin(flm_comm *comm, flm_backend *be, void *x, flm_dtype dtype, int64_t slice,
                                     flm_comm_request **out);

/* flm_comm_progress - let collectives under way advance; cheap; call it between pieces of computation. Not collective.
 */
flm_status flm_comm_progress(flm_comm *comm);

/* flm_comm_wait - finish a request and set it to NULL; accepts NULL. */
flm_status flm_comm_wait(flm_comm *comm, flm_comm_request **request);

/* flm_comm_seconds_waited - seconds that the host of this rank has spent in collectives of comm so far, waiting for
 * messages and for slower ranks. Staged transfers count from their begin, which waits. Collectives by NCCL do not
 * count: the device waits for them, and the host does not see for how long. */
double flm_comm_seconds_waited(const flm_comm *comm);

/* flm_comm_sync - until all that is queued on be is done, collectives that were waited for included: be's sync, but
 * for one that would wait for ever where a peer is gone. Not collective. Errors: FLM_E_DEVICE. */
flm_status flm_comm_sync(flm_comm *comm, flm_backend *be);

/* flm_comm_check_mpi - turn an MPI code into a status with MPI's text. Use FLM_MPI. */
flm_status flm_comm_check_mpi(int code, const char *what, const char *file, int line);

#define FLM_MPI(call)                                               \
    do {                                                            \
        rc = flm_comm_check_mpi((call), #call, __FILE__, __LINE__); \
        if (rc != FLM_OK) goto done;                                \
    } while (0)

#endif
