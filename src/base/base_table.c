/* base_table.c - see base_table.h. SPDX-License-Identifier: Apache-2.0 */
#include "base/base_table.h"

#include <stdlib.h>

enum { SLOTS_MIN = 16, SHIFT_OF_MIN = 64 - 4 };

static void put(flm_table *table, uint64_t key, uint32_t number)
{
    size_t at = flm_table_home(table, key);
    while (table->slots[at].number) at = (at + 1) & table->mask;
    table->slots[at] = (flm_table_slot){key, number};
}

flm_status flm_table_reserve(flm_table *table, size_t count)
{
    flm_status rc = FLM_OK;
    flm_table grown = {.mask = SLOTS_MIN - 1, .count = table->count, .shift = SHIFT_OF_MIN};
    const size_t slots = table->slots ? table->mask + 1 : 0;
    size_t begin = 0;

    if (count > INT32_MAX) FLM_FAIL(FLM_E_NOMEM, "a hash table of %zu entries is too large", count);
    while (grown.mask + 1 < 2 * count) grown.mask = 2 * grown.mask + 1, grown.shift--;
    if (grown.mask + 1 <= slots) goto done;
    grown.slots = calloc(grown.mask + 1, sizeof *grown.slots);
    if (!grown.slots) FLM_FAIL(FLM_E_NOMEM, "no memory for a hash table of %zu entries", count);
    /* Values of one key keep their order: a run of slots is moved from its beginning, not from the array's. */
    while (begin < slots && table->slots[begin].number) begin++;
    for (size_t i = 0; i < slots; i++) {
        const flm_table_slot *slot = &table->slots[(begin + i) & table->mask];
        if (slot->number) put(&grown, slot->key, slot->number);
    }
    free(table->slots);
    *table = grown;
done:
    return rc;
}

flm_status flm_table_add(flm_table *table, uint64_t key, int32_t value)
{
    flm_status rc = FLM_OK;

    FLM_TRY(flm_table_reserve(table, table->count + 1));
    put(table, key, (uint32_t)value + 1);
    table->count++;
done:
    return rc;
}

flm_status flm_table_set(flm_table *table, uint64_t key, int32_t value)
{
    if (table->count > 0)
        for (size_t at = flm_table_home(table, key); table->slots[at].number; at = (at + 1) & table->mask)
            if (table->slots[at].key == key) {
                table->slots[at].number = (uint32_t)value + 1;
                return FLM_OK;
            }
    return flm_table_add(table, key, value);
}

void flm_table_free(flm_table *table)
{
    free(table->slots);
    *table = (flm_table){0};
}
