/* comm_staged.c - device memory that neither the host nor MPI can read: through pinned host memory and comm->transport.
 *
 * An array goes in pieces: of every rank's slice the elements [at, at + n), side by side in a staging buffer, which is
 * a smaller collective of the same kind; so sums have the same bits as in host memory. There are two buffers: while one
 * piece is under way between the ranks, the next comes from the device. A begin returns when its last piece is through;
 * the way back to the device is queued. Gathers go straight from the device where MPI takes its pointers.
 * SPDX-License-Identifier: Apache-2.0 */
#include "comm/comm_internal.h"

#include <stdlib.h>

enum { BUFFERS = 2, BUFFER_BYTES = 1 << 24 };

typedef struct staged_state {
    void *buffer[BUFFERS];
    size_t bytes; /* of each */
} staged_state;

/* One piece on its way. */
typedef struct piece {
    flm_comm_work work; /* on the buffer */
    int64_t at;         /* in every slice */
    flm_comm_request *request;
} piece;

static void staged_close(flm_comm *comm)
{
    staged_state *s = comm->device_state;
    flm_backend *be = comm->be;
    if (s == NULL) return;
    be->stream->sync(be); /* what is on its way from a buffer; an error was, or will be, another call's */
    for (int i = 0; i < BUFFERS; i++) be->memory->host_release(be, s->buffer[i]);
    free(s);
    comm->device_state = NULL;
}

static flm_status make_buffers(flm_comm *comm)
{
    flm_status rc = FLM_OK;
    flm_backend *be = comm->be;
    staged_state *s = calloc(1, sizeof *s);
    if (s == NULL) FLM_FAIL(FLM_E_NOMEM, "no memory for the staging of device %s", be->name);
    comm->device_state = s;
    s->bytes = BUFFER_BYTES;
    /* At least one element of the largest dtype of every rank. */
    if (s->bytes < (size_t)comm->size * sizeof(double)) s->bytes = (size_t)comm->size * sizeof(double);
    for (int i = 0; i < BUFFERS; i++) FLM_TRY(be->memory->host_alloc(be, s->bytes, &s->buffer[i]));
done:
    return rc;
}

static flm_status staged_open(flm_comm *comm) { return flm_comm_agree(comm, make_buffers(comm)); }

/* Elements that rank r has in [at, at + n) of its slice. */
static int64_t count_of(const flm_comm_work *work, int r, int64_t at, int64_t n)
{
    const int64_t first = r * work->slice + at;
    int64_t end = (r + 1) * work->slice < work->count ? (r + 1) * work->slice : work->count;
    if (end > first + n) end = first + n;
    return end > first ? end - first : 0;
}

/* The ranks' parts of a piece, between the device's array and the buffer: own, others or both. */
static flm_status copy_parts(flm_comm *comm, const flm_comm_work *work, const piece *p, bool to_host, bool own,
                             bool others)
{
    flm_status rc = FLM_OK;
    flm_backend *be = comm->be;
    const size_t element = flm_dtype_size(work->dtype);
    for (int r = 0; r < comm->size; r++) {
        const size_t bytes = (size_t)count_of(work, r, p->at, p->work.slice) * element;
        char *device = (char *)work->x + (size_t)(r * work->slice + p->at) * element;
        char *host = (char *)p->work.x + (size_t)(r * p->work.slice) * element;
        if (bytes == 0 || !(r == comm->rank ? own : others)) continue;
        if (to_host)
            FLM_TRY(be->memory->to_host(be, host, device, bytes));
        else
            FLM_TRY(be->memory->to_device(be, device, host, bytes));
    }
done:
    return rc;
}

static flm_status piece_begin(flm_comm *comm, const flm_comm_work *work, piece *p)
{
    flm_status rc = FLM_OK;
    FLM_TRY(copy_parts(comm, work, p, true, true, work->kind != FLM_COMM_ALL_GATHER));
    FLM_TRY(comm->be->stream->sync(comm->be));
    FLM_TRY(comm->transport->begin(comm, &p->work, &p->request));
done:
    return rc;
}

/* Through between the ranks, and queued on its way back. */
static flm_status piece_end(flm_comm *comm, const flm_comm_work *work, piece *p)
{
    flm_status rc = FLM_OK;
    FLM_TRY(flm_comm_wait(comm, &p->request));
    FLM_TRY(copy_parts(comm, work, p, false, work->kind != FLM_COMM_ALL_GATHER, work->kind != FLM_COMM_REDUCE_SCATTER));
done:
    return rc;
}

/* A device array of any size in pieces. A buffer's next copy from the device is queued behind its last one to it. */
static flm_status run_pieces(flm_comm *comm, const flm_comm_work *work)
{
    flm_status rc = FLM_OK;
    const staged_state *s = comm->device_state;
    const int64_t max = (int64_t)(s->bytes / flm_dtype_size(work->dtype)) / comm->size;
    const int64_t pieces = (work->slice + max - 1) / max;
    piece p[BUFFERS];
    for (int64_t i = 0; i <= pieces; i++) {
        piece *next = &p[i % BUFFERS];
        if (i < pieces) {
            const int64_t at = i * max, n = work->slice - at < max ? work->slice - at : max;
            int64_t count = 0;
            for (int r = 0; r < comm->size; r++) count += count_of(work, r, at, n);
            *next = (piece){{work->kind, s->buffer[i % BUFFERS], work->dtype, count, n}, at, NULL};
            if (count > 0) FLM_TRY(piece_begin(comm, work, next));
        }
        if (i > 0 && p[(i - 1) % BUFFERS].work.count > 0) FLM_TRY(piece_end(comm, work, &p[(i - 1) % BUFFERS]));
    }
done:
    return rc;
}

static flm_status staged_begin(flm_comm *comm, const flm_comm_work *work, flm_comm_request **out)
{
    flm_status rc = FLM_OK;
    flm_comm_request *request = NULL;
    if (work->kind == FLM_COMM_ALL_GATHER && comm->cuda_aware) {
        FLM_TRY(comm->be->stream->sync(comm->be)); /* the own slice is written */
        FLM_TRY(comm->transport->begin(comm, work, &request));
    } else {
        FLM_TRY(run_pieces(comm, work));
    }
    *out = request;
done:
    return rc;
}

static flm_status staged_progress(flm_comm *comm)
{
    (void)comm; /* nothing is under way but what comm->transport has */
    return FLM_OK;
}

static flm_status staged_wait(flm_comm *comm, flm_comm_request *request)
{
    (void)comm;
    (void)request; /* never: its requests are comm->transport's */
    return FLM_OK;
}

const flm_transport flm_transport_staged = {
    .open = staged_open,
    .close = staged_close,
    .begin = staged_begin,
    .progress = staged_progress,
    .wait = staged_wait,
};
