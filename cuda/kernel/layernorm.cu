/* layernorm.cu - layer normalisation with a scale and shift for each condition, and its gradient (model.md section 2).
 * The condition is that of the sample, or with CONTEXT one of its two.
 *
 * Forward: a warp holds a row in registers, so that x is read once; a row that is too long for that, or not aligned to
 * vectors, gets a block.
 * Backward, with x^ = (x - mean) rstd and g = grad_y w (1 + scale):
 *   grad_x += rstd (g - mean(g) - x^ mean(g x^));   grad_shift = sum over the condition's rows of grad_y =: S;
 *   grad_scale = w A and grad_w += sum over conditions of (1 + scale) A, where A = the sum of grad_y x^.
 * A block processes ROWS rows of one sample: first each warp computes the two means of a row, then each thread some
 * columns of all the rows, which are in the cache by then. S and A of the blocks are added in order.
 * SPDX-License-Identifier: Apache-2.0 */
#include "cuda/kernel/vector.cuh"

namespace
{

constexpr float EPSILON = 1e-5f; /* model.md section 2 */
constexpr int W = 4, SPAN = W * FLM_WARP, THREADS = FLM_CUDA_THREADS, WARPS = THREADS / FLM_WARP;
constexpr int ROWS = FLM_CUDA_SAMPLE_ROWS;

/* The input of both directions. shift, scale: their columns in row 0 of mod. context: NULL if a sample has one
 * condition. */
struct rows {
    const float *x, *w, *shift, *scale;
    const int32_t *context;
    int64_t B, L, d, M, count; /* count: B L */
    bool aligned;
};

/* The row of mod for a row of x. */
FLM_DEVICE int64_t condition_of(const rows &p, int64_t row)
{
    return row / p.L + (p.context != nullptr && p.context[row] != 0 ? p.B : 0);
}

template <class T>
FLM_DEVICE void modulate(T *y, const rows &p, const float (&x)[W], float m, float r, int64_t condition, int64_t j,
                         int64_t left, bool aligned)
{
    float w[W], shift[W], scale[W], out[W];
    flm_read(w, p.w + j, left, aligned);
    flm_read(shift, p.shift + condition * p.M + j, left, aligned);
    flm_read(scale, p.scale + condition * p.M + j, left, aligned);
#pragma unroll
    for (int k = 0; k < W; k++) out[k] = (x[k] - m) * r * w[k] * (1 + scale[k]) + shift[k];
    flm_write(y + j, out, left, aligned);
}

/* Aligned rows of at most ITEMS * SPAN elements. */
template <class T, int ITEMS>
__global__ void __launch_bounds__(THREADS, ITEMS > 8 ? 1 : 3)
    forward_held(T *__restrict__ y, float *__restrict__ mean, float *__restrict__ rstd, rows p)
{
    for (int64_t row = (int64_t)blockIdx.x * WARPS + flm_warp(); row < p.count; row += (int64_t)gridDim.x * WARPS) {
        float x[ITEMS][W], sum = 0, square = 0;
#pragma unroll
        for (int i = 0; i < ITEMS; i++) {
            const int64_t j = i * SPAN + flm_lane() * W;
#pragma unroll
            for (int k = 0; k < W; k++) x[i][k] = 0;
            if (j < p.d) flm_read(x[i], p.x + row * p.d + j, W, true);
        }
#pragma unroll
        for (int i = 0; i < ITEMS; i++)
#pragma unroll
            for (int k = 0; k < W; k++) sum += x[i][k];
        const float m = flm_warp_sum(sum) / (float)p.d;
#pragma unroll
        for (int i = 0; i < ITEMS; i++)
#pragma unroll
            for (int k = 0; k < W; k++) {
                const float off = i * SPAN + flm_lane() * W + k < p.d ? x[i][k] - m : 0;
                square += off * off;
            }
        const float r = 1 / sqrtf(flm_warp_sum(square) / (float)p.d + EPSILON);
        const int64_t condition = condition_of(p, row);
#pragma unroll
        for (int i = 0; i < ITEMS; i++) {
            const int64_t j = i * SPAN + flm_lane() * W;
            if (j < p.d) modulate(y + row * p.d, p, x[i], m, r, condition, j, W, true);
        }
        if (flm_lane() == 0) {
            mean[row] = m;
            rstd[row] = r;
        }
    }
}

/* Rows of any length: read three times, the second and third time from the cache. */
template <class T>
__global__ void __launch_bounds__(FLM_CUDA_ROW_THREADS)
    forward_long(T *__restrict__ y, float *__restrict__ mean, float *__restrict__ rstd, rows p)
{
    for (int64_t row = blockIdx.x; row < p.count; row += gridDim.x) {
        const float *in = p.x + row * p.d;
        float x[W], sum = 0, square = 0;
        for (int64_t j = threadIdx.x * W; j < p.d; j += blockDim.x * W) {
            flm_read(x, in + j, p.d - j, p.aligned);
            for (int k = 0; k < W; k++) sum += x[k];
        }
        const float m = flm_block_sum(sum) / (float)p.d;
        for (int64_t j = threadIdx.x * W; j < p.d; j += blockDim.x * W) {
            flm_read(x, in + j, p.d - j, p.aligned);
            for (int k = 0; k < W; k++) square += j + k < p.d ? (x[k] - m) * (x[k] - m) : 0;
        }
        const float r = 1 / sqrtf(flm_block_sum(square) / (float)p.d + EPSILON);
        const int64_t condition = condition_of(p, row);
        for (int64_t j = threadIdx.x * W; j < p.d; j += blockDim.x * W) {
            flm_read(x, in + j, p.d - j, p.aligned);
            modulate(y + row * p.d, p, x, m, r, condition, j, p.d - j, p.aligned);
        }
        if (threadIdx.x == 0) {
            mean[row] = m;
            rstd[row] = r;
        }
    }
}

struct row_statistics {
    float mean, rstd, mean_g, mean_gx;
};

/* The means of g and g x^ over a row, by one warp. */
template <class T>
FLM_DEVICE row_statistics backward_means(const rows &p, const T *grad_y, int64_t row, float mean, float rstd)
{
    const float *scale = p.scale + condition_of(p, row) * p.M;
    float sum_g = 0, sum_gx = 0;
#pragma unroll 2
    for (int64_t j = flm_lane() * W; j < p.d; j += SPAN) {
        float x[W], gy[W], w[W], c[W];
        flm_read(x, p.x + row * p.d + j, p.d - j, p.aligned);
        flm_read(gy, grad_y + row * p.d + j, p.d - j, p.aligned);
        flm_read(w, p.w + j, p.d - j, p.aligned);
        flm_read(c, scale + j, p.d - j, p.aligned);
#pragma unroll
        for (int k = 0; k < W; k++) { /* beyond d: gy is 0 */
            const float g = gy[k] * w[k] * (1 + c[k]);
            sum_g += g;
            sum_gx += g * ((x[k] - mean) * rstd);
        }
    }
    return {mean, rstd, flm_warp_sum(sum_g) / (float)p.d, flm_warp_sum(sum_gx) / (float)p.d};
}

/* sums: S and A of the block for each of its conditions, f32 [conditions, blocks, 2, d]; blocks: [B, parts]. */
template <class T, bool CONTEXT>
__global__ void __launch_bounds__(THREADS, CONTEXT ? 2 : 3)
    backward(float *__restrict__ grad_x, float *__restrict__ sums, const T *__restrict__ grad_y,
             const float *__restrict__ mean, const float *__restrict__ rstd, rows p)
{
    constexpr int CONDITIONS = CONTEXT ? 2 : 1;
    __shared__ row_statistics of[ROWS];
    const int64_t parts = flm_cuda_parts(p.L, ROWS), blocks = p.B * parts;
    for (int64_t block = blockIdx.x; block < blocks; block += gridDim.x) {
        const int64_t b = block / parts, l = block % parts * ROWS, first = b * p.L + l;
        const int rows_here = p.L - l < ROWS ? (int)(p.L - l) : ROWS;
        for (int i = flm_warp(); i < rows_here; i += WARPS) {
            const row_statistics s = backward_means(p, grad_y, first + i, mean[first + i], rstd[first + i]);
            if (flm_lane() == 0) of[i] = s;
        }
        __syncthreads();
        for (int64_t j = threadIdx.x * W; j < p.d; j += THREADS * W) {
            float w[W], c[CONDITIONS][W], S[CONDITIONS][W] = {{0}}, A[CONDITIONS][W] = {{0}};
            flm_read(w, p.w + j, p.d - j, p.aligned);
#pragma unroll
            for (int q = 0; q < CONDITIONS; q++) flm_read(c[q], p.scale + (q * p.B + b) * p.M + j, p.d - j, p.aligned);
#pragma unroll 2
            for (int i = 0; i < rows_here; i++) {
                const int64_t at = (first + i) * p.d + j;
                const row_statistics s = of[i];
                const bool context = CONTEXT && p.context[first + i] != 0; /* the same in all threads */
                float x[W], gy[W], gx[W];
                flm_read(x, p.x + at, p.d - j, p.aligned);
                flm_read(gy, grad_y + at, p.d - j, p.aligned);
                flm_read(gx, grad_x + at, p.d - j, p.aligned);
#pragma unroll
                for (int k = 0; k < W; k++) {
                    const float hat = (x[k] - s.mean) * s.rstd;
                    const float own = CONTEXT && context ? c[CONDITIONS - 1][k] : c[0][k];
                    if (CONTEXT && context) {
                        S[CONDITIONS - 1][k] += gy[k];
                        A[CONDITIONS - 1][k] += gy[k] * hat;
                    } else {
                        S[0][k] += gy[k];
                        A[0][k] += gy[k] * hat;
                    }
                    gx[k] += s.rstd * (gy[k] * w[k] * (1 + own) - s.mean_g - hat * s.mean_gx);
                }
                flm_write(grad_x + at, gx, p.d - j, p.aligned);
            }
#pragma unroll
            for (int q = 0; q < CONDITIONS; q++) {
                float *to = sums + (q * blocks + block) * 2 * p.d + j;
                flm_write(to, S[q], p.d - j, p.aligned);
                flm_write(to + p.d, A[q], p.d - j, p.aligned);
            }
        }
        __syncthreads(); /* all threads have read `of` */
    }
}

/* Adds the blocks of a condition: the gradients of its shift and scale, and its contribution to grad_w, in part_w
 * [conditions B, d]. A thread adds a column of a condition. */
__global__ void __launch_bounds__(THREADS)
    backward_fold(float *__restrict__ grad_shift, float *__restrict__ grad_scale, float *__restrict__ part_w,
                  const float *__restrict__ sums, rows p)
{
    const int64_t parts = flm_cuda_parts(p.L, ROWS), all = (p.context != nullptr ? 2 : 1) * p.B * p.d;
    for (int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x; i < all; i += (int64_t)gridDim.x * THREADS) {
        const int64_t b = i / p.d, j = i % p.d;
        const float *from = sums + b * parts * 2 * p.d + j;
        double S = 0, A = 0;
#pragma unroll 4
        for (int64_t k = 0; k < parts; k++) {
            S += (double)from[2 * k * p.d];
            A += (double)from[(2 * k + 1) * p.d];
        }
        grad_shift[b * p.M + j] = (float)S;
        grad_scale[b * p.M + j] = (float)(A * (double)p.w[j]);
        part_w[i] = (float)(A * (1 + (double)p.scale[b * p.M + j]));
    }
}

template <class T>
int backward_launch(float *grad_x, float *sums, const T *grad_y, const float *mean, const float *rstd, const rows &p,
                    void *stream)
{
    const dim3 grid(flm_cuda_grid(p.B * flm_cuda_parts(p.L, ROWS), 0)), block(THREADS);
    if (p.context != nullptr)
        return flm_launch(backward<T, true>, grid, block, 0, stream, grad_x, sums, grad_y, mean, rstd, p);
    return flm_launch(backward<T, false>, grid, block, 0, stream, grad_x, sums, grad_y, mean, rstd, p);
}

template <class T> int forward(T *y, float *mean, float *rstd, const rows &p, void *stream)
{
    const dim3 grid(flm_cuda_grid(flm_cuda_parts(p.count, WARPS), 0)), block(THREADS);
    if (p.d > 16 * SPAN || !p.aligned)
        return flm_launch(forward_long<T>, dim3(flm_cuda_grid(p.count, 0)), dim3((unsigned)flm_cuda_row_threads(p.d)),
                          0, stream, y, mean, rstd, p);
    if (p.d <= 2 * SPAN) return flm_launch(forward_held<T, 2>, grid, block, 0, stream, y, mean, rstd, p);
    if (p.d <= 6 * SPAN) return flm_launch(forward_held<T, 6>, grid, block, 0, stream, y, mean, rstd, p);
    if (p.d <= 8 * SPAN) return flm_launch(forward_held<T, 8>, grid, block, 0, stream, y, mean, rstd, p);
    return flm_launch(forward_held<T, 16>, grid, block, 0, stream, y, mean, rstd, p);
}

} // namespace

int flm_cuda_launch_layernorm_modulate(void *y, bool bf16, float *mean, float *rstd, const float *x, const float *w,
                                       const float *mod, const int32_t *context, int64_t shift_at, int64_t scale_at,
                                       int64_t B, int64_t L, int64_t d, int64_t M, void *stream)
{
    const rows p = {x,
                    w,
                    mod + shift_at,
                    mod + scale_at,
                    context,
                    B,
                    L,
                    d,
                    M,
                    B * L,
                    flm_aligned(y, x, w, mod) && flm_divisible(W, d, M, shift_at, scale_at)};
    if (bf16) return forward((flm_bf16 *)y, mean, rstd, p, stream);
    return forward((float *)y, mean, rstd, p, stream);
}

int flm_cuda_launch_layernorm_modulate_backward(float *grad_x, float *grad_mod, float *part_w, float *sums,
                                                const void *grad_y, bool bf16, const float *x, const float *mean,
                                                const float *rstd, const float *w, const float *mod,
                                                const int32_t *context, int64_t shift_at, int64_t scale_at, int64_t B,
                                                int64_t L, int64_t d, int64_t M, void *stream)
{
    const rows p = {x,
                    w,
                    mod + shift_at,
                    mod + scale_at,
                    context,
                    B,
                    L,
                    d,
                    M,
                    B * L,
                    flm_aligned(grad_x, sums, grad_y, x, w, mod) && flm_divisible(W, d, M, shift_at, scale_at)};
    const int code = bf16 ? backward_launch(grad_x, sums, (const flm_bf16 *)grad_y, mean, rstd, p, stream)
                          : backward_launch(grad_x, sums, (const float *)grad_y, mean, rstd, p, stream);
    if (code) return code;
    const int64_t all = (context != nullptr ? 2 : 1) * B * d;
    return flm_launch(backward_fold, dim3(flm_cuda_grid(flm_cuda_parts(all, THREADS), 0)), dim3(THREADS), 0, stream,
                      grad_mod + shift_at, grad_mod + scale_at, part_w, sums, p);
}
