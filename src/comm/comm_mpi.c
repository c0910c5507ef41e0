/* comm_mpi.c - the transport over MPI messages between host memories.
 *
 * A collective is one or two phases. Reduce: every rank sends each other rank the piece of that one's slice, straight
 * from the array; the receiver keeps the pieces of all ranks in staging memory and adds them in the order of the ranks,
 * so the sum depends on nothing but their number. Gather: every rank sends its own slice, received in place. A sum is
 * both. Pieces go through a window: a fixed number are under way, and memory does not grow with the array.
 * Requests run one after another in the order of their begins, the same on every rank. No deadlock: of all pieces not
 * yet through anywhere, the earliest has been posted by its sender and its receiver, since both are done with those
 * before it. SPDX-License-Identifier: Apache-2.0 */
#include "comm/comm_internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
    WINDOW = 8,          /* pieces under way to and from each rank */
    PIECE_MIN = 1 << 14, /* bytes of a piece of the reduction, with many ranks; */
    PIECE_MAX = 1 << 20, /* with few, the sum still finds it in the cache; and of those received in place */
    STAGING = 1 << 24,   /* bytes of staging, as long as pieces do not get too small */
    TAGS = 32768,        /* MPI guarantees tags 0..32767 */
    ADD_BLOCK = 8192,    /* bytes summed at a time, in the first-level cache */
    ROUNDS = 4 * WINDOW  /* most looks of one call of progress */
};

typedef enum phase { PHASE_REDUCE, PHASE_GATHER } phase;
typedef enum direction { RECEIVE, SEND } direction;

typedef struct mpi_request {
    flm_comm_request base; /* first */
    flm_comm_work work;
    size_t element; /* bytes */
    int tag;
    bool done;
    struct mpi_request *next; /* in the queue, or among the unused */
} mpi_request;

/* The messages of one direction: piece i of the phase has slot i % WINDOW. */
typedef struct lane {
    int64_t posted, finished; /* pieces */
    int pending[WINDOW];      /* messages of the slot's piece */
    int64_t piece[WINDOW];
} lane;

typedef struct mpi_state {
    mpi_request pool[FLM_COMM_REQUESTS], *unused, *first, *last; /* first: the one under way */
    unsigned sequence;
    phase phase;
    int64_t pieces, piece; /* of the phase: how many, and elements of each */
    lane lane[2];
    MPI_Request *request; /* [1 + 2 * WINDOW * size]: a host collective's, then [direction, slot, rank] */
    int requests, *completed;
    size_t piece_bytes;
    unsigned char *staging; /* [WINDOW, size, piece_bytes] */
} mpi_state;

static void mpi_close(flm_comm *comm)
{
    mpi_state *s = comm->state;
    if (s == NULL) return;
    assert(s->first == NULL);
    free(s->request);
    free(s->completed);
    free(s->staging);
    free(s);
    comm->state = NULL;
}

static flm_status mpi_open(flm_comm *comm)
{
    flm_status rc = FLM_OK;
    const size_t each = (size_t)WINDOW * (size_t)comm->size;
    mpi_state *s = calloc(1, sizeof *s);
    if (s == NULL) FLM_FAIL(FLM_E_NOMEM, "no memory for the requests of a group");
    comm->state = s;
    s->requests = 1 + 2 * (int)each;
    s->piece_bytes = PIECE_MAX;
    while (s->piece_bytes > PIECE_MIN && each * s->piece_bytes > STAGING) s->piece_bytes /= 2;
    s->request = malloc((size_t)s->requests * sizeof(MPI_Request));
    s->completed = malloc((size_t)s->requests * sizeof *s->completed);
    s->staging = aligned_alloc(64, each * s->piece_bytes);
    if (s->request == NULL || s->completed == NULL || s->staging == NULL)
        FLM_FAIL(FLM_E_NOMEM, "no memory for %zu bytes of staging", each * s->piece_bytes);
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
    return s->staging + ((size_t)slot * (size_t)comm->size + (size_t)rank) * s->piece_bytes;
}

/* Piece i of a rank's slice: its first element; *count is 0 where the slice or the array has ended. */
static int64_t part(const mpi_state *s, int rank, int64_t i, int64_t *count)
{
    const flm_comm_work *work = &s->first->work;
    const int64_t first = rank * work->slice + i * s->piece;
    int64_t end = (rank + 1) * work->slice < work->count ? (rank + 1) * work->slice : work->count;
    if (end > first + s->piece) end = first + s->piece;
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

/* All ranks' contributions to piece i of the own slice are here: add them in the order of the ranks. */
static void add_piece(const flm_comm *comm, const mpi_state *s, int slot, int64_t i)
{
    const mpi_request *q = s->first;
    int64_t count;
    unsigned char *own = (unsigned char *)q->work.x + (size_t)part(s, comm->rank, i, &count) * q->element;
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

/* One message of piece i; false when there is nothing in it. */
static flm_status post_message(flm_comm *comm, direction way, int peer, int64_t i, bool *posted)
{
    flm_status rc = FLM_OK;
    mpi_state *s = comm->state;
    const mpi_request *q = s->first;
    const int slot = (int)(i % WINDOW), owner = (way == SEND) == (s->phase == PHASE_REDUCE) ? peer : comm->rank;
    MPI_Request *request = &s->request[1 + (way * WINDOW + slot) * comm->size + peer];
    int64_t count;
    unsigned char *at = (unsigned char *)q->work.x + (size_t)part(s, owner, i, &count) * q->element;
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

/* As many pieces as the window has room for; strictly in order, because messages of a tag are matched in order. */
static flm_status post_lane(flm_comm *comm, direction way)
{
    flm_status rc = FLM_OK;
    mpi_state *s = comm->state;
    lane *l = &s->lane[way];
    for (; l->posted < s->pieces && l->pending[l->posted % WINDOW] == 0; l->posted++) {
        const int slot = (int)(l->posted % WINDOW);
        l->piece[slot] = l->posted;
        for (int i = 1; i < comm->size; i++) { /* each rank begins with another peer */
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
    s->piece = (int64_t)((next == PHASE_REDUCE ? s->piece_bytes : (size_t)PIECE_MAX) / q->element);
    s->pieces = (q->work.slice + s->piece - 1) / s->piece;
    memset(s->lane, 0, sizeof s->lane);
}

static void begin_first(mpi_state *s)
{
    if (s->first) begin_phase(s, s->first->work.kind == FLM_COMM_ALL_GATHER ? PHASE_GATHER : PHASE_REDUCE);
}

/* Post what can be posted, passing on to the next phase and the next request where one is through. */
static flm_status post(flm_comm *comm)
{
    flm_status rc = FLM_OK;
    mpi_state *s = comm->state;
    while (s->first) {
        FLM_TRY(post_lane(comm, RECEIVE));
        FLM_TRY(post_lane(comm, SEND));
        if (s->lane[RECEIVE].finished < s->pieces || s->lane[SEND].finished < s->pieces) break;
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

/* See to the messages that came to an end: *moved says how many; wait: until there is one. */
static flm_status look(flm_comm *comm, bool wait, int *moved)
{
    flm_status rc = FLM_OK;
    mpi_state *s = comm->state;
    int count = 0;
    if (wait)
        FLM_MPI(MPI_Waitsome(s->requests, s->request, &count, s->completed, MPI_STATUSES_IGNORE));
    else
        FLM_MPI(MPI_Testsome(s->requests, s->request, &count, s->completed, MPI_STATUSES_IGNORE));
    *moved = count == MPI_UNDEFINED ? 0 : count;
    for (int i = 0; i < *moved; i++) {
        if (s->completed[i] == 0) continue; /* the host collective */
        const int line = (s->completed[i] - 1) / comm->size, slot = line % WINDOW;
        const direction way = line / WINDOW == SEND ? SEND : RECEIVE;
        lane *l = &s->lane[way];
        if (--l->pending[slot] > 0) continue;
        if (way == RECEIVE && s->phase == PHASE_REDUCE) add_piece(comm, s, slot, l->piece[slot]);
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
    if (q == NULL) FLM_FAIL(FLM_E_ARG, "comm: more than %d collectives at once", FLM_COMM_REQUESTS);
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
    int moved = 1;
    for (int i = 0; s->first && moved > 0 && i < ROUNDS; i++) FLM_TRY(look(comm, false, &moved));
done:
    return rc;
}

static flm_status mpi_wait(flm_comm *comm, flm_comm_request *base)
{
    flm_status rc = FLM_OK;
    mpi_state *s = comm->state;
    mpi_request *request = (mpi_request *)base;
    int moved = 1;
    while (!request->done) {
        FLM_TRY(look(comm, true, &moved));
        assert(moved > 0);
    }
    request->next = s->unused;
    s->unused = request;
done:
    return rc;
}

static flm_status mpi_finish(flm_comm *comm, MPI_Request *request)
{
    flm_status rc = FLM_OK;
    mpi_state *s = comm->state;
    int moved;
    s->request[0] = *request;
    *request = MPI_REQUEST_NULL;
    while (s->request[0] != MPI_REQUEST_NULL) FLM_TRY(look(comm, true, &moved));
done:
    return rc;
}

const flm_transport flm_transport_mpi = {mpi_open, mpi_close, mpi_begin, mpi_progress, mpi_wait, mpi_finish, NULL};
