/* comm_mpi.c - the transport between host memories, by point-to-point messages of MPI.
 *
 * A collective has one or two phases. Reduce: every rank sends each other rank the elements of that rank's slice,
 * directly from the array. The receiver collects the chunks of all ranks in staging memory and adds them in the order
 * of the ranks, so that a sum depends only on their number. Gather: every rank sends its slice, received in place. A
 * sum is both. A phase is processed in chunks, of which a fixed number is in progress, so that staging memory does not
 * grow with the array. Requests run one after another in the order of their begins, the same on every rank. No
 * deadlock: of all chunks that are not yet complete everywhere, the earliest has been posted by its sender and its
 * receiver, since both have completed those before it.
 *
 * Why not MPI's own collectives: MPI_Ialltoallv with an ordered sum and MPI_Iallgather give the same bits as fast
 * (bench/speed-log.md) in about as many lines. But Open MPI's non-blocking collectives take no device pointers, its
 * sends and receives do, and comm_staged.c gathers from device memory where MPI is CUDA-aware.
 * SPDX-License-Identifier: Apache-2.0 */
#include "comm/comm_internal.h"

#include <assert.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

enum {
    WINDOW = 8,            /* chunks in progress to and from each rank */
    CHUNK_MIN = 1 << 14,   /* bytes of a chunk to reduce, with many ranks */
    CHUNK_MAX = 1 << 20,   /* with few ranks, and of a chunk to gather: the sum still finds it in the cache */
    STAGING = 1 << 24,     /* bytes of staging, unless chunks became smaller than CHUNK_MIN */
    TAGS = 32768,          /* MPI guarantees tags 0..32767 */
    ADD_BLOCK = 8192,      /* bytes summed at a time, in the first-level cache */
    MAX_POLLS = 4 * WINDOW /* in one call of progress */
};

typedef enum phase { PHASE_REDUCE, PHASE_GATHER } phase;
typedef enum direction { RECEIVE, SEND } direction;

typedef struct mpi_request {
    flm_comm_request base; /* first */
    flm_comm_work work;
    size_t element; /* bytes */
    int tag;
    bool done;
    struct mpi_request *next; /* in the queue, or in the list of unused requests */
} mpi_request;

/* The messages of one direction. Chunk i of the phase uses slot i % WINDOW. */
typedef struct lane {
    int64_t posted, finished; /* chunks */
    int pending[WINDOW];      /* messages of the slot's chunk */
    int64_t chunk[WINDOW];
} lane;

typedef struct mpi_state {
    mpi_request pool[FLM_COMM_REQUESTS], *unused, *first, *last; /* first: the one in progress */
    unsigned sequence;
    phase phase;
    int64_t chunks, chunk; /* of the phase: how many, and elements of each */
    lane lane[2];
    MPI_Request *request; /* [1 + 2 * WINDOW * size]: of a collective on host memory, then [direction, slot, rank] */
    int requests, *completed_index;
    MPI_Status *status; /* not read; GCC warns of MPI_STATUSES_IGNORE, which is an address, with the headers of MPICH */
    size_t chunk_bytes;
    unsigned char *staging; /* [WINDOW, size, chunk_bytes] */
} mpi_state;

static void mpi_close(flm_comm *comm)
{
    mpi_state *s = comm->state;
    if (s == NULL) return;
    assert(s->first == NULL);
    free(s->request);
    free(s->completed_index);
    free(s->status);
    free(s->staging);
    free(s);
    comm->state = NULL;
}

static flm_status mpi_open(flm_comm *comm)
{
    flm_status rc = FLM_OK;
    const size_t each = (size_t)WINDOW * (size_t)comm->size;
    mpi_state *s = calloc(1, sizeof *s);
    if (s == NULL) FLM_FAIL(FLM_E_NOMEM, "no memory for the requests of a group of ranks");
    comm->state = s;
    s->requests = 1 + 2 * (int)each;
    s->chunk_bytes = CHUNK_MAX;
    while (s->chunk_bytes > CHUNK_MIN && each * s->chunk_bytes > STAGING) s->chunk_bytes /= 2;
    s->request = malloc((size_t)s->requests * sizeof(MPI_Request));
    s->completed_index = malloc((size_t)s->requests * sizeof *s->completed_index);
    s->status = malloc((size_t)s->requests * sizeof(MPI_Status));
    s->staging = aligned_alloc(64, each * s->chunk_bytes);
    if (s->request == NULL || s->completed_index == NULL || s->status == NULL || s->staging == NULL)
        FLM_FAIL(FLM_E_NOMEM, "no memory for %zu bytes of staging", each * s->chunk_bytes);
    for (int i = 0; i < s->requests; i++) s->request[i] = MPI_REQUEST_NULL;
    for (int i = 0; i < FLM_COMM_REQUESTS; i++) {
        s->pool[i].next = s->unused;
        s->unused = &s->pool[i];
    }
done:
    return rc;
}

static unsigned char *staged(const flm_comm *comm, const mpi_state *s, int slot, int rank)
{
    return s->staging + ((size_t)slot * (size_t)comm->size + (size_t)rank) * s->chunk_bytes;
}

/* The first element of chunk i of a rank's slice; *count: its elements, 0 past the end of the slice or the array. */
static int64_t chunk_range(const mpi_state *s, int rank, int64_t i, int64_t *count)
{
    const flm_comm_work *work = &s->first->work;
    const int64_t first = rank * work->slice + i * s->chunk;
    int64_t end = (rank + 1) * work->slice < work->count ? (rank + 1) * work->slice : work->count;
    if (end > first + s->chunk) end = first + s->chunk;
    *count = end > first ? end - first : 0;
    return first;
}

static void add_f32(float *restrict sum, const float *restrict x, int64_t count)
{
    for (int64_t i = 0; i < count; i++) sum[i] += x[i];
}

static void add_f64(double *restrict sum, const double *restrict x, int64_t count)
{
    for (int64_t i = 0; i < count; i++) sum[i] += x[i];
}

/* All ranks' elements of chunk i of this rank's slice have arrived: add them in the order of the ranks. */
static void add_chunk(const flm_comm *comm, const mpi_state *s, int slot, int64_t i)
{
    const mpi_request *q = s->first;
    int64_t count;
    unsigned char *own = (unsigned char *)q->work.x + (size_t)chunk_range(s, comm->rank, i, &count) * q->element;
    const size_t bytes = (size_t)count * q->element;
    _Alignas(64) unsigned char sum[ADD_BLOCK];
    for (size_t at = 0; at < bytes; at += ADD_BLOCK) {
        const size_t n = bytes - at < ADD_BLOCK ? bytes - at : ADD_BLOCK;
        for (int r = 0; r < comm->size; r++) {
            const void *x = r == comm->rank ? own + at : staged(comm, s, slot, r) + at;
            if (r == 0)
                memcpy(sum, x, n);
            else if (q->work.dtype == FLM_DTYPE_F32)
                add_f32((void *)sum, x, (int64_t)(n / sizeof(float)));
            else
                add_f64((void *)sum, x, (int64_t)(n / sizeof(double)));
        }
        memcpy(own + at, sum, n);
    }
}

/* Post one message of chunk i; *posted: false where it would be empty. */
static flm_status post_message(flm_comm *comm, direction way, int peer, int64_t i, bool *posted)
{
    flm_status rc = FLM_OK;
    mpi_state *s = comm->state;
    const mpi_request *q = s->first;
    const int slot = (int)(i % WINDOW), owner = (way == SEND) == (s->phase == PHASE_REDUCE) ? peer : comm->rank;
    MPI_Request *request = &s->request[1 + (way * WINDOW + slot) * comm->size + peer];
    int64_t count;
    unsigned char *at = (unsigned char *)q->work.x + (size_t)chunk_range(s, owner, i, &count) * q->element;
    const int bytes = (int)((size_t)count * q->element);
    *posted = count > 0;
    if (count == 0) goto done;
    if (way == SEND) {
        FLM_MPI(MPI_Isend(at, bytes, MPI_BYTE, peer, q->tag, comm->mpi, request));
    } else {
        if (s->phase == PHASE_REDUCE) at = staged(comm, s, slot, peer);
        FLM_MPI(MPI_Irecv(at, bytes, MPI_BYTE, peer, q->tag, comm->mpi, request));
    }
done:
    return rc;
}

/* Post the chunks that the window allows, strictly in order, because messages of a tag are matched in order. */
static flm_status post_lane(flm_comm *comm, direction way)
{
    flm_status rc = FLM_OK;
    mpi_state *s = comm->state;
    lane *l = &s->lane[way];
    for (; l->posted < s->chunks && l->pending[l->posted % WINDOW] == 0; l->posted++) {
        const int slot = (int)(l->posted % WINDOW);
        l->chunk[slot] = l->posted;
        for (int i = 1; i < comm->size; i++) { /* start with the next rank, to spread the load */
            bool posted;
            const int peer = (comm->rank + (way == SEND ? i : comm->size - i)) % comm->size;
            FLM_TRY(post_message(comm, way, peer, l->posted, &posted));
            l->pending[slot] += posted;
        }
        if (l->pending[slot] == 0) l->finished++;
    }
done:
    return rc;
}

static void begin_phase(mpi_state *s, phase next)
{
    const mpi_request *q = s->first;
    s->phase = next;
    s->chunk = (int64_t)((next == PHASE_REDUCE ? s->chunk_bytes : (size_t)CHUNK_MAX) / q->element);
    s->chunks = (q->work.slice + s->chunk - 1) / s->chunk;
    memset(s->lane, 0, sizeof s->lane);
}

static void begin_first(mpi_state *s)
{
    if (s->first) begin_phase(s, s->first->work.kind == FLM_COMM_ALL_GATHER ? PHASE_GATHER : PHASE_REDUCE);
}

/* Post what can be posted, advancing to the next phase and the next request. */
static flm_status post(flm_comm *comm)
{
    flm_status rc = FLM_OK;
    mpi_state *s = comm->state;
    while (s->first) {
        FLM_TRY(post_lane(comm, RECEIVE));
        FLM_TRY(post_lane(comm, SEND));
        if (s->lane[RECEIVE].finished < s->chunks || s->lane[SEND].finished < s->chunks) break;
        if (s->phase == PHASE_REDUCE && s->first->work.kind == FLM_COMM_SUM) {
            begin_phase(s, PHASE_GATHER);
            continue;
        }
        s->first->done = true;
        s->first = s->first->next;
        begin_first(s);
    }
done:
    return rc;
}

/* Handle completed messages; *completed: how many. */
static flm_status poll(flm_comm *comm, int *completed)
{
    flm_status rc = FLM_OK;
    mpi_state *s = comm->state;
    int count = 0;
    FLM_MPI(MPI_Testsome(s->requests, s->request, &count, s->completed_index, s->status));
    *completed = count == MPI_UNDEFINED ? 0 : count;
    for (int i = 0; i < *completed; i++) {
        if (s->completed_index[i] == 0) continue; /* the collective on host memory */
        const int index = (s->completed_index[i] - 1) / comm->size, slot = index % WINDOW;
        const direction way = index / WINDOW == SEND ? SEND : RECEIVE;
        lane *l = &s->lane[way];
        if (--l->pending[slot] > 0) continue;
        if (way == RECEIVE && s->phase == PHASE_REDUCE) add_chunk(comm, s, slot, l->chunk[slot]);
        l->finished++;
    }
    FLM_TRY(post(comm));
done:
    return rc;
}

static flm_status mpi_begin(flm_comm *comm, const flm_comm_work *work, flm_comm_request **out)
{
    flm_status rc = FLM_OK;
    mpi_state *s = comm->state;
    mpi_request *q = s->unused;
    if (q == NULL) FLM_FAIL(FLM_E_ARG, "comm: more than %d collectives in progress", FLM_COMM_REQUESTS);
    s->unused = q->next;
    *q = (mpi_request){{&flm_transport_mpi},        *work, flm_dtype_size(work->dtype),
                       (int)(s->sequence++ % TAGS), false, NULL};
    if (s->first) {
        s->last->next = q;
        s->last = q;
    } else {
        s->first = s->last = q;
        begin_first(s);
    }
    FLM_TRY(post(comm));
    *out = &q->base;
done:
    return rc;
}

static flm_status mpi_progress(flm_comm *comm)
{
    flm_status rc = FLM_OK;
    const mpi_state *s = comm->state;
    int completed = 1;
    for (int i = 0; s->first && completed > 0 && i < MAX_POLLS; i++) FLM_TRY(poll(comm, &completed));
done:
    return rc;
}

/* Poll once for a wait, whose deadline begins anew with every message. */
static flm_status poll_until(flm_comm *comm, flm_deadline *d)
{
    flm_status rc = FLM_OK;
    int completed = 0;
    FLM_TRY(poll(comm, &completed));
    if (completed > 0) {
        flm_deadline_begin(d, d->what);
    } else {
        sched_yield(); /* to the rank waited for, where ranks share cores; not every MPI yields by itself */
        FLM_TRY(flm_deadline_check(comm, d));
    }
done:
    return rc;
}

static const char *name_of(flm_comm_kind kind)
{
    static const char *const names[] = {"a sum over the ranks", "a reduce-scatter", "an all-gather"};
    return names[kind];
}

static flm_status mpi_wait(flm_comm *comm, flm_comm_request *base)
{
    flm_status rc = FLM_OK;
    mpi_state *s = comm->state;
    mpi_request *request = (mpi_request *)base;
    flm_deadline d;
    flm_deadline_begin(&d, name_of(request->work.kind));
    while (!request->done) FLM_TRY(poll_until(comm, &d));
    request->next = s->unused;
    s->unused = request;
done:
    return rc;
}

static flm_status mpi_finish(flm_comm *comm, MPI_Request *request)
{
    flm_status rc = FLM_OK;
    mpi_state *s = comm->state;
    flm_deadline d;
    flm_deadline_begin(&d, "an exchange of results");
    s->request[0] = *request;
    *request = MPI_REQUEST_NULL;
    while (s->request[0] != MPI_REQUEST_NULL) FLM_TRY(poll_until(comm, &d));
done:
    return rc;
}

const flm_transport flm_transport_mpi = {mpi_open, mpi_close, mpi_begin, mpi_progress, mpi_wait, mpi_finish};
