/* attention_shape.cuh - what every attention kernel is told, and where its block stands.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_CUDA_ATTENTION_SHAPE_CUH
#define FLM_CUDA_ATTENTION_SHAPE_CUH

#include "cuda/kernel/attention_tiles.h"
#include "cuda/kernel/device.cuh"

constexpr float FLM_LOG2_E = 1.44269504f;

/* Passed by value. Rows of qkv are [q | k | v], 3 H h columns. */
struct flm_attention_shape {
    int64_t H;
    int L, h;
    float scale, softcap; /* 1 / sqrt(h); the cap, not used without one */
    bool vector;          /* every head's row begins at a multiple of 16 bytes, and h of 8: copies of 16 bytes */
};

/* flm_by_head<SIZES...>(D, launch) - launch(flm_head<D>) for the size D among SIZES that a kernel is built for; the
 * last where it is none of the others. */
template <int D> struct flm_head {
    static constexpr int columns = D;
};

template <int D, int... MORE, class F> static int flm_by_head(int wanted, F launch)
{
    if constexpr (sizeof...(MORE) > 0)
        if (wanted != D) return flm_by_head<MORE...>(wanted, launch);
    return launch(flm_head<D>{});
}

/* The sizes of attention_tiles.h: flm_attention_head's, and flm_plain_head's. */
template <class F> static int flm_by_tensor_head(int64_t h, F launch)
{
    return flm_by_head<16, 32, 48, 64, 96, 128>(flm_attention_head(h), launch);
}
template <class F> static int flm_by_plain_head(int64_t h, F launch)
{
    return flm_by_head<16, 32, 64, 128>(flm_plain_head(h), launch);
}

/* A block's tile: tiles of one head are neighbours, so that its keys and values are still in the second-level cache. */
struct flm_attention_tile {
    int64_t b, head;
    int first; /* row of the tile */
};

FLM_DEVICE flm_attention_tile flm_attention_block(const flm_attention_shape &n, int rows)
{
    const int64_t tiles = flm_attention_tiles(n.L, rows), of_head = (int64_t)blockIdx.x / tiles;
    return {of_head / n.H, of_head % n.H, (int)((int64_t)blockIdx.x % tiles) * rows};
}

/* A tile of a causal launch: rows [first, ...) of the sequence of `length` rows at row `start`; b is B for the rows
 * behind the last sequence. Starts are clamped, so that wrong ones lead nowhere. */
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
