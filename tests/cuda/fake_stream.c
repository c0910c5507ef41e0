/* fake_stream.c - see fake_stream.h. SPDX-License-Identifier: Apache-2.0 */
#include "tests/cuda/fake_stream.h"

#include "base/base_clock.h"
#include "tests/cuda/fake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Seconds after which a wait inside the driver is a hang: longer than what the tests' ranks wait for each other. */
static const double HANG = 8;

typedef struct op {
    bool (*run)(void *arg);
    void *arg;
    struct op *next;
} op;

typedef struct stream {
    op *first, **last;
    struct stream *next;
} stream;

typedef struct copy {
    void *to;
    const void *from;
    size_t bytes;
} copy;

typedef struct event {
    long recorded, done; /* the numbers of the last record that was queued, and that was reached */
    const stream *on;
} event;

typedef struct mark {
    event *e;
    long number;
} mark;

static stream *streams;

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *out, unsigned flags)
{
    stream *s = calloc(1, sizeof *s);
    if (flags != cudaStreamNonBlocking || !s) return cudaErrorInvalidValue;
    s->last = &s->first;
    s->next = streams;
    streams = s;
    *out = (cudaStream_t)s;
    return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t of)
{
    stream *s = (stream *)of, **at = &streams;
    while (*at != s) at = &(*at)->next;
    *at = s->next;
    free(s);
    return cudaSuccess;
}

void fake_stream_push(cudaStream_t of, bool (*run)(void *arg), void *arg)
{
    stream *s = (stream *)of;
    op *o = malloc(sizeof *o);
    if (!o || !arg) abort();
    *o = (op){run, arg, NULL};
    *s->last = o;
    s->last = &o->next;
}

bool fake_stream_progress(cudaStream_t of)
{
    for (bool moved = true; moved;) {
        moved = false;
        for (stream *s = streams; s; s = s->next)
            while (s->first && s->first->run(s->first->arg)) {
                op *o = s->first;
                s->first = o->next;
                if (!s->first) s->last = &s->first;
                free(o->arg);
                free(o);
                moved = true;
            }
    }
    return ((stream *)of)->first == NULL;
}

void fake_stream_drain(cudaStream_t of, const char *what)
{
    const double end = flm_clock_seconds() + HANG;
    while (!fake_stream_progress(of))
        if (flm_clock_seconds() > end) {
            fprintf(stderr, "# the host hangs in the driver, in %s\n", what);
            abort();
        }
}

bool fake_stream_reach(void *of)
{
    if (of) fake_stream_drain((cudaStream_t)of, "a kernel, which the stand-in computes at once");
    return of != NULL;
}

cudaError_t cudaStreamSynchronize(cudaStream_t of)
{
    if (!of) return cudaErrorInvalidValue;
    fake_stream_drain(of, "cudaStreamSynchronize");
    return cudaSuccess;
}

/* Not ready at first, so that callers must poll. */
cudaError_t cudaStreamQuery(cudaStream_t of)
{
    static int asked;
    if (!fake_stream_progress(of)) return cudaErrorNotReady;
    return asked++ % 3 == 2 ? cudaSuccess : cudaErrorNotReady;
}

static bool run_copy(void *arg)
{
    const copy *c = arg;
    memcpy(c->to, c->from, c->bytes);
    return true;
}

/* A copy from or to pageable host memory returns when it is done (CUDA runtime API, "API synchronization behavior"). */
cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind, cudaStream_t of)
{
    const bool to_far = kind != cudaMemcpyDeviceToHost, from_far = kind != cudaMemcpyHostToDevice;
    copy *c = malloc(sizeof *c);
    if (!c || !of || is_far(to) != to_far || is_far(from) != from_far) return cudaErrorInvalidValue;
    *c = (copy){to_far ? near(to) : to, from_far ? near(from) : from, bytes};
    fake_stream_push(of, run_copy, c);
    if (!(to_far && from_far) && !fake_is_pinned(to_far ? from : to))
        fake_stream_drain(of, "a copy of pageable host memory");
    return cudaSuccess;
}

static bool run_zero(void *arg)
{
    const copy *c = arg;
    memset(c->to, 0, c->bytes);
    return true;
}

cudaError_t cudaMemsetAsync(void *device, int value, size_t bytes, cudaStream_t of)
{
    copy *c = malloc(sizeof *c);
    if (!c || !of || !is_far(device) || value != 0) return cudaErrorInvalidValue;
    *c = (copy){near(device), NULL, bytes};
    fake_stream_push(of, run_zero, c);
    return cudaSuccess;
}

/* ---- events ---- */

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *out, unsigned flags)
{
    *out = (cudaEvent_t)calloc(1, sizeof(event));
    return flags == cudaEventDisableTiming ? cudaSuccess : cudaErrorInvalidValue;
}

cudaError_t cudaEventDestroy(cudaEvent_t e)
{
    free(e);
    return cudaSuccess;
}

static bool run_record(void *arg)
{
    const mark *m = arg;
    m->e->done = m->number;
    return true;
}

static bool run_wait(void *arg)
{
    const mark *m = arg;
    return m->e->done >= m->number;
}

static cudaError_t push_mark(cudaStream_t of, bool (*run)(void *), event *e)
{
    mark *m = malloc(sizeof *m);
    if (!m) return cudaErrorMemoryAllocation;
    *m = (mark){e, e->recorded};
    fake_stream_push(of, run, m);
    return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t e, cudaStream_t of)
{
    event *recorded = (event *)e;
    if (!of) return cudaErrorInvalidValue;
    recorded->recorded++;
    recorded->on = (stream *)of;
    return push_mark(of, run_record, recorded);
}

/* An event that is waited for must have been recorded on another stream. */
cudaError_t cudaStreamWaitEvent(cudaStream_t of, cudaEvent_t e, unsigned flags)
{
    event *waited = (event *)e;
    if (!of || flags != 0 || !waited->on || waited->on == (stream *)of) return cudaErrorInvalidValue;
    return push_mark(of, run_wait, waited);
}
