/* comm_nccl.c - collectives between GPUs by NCCL, on a stream of their own.
 *
 * begin makes that stream wait for the work queued on the backend's stream so far and queues the collective; wait makes
 * the backend's stream wait for that collective. The host does not wait, so the reduction of one bucket overlaps the
 * backward pass of the next.
 * The communicator does not block: no call of NCCL and no wait for the GPU takes longer than the timeout of comm
 * (comm_deadline.c). Failures of other ranks are found by ncclCommGetAsyncError at every begin, progress and wait, and
 * while the host waits for the GPU (flm_backend.watch). A rank blocked elsewhere ends with the job, which the failing
 * rank aborts (flm_process_fail).
 * Not supported: sums in the order of the ranks (NCCL's order depends on the machines); two ranks on one GPU.
 * SPDX-License-Identifier: Apache-2.0 */
#include "comm/comm_internal.h"

#include "base/base_log.h"

#include <cuda_runtime_api.h>
#include <nccl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { POLL_NS = 50000 }; /* between two queries of a call that is not finished */

typedef struct nccl_request {
    flm_comm_request base; /* first */
    cudaEvent_t done;      /* recorded behind the collective */
    struct nccl_request *next;
} nccl_request;

typedef struct nccl_state {
    ncclComm_t nccl;
    cudaStream_t stream, compute; /* of the collectives; of the backend */
    cudaEvent_t ready;            /* the work queued on compute at a begin */
    flm_deadline deadline;        /* of the host's present wait for the GPU */
    nccl_request pool[FLM_COMM_REQUESTS], *unused;
    struct nccl_state *next;
} nccl_state;

/* Every communicator of this process, for flm_nccl_abort. */
static nccl_state *all_states;

static flm_status err_cuda(cudaError_t code, const char *what, const char *file, int line)
{
    if (code == cudaSuccess) return FLM_OK;
    cudaGetLastError(); /* reset it: the next launch must not report it */
    return flm_err_raise(FLM_E_DEVICE, file, line, "CUDA: %s (%s) in %s", cudaGetErrorString(code),
                         cudaGetErrorName(code), what);
}

static flm_status err_nccl(const nccl_state *s, ncclResult_t code, const char *what, const char *file, int line)
{
    if (code == ncclSuccess) return FLM_OK;
    return flm_err_raise(FLM_E_DEVICE, file, line, "NCCL: %s in %s%s%s", ncclGetErrorString(code), what, s ? ": " : "",
                         s ? ncclGetLastError(s->nccl) : "");
}

#define TRY_CUDA(call)                                    \
    do {                                                  \
        rc = err_cuda((call), #call, __FILE__, __LINE__); \
        if (rc != FLM_OK) goto done;                      \
    } while (0)

#define TRY_NCCL(state, call)                                      \
    do {                                                           \
        rc = err_nccl((state), (call), #call, __FILE__, __LINE__); \
        if (rc != FLM_OK) goto done;                               \
    } while (0)

static void abort_one(nccl_state *s)
{
    if (s->nccl) ncclCommAbort(s->nccl);
    s->nccl = NULL;
}

/* Stream, events and the pool of requests. */
static flm_status make_local(flm_comm *comm)
{
    flm_status rc = FLM_OK;
    int lowest = 0, highest = 0;
    nccl_state *s = calloc(1, sizeof *s);
    if (s == NULL) FLM_FAIL(FLM_E_NOMEM, "no memory for the requests of a group of ranks");
    comm->device_state = s;
    s->compute = comm->be->stream->handle(comm->be);
    /* High priority: other ranks wait for data that this one has not sent. */
    TRY_CUDA(cudaDeviceGetStreamPriorityRange(&lowest, &highest));
    TRY_CUDA(cudaStreamCreateWithPriority(&s->stream, cudaStreamNonBlocking, highest));
    TRY_CUDA(cudaEventCreateWithFlags(&s->ready, cudaEventDisableTiming));
    for (int i = FLM_COMM_REQUESTS - 1; i >= 0; i--) {
        s->pool[i].base.transport = &flm_transport_nccl;
        TRY_CUDA(cudaEventCreateWithFlags(&s->pool[i].done, cudaEventDisableTiming));
        s->pool[i].next = s->unused;
        s->unused = &s->pool[i];
    }
done:
    return rc;
}

/* Check for asynchronous failures, also of other ranks. A failed communicator is aborted at once: until then its
 * kernels wait on the device, and freeing memory would wait for them. *busy: a call on it is not finished. */
static flm_status check(nccl_state *s, bool *busy)
{
    flm_status rc = FLM_OK;
    ncclResult_t state = ncclSuccess;
    if (s->nccl == NULL) FLM_FAIL(FLM_E_DEVICE, "NCCL: the communicator was aborted after a failure");
    TRY_NCCL(s, ncclCommGetAsyncError(s->nccl, &state));
    if (state != ncclSuccess && state != ncclInProgress) {
        rc = flm_err_raise(FLM_E_DEVICE, __FILE__, __LINE__, "NCCL: asynchronous error: %s: %s",
                           ncclGetErrorString(state), ncclGetLastError(s->nccl));
        abort_one(s);
    }
    if (busy) *busy = state == ncclInProgress;
done:
    return rc;
}

/* Finish a call of NCCL, which returned `code`: the communicator does not block. */
static flm_status settle(flm_comm *comm, ncclResult_t code, const char *what)
{
    flm_status rc = FLM_OK;
    nccl_state *s = comm->device_state;
    bool busy = code == ncclInProgress;
    flm_deadline d;
    flm_deadline_begin(&d, what);
    if (!busy) TRY_NCCL(s, code);
    while (busy) {
        FLM_TRY(check(s, &busy));
        if (!busy) break;
        FLM_TRY(flm_deadline_check(comm, &d));
        nanosleep(&(struct timespec){0, POLL_NS}, NULL);
    }
done:
    if (rc != FLM_OK) abort_one(s);
    return rc;
}

/* Polled while the host waits for the backend's stream, which may wait for a rank that has failed. */
static flm_status watch(void *context, bool first)
{
    flm_status rc = FLM_OK;
    flm_comm *comm = context;
    nccl_state *s = comm->device_state;
    if (first) flm_deadline_begin(&s->deadline, "a collective of the GPUs");
    FLM_TRY(check(s, NULL));
    FLM_TRY(flm_deadline_check(comm, &s->deadline));
done:
    if (rc != FLM_OK) abort_one(s);
    return rc;
}

static void nccl_close(flm_comm *comm)
{
    nccl_state *s = comm->device_state, **at = &all_states;
    if (s == NULL) return;
    comm->be->watch = (flm_watch){NULL, NULL};
    while (*at && *at != s) at = &(*at)->next;
    if (*at) *at = s->next;
    if (s->stream) cudaStreamSynchronize(s->stream);
    if (s->nccl && settle(comm, ncclCommFinalize(s->nccl), "the end of NCCL") != FLM_OK) {
        flm_log(FLM_LOG_WARN, "%s", flm_err_message());
        flm_err_clear();
    }
    if (s->nccl) ncclCommDestroy(s->nccl);
    for (int i = 0; i < FLM_COMM_REQUESTS; i++)
        if (s->pool[i].done) cudaEventDestroy(s->pool[i].done);
    if (s->ready) cudaEventDestroy(s->ready);
    if (s->stream) cudaStreamDestroy(s->stream);
    free(s);
    comm->device_state = NULL;
}

static flm_status nccl_open(flm_comm *comm)
{
    flm_status rc = FLM_OK, local = FLM_OK;
    ncclUniqueId id;
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    int version = 0;

    memset(&id, 0, sizeof id);
    config.blocking = 0; /* a rank that does not join is then found by the deadline */
    FLM_TRY(flm_comm_agree(comm, make_local(comm)));
    nccl_state *s = comm->device_state;
    if (comm->rank == 0) local = err_nccl(NULL, ncclGetUniqueId(&id), "ncclGetUniqueId", __FILE__, __LINE__);
    FLM_TRY(flm_comm_agree(comm, local));
    FLM_TRY(flm_comm_broadcast(comm, &id, sizeof id, 0));
    s->next = all_states;
    all_states = s;
    /* No agreement is possible: the other ranks wait in the call. A rank that fails here ends the job. */
    FLM_TRY(settle(comm, ncclCommInitRankConfig(&s->nccl, comm->size, id, comm->rank, &config), "the start of NCCL"));
    comm->be->watch = (flm_watch){watch, comm};
    TRY_NCCL(NULL, ncclGetVersion(&version));
    flm_log(FLM_LOG_INFO, "NCCL %d.%d.%d on %d GPUs", version / 10000, version % 10000 / 100, version % 100,
            comm->size);
done:
    return rc;
}

/* Queue the collective itself, in place. A gather sends bytes of any dtype. */
static flm_status queue(flm_comm *comm, const nccl_state *s, const flm_comm_work *work)
{
    flm_status rc = FLM_OK;
    const size_t element = flm_dtype_size(work->dtype), slice = (size_t)work->slice;
    char *x = work->x, *own = x + (size_t)comm->rank * slice * element;
    const ncclDataType_t type = work->dtype == FLM_DTYPE_F64 ? ncclFloat64 : ncclFloat32;

    if (work->kind == FLM_COMM_ALL_GATHER) {
        FLM_TRY(settle(comm, ncclAllGather(own, x, slice * element, ncclUint8, s->nccl, s->stream), "ncclAllGather"));
        goto done;
    }
    if (work->dtype != FLM_DTYPE_F32 && work->dtype != FLM_DTYPE_F64)
        FLM_FAIL(FLM_E_UNSUPPORTED, "comm: no sum of %s; f32 or f64", flm_dtype_name(work->dtype));
    if (work->kind == FLM_COMM_REDUCE_SCATTER)
        FLM_TRY(settle(comm, ncclReduceScatter(x, own, slice, type, ncclSum, s->nccl, s->stream), "ncclReduceScatter"));
    else
        FLM_TRY(
            settle(comm, ncclAllReduce(x, x, (size_t)work->count, type, ncclSum, s->nccl, s->stream), "ncclAllReduce"));
done:
    return rc;
}

static flm_status nccl_begin(flm_comm *comm, const flm_comm_work *work, flm_comm_request **out)
{
    flm_status rc = FLM_OK;
    nccl_state *s = comm->device_state;
    nccl_request *q = s->unused;
    if (q == NULL) FLM_FAIL(FLM_E_ARG, "comm: more than %d collectives in progress", FLM_COMM_REQUESTS);
    FLM_TRY(check(s, NULL));
    TRY_CUDA(cudaEventRecord(s->ready, s->compute));
    TRY_CUDA(cudaStreamWaitEvent(s->stream, s->ready, 0));
    FLM_TRY(queue(comm, s, work));
    TRY_CUDA(cudaEventRecord(q->done, s->stream));
    s->unused = q->next;
    *out = &q->base;
done:
    return rc;
}

static flm_status nccl_progress(flm_comm *comm) { return check(comm->device_state, NULL); }

static flm_status nccl_wait(flm_comm *comm, flm_comm_request *base)
{
    flm_status rc = FLM_OK;
    nccl_state *s = comm->device_state;
    nccl_request *q = (nccl_request *)base;
    TRY_CUDA(cudaStreamWaitEvent(s->compute, q->done, 0));
    FLM_TRY(check(s, NULL));
    q->next = s->unused; /* its event may be reused: the stream's wait on it is queued already */
    s->unused = q;
done:
    return rc;
}

void flm_nccl_abort(void)
{
    for (nccl_state *s = all_states; s; s = s->next) abort_one(s);
}

const flm_transport flm_transport_nccl = {
    .open = nccl_open,
    .close = nccl_close,
    .begin = nccl_begin,
    .progress = nccl_progress,
    .wait = nccl_wait,
};
