/* scatter.cu - the gradient of an embedding: rows added by token, always in the same order (model.md section 4).
 *
 * The tokens are sorted together with their row numbers by a stable sort (sort.cu), so that equal tokens form runs. A
 * warp adds FLM_CUDA_RUN_BLOCK sorted rows. Runs that lie within such a block are added to the gradient at once; the
 * sums of its first and last run, which neighbouring blocks may share, are stored and joined in order afterwards.
 * There are no atomics: the order of all additions depends on the tokens alone. Tokens outside the vocabulary sort
 * behind all others and are not added; if there is one, row 0 of the gradient becomes NaN, which the training step's
 * check for finite values finds. SPDX-License-Identifier: Apache-2.0 */
#include "cuda/kernel/vector.cuh"

namespace
{

constexpr int RUN = FLM_CUDA_RUN_BLOCK, W = 4, SPAN = W * FLM_WARP, BATCH = 4;
constexpr int THREADS = FLM_CUDA_THREADS, WARPS = THREADS / FLM_WARP;
static_assert(RUN % BATCH == 0, "a block is a multiple of a batch");

/* key[i] = token i, or V for one outside the vocabulary; row[i] = i. */
__global__ void __launch_bounds__(THREADS)
    make_keys(uint32_t *key, uint32_t *row, const int32_t *tokens, int64_t n, uint32_t V)
{
    for (int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x; i < n; i += (int64_t)gridDim.x * THREADS) {
        const uint32_t token = (uint32_t)tokens[i]; /* a negative one is above V */
        key[i] = token < V ? token : V;
        row[i] = (uint32_t)i;
    }
}

/* The input of the additions: sorted keys and the rows that they came from. */
struct runs {
    const uint32_t *key, *row;
    const float *grad_x, *g;
    float *grad_E;
    float *part; /* [blocks, 2, d]: sums of the first run, if it began in an earlier block, and of the last, if it
                    continues in the next */
    int64_t n, per_g, d; /* per_g: rows of grad_x that share an element of g */
    uint32_t outside;    /* the key of tokens outside the vocabulary: V */
    bool aligned;
};

/* grad_E[key] += sum, elements [j, j + W) of d. No other thread has this key and these elements. */
FLM_DEVICE void add_to_row(const runs &p, uint32_t key, int64_t j, const float (&sum)[W])
{
    float v[W];
    if (key == p.outside) return;
    flm_read(v, p.grad_E + key * p.d + j, p.d - j, p.aligned);
#pragma unroll
    for (int k = 0; k < W; k++) v[k] += sum[k];
    flm_write(p.grad_E + key * p.d + j, v, p.d - j, p.aligned);
}

/* The tokens of a warp's block: their keys in key[1..RUN], between those of its neighbours (or NONE), rows, factors. */
struct run_block {
    uint32_t key[RUN + 2], row[RUN];
    float factor[RUN];
};
constexpr uint32_t NONE = 0xFFFFFFFFu;

FLM_DEVICE void run_block_read(run_block &s, const runs &p, int64_t first)
{
    for (int i = flm_lane(); i < RUN + 2; i += FLM_WARP) {
        const int64_t at = first + i - 1;
        s.key[i] = at >= 0 && at < p.n ? p.key[at] : NONE;
    }
    for (int i = flm_lane(); i < RUN; i += FLM_WARP) {
        const uint32_t row = first + i < p.n ? p.row[first + i] : 0;
        s.row[i] = row;
        s.factor[i] = p.g[row / p.per_g];
    }
    __syncwarp();
}

/* A warp adds SPAN columns of a block. */
__global__ void __launch_bounds__(THREADS) runs_add(runs p)
{
    __shared__ run_block blocks[WARPS];
    run_block &s = blocks[flm_warp()];
    const int64_t tiles = flm_cuda_parts(p.d, SPAN), tasks = flm_cuda_parts(p.n, RUN) * tiles;
    for (int64_t task = (int64_t)blockIdx.x * WARPS + flm_warp(); task < tasks; task += (int64_t)gridDim.x * WARPS) {
        const int64_t block = task / tiles, first = block * RUN, j = task % tiles * SPAN + flm_lane() * W,
                      left = p.d - j;
        const int count = p.n - first < RUN ? (int)(p.n - first) : RUN;
        run_block_read(s, p, first);
        float sum[W] = {0};
        bool begun = s.key[0] != s.key[1]; /* whether the current run began in this block */
        for (int i = 0; i < count; i += BATCH) {
            float v[BATCH][W];
#pragma unroll
            for (int q = 0; q < BATCH; q++)
                flm_read(v[q], p.grad_x + s.row[i + q] * p.d + j, i + q < count ? left : 0, p.aligned);
#pragma unroll
            for (int q = 0; q < BATCH; q++) {
                if (i + q >= count) break;
                const uint32_t key = s.key[i + q + 1];
                const float factor = s.factor[i + q];
                const bool ends = s.key[i + q + 2] != key;
#pragma unroll
                for (int k = 0; k < W; k++) sum[k] += factor * v[q][k];
                if (!ends && i + q + 1 < count) continue;
                if (left > 0 && ends && begun) add_to_row(p, key, j, sum);
                if (left > 0 && !(ends && begun))
                    flm_write(p.part + (block * 2 + begun) * p.d + j, sum, left, p.aligned);
#pragma unroll
                for (int k = 0; k < W; k++) sum[k] = 0;
                begun = true;
            }
        }
        __syncwarp(); /* s has been read */
    }
}

/* Runs that span several blocks: the warp of the block where one begins adds the stored sums of all of them. */
__global__ void __launch_bounds__(THREADS) runs_join(runs p)
{
    const int64_t tiles = flm_cuda_parts(p.d, SPAN), blocks = flm_cuda_parts(p.n, RUN);
    for (int64_t task = (int64_t)blockIdx.x * WARPS + flm_warp(); task < blocks * tiles;
         task += (int64_t)gridDim.x * WARPS) {
        const int64_t block = task / tiles, first = block * RUN, next = first + RUN,
                      j = task % tiles * SPAN + flm_lane() * W;
        if (j >= p.d || next >= p.n) continue;
        const uint32_t key = p.key[next - 1];
        if (p.key[next] != key || (first > 0 && p.key[first - 1] == key)) continue;
        float sum[W], v[W];
        flm_read(sum, p.part + (block * 2 + 1) * p.d + j, p.d - j, p.aligned);
        for (int64_t b = block + 1; b * RUN < p.n && p.key[b * RUN] == key; b++) {
            flm_read(v, p.part + b * 2 * p.d + j, p.d - j, p.aligned);
#pragma unroll
            for (int k = 0; k < W; k++) sum[k] += v[k];
        }
        add_to_row(p, key, j, sum);
    }
}

__global__ void __launch_bounds__(THREADS) poison(runs p)
{
    if (p.key[p.n - 1] != p.outside) return;
    for (int64_t j = threadIdx.x; j < p.d; j += THREADS) p.grad_E[j] = flm_nan();
}

} // namespace

int flm_cuda_launch_embed_scatter(float *grad_E, const float *grad_x, const int32_t *tokens, const float *g,
                                  void *scratch, size_t sort_bytes, int64_t n, int64_t per_g, int64_t d, int64_t V,
                                  void *stream)
{
    const flm_cuda_scatter at = flm_cuda_scatter_layout(n, d, sort_bytes);
    char *memory = (char *)scratch;
    uint32_t *key[2], *row[2];
    for (int k = 0; k < 2; k++) {
        key[k] = (uint32_t *)(memory + at.key[k]);
        row[k] = (uint32_t *)(memory + at.row[k]);
    }
    const dim3 block(THREADS), token_grid(flm_cuda_grid(flm_cuda_parts(n, THREADS), 0)),
        run_grid(flm_cuda_grid(flm_cuda_parts(flm_cuda_parts(n, RUN) * flm_cuda_parts(d, SPAN), WARPS), 0));
    const runs p = {key[1],
                    row[1],
                    grad_x,
                    g,
                    grad_E,
                    (float *)(memory + at.part),
                    n,
                    per_g,
                    d,
                    (uint32_t)V,
                    flm_aligned(grad_x, grad_E) && flm_divisible(W, d)};
    int code = flm_launch(make_keys, token_grid, block, 0, stream, key[0], row[0], tokens, n, (uint32_t)V);
    if (!code)
        code = flm_cuda_launch_sort(key[1], row[1], key[0], row[0], n, flm_cuda_bits(V), memory + at.sort, sort_bytes,
                                    stream);
    if (!code) code = flm_launch(runs_add, run_grid, block, 0, stream, p);
    if (!code) code = flm_launch(runs_join, run_grid, block, 0, stream, p);
    return code ? code : flm_launch(poison, dim3(1), block, 0, stream, p);
}
