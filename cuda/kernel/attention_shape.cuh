/* attention_shape.cuh - the sizes that every attention kernel gets, and the tile of its block.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_CUDA_ATTENTION_SHAPE_CUH
#define FLM_CUDA_ATTENTION_SHAPE_CUH

#include "cuda/kernel/attention_tiles.h"
#include "cuda/kernel/device.cuh"

/* Passed by value. Rows of qkv are [q | k | v], 3 H h columns. */
struct flm_attention_shape {
    int64_t H;
    int L, h;
    float scale, softcap; /* 1 / sqrt(h); the cap, not used by causal attention */
    bool vector;          /* copies of 16 bytes: every head's row begins at a multiple of it, and h is one of 8 */
};

/* flm_by_head<SIZES...>(D, launch) - calls launch(flm_head<D>{}) for the D among SIZES, the head sizes that a kernel is
 * compiled for; the last of SIZES if D is none of the others. */
template <int D> struct flm_head {
    static constexpr int columns = D;
};

template <int D, int... MORE, class F> static int flm_by_head(int wanted, F launch)
{
    if constexpr (sizeof...(MORE) > 0)
        if (wanted != D) return flm_by_head<MORE...>(wanted, launch);
    return launch(flm_head<D>{});
}

/* flm_by_tensor_head, flm_by_plain_head - the sizes of flm_attention_head and flm_plain_head (attention_tiles.h). */
template <class F> static int flm_by_tensor_head(int64_t h, F launch)
{
    return flm_by_head<16, 32, 48, 64, 96, 128>(flm_attention_head(h), launch);
}
template <class F> static int flm_by_plain_head(int64_t h, F launch)
{
    return flm_by_head<16, 32, 64, 128>(flm_plain_head(h), launch);
}

/* A block's tile. Tiles of one head have neighbouring blocks, so that its keys and values stay in the L2 cache. */
struct flm_attention_tile {
    int64_t b, head;
    int first; /* row of the tile */
};

FLM_DEVICE flm_attention_tile flm_attention_block(const flm_attention_shape &n, int rows)
{
    const int64_t tiles = flm_attention_tiles(n.L, rows), of_head = (int64_t)blockIdx.x / tiles;
    return {of_head / n.H, of_head % n.H, (int)((int64_t)blockIdx.x % tiles) * rows};
}

/* A tile of a causal launch: rows from `first` on of the sequence of `length` rows that begins at row `start`. b is B
 * for the rows after the last sequence. length is 0 for an empty slot, and if the starts are invalid. */
struct flm_causal_tile {
    int64_t start, b;
    int first, length;
};

FLM_DEVICE flm_causal_tile flm_causal_block(const int32_t *starts, int64_t B, int64_t R, int64_t slot, int rows)
{
    const int64_t b = flm_causal_sequence(starts, B, slot, rows), start = starts[b], end = b < B ? starts[b + 1] : R;
    const int64_t first = (slot - flm_causal_slot(start, b, rows)) * rows;
    if (start < 0 || first < 0 || end > R || start + first >= end) return {0, b, 0, 0};
    return {start, b, (int)first, (int)(end - start)};
}

#endif
