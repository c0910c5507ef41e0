/* attention_tiles.h - the arithmetic of the attention kernels: tile sizes, the layout of a tile in shared memory, the
 * shared memory of a block, the blocks of a launch. Plain C, and constexpr in C++, so that limits are checked when the
 * kernels are compiled, and the rest by tests/unit/cuda/attention_tiles.c.
 *
 * D is the head size that a kernel is compiled for, at least the head's own h; the missing columns are zeros.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_CUDA_ATTENTION_TILES_H
#define FLM_CUDA_ATTENTION_TILES_H

#include <stdint.h>

#if defined(__CUDACC__) && !defined(FLM_EMULATED)
#define FLM_TILES __host__ __device__ inline constexpr
#elif defined(__cplusplus)
#define FLM_TILES inline constexpr
#else
#define FLM_TILES static inline
#endif

enum {
    FLM_ATTENTION_HEAD_MAX = 128,          /* columns of a head */
    FLM_ATTENTION_WIDTH_MAX = 1 << 22,     /* columns of all heads: offsets within a tile must fit int */
    FLM_ATTENTION_LENGTH_MAX = 1 << 28,    /* rows of a sequence: 3 times as many must fit int */
    FLM_ATTENTION_SHARED_MAX = 163 * 1024, /* bytes that a block can have on sm_80; sm_90 has more */
    FLM_ATTENTION_WARPS = 4,               /* warps of a block of the bf16 kernels */
    FLM_ATTENTION_KEYS = 64,               /* rows of a tile of keys and values, bf16 kernels */
    FLM_PLAIN_ROWS = 64,                   /* rows of every tile, fp32 kernels */
    FLM_PLAIN_THREADS = 256
};

/* flm_attention_head, flm_plain_head - D of the bf16 and of the fp32 kernels for heads of h columns. */
FLM_TILES int flm_attention_head(int64_t h)
{
    return h <= 16 ? 16 : h <= 32 ? 32 : h <= 48 ? 48 : h <= 64 ? 64 : h <= 96 ? 96 : 128;
}
FLM_TILES int flm_plain_head(int64_t h) { return h <= 16 ? 16 : h <= 32 ? 32 : h <= 64 ? 64 : 128; }

/* flm_attention_bands - bands of 16 queries of a warp, forward and for grad_q. With two bands each fragment of keys
 * serves two products; for wider heads the registers do not suffice. flm_attention_rows - queries of a block's tile. */
FLM_TILES int flm_attention_bands(int D) { return D <= 64 ? 2 : 1; }
FLM_TILES int flm_attention_rows(int D) { return 16 * FLM_ATTENTION_WARPS * flm_attention_bands(D); }

/* Keys whose scores a warp computes at a time, forward and for grad_q; queries, for grad_k and grad_v. Limited by the
 * number of registers. */
FLM_TILES int flm_attention_step(int D) { return D == 48 || D == 64 ? 16 : 32; }
FLM_TILES int flm_attention_q_step(int D) { return D == 96 ? 32 : 16; }
FLM_TILES int flm_attention_kv_step(int D) { return D >= 96 ? 16 : 32; }

/* Blocks that a multiprocessor is to hold at a time, which limits the registers of a thread: forward; causal, which
 * also holds the largest scores; backward. */
FLM_TILES int flm_attention_blocks(int D) { return D <= 16 ? 4 : D <= 64 ? 3 : 2; }
FLM_TILES int flm_causal_blocks(int D) { return D <= 32 ? 3 : 2; }
FLM_TILES int flm_attention_backward_blocks(int D) { return D <= 32 ? 3 : 2; }

/* flm_attention_queries - queries of a tile, for grad_k and grad_v. */
FLM_TILES int flm_attention_queries(int D) { return D <= 64 ? 64 : 32; }

/* flm_attention_chunk - the offset, in chunks of 16 bytes, of the 8 columns from 8 chunk on of a row, in a tile [rows,
 * D] of bf16. The layout avoids bank conflicts: chunks are exchanged within groups of w, the largest power of two up to
 * 8 that divides the D / 8 chunks of a row, by the number of the 128-byte line that holds the row. So 8 rows of one
 * column of chunks, which ldmatrix reads at a time, and 8 neighbours of one row, which a copy writes, are in 8
 * different groups of 4 banks. flm_attention_width - w. */
FLM_TILES int flm_attention_width(int D) { return D % 64 == 0 ? 8 : D % 32 == 0 ? 4 : 2; }
FLM_TILES int flm_attention_chunk(int D, int row, int chunk)
{
    return row * (D / 8) + (chunk ^ (row / (8 / flm_attention_width(D)) % flm_attention_width(D)));
}

/* Bytes of shared memory: of a tile of bf16; of the kernels forward (queries; keys and values twice), for grad_k and
 * grad_v (keys, values; queries, grad_o and the rows' pairs twice), for grad_q (queries, grad_o; keys and values
 * twice). */
FLM_TILES int flm_attention_tile_bytes(int D, int rows) { return rows * D * 2; }
FLM_TILES int flm_attention_forward_shared(int D)
{
    return flm_attention_tile_bytes(D, flm_attention_rows(D) + 4 * FLM_ATTENTION_KEYS);
}
FLM_TILES int flm_attention_kv_shared(int D)
{
    return flm_attention_tile_bytes(D, 2 * FLM_ATTENTION_KEYS + 4 * flm_attention_queries(D)) +
           2 * 8 * flm_attention_queries(D);
}
FLM_TILES int flm_attention_q_shared(int D)
{
    return flm_attention_tile_bytes(D, 2 * flm_attention_rows(D) + 4 * FLM_ATTENTION_KEYS);
}

/* flm_attention_band_bytes - bytes of a band's rows in fp32: [16, D] has the layout of a bf16 tile [16, 2 D]. The
 * kernels of the gradient put one for each warp over the tiles that they no longer need, to rotate it. */
FLM_TILES int flm_attention_band_bytes(int D) { return flm_attention_tile_bytes(2 * D, 16); }

/* flm_plain_shared - bytes of `tiles` fp32 tiles [FLM_PLAIN_ROWS, D + 1] and one of scores. The leading dimensions are
 * odd, so that both rows and columns are read without bank conflicts. */
FLM_TILES int flm_plain_shared(int D, int tiles) { return 4 * FLM_PLAIN_ROWS * (tiles * (D + 1) + FLM_PLAIN_ROWS + 1); }

/* flm_attention_tiles - number of tiles of `rows` rows in L rows. */
FLM_TILES int64_t flm_attention_tiles(int64_t L, int rows) { return (L + rows - 1) / rows; }

/* Causal attention divides each sequence into tiles from its own start; the rows after the last sequence, up to row R,
 * count as one more. The host does not know the starts, so a launch has flm_causal_slots slots for tiles, of which some
 * stay empty. Sequence b has the slots from flm_causal_slot(starts[b], b) on; they suffice, because the next sequence's
 * begin floor(starts[b + 1] / rows) - floor(starts[b] / rows) + 1 slots later, which is more than its length / rows. */
FLM_TILES int64_t flm_causal_slot(int64_t start, int64_t b, int rows) { return start / rows + b; }
FLM_TILES int64_t flm_causal_slots(int64_t R, int64_t B, int rows) { return R / rows + B + 1; }

/* flm_causal_sequence - the sequence, of B + 1, that a slot belongs to. */
FLM_TILES int64_t flm_causal_sequence(const int32_t *starts, int64_t B, int64_t slot, int rows)
{
    int64_t low = 0, high = B; /* the slots of low begin at or before this one, those of high + 1 after it */
    while (low < high) {
        const int64_t middle = (low + high + 1) / 2;
        if (flm_causal_slot(starts[middle], middle, rows) <= slot)
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}

#endif
