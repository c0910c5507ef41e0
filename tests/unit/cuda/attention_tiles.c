/* attention_tiles.c - the arithmetic of the attention kernels: the layout of tiles, the memory of a block, and the
 * tiles of sequences. SPDX-License-Identifier: Apache-2.0 */
#include "cuda/kernel/attention_tiles.h"
#include "tests/tap.h"

#include <stdbool.h>
#include <string.h>

static const int heads[] = {16, 32, 48, 64, 96, 128};

static void test_heads(void)
{
    bool min = true, plain = true;
    for (int h = 1; h <= FLM_ATTENTION_HEAD_MAX; h++) {
        int D = 0, min_of = 0;
        for (int i = 5; i >= 0; i--)
            if (heads[i] >= h) min_of = heads[i];
        D = flm_attention_head(h);
        min = min && D == min_of;
        plain = plain && flm_plain_head(h) >= h && flm_plain_head(h) % 16 == 0;
    }
    tap_ok(min, "heads of 1 to 128 columns get the smallest kernel that holds them");
    tap_ok(plain, "and a plain one");
}

/* Every 16 bytes have an offset of their own, within their row's chunks. */
static void test_offsets(int D)
{
    bool taken[64 * 16], one = true;
    memset(taken, 0, sizeof taken);
    for (int row = 0; row < 64; row++)
        for (int chunk = 0; chunk < D / 8; chunk++) {
            const int at = flm_attention_chunk(D, row, chunk);
            one = one && at >= row * (D / 8) && at < (row + 1) * (D / 8) && !taken[at];
            if (at >= 0 && at < 64 * 16) taken[at] = true;
        }
    tap_ok(one, "D=%d: every chunk has its own offset in its row", D);
}

/* Shared memory has 32 banks of 4 bytes: 8 lanes access 16-byte chunks without conflicts if the chunks are in 8
 * different groups of 4 banks. lane: the lanes' (row, chunk). */
static bool eight_groups(const int (*lane)[2], int D)
{
    unsigned groups = 0;
    for (int i = 0; i < 8; i++) groups |= 1u << flm_attention_chunk(D, lane[i][0], lane[i][1]) % 8;
    return groups == 0xFF;
}

static void test_banks(int D)
{
    bool matrices = true, copies = true, sums = true;
    int lane[8][2];
    for (int row = 0; row < 64; row += 8) /* ldmatrix: 8 rows of one column of chunks */
        for (int chunk = 0; chunk < D / 8; chunk++) {
            for (int i = 0; i < 8; i++) lane[i][0] = row + i, lane[i][1] = chunk;
            matrices = matrices && eight_groups(lane, D);
        }
    for (int i = 0; i < 64 * D / 8; i += 8) { /* copies: neighbours of a row, continued in the next row */
        for (int k = 0; k < 8; k++) lane[k][0] = (i + k) / (D / 8), lane[k][1] = (i + k) % (D / 8);
        copies = copies && eight_groups(lane, D);
    }
    for (int row = 0; row < 64; row += 8) /* sums of a product: lane (g, t) stores word t of row g's chunk */
        for (int chunk = 0; chunk < D / 8; chunk++) {
            unsigned banks = 0;
            for (int l = 0; l < 32; l++) banks |= 1u << (flm_attention_chunk(D, row + l / 4, chunk) * 4 + l % 4) % 32;
            sums = sums && banks == 0xFFFFFFFFu;
        }
    tap_ok(matrices && copies && sums, "D=%d: no bank conflicts reading matrices, copying and storing sums", D);
}

/* A band of fp32: every 16 bytes have an offset of their own; 4 neighbours of 8 rows, which are rotated at a time, are
 * in 32 banks. */
static void test_band(int D)
{
    bool taken[16 * 32], one = true, banks = true;
    memset(taken, 0, sizeof taken);
    for (int row = 0; row < 16; row++)
        for (int chunk = 0; chunk < D / 4; chunk++) {
            const int at = flm_attention_chunk(2 * D, row, chunk);
            one = one && at >= 0 && at < flm_attention_band_bytes(D) / 16 && !taken[at];
            if (at >= 0 && at < 16 * 32) taken[at] = true;
        }
    for (int row = 0; row < 16; row += 8)
        for (int chunk = 0; chunk < D / 4; chunk++) {
            unsigned used = 0;
            for (int l = 0; l < 32; l++)
                used |= 1u << (flm_attention_chunk(2 * D, row + l / 4, chunk) * 4 + l % 4) % 32;
            banks = banks && used == 0xFFFFFFFFu;
        }
    tap_ok(one && banks, "D=%d: a band of fp32 has its offsets, and no bank conflicts when it is rotated", D);
}

/* The fp32 tiles: 16 neighbours of a row, or of a column, and two rows a warp. */
static void test_plain_banks(void)
{
    for (int D = 16; D <= 128; D *= 2) {
        unsigned row = 0, column = 0;
        for (int i = 0; i < 16; i++) {
            row |= 1u << i % 32;
            column |= 1u << i * (D + 1) % 32;
        }
        tap_ok(__builtin_popcount(row) == 16 && __builtin_popcount(column) == 16, "plain D=%d: no bank conflicts", D);
    }
}

static void test_limits(void)
{
    bool fit = true, held = true, whole = true;
    for (int i = 0; i < 6; i++) {
        const int D = heads[i], Q = flm_attention_queries(D), rows = flm_attention_rows(D);
        const int bytes[] = {flm_attention_forward_shared(D), flm_attention_kv_shared(D), flm_attention_q_shared(D)};
        for (int k = 0; k < 3; k++) fit = fit && bytes[k] <= FLM_ATTENTION_SHARED_MAX;
        held = held && flm_attention_blocks(D) * (bytes[0] + 1024) <= FLM_ATTENTION_SHARED_MAX + 1024;
        whole = whole && rows % 64 == 0 && FLM_ATTENTION_KEYS % flm_attention_step(D) == 0 &&
                Q % flm_attention_kv_step(D) == 0 && FLM_ATTENTION_KEYS % flm_attention_q_step(D) == 0 &&
                Q <= 32 * FLM_ATTENTION_WARPS;
    }
    tap_ok(fit, "every kernel's shared memory fits sm_80");
    tap_ok(
        held,
        "so does that of as many blocks of the forward kernel as registers are limited for (1 KiB more for a block)");
    tap_ok(whole, "tiles are multiples of steps");
    tap_ok(flm_plain_shared(128, 4) <= FLM_ATTENTION_SHARED_MAX, "the plain kernels' shared memory fits, too");
    tap_ok(flm_attention_tiles(0, 64) == 0 && flm_attention_tiles(1, 64) == 1 && flm_attention_tiles(64, 64) == 1 &&
               flm_attention_tiles(65, 64) == 2 && flm_attention_tiles((int64_t)1 << 33, 64) == (int64_t)1 << 27,
           "tiles of rows");
}

/* Each row of each sequence, and each row after the last, is in the tile of exactly one slot; no slot is out of range.
 */
static void test_slots(const int32_t *starts, int64_t B, int64_t R, int rows)
{
    int cover[4096];
    bool within = true, once = true;
    memset(cover, 0, sizeof cover);
    for (int64_t slot = 0; slot < flm_causal_slots(R, B, rows); slot++) {
        const int64_t b = flm_causal_sequence(starts, B, slot, rows), end = b < B ? starts[b + 1] : R;
        const int64_t first = starts[b] + (slot - flm_causal_slot(starts[b], b, rows)) * rows;
        within = within && b >= 0 && b <= B && first >= starts[b] && first >= 0;
        if (!within || end > 4096) break;
        for (int64_t row = first; row < end && row < first + rows; row++) cover[row]++;
    }
    for (int64_t row = 0; row < R; row++) once = once && cover[row] == 1;
    tap_ok(within && once, "%d sequences in %d rows, tiles of %d: every row has one tile", (int)B, (int)R, rows);
}

int main(void)
{
    const int32_t one[] = {0, 131}, odd[] = {0, 7, 8, 72}, gaps[] = {0, 0, 129, 129, 129, 131, 194, 194};
    int32_t many[301];
    test_heads();
    for (int i = 0; i < 6; i++) {
        test_offsets(heads[i]);
        test_banks(heads[i]);
        test_band(heads[i]);
    }
    test_plain_banks();
    test_limits();
    for (int rows = 64; rows <= 128; rows *= 2) {
        test_slots(one, 0, 0, rows);
        test_slots(one, 0, 200, rows);
        test_slots(one, 1, 131, rows);
        test_slots(one, 1, 400, rows);
        test_slots(odd, 3, 75, rows);
        test_slots(gaps, 7, 194, rows);
        test_slots(gaps, 7, 1000, rows);
        for (int b = 0; b <= 300; b++) many[b] = b * b % 7 + 13 * b; /* ascending: b^2 mod 7 falls by less than 13 */
        test_slots(many, 300, 4000, rows);
    }
    return tap_end();
}
