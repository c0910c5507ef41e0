/* base_table.h - a hash table from 64-bit keys to numbers.
 *
 * Keys are numbers (a pair of ids, say) or hashes of something longer. Hashes of different things may be equal:
 * several values can share a key, and the caller finds its own among them:
 *
 *     for (flm_table_cursor c = {0}; flm_table_next(table, hash, &c);)
 *         if (strcmp(names[c.value], name) == 0) return c.value;
 *
 * Open addressing with linear probing, at most half full; nothing is ever removed. Lookups are inline: the tokenisers
 * spend much of their time in them. Not thread-safe while it changes. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_BASE_TABLE_H
#define FLM_BASE_TABLE_H

#include "base/base_err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct flm_table_slot {
    uint64_t key;
    uint32_t number; /* the value + 1; 0: a free slot */
} flm_table_slot;

/* A table of zero bytes is empty. */
typedef struct flm_table {
    flm_table_slot *slots; /* [mask + 1], a power of two; NULL as long as there are none */
    size_t mask, count;
    int shift; /* the upper bits of a product choose the slot */
} flm_table;

/* flm_table_reserve - make room for `count` entries in all, so that adding them moves none. Errors: FLM_E_NOMEM. */
flm_status flm_table_reserve(flm_table *table, size_t count);

/* flm_table_add - add a value in 0..2^31-1, beside others of the same key. Errors: FLM_E_NOMEM. */
flm_status flm_table_add(flm_table *table, uint64_t key, int32_t value);

/* flm_table_set - replace the first value of a key, or add it. Errors: FLM_E_NOMEM. */
flm_status flm_table_set(flm_table *table, uint64_t key, int32_t value);

/* flm_table_free - release the slots; the table is empty afterwards. */
void flm_table_free(flm_table *table);

/* The home slot of a key: Fibonacci hashing (Knuth, volume 3, section 6.4), 2^64 divided by the golden ratio. */
static inline size_t flm_table_home(const flm_table *table, uint64_t key)
{
    return (size_t)((key * 0x9e3779b97f4a7c15u) >> table->shift);
}

/* flm_table_get - the first value of a key, -1 if there is none. */
static inline int32_t flm_table_get(const flm_table *table, uint64_t key)
{
    if (table->count == 0) return -1;
    for (size_t at = flm_table_home(table, key); table->slots[at].number; at = (at + 1) & table->mask)
        if (table->slots[at].key == key) return (int32_t)(table->slots[at].number - 1);
    return -1;
}

/* All values of a key: zero the cursor first; it is valid while the table does not change. */
typedef struct flm_table_cursor {
    size_t next; /* the next slot + 1; 0: at the beginning */
    int32_t value;
} flm_table_cursor;

/* flm_table_next - move to the next value of a key, in the order in which they were added; false after the last. */
static inline bool flm_table_next(const flm_table *table, uint64_t key, flm_table_cursor *cursor)
{
    if (table->count == 0) return false;
    size_t at = cursor->next ? cursor->next - 1 : flm_table_home(table, key);
    for (; table->slots[at].number; at = (at + 1) & table->mask) {
        if (table->slots[at].key != key) continue;
        cursor->value = (int32_t)(table->slots[at].number - 1);
        cursor->next = ((at + 1) & table->mask) + 1;
        return true;
    }
    return false;
}

#endif
