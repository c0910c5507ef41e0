/* shape.h - the arithmetic of launches: how work is divided among blocks, and how scratch memory is laid out. For the
 * host and the kernels, in C and C++, without CUDA's headers. Where results are sums, the division depends on the
 * shapes alone, never on the device: so the same numbers give the same bits on every GPU.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_CUDA_SHAPE_H
#define FLM_CUDA_SHAPE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __CUDACC__
#define FLM_SHAPE static constexpr __host__ __device__
#elif defined(__cplusplus)
#define FLM_SHAPE static constexpr
#else
#define FLM_SHAPE static inline
#endif

enum {
    FLM_CUDA_WARP = 32,
    FLM_CUDA_THREADS = 256,       /* threads of a block, unless a kernel needs another number */
    FLM_CUDA_WAVES = 8,           /* such blocks that a multiprocessor holds: 2048 threads */
    FLM_CUDA_ROW_THREADS = 512,   /* maximum of threads of a block that processes a row */
    FLM_CUDA_LONG_ROW = 16384,    /* elements from which on a row of a softmax gets a multiprocessor of its own */
    FLM_CUDA_LONG_THREADS = 1024, /* threads of a block that processes such a row */
    FLM_CUDA_SAMPLE_ROWS = 16,    /* rows that a block sums, in sums over one sample */
    FLM_CUDA_COLUMN_ROWS = 64,    /* rows that a warp sums, in sums over all rows */
    FLM_CUDA_SUM_BLOCK = 16384,   /* elements that a block sums, in sums over all elements */
    FLM_CUDA_RUN_BLOCK = 64       /* sorted tokens whose gradients a warp adds */
};

/* flm_cuda_parts - number of blocks of `size` in n, the last perhaps shorter. */
FLM_SHAPE int64_t flm_cuda_parts(int64_t n, int64_t size) { return n / size + (n % size != 0); }

/* flm_cuda_grid - blocks to launch for `blocks` of work, for a kernel with a grid-stride loop. max_blocks: 0 = CUDA's
 * own maximum, 2^31 - 1. */
FLM_SHAPE unsigned flm_cuda_grid(int64_t blocks, int64_t max_blocks)
{
    return (unsigned)(max_blocks > 0 && blocks > max_blocks ? max_blocks : blocks > INT32_MAX ? INT32_MAX : blocks);
}

/* flm_cuda_row_threads - threads of a block that processes rows of n in groups of four: a multiple of a warp, 64 to
 * FLM_CUDA_ROW_THREADS, so many that a thread has at most two groups, if that is possible. */
FLM_SHAPE int flm_cuda_row_threads(int64_t n)
{
    return n >= 8 * FLM_CUDA_ROW_THREADS ? FLM_CUDA_ROW_THREADS
           : n <= 8 * 64                 ? 64
                                         : (int)flm_cuda_parts(n, 8 * FLM_CUDA_WARP) * FLM_CUDA_WARP;
}

/* flm_cuda_softmax_threads - threads of a block that computes the softmax of a row of n. */
FLM_SHAPE int flm_cuda_softmax_threads(int64_t n)
{
    return n >= FLM_CUDA_LONG_ROW ? (int)FLM_CUDA_LONG_THREADS : flm_cuda_row_threads(n);
}

/* flm_cuda_softmax_kept - bytes of shared memory in which such a block keeps a long row of n f32, in groups of four
 * that may begin up to three elements before the row. 0: the row is not long, or max_shared bytes are too few for it
 * and the 1 KiB of the block's own sums. */
FLM_SHAPE size_t flm_cuda_softmax_kept(int64_t n, size_t max_shared)
{
    const size_t bytes =
        (size_t)flm_cuda_parts(flm_cuda_parts(n + 3, 4), FLM_CUDA_LONG_THREADS) * FLM_CUDA_LONG_THREADS * 16;
    return n >= FLM_CUDA_LONG_ROW && bytes + 1024 <= max_shared ? bytes : 0;
}

/* flm_cuda_align - bytes rounded up to 256, the alignment of cudaMalloc. */
FLM_SHAPE size_t flm_cuda_align(size_t bytes) { return (bytes + 255) / 256 * 256; }

/* flm_cuda_bits - binary digits of the numbers in [0, max_value], at least 1. */
FLM_SHAPE int flm_cuda_bits(int64_t max_value)
{
    int bits = 1;
    while (max_value >>= 1) bits++;
    return bits;
}

/* Scratch of embed_scatter for n tokens of width d: byte offsets, each aligned to 256. */
typedef struct flm_cuda_scatter {
    size_t key[2], row[2]; /* uint32 [n]: tokens and their row numbers; [0] before the sort, [1] sorted */
    size_t sort;           /* the sort's temporary memory */
    size_t part;           /* f32 [blocks, 2, d]: sums of runs that neighbouring blocks share */
    size_t bytes;
} flm_cuda_scatter;

FLM_SHAPE flm_cuda_scatter flm_cuda_scatter_layout(int64_t n, int64_t d, size_t sort_bytes)
{
    const size_t words = flm_cuda_align((size_t)n * sizeof(uint32_t)), part = 4 * words + flm_cuda_align(sort_bytes);
    const size_t parts = flm_cuda_align((size_t)(flm_cuda_parts(n, FLM_CUDA_RUN_BLOCK) * 2 * d) * sizeof(float));
    const flm_cuda_scatter s = {{0, words}, {2 * words, 3 * words}, 4 * words, part, part + parts};
    return s;
}

#ifdef __cplusplus
static_assert(FLM_CUDA_THREADS % FLM_CUDA_WARP == 0 && FLM_CUDA_THREADS <= 1024,
              "threads of a block: a multiple of a warp, at most 1024");
static_assert(FLM_CUDA_THREADS * FLM_CUDA_WAVES == 2048, "the threads of a multiprocessor of sm_80 and sm_90");
static_assert(FLM_CUDA_RUN_BLOCK % FLM_CUDA_WARP == 0, "a warp reads the tokens of its block together");
static_assert(flm_cuda_row_threads(1) == 64 && flm_cuda_row_threads(513) == 96 && flm_cuda_row_threads(4095) == 512,
              "rows");
static_assert(flm_cuda_softmax_kept(50258, 227 << 10) == 212992 && flm_cuda_softmax_kept(50258, 163 << 10) == 0 &&
                  flm_cuda_softmax_kept(30522, 163 << 10) == 131072 && flm_cuda_softmax_kept(16383, 227 << 10) == 0,
              "GPT-2's vocabulary fits an H100's shared memory, BERT's an A100's");
static_assert(flm_cuda_grid((int64_t)1 << 40, 0) == INT32_MAX && flm_cuda_grid(5, 3) == 3 && flm_cuda_grid(0, 3) == 0,
              "grids");
#endif

#endif
