/* table.c - the hash table: growing, equal keys, keys that collide, and an empty table.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/base_table.h"
#include "tests/tap.h"

enum { MANY = 20000 };

/* Keys that are all sent to a few home slots, which is the worst case for probing. */
static uint64_t colliding(uint64_t i) { return i << 48; }

static void test_keys(const char *name, uint64_t (*key)(uint64_t), int count)
{
    flm_table table = {0};
    int wrong = 0;

    for (int i = 0; i < count; i++) wrong += flm_table_add(&table, key((uint64_t)i), i) != FLM_OK;
    tap_ok(wrong == 0 && table.count == (size_t)count && table.mask + 1 >= 2 * table.count,
           "%s: %d entries added, at most half of the slots taken", name, count);
    for (int i = 0; i < count; i++) wrong += flm_table_get(&table, key((uint64_t)i)) != i;
    for (int i = count; i < 2 * count; i++) wrong += flm_table_get(&table, key((uint64_t)i)) != -1;
    tap_ok(wrong == 0, "%s: each is found, and no other", name);
    flm_table_free(&table);
}

static uint64_t pair_of(uint64_t i) { return (i % 141) << 32 | i / 141; }
static uint64_t counting(uint64_t i) { return i; }

/* Three values of each key, added in turns while the table grows. */
static void test_equal(void)
{
    flm_table table = {0};
    int wrong = 0;

    for (int turn = 0; turn < 3; turn++)
        for (int i = 0; i < MANY; i++) flm_table_add(&table, counting((uint64_t)i), turn * MANY + i);
    for (int i = 0; i < MANY; i++) {
        flm_table_cursor c = {0};
        for (int turn = 0; turn < 3; turn++)
            wrong += !flm_table_next(&table, counting((uint64_t)i), &c) || c.value != turn * MANY + i;
        wrong += flm_table_next(&table, counting((uint64_t)i), &c);
    }
    tap_ok(wrong == 0, "values of one key come in the order of adding, then an end");
    flm_table_set(&table, 5, 77);
    tap_ok(flm_table_get(&table, 5) == 77 && table.count == 3 * MANY, "set replaces the first value");
    flm_table_set(&table, 3 * MANY, 78);
    tap_ok(flm_table_get(&table, 3 * MANY) == 78 && table.count == 3 * MANY + 1, "or adds one");
    flm_table_free(&table);
}

int main(void)
{
    flm_table table = {0};
    flm_table_cursor c = {0};

    tap_ok(flm_table_get(&table, 0) == -1 && !flm_table_next(&table, 0, &c), "an empty table has nothing");
    tap_ok(flm_table_set(&table, 0, 0) == FLM_OK && flm_table_get(&table, 0) == 0 && flm_table_get(&table, 1) == -1,
           "key 0 and value 0");
    flm_table_free(&table);
    tap_ok(flm_table_get(&table, 0) == -1, "and nothing when it is freed");
    tap_ok(flm_table_reserve(&table, 1000) == FLM_OK && table.mask == 2047, "room for 1000: %zu slots", table.mask + 1);
    const flm_table_slot *before = table.slots;
    for (int i = 0; i < 1000; i++) flm_table_add(&table, counting((uint64_t)i), i);
    tap_ok(table.slots == before && flm_table_get(&table, 999) == 999, "which holds them without being moved");
    flm_table_free(&table);
    test_keys("numbers", counting, MANY);
    test_keys("pairs", pair_of, MANY);
    test_keys("colliding", colliding, 1000);
    test_equal();
    return tap_end();
}
