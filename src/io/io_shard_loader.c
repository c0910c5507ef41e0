/* io_shard_loader.c - reads rows ahead of the step, in a thread that calls flm_shards_read and neither HDF5 nor MPI.
 *
 * A ring of three buffers: the caller uses one, the thread fills the others. SPDX-License-Identifier:
 * Apache-2.0 */
#include "io/io_shard_internal.h"

#include "base/base_clock.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PLACES = 3 };

struct flm_loader {
    const flm_shards *shards;
    uint64_t seed;
    bool shuffle;
    int64_t batch, first, count;
    int64_t step; /* the thread's next one */
    int64_t *rows;
    int32_t *ids[PLACES];
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool threaded, locked, conditioned; /* what exists of the three above */
    /* Under the lock: steps filled, steps that the caller has finished, the end, its reason. */
    int64_t filled, released;
    bool held, stop;
    flm_status failure;
    char message[1024];
};

static flm_status step_read(flm_loader *l, int32_t *ids)
{
    const int64_t n = flm_shards_get_rows(l->shards);

    for (int64_t i = 0; i < l->count; i++) {
        const int64_t place = l->step * l->batch + l->first + i;
        l->rows[i] = l->shuffle ? flm_shards_permute(l->seed, place / n, place % n, n) : place % n;
    }
    return flm_shards_read(l->shards, l->rows, l->count, ids);
}

static void *loader_run(void *argument)
{
    flm_loader *l = argument;

    pthread_mutex_lock(&l->lock);
    while (!l->stop && l->failure == FLM_OK) {
        flm_status rc;
        int place = (int)(l->filled % PLACES);
        if (l->filled - l->released == PLACES) {
            pthread_cond_wait(&l->changed, &l->lock);
            continue;
        }
        pthread_mutex_unlock(&l->lock);
        rc = step_read(l, l->ids[place]);
        l->step++;
        pthread_mutex_lock(&l->lock);
        if (rc == FLM_OK) {
            l->filled++;
        } else { /* the trace is per thread: pass the message on */
            l->failure = rc;
            snprintf(l->message, sizeof l->message, "%s", flm_err_message());
        }
        pthread_cond_broadcast(&l->changed);
    }
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

/* Signals are left to the main thread. */
static flm_status thread_start(flm_loader *l)
{
    flm_status rc = FLM_OK;
    sigset_t all, before;
    int code;

    code = pthread_mutex_init(&l->lock, NULL);
    l->locked = code == 0;
    if (code == 0) {
        code = pthread_cond_init(&l->changed, NULL);
        l->conditioned = code == 0;
    }
    if (code != 0) FLM_FAIL(FLM_E_NOMEM, "cannot create the lock of the read-ahead thread: %s", strerror(code));
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    code = pthread_create(&l->thread, NULL, loader_run, l);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    l->threaded = code == 0;
    if (code != 0) FLM_FAIL(FLM_E_NOMEM, "cannot create the read-ahead thread: %s", strerror(code));
done:
    return rc;
}

flm_status flm_loader_start(const flm_shards *shards, uint64_t seed, bool shuffle, int64_t batch, int64_t first,
                            int64_t count, int64_t first_step, flm_loader **out)
{
    flm_status rc = FLM_OK;
    flm_loader *l = NULL;
    int64_t max;
    size_t bytes;

    if (flm_shards_get_rows(shards) < 1) FLM_FAIL(FLM_E_FORMAT, "the shards have no rows");
    if (batch < 1 || first < 0 || count < 0 || first > batch || count > batch - first || first_step < 0)
        FLM_FAIL(FLM_E_ARG, "invalid range: samples %lld to %lld of a batch of %lld, from step %lld", (long long)first,
                 (long long)(first + count - 1), (long long)batch, (long long)first_step);
    if (__builtin_mul_overflow(first_step, batch, &max) || max > INT64_MAX / 2)
        FLM_FAIL(FLM_E_ARG, "step %lld with %lld rows per step exceeds 64-bit row numbers", (long long)first_step,
                 (long long)batch);
    if (__builtin_mul_overflow((size_t)count, (size_t)flm_shards_get_info(shards)->L * sizeof(int32_t), &bytes))
        FLM_FAIL(FLM_E_NOMEM, "no memory for %lld rows", (long long)count);
    l = calloc(1, sizeof *l);
    if (!l) FLM_FAIL(FLM_E_NOMEM, "no memory to read ahead");
    l->shards = shards;
    l->seed = seed;
    l->shuffle = shuffle;
    l->batch = batch;
    l->first = first;
    l->count = count;
    l->step = first_step;
    l->rows = calloc(count > 0 ? (size_t)count : 1, sizeof *l->rows);
    if (!l->rows) FLM_FAIL(FLM_E_NOMEM, "no memory to read ahead");
    for (int k = 0; k < PLACES; k++) {
        l->ids[k] = malloc(bytes > 0 ? bytes : 1);
        if (!l->ids[k]) FLM_FAIL(FLM_E_NOMEM, "no memory to read %lld rows ahead", (long long)count);
    }
    FLM_TRY(thread_start(l));
    *out = l;
    l = NULL;
done:
    flm_loader_stop(&l);
    return rc;
}

flm_status flm_loader_next(flm_loader *loader, const int32_t **ids, double *waited)
{
    flm_status rc = FLM_OK;
    const double before = flm_clock_seconds();

    pthread_mutex_lock(&loader->lock);
    if (loader->held) {
        loader->released++;
        loader->held = false;
        pthread_cond_broadcast(&loader->changed);
    }
    while (loader->filled == loader->released && loader->failure == FLM_OK)
        pthread_cond_wait(&loader->changed, &loader->lock);
    if (loader->filled > loader->released)
        loader->held = true;
    else
        rc = flm_err_raise(loader->failure, __FILE__, __LINE__, "%s", loader->message);
    pthread_mutex_unlock(&loader->lock);
    if (waited) *waited += flm_clock_seconds() - before;
    if (rc == FLM_OK) *ids = loader->ids[loader->released % PLACES];
    return rc;
}

void flm_loader_stop(flm_loader **loader)
{
    flm_loader *l = *loader;

    if (!l) return;
    if (l->threaded) {
        pthread_mutex_lock(&l->lock);
        l->stop = true;
        pthread_cond_broadcast(&l->changed);
        pthread_mutex_unlock(&l->lock);
        pthread_join(l->thread, NULL);
    }
    if (l->conditioned) pthread_cond_destroy(&l->changed);
    if (l->locked) pthread_mutex_destroy(&l->lock);
    for (int k = 0; k < PLACES; k++) free(l->ids[k]);
    free(l->rows);
    free(l);
    *loader = NULL;
}
