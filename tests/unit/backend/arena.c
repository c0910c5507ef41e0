/* arena.c - measured, committed, given out: the same calls twice. SPDX-License-Identifier: Apache-2.0 */
#include "backend/backend_arena.h"
#include "tests/tap.h"

#include <string.h>

enum { TAKEN = 5, LINES = 3 + 16 };

static void lay_out(flm_arena *arena, flm_tensor *t)
{
    t[0] = flm_arena_1d(arena, FLM_DTYPE_F32, 5);
    t[1] = flm_arena_2d(arena, FLM_DTYPE_BF16, 3, 7);
    t[2] = flm_arena_3d(arena, FLM_DTYPE_F64, 2, 3, 0);
    t[3] = flm_arena_2d(arena, FLM_DTYPE_I32, 16, 1);
    t[4] = flm_arena_rows(arena, FLM_DTYPE_BF16, 4, 65); /* 4 x 128 elements */
}

int main(void)
{
    flm_backend *be = NULL;
    flm_tensor t[TAKEN];
    int absent = 0;

    if (!tap_ok(flm_backend_create(FLM_DEVICE_CPU, 1, 0, &be) == FLM_OK, "a backend")) return tap_end();
    flm_arena arena = flm_arena_begin(be);
    lay_out(&arena, t);
    for (int i = 0; i < TAKEN; i++) absent += !t[i].data;
    tap_ok(absent == TAKEN, "while measuring, tensors have no memory");
    tap_ok(arena.used == LINES * 64, "each takes whole lines of 64 bytes: %zu", arena.used);

    tap_ok(flm_arena_commit(&arena, "a test") == FLM_OK && arena.bytes == LINES * 64 && arena.used == 0, "committed");
    lay_out(&arena, t);
    tap_ok(arena.used == arena.bytes, "the same calls use what was measured");
    tap_ok((char *)t[1].data == (char *)t[0].data + 64 && (char *)t[3].data == (char *)t[1].data + 64,
           "one behind the other");
    tap_ok((size_t)t[0].data % 64 == 0 && t[1].dim[1] == 7 && t[1].dtype == FLM_DTYPE_BF16, "aligned, shaped, typed");
    tap_ok(t[4].dim[1] == 65 && flm_tensor_row_stride(&t[4]) == 128, "rows padded where asked");
    for (int i = 0; i < TAKEN; i++)
        if (flm_tensor_bytes(&t[i])) memset(t[i].data, i, flm_tensor_bytes(&t[i]));
    tap_ok(((char *)t[0].data)[19] == 0 && ((char *)t[3].data)[63] == 3 && ((char *)t[4].data)[1023] == 4,
           "and writable to the last byte");
    uint16_t host[4 * 65 + 1];
    for (int i = 0; i < 4 * 128; i++) ((uint16_t *)t[4].data)[i] = (uint16_t)i;
    host[4 * 65] = 7;
    tap_ok(flm_backend_to_host(be, host, &t[4]) == FLM_OK && host[64] == 64 && host[65] == 128 && host[259] == 448 &&
               host[260] == 7,
           "padded rows come to the host side by side");
    tap_ok(flm_backend_to_host(be, host, &t[1]) == FLM_OK && memcmp(host, t[1].data, 42) == 0,
           "other rows as they are");
    flm_arena_release(&arena);
    tap_ok(!arena.base && !arena.used && arena.be == be, "released, ready to measure again");
    flm_arena_release(&arena);

    tap_ok(flm_arena_commit(&arena, "nothing") == FLM_OK, "an arena of nothing commits");
    flm_arena_release(&arena);
    flm_arena_2d(&arena, FLM_DTYPE_F64, 1 << 30, 1 << 20);
    tap_ok(flm_arena_commit(&arena, "the moon") == FLM_E_NOMEM && strstr(flm_err_message(), "the moon"),
           "too much names what: %s", flm_err_message());
    flm_arena_release(&arena);
    flm_backend_destroy(&be);
    return tap_end();
}
