/* scatter.cu - the gradient of an embedding: rows added by token, always in the same order (model.md section 4).
 *
 * The tokens are sorted with the places they stood at, by a radix sort that keeps the order of equals; equal tokens are
 * then neighbours: runs. A warp adds FLM_CUDA_RUN_BLOCK sorted rows; the runs that lie within them go straight to the
 * gradient, of the first and last, which may go on in other blocks, the sums are kept and joined in order afterwards.
 * No atomics: the order of all additions depends on the tokens alone. Tokens outside the vocabulary sort behind all
 * others and are not added; where there is one, row 0 of the gradient becomes NaN, which the training step's check
 * finds. SPDX-License-Identifier: Apache-2.0 */
#include "cuda/kernel/vector.cuh"

namespace
{

constexpr int TILE = FLM_CUDA_SORT_TILE, BINS = FLM_CUDA_SORT_BINS, DIGIT = 8, RUN = FLM_CUDA_RUN_BLOCK;
constexpr int SORT_WARPS = 4, SCAN = 1024, EACH = 4;
constexpr int W = 4, SPAN = W * FLM_WARP, THREADS = FLM_CUDA_THREADS, WARPS = THREADS / FLM_WARP, BATCH = 4;
static_assert(1 << DIGIT == BINS && RUN % BATCH == 0, "bins of a digit; whole batches");

/* A pass of the sort: what it reads. The first reads tokens, later ones what the pass before wrote. */
struct pass {
    const int32_t *tokens;
    const uint32_t *key, *row; /* NULL in the first */
    uint32_t *count;           /* [BINS, tiles] */
    int64_t n, tiles;
    uint32_t outside; /* the key of a token that is outside the vocabulary: V */
    int shift;
};

FLM_DEVICE uint32_t key_of(const pass &p, int64_t i)
{
    if (p.key) return p.key[i];
    const int32_t token = p.tokens[i];
    return token >= 0 && (uint32_t)token < p.outside ? (uint32_t)token : p.outside;
}

/* The lanes that have this lane's digit; none for a lane without one. */
FLM_DEVICE unsigned peers_of(unsigned digit, bool there)
{
    unsigned peers = __ballot_sync(FLM_ALL, there);
#pragma unroll
    for (int bit = 0; bit < DIGIT; bit++) {
        const unsigned set = __ballot_sync(FLM_ALL, digit >> bit & 1);
        peers &= digit >> bit & 1 ? set : ~set;
    }
    return there ? peers : 0;
}

/* A warp goes over its tile 32 tokens at a time. Counting, bin holds how many there were of each digit; placing, where
 * the next goes. */
template <bool PLACE>
FLM_DEVICE void sort_tile(uint32_t *bin, const pass &p, int64_t tile, uint32_t *key_to, uint32_t *row_to)
{
    const int64_t end = (tile + 1) * TILE < p.n ? (tile + 1) * TILE : p.n;
    for (int64_t from = tile * TILE; from < end; from += FLM_WARP) {
        const int64_t i = from + flm_lane();
        const uint32_t key = i < end ? key_of(p, i) : 0, digit = key >> p.shift & (BINS - 1);
        const unsigned peers = peers_of(digit, i < end), below = peers & ((1u << flm_lane()) - 1);
        if (PLACE && peers) {
            const uint32_t at = bin[digit] + (uint32_t)__popc(below);
            key_to[at] = key;
            row_to[at] = p.row ? p.row[i] : (uint32_t)i;
        }
        __syncwarp(); /* bin has been read */
        if (peers && !below) bin[digit] += (uint32_t)__popc(peers);
        __syncwarp();
    }
}

__global__ void __launch_bounds__(SORT_WARPS *FLM_WARP) sort_count(pass p)
{
    __shared__ uint32_t bins[SORT_WARPS][BINS];
    uint32_t *bin = bins[flm_warp()];
    for (int64_t tile = (int64_t)blockIdx.x * SORT_WARPS + flm_warp(); tile < p.tiles;
         tile += (int64_t)gridDim.x * SORT_WARPS) {
        for (int b = flm_lane(); b < BINS; b += FLM_WARP) bin[b] = 0;
        __syncwarp();
        sort_tile<false>(bin, p, tile, nullptr, nullptr);
        for (int b = flm_lane(); b < BINS; b += FLM_WARP) p.count[b * p.tiles + tile] = bin[b];
        __syncwarp();
    }
}

__global__ void __launch_bounds__(SORT_WARPS *FLM_WARP) sort_place(pass p, uint32_t *key_to, uint32_t *row_to)
{
    __shared__ uint32_t bins[SORT_WARPS][BINS];
    uint32_t *bin = bins[flm_warp()];
    for (int64_t tile = (int64_t)blockIdx.x * SORT_WARPS + flm_warp(); tile < p.tiles;
         tile += (int64_t)gridDim.x * SORT_WARPS) {
        for (int b = flm_lane(); b < BINS; b += FLM_WARP) bin[b] = p.count[b * p.tiles + tile];
        __syncwarp();
        sort_tile<true>(bin, p, tile, key_to, row_to);
    }
}

FLM_DEVICE uint32_t warp_scan(uint32_t x)
{
#pragma unroll
    for (unsigned step = 1; step < FLM_WARP; step *= 2) {
        const uint32_t other = __shfl_up_sync(FLM_ALL, x, step);
        if (flm_lane() >= (int)step) x += other;
    }
    return x;
}

/* count[i] becomes the sum of all before it. One block. */
__global__ void __launch_bounds__(SCAN) sort_scan(uint32_t *count, int64_t n)
{
    __shared__ uint32_t of_warp[FLM_WARP];
    uint32_t before = 0;
    for (int64_t from = 0; from < n; from += SCAN * EACH) {
        const int64_t at = from + (int64_t)threadIdx.x * EACH;
        flm_vector<uint32_t, EACH> v = flm_load<EACH>(count + at, n - at, true);
        uint32_t own = 0;
#pragma unroll
        for (int k = 0; k < EACH; k++) own += v.at[k];
        const uint32_t through = warp_scan(own);
        if (flm_lane() == FLM_WARP - 1) of_warp[flm_warp()] = through;
        __syncthreads();
        const uint32_t warps = warp_scan(of_warp[flm_lane()]);
        uint32_t sum = before + through - own;
        if (flm_warp()) sum += __shfl_sync(FLM_ALL, warps, flm_warp() - 1);
        before += __shfl_sync(FLM_ALL, warps, FLM_WARP - 1);
#pragma unroll
        for (int k = 0; k < EACH; k++) {
            const uint32_t here = v.at[k];
            v.at[k] = sum;
            sum += here;
        }
        flm_store(count + at, v, n - at, true);
        __syncthreads(); /* of_warp has been read */
    }
}
static_assert(SCAN / FLM_WARP == FLM_WARP, "a warp scans the sums of all");

/* What the additions read: sorted keys, and the rows they came from. */
struct runs {
    const uint32_t *key, *row;
    const float *grad_x, *g;
    float *grad_E,
        *part; /* part [blocks, 2, d]: of the first run, where it began before; of the last, where it goes on */
    int64_t n, L, d;
    uint32_t outside;
    bool aligned;
};

/* grad_E[key] += sum, elements [j, d). The caller alone has this key. */
FLM_DEVICE void add_to_row(const runs &p, uint32_t key, int64_t j, const float (&sum)[W])
{
    float v[W];
    if (key == p.outside) return;
    flm_read(v, p.grad_E + key * p.d + j, p.d - j, p.aligned);
#pragma unroll
    for (int k = 0; k < W; k++) v[k] += sum[k];
    flm_write(p.grad_E + key * p.d + j, v, p.d - j, p.aligned);
}

/* The tokens of a warp's block: key[1..RUN], neighbours before and behind (or what no key is), rows and factors. */
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
        s.factor[i] = p.g[row / p.L];
    }
    __syncwarp();
}

/* A warp takes 32 W columns of a block. */
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
        bool begun = s.key[0] != s.key[1]; /* here */
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

/* Runs of several blocks: the warp of the block where one begins adds what all of them left. */
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

int sort(pass p, const flm_cuda_scatter &at, char *scratch, int passes, void *stream)
{
    const dim3 grid(flm_cuda_grid(flm_cuda_parts(p.tiles, SORT_WARPS), 0)), block(SORT_WARPS * FLM_WARP);
    int code = 0;
    for (int k = 0; k < passes && !code; k++) {
        p.shift = DIGIT * k;
        code = flm_launch(sort_count, grid, block, 0, stream, p);
        if (!code) code = flm_launch(sort_scan, dim3(1), dim3(SCAN), 0, stream, p.count, BINS * p.tiles);
        uint32_t *key = (uint32_t *)(scratch + at.key[k % 2]), *row = (uint32_t *)(scratch + at.row[k % 2]);
        if (!code) code = flm_launch(sort_place, grid, block, 0, stream, p, key, row);
        p.key = key;
        p.row = row;
    }
    return code;
}

} // namespace

int flm_cuda_launch_embed_scatter(float *grad_E, const float *grad_x, const int32_t *tokens, const float *g,
                                  void *scratch, int64_t B, int64_t L, int64_t d, int64_t V, void *stream)
{
    const int64_t n = B * L;
    const int passes = flm_cuda_sort_passes(V);
    const flm_cuda_scatter at = flm_cuda_scatter_layout(n, d);
    char *memory = (char *)scratch;
    if (n == 0 || d == 0 || V == 0) return 0;
    const pass first = {tokens,      nullptr, nullptr, (uint32_t *)(memory + at.count), n, flm_cuda_parts(n, TILE),
                        (uint32_t)V, 0};
    int code = sort(first, at, memory, passes, stream);
    const runs p = {(uint32_t *)(memory + at.key[(passes - 1) % 2]),
                    (uint32_t *)(memory + at.row[(passes - 1) % 2]),
                    grad_x,
                    g,
                    grad_E,
                    (float *)(memory + at.part),
                    n,
                    L,
                    d,
                    (uint32_t)V,
                    flm_aligned(grad_x, grad_E) && flm_whole(W, d)};
    const dim3 grid(flm_cuda_grid(flm_cuda_parts(flm_cuda_parts(n, RUN) * flm_cuda_parts(d, SPAN), WARPS), 0)),
        block(THREADS);
    if (!code) code = flm_launch(runs_add, grid, block, 0, stream, p);
    if (!code) code = flm_launch(runs_join, grid, block, 0, stream, p);
    return code ? code : flm_launch(poison, dim3(1), block, 0, stream, p);
}
