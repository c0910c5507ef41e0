/* score_overlap.c - see score_overlap.h. SPDX-License-Identifier: Apache-2.0 */
#include "score/compare/score_overlap.h"

#include "base/base_log.h"
#include "base/base_progress.h"
#include "base/base_share.h"
#include "base/base_table.h"

#include <inttypes.h>
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { GRAM = 4, BLOCK_IDS = 1 << 20, REDUCE = 1 << 16 };

/* Each n-gram is made of the one before it twice. */
const int flm_overlap_orders[FLM_OVERLAP_ORDERS] = {GRAM, 2 * GRAM, 4 * GRAM};

typedef struct overlap {
    int32_t *ids; /* [total] of all sets, one after the other */
    int64_t total;
    flm_table table[FLM_OVERLAP_ORDERS];        /* of different n-grams: hash to the position of the first */
    _Atomic uint8_t *found[FLM_OVERLAP_ORDERS]; /* [total] of these: occurs in the shards */
} overlap;

/* A polynomial in a random odd number; the table multiplies it once more and takes the upper bits. */
static uint64_t hash_gram(const int32_t *ids)
{
    uint64_t h = 0;
    for (int i = 0; i < GRAM; i++) h = h * 0xD6E8FEB86659FD93u + (uint32_t)ids[i];
    return h;
}

static uint64_t hash_join(uint64_t left, uint64_t right) { return (left ^ left >> 29) * 0xBF58476D1CE4E5B9u + right; }

/* The hash of the n-gram of an order at ids. */
static uint64_t hash_of(const int32_t *ids, int order)
{
    if (order == 0) return hash_gram(ids);
    const int half = flm_overlap_orders[order - 1];
    return hash_join(hash_of(ids, order - 1), hash_of(ids + half, order - 1));
}

/* The position of the first n-gram that is equal to that at ids, -1 if there is none. */
static int32_t find(const overlap *o, int order, uint64_t key, const int32_t *ids)
{
    const size_t bytes = (size_t)flm_overlap_orders[order] * sizeof *ids;
    for (flm_table_cursor c = {0}; flm_table_next(&o->table[order], key, &c);)
        if (memcmp(o->ids + c.value, ids, bytes) == 0) return c.value;
    return -1;
}

static flm_status row_add(overlap *o, int64_t first, int64_t end)
{
    flm_status rc = FLM_OK;
    for (int order = 0; order < FLM_OVERLAP_ORDERS; order++)
        for (int64_t i = first; i + flm_overlap_orders[order] <= end; i++) {
            const uint64_t key = hash_of(o->ids + i, order);
            if (find(o, order, key, o->ids + i) < 0) FLM_TRY(flm_table_add(&o->table[order], key, (int32_t)i));
        }
done:
    return rc;
}

static flm_status index_sets(overlap *o, const flm_id_rows *sets, int count)
{
    flm_status rc = FLM_OK;
    int64_t at = 0;
    for (int s = 0; s < count; s++) o->total += sets[s].starts[sets[s].rows];
    if (o->total > INT32_MAX)
        FLM_FAIL(FLM_E_ARG, "texts of %" PRId64 " tokens in all, at most %d can be compared with shards", o->total,
                 INT32_MAX);
    o->ids = malloc((size_t)(o->total + 1) * sizeof *o->ids);
    for (int k = 0; k < FLM_OVERLAP_ORDERS; k++) {
        o->found[k] = calloc((size_t)o->total + 1, sizeof *o->found[k]);
        if (!o->ids || !o->found[k]) FLM_FAIL(FLM_E_NOMEM, "no memory for the n-grams of %" PRId64 " tokens", o->total);
    }
    for (int s = 0; s < count; s++) {
        const int64_t *starts = sets[s].starts, n = starts[sets[s].rows];
        if (n > 0) memcpy(o->ids + at, sets[s].ids, (size_t)n * sizeof *o->ids);
        for (int64_t r = 0; r < sets[s].rows; r++) FLM_TRY(row_add(o, at + starts[r], at + starts[r + 1]));
        at += n;
    }
done:
    return rc;
}

static void overlap_end(overlap *o)
{
    free(o->ids);
    for (int k = 0; k < FLM_OVERLAP_ORDERS; k++) {
        free((void *)o->found[k]);
        flm_table_free(&o->table[k]);
    }
}

/* Marks the n-grams of a row. A longer one occurs in the texts only where the shorter one that begins it does, which
 * spares most lookups. */
static void row_mark(const overlap *o, const int32_t *ids, int64_t L)
{
    for (int64_t i = 0; i + GRAM <= L; i++)
        for (int k = 0; k < FLM_OVERLAP_ORDERS && i + flm_overlap_orders[k] <= L; k++) {
            const int32_t at = find(o, k, hash_of(ids + i, k), ids + i);
            if (at < 0) break;
            if (!atomic_load_explicit(&o->found[k][at], memory_order_relaxed))
                atomic_store_explicit(&o->found[k][at], 1, memory_order_relaxed);
        }
}

/* This rank's rows of the shards. */
static flm_status shards_mark(flm_comm *comm, const overlap *o, const flm_shards *shards, bool (*stop_requested)(void),
                              bool *stopped)
{
    flm_status rc = FLM_OK;
    const int64_t L = flm_shards_get_info(shards)->L, block = BLOCK_IDS / L + 1;
    const flm_share own = flm_share_of(flm_shards_get_rows(shards), flm_comm_rank(comm), flm_comm_size(comm));
    flm_progress progress = flm_progress_begin(0, flm_comm_rank(comm) == 0);
    int32_t *ids = malloc((size_t)(block * L) * sizeof *ids);
    int64_t *rows = malloc((size_t)block * sizeof *rows);
    if (!ids || !rows) FLM_FAIL(FLM_E_NOMEM, "no memory for %" PRId64 " rows of shards", block);
    for (int64_t first = 0; first < own.count; first += block) {
        const int64_t count = own.count - first < block ? own.count - first : block;
        *stopped = stop_requested();
        if (*stopped) break;
        for (int64_t i = 0; i < count; i++) rows[i] = own.first + first + i;
        FLM_TRY(flm_shards_read(shards, rows, count, ids));
#pragma omp parallel for schedule(static)
        for (int64_t i = 0; i < count; i++) row_mark(o, ids + i * L, L);
        flm_progress_show(&progress, (double)(first + count), (double)own.count, "n-grams in the shards");
    }
done:
    flm_progress_clear(&progress);
    free(ids);
    free(rows);
    return rc;
}

/* What any rank has found, to every rank. */
static flm_status found_share(flm_comm *comm, overlap *o)
{
    flm_status rc = FLM_OK;
    int64_t *part = malloc(REDUCE * sizeof *part);
    FLM_TRY(flm_comm_agree(comm, part ? FLM_OK
                                      : flm_err_raise(FLM_E_NOMEM, __FILE__, __LINE__, "no memory for n-grams found")));
    for (int k = 0; k < FLM_OVERLAP_ORDERS; k++)
        for (int64_t first = 0; first < o->total; first += REDUCE) {
            const int64_t count = o->total - first < REDUCE ? o->total - first : REDUCE;
            for (int64_t i = 0; i < count; i++) part[i] = o->found[k][first + i];
            FLM_TRY(flm_comm_max_i64(comm, part, count));
            for (int64_t i = 0; i < count; i++) o->found[k][first + i] = part[i] != 0;
        }
done:
    free(part);
    return rc;
}

static double share_of(const overlap *o, int64_t at, const flm_id_rows *set, int order)
{
    const int n = flm_overlap_orders[order];
    int64_t all = 0, occur = 0;
    for (int64_t r = 0; r < set->rows; r++)
        for (int64_t i = set->starts[r]; i + n <= set->starts[r + 1]; i++) {
            const int32_t *ids = o->ids + at + i;
            occur += o->found[order][find(o, order, hash_of(ids, order), ids)];
            all++;
        }
    return all > 0 ? (double)occur / (double)all : NAN;
}

flm_status flm_overlap_compute(flm_comm *comm, const flm_shards *shards, const flm_id_rows *sets, int count,
                               bool (*stop_requested)(void), double (*share)[FLM_OVERLAP_ORDERS])
{
    flm_status rc = FLM_OK;
    overlap o = {0};
    bool stopped = false;
    int64_t stops, at = 0;

    FLM_TRY(flm_comm_agree(comm, index_sets(&o, sets, count)));
    FLM_TRY(flm_comm_agree(comm, shards_mark(comm, &o, shards, stop_requested, &stopped)));
    stops = stopped;
    FLM_TRY(flm_comm_max_i64(comm, &stops, 1));
    if (stops) {
        flm_log(FLM_LOG_INFO, "stopped early, while n-grams were looked up in the shards; run the same command again");
        FLM_FAIL(FLM_E_INTERRUPTED, "stopped early");
    }
    FLM_TRY(found_share(comm, &o));
    for (int s = 0; s < count; s++) {
        for (int k = 0; k < FLM_OVERLAP_ORDERS; k++) share[s][k] = share_of(&o, at, &sets[s], k);
        at += sets[s].starts[sets[s].rows];
    }
done:
    overlap_end(&o);
    return rc;
}
