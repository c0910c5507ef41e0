/* cpu_amx.h - products of bf16 matrices with fp32 sums, by the tile instructions of Intel AMX.
 *
 * A tile holds 16 rows of 64 bytes. Tiles of a: 16 rows of a by 32 columns (k). Tiles of b: 16 pairs of rows (k) by 16
 * columns, a pair in one uint32_t, the lower k in the lower half. Matrices are taken in steps of 32 in k and in strips
 * of 32 rows of a or 32 columns of b, two tiles each, padded with zeros. Leaves to others: threads, tensors, checks.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_CPU_AMX_H
#define FLM_CPU_AMX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    FLM_AMX_ROWS = 16,   /* of a tile */
    FLM_AMX_DEPTH = 32,  /* k of a tile */
    FLM_AMX_TILE = 1024, /* bytes */
    FLM_AMX_STRIP = 32   /* rows of c, and columns, of one block */
};

/* flm_amx_supported - whether this processor has AMX for bf16 and AVX512-BF16, the build their instructions, and the
 * kernel lets this process use tiles, which the first call asks it for. */
bool flm_amx_supported(void);

/* flm_amx_begin, flm_amx_end - around the products of a thread: its tile registers are set up, and given back. */
void flm_amx_begin(void);
void flm_amx_end(void);

/* A bf16 matrix of which tiles are made: element (i, k) is data[i * stride + k] if k_contiguous, else
 * data[k * stride + i]. i counts rows of a or columns of b. */
typedef struct flm_amx_source {
    const uint16_t *data;
    int64_t stride;
    bool k_contiguous;
} flm_amx_source;

/* flm_amx_pack - tiles of elements [i, i + count) x [k, k + depth), as operand b or a: for each group of 16 of i one
 * tile for each step of k, zeros where there is no element.   to: group_step bytes from group to group, step_step from
 * step to step; count is rounded up to whole strips. */
void flm_amx_pack(char *to, size_t group_step, size_t step_step, const flm_amx_source *from, bool is_b, int64_t i,
                  int64_t count, int64_t k, int64_t depth);

/* The tiles of a strip: the first of group g and step s is at data + g * group_step + s * step_step; its rows are
 * row_step bytes apart. */
typedef struct flm_amx_strip {
    const char *data;
    size_t group_step, step_step, row_step;
} flm_amx_strip;

/* What becomes of a block of c: row i of it, with bias and the old row if asked, is stored from at + i * row_bytes on.
 */
typedef struct flm_amx_result {
    void *at;
    size_t row_bytes;
    int64_t rows, columns; /* of the block, at most FLM_AMX_STRIP */
    bool bf16, accumulate; /* f32 or bf16; added to what is there, f32 only */
    const float *bias;     /* NULL, or of the block's columns */
} flm_amx_result;

/* flm_amx_store - a block of sums, f32 [32, 32], to where it belongs. */
void flm_amx_store(const flm_amx_result *to, const float *sums);

/* Work between the products of flm_amx_multiply, which leave other units of the core idle: a finished block is stored,
 * and memory is loaded that will be needed: `lines` lines of 64 bytes, and the block to be stored next. */
typedef struct flm_amx_aside {
    const flm_amx_result *to; /* of the finished block `sums`; NULL: none */
    const float *sums;
    const char *ahead;
    int64_t lines;
    const flm_amx_result *next; /* NULL: none */
} flm_amx_aside;

/* flm_amx_multiply - c = a b, or c += a b, over `steps` steps of k.   c f32 [32, 32]. */
void flm_amx_multiply(float *c, const flm_amx_strip *a, const flm_amx_strip *b, int64_t steps, bool accumulate,
                      const flm_amx_aside *aside);

/* flm_amx_multiply_pairs - flm_pair_multiply (cpu_pair.h) with pairs (i, k) of a at a[i * row_step + k], by tiles: N a
 * multiple of 32, K of 16; M is rounded up to 32. */
void flm_amx_multiply_pairs(float *c, int64_t ldc, const uint32_t *a, int64_t row_step, const uint32_t *b, int64_t ldb,
                            int64_t M, int64_t N, int64_t K, bool accumulate);

#endif
