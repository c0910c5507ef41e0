/* comm_staged.c - collectives on device memory that the host cannot read, through pinned host memory and
 * comm->transport.
 *
 * An array is processed in chunks. A chunk is the elements [at, at + n) of every rank's slice, next to each other in a
 * staging buffer: a smaller collective of the same kind, so that sums have the same bits as in host memory. There are
 * two buffers: while one chunk is exchanged between the ranks, the next is copied from the device. begin returns after
 * the exchange of the last chunk, whose copy to the device is queued. Where MPI is CUDA-aware, all-gathers need no
 * staging.
 * SPDX-License-Identifier: Apache-2.0 */
#include "comm/comm_internal.h"

#include <stdlib.h>

enum { BUFFERS = 2, BUFFER_BYTES = 1 << 24 };

typedef struct staged_state {
    void *buffer[BUFFERS];
    size_t bytes; /* of each */
} staged_state;

/* One chunk in progress. */
typedef struct chunk {
    flm_comm_work work; /* the collective on the buffer */
    int64_t at;         /* offset in every slice */
    flm_comm_request *request;
} chunk;

static void staged_close(flm_comm *comm)
{
    staged_state *s = comm->device_state;
    flm_backend *be = comm->be;
    if (s == NULL) return;
    be->stream->sync(be); /* copies from a buffer; an error is reported by another call */
    for (int i = 0; i < BUFFERS; i++) be->memory->host_release(be, s->buffer[i]);
    free(s);
    comm->device_state = NULL;
}

static flm_status make_buffers(flm_comm *comm)
{
    flm_status rc = FLM_OK;
    flm_backend *be = comm->be;
    staged_state *s = calloc(1, sizeof *s);
    if (s == NULL) FLM_FAIL(FLM_E_NOMEM, "no memory for staging the arrays of device %s", be->name);
    comm->device_state = s;
    s->bytes = BUFFER_BYTES;
    /* At least one element of the largest dtype of every rank. */
    if (s->bytes < (size_t)comm->size * sizeof(double)) s->bytes = (size_t)comm->size * sizeof(double);
    for (int i = 0; i < BUFFERS; i++) FLM_TRY(be->memory->host_alloc(be, s->bytes, &s->buffer[i]));
done:
    return rc;
}

static flm_status staged_open(flm_comm *comm) { return flm_comm_agree(comm, make_buffers(comm)); }

/* The number of elements in [at, at + n) of rank r's slice. */
static int64_t count_of(const flm_comm_work *work, int r, int64_t at, int64_t n)
{
    const int64_t first = r * work->slice + at;
    int64_t end = (r + 1) * work->slice < work->count ? (r + 1) * work->slice : work->count;
    if (end > first + n) end = first + n;
    return end > first ? end - first : 0;
}

/* Copy a chunk between the device's array and the buffer: this rank's slice, those of the other ranks, or both. */
static flm_status copy_parts(flm_comm *comm, const flm_comm_work *work, const chunk *c, bool to_host, bool own,
                             bool others)
{
    flm_status rc = FLM_OK;
    flm_backend *be = comm->be;
    const size_t element = flm_dtype_size(work->dtype);
    for (int r = 0; r < comm->size; r++) {
        const size_t bytes = (size_t)count_of(work, r, c->at, c->work.slice) * element;
        char *device = (char *)work->x + (size_t)(r * work->slice + c->at) * element;
        char *host = (char *)c->work.x + (size_t)(r * c->work.slice) * element;
        if (bytes == 0 || !(r == comm->rank ? own : others)) continue;
        if (to_host)
            FLM_TRY(be->memory->to_host(be, host, device, bytes));
        else
            FLM_TRY(be->memory->to_device(be, device, host, bytes));
    }
done:
    return rc;
}

static flm_status begin_chunk(flm_comm *comm, const flm_comm_work *work, chunk *c)
{
    flm_status rc = FLM_OK;
    FLM_TRY(copy_parts(comm, work, c, true, true, work->kind != FLM_COMM_ALL_GATHER));
    FLM_TRY(comm->be->stream->sync(comm->be));
    FLM_TRY(comm->transport->begin(comm, &c->work, &c->request));
done:
    return rc;
}

/* Finish the exchange and queue the copy to the device. */
static flm_status end_chunk(flm_comm *comm, const flm_comm_work *work, chunk *c)
{
    flm_status rc = FLM_OK;
    FLM_TRY(flm_comm_wait(comm, &c->request));
    FLM_TRY(copy_parts(comm, work, c, false, work->kind != FLM_COMM_ALL_GATHER, work->kind != FLM_COMM_REDUCE_SCATTER));
done:
    return rc;
}

/* All chunks of an array. A buffer may be reused at once: its next copy is queued behind its previous one. */
static flm_status run_chunks(flm_comm *comm, const flm_comm_work *work)
{
    flm_status rc = FLM_OK;
    const staged_state *s = comm->device_state;
    const int64_t max = (int64_t)(s->bytes / flm_dtype_size(work->dtype)) / comm->size;
    const int64_t chunks = (work->slice + max - 1) / max;
    chunk ring[BUFFERS];
    for (int64_t i = 0; i <= chunks; i++) {
        chunk *next = &ring[i % BUFFERS];
        if (i < chunks) {
            const int64_t at = i * max, n = work->slice - at < max ? work->slice - at : max;
            int64_t count = 0;
            for (int r = 0; r < comm->size; r++) count += count_of(work, r, at, n);
            *next = (chunk){{work->kind, s->buffer[i % BUFFERS], work->dtype, count, n}, at, NULL};
            if (count > 0) FLM_TRY(begin_chunk(comm, work, next));
        }
        if (i > 0 && ring[(i - 1) % BUFFERS].work.count > 0) FLM_TRY(end_chunk(comm, work, &ring[(i - 1) % BUFFERS]));
    }
done:
    return rc;
}

static flm_status staged_begin(flm_comm *comm, const flm_comm_work *work, flm_comm_request **out)
{
    flm_status rc = FLM_OK;
    flm_comm_request *request = NULL;
    if (work->kind == FLM_COMM_ALL_GATHER && comm->cuda_aware) {
        FLM_TRY(comm->be->stream->sync(comm->be)); /* this rank's slice must be written */
        FLM_TRY(comm->transport->begin(comm, work, &request));
    } else {
        FLM_TRY(run_chunks(comm, work));
    }
    *out = request;
done:
    return rc;
}

static flm_status staged_progress(flm_comm *comm)
{
    (void)comm; /* only comm->transport has requests in progress */
    return FLM_OK;
}

static flm_status staged_wait(flm_comm *comm, flm_comm_request *request)
{
    (void)comm;
    (void)request; /* never called: requests belong to comm->transport */
    return FLM_OK;
}

const flm_transport flm_transport_staged = {
    .open = staged_open,
    .close = staged_close,
    .begin = staged_begin,
    .progress = staged_progress,
    .wait = staged_wait,
};
