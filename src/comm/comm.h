/* comm.h - a group of ranks: agreement on failures, collectives on host memory, and the non-blocking collectives on a
 * backend's arrays that the sharded optimiser needs.
 *
 * Arrays in host memory are sent by MPI; arrays of a device by NCCL or through pinned host memory (flm_comm_attach).
 * Counts are int64_t elements; calls to MPI are split below INT_MAX. Communicators made here return their errors
 * (MPI_ERRORS_RETURN). Starting and ending MPI belongs to process/process.h. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_COMM_H
#define FLM_COMM_H

#include "backend/backend.h"

#include <mpi.h>

typedef struct flm_comm flm_comm;
typedef struct flm_comm_request flm_comm_request; /* one collective in progress */

enum { FLM_COMM_REQUESTS = 256 }; /* collectives that may be in progress at once */

/* flm_comm_create - a group over a duplicate of mpi. Collective over mpi. Errors: FLM_E_MPI, FLM_E_NOMEM. */
flm_status flm_comm_create(MPI_Comm mpi, flm_comm **out);

/* flm_comm_destroy - accepts NULL, sets it to NULL. Collective. */
void flm_comm_destroy(flm_comm **comm);

/* flm_comm_attach - prepare collectives on the arrays of be, where the host cannot read them. NCCL is used where it was
 * built in, be is a GPU and no two ranks share a GPU. Otherwise arrays are staged in pinned host memory, with the same
 * order of sums as in host memory; a CUDA-aware MPI, which a probe has shown to be one, gathers directly from the
 * device. Nothing happens for a single rank or where be's memory is the host's. One device at a time. Collective.
 * Errors: FLM_E_NOMEM, FLM_E_DEVICE, FLM_E_ARG (a device is attached already); FLM_E_MISMATCH where the ranks' devices
 * are of different kinds.
 * flm_comm_detach - undo it, before be is destroyed. Collective. */
flm_status flm_comm_attach(flm_comm *comm, flm_backend *be);
void flm_comm_detach(flm_comm *comm);

/* flm_comm_describe - how arrays of the attached device are sent, for logs: "in host memory", "by NCCL", ... */
const char *flm_comm_describe(const flm_comm *comm);

/* flm_comm_abort - for a job that fails: give up the collectives in progress on devices, which would wait forever. Not
 * collective. After it the process may only end. */
void flm_comm_abort(void);

int flm_comm_rank(const flm_comm *comm);
int flm_comm_size(const flm_comm *comm);
int flm_comm_local_rank(const flm_comm *comm); /* among the ranks of this node */
int flm_comm_node(const flm_comm *comm);       /* the lowest rank of this node */

/* flm_comm_node_name - the name of rank's node, cut to 63 characters. */
const char *flm_comm_node_name(const flm_comm *comm, int rank);

typedef enum flm_cuda_aware { FLM_CUDA_AWARE_AUTO, FLM_CUDA_AWARE_OFF } flm_cuda_aware;

/* Choices of the user. */
typedef struct flm_comm_settings {
    double timeout;  /* seconds that a wait for other ranks may take without progress; 0: any number. Waits inside HDF5
                        and MPI's own file access are not limited */
    bool share_gpus; /* several ranks may use one GPU */
    int cuda_aware;  /* flm_cuda_aware. AUTO: GPU memory is passed to MPI if that says that it supports it and a probe
                        succeeds; OFF: never */
} flm_comm_settings;

/* flm_comm_configure - set them; after flm_comm_create all are 0. The same on every rank. Not collective. */
void flm_comm_configure(flm_comm *comm, const flm_comm_settings *settings);

/* flm_comm_check_gpus - that no two ranks use one GPU, unless the settings allow it. Slices of a GPU (MIG) count as
 * that GPU. Collective. Errors: FLM_E_USAGE naming the ranks, the node and the GPU; FLM_E_NOMEM, FLM_E_MPI. */
flm_status flm_comm_check_gpus(flm_comm *comm, const flm_backend *be);

/* flm_comm_agree - share a failure: every rank gets FLM_OK, or the code of the lowest failing rank. That rank reports
 * the error; on the others flm_err_get_remote names it. Collective. */
flm_status flm_comm_agree(flm_comm *comm, flm_status local);

/* flm_comm_barrier - collective. */
flm_status flm_comm_barrier(flm_comm *comm);

/* flm_comm_sum_f64, flm_comm_max_i64 - in place over all ranks, in host memory; the same bits on every rank.
 * Collective. */
flm_status flm_comm_sum_f64(flm_comm *comm, double *x, int64_t count);
flm_status flm_comm_max_i64(flm_comm *comm, int64_t *x, int64_t count);

/* flm_comm_broadcast - count bytes of host memory from root to all. Collective. */
flm_status flm_comm_broadcast(flm_comm *comm, void *bytes, int64_t count, int root);

/* flm_comm_gather - count bytes of host memory from every rank to root, in rank order: all is [size * count] on root
 * and ignored elsewhere. Collective. */
flm_status flm_comm_gather(flm_comm *comm, const void *mine, int64_t count, void *all, int root);

/* The collectives below are non-blocking and in place. Every rank begins them in the same order. After
 * flm_comm_wait, work queued on be sees the result. Sums are the same bits at every run on the same number of ranks
 * (NCCL: and on the same machines). Errors: FLM_E_ARG; FLM_E_UNSUPPORTED for the memory of a device that is not
 * attached; FLM_E_MPI, FLM_E_DEVICE. */

/* flm_comm_sum_f32_begin, flm_comm_sum_f64_begin - x [count] on be: the sum over ranks, on every rank. */
flm_status flm_comm_sum_f32_begin(flm_comm *comm, flm_backend *be, float *x, int64_t count, flm_comm_request **out);
flm_status flm_comm_sum_f64_begin(flm_comm *comm, flm_backend *be, double *x, int64_t count, flm_comm_request **out);

/* flm_comm_reduce_scatter_begin - f32 x [size * slice] on be: x [rank * slice .. + slice) becomes the sum over ranks;
 * the rest of x becomes undefined. */
flm_status flm_comm_reduce_scatter_begin(flm_comm *comm, flm_backend *be, float *x, int64_t slice,
                                         flm_comm_request **out);

/* flm_comm_all_gather_begin - x [size * slice] of dtype on be: every rank has written its own slice; all ranks get all
 * slices. */
flm_status flm_comm_all_gather_begin(flm_comm *comm, flm_backend *be, void *x, flm_dtype dtype, int64_t slice,
                                     flm_comm_request **out);

/* flm_comm_progress - advance the collectives in progress; cheap. Call it between parts of a computation, because MPI
 * advances only inside its calls. Not collective. */
flm_status flm_comm_progress(flm_comm *comm);

/* flm_comm_wait - finish a request and set it to NULL; accepts NULL. */
flm_status flm_comm_wait(flm_comm *comm, flm_comm_request **request);

/* flm_comm_seconds_waited - seconds that the host of this rank has spent in collectives of comm so far, waiting for
 * messages and for slower ranks. Staged transfers count from their begin, which waits. Collectives by NCCL do not
 * count: the device waits for them, and the host does not see for how long. */
double flm_comm_seconds_waited(const flm_comm *comm);

/* flm_comm_check_mpi - the status of an MPI return code, with MPI's text as the message. Use FLM_MPI. */
flm_status flm_comm_check_mpi(int code, const char *what, const char *file, int line);

#define FLM_MPI(call)                                               \
    do {                                                            \
        rc = flm_comm_check_mpi((call), #call, __FILE__, __LINE__); \
        if (rc != FLM_OK) goto done;                                \
    } while (0)

#endif
