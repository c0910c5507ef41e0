/* gate.cu - the gated residual with dropout (model.md section 2). Which elements are dropped is a function of the
 * counter alone (base_philox.h), so the backward pass draws the same numbers again. A thread processes the eight
 * components of one counter block. SPDX-License-Identifier: Apache-2.0 */
#include "cuda/kernel/vector.cuh"

namespace
{

constexpr int THREADS = FLM_CUDA_THREADS, WARPS = THREADS / FLM_WARP, ROWS = FLM_CUDA_SAMPLE_ROWS;
constexpr int W = FLM_PHILOX_HALVES, SPAN = W * FLM_WARP;

/* The arguments of both directions. gate: its columns in row 0 of mod. context: NULL if a sample has one gate. */
struct sizes {
    const float *gate;
    const int32_t *context;
    int64_t B, L, d, M;
    flm_cuda_dropout drop;
    bool aligned;
};

/* The factors (0 or drop.factor) of components [at, at + W) of a position. */
FLM_DEVICE void drop_factors(float (&factor)[W], const flm_cuda_dropout &drop, int64_t sample, int64_t position,
                             int64_t at)
{
    const flm_philox4 r =
        flm_philox_at(drop.stream, (uint64_t)(drop.first_sample + sample), (uint32_t)position, (uint32_t)(at / W));
#pragma unroll
    for (int k = 0; k < W / 2; k++) {
        factor[2 * k] = (r.v[k] & 0xFFFF) >= drop.threshold ? drop.factor : 0;
        factor[2 * k + 1] = r.v[k] >> 16 >= drop.threshold ? drop.factor : 0;
    }
}

/* A warp computes a row. y may be x. */
template <class T, bool DROP>
__global__ void __launch_bounds__(THREADS)
    gate_residual(float *y, const float *x, const T *__restrict__ branch, sizes p)
{
    for (int64_t row = (int64_t)blockIdx.x * WARPS + flm_warp(); row < p.B * p.L; row += (int64_t)gridDim.x * WARPS) {
        const int64_t b = row / p.L, l = row - b * p.L;
        const int64_t condition = b + (p.context != nullptr && p.context[row] != 0 ? p.B : 0);
        for (int64_t j = flm_lane() * W; j < p.d; j += SPAN) {
            const int64_t at = row * p.d + j, left = p.d - j;
            float v[W], u[W], gate[W], factor[W];
            flm_read(v, x + at, left, p.aligned);
            flm_read(u, branch + at, left, p.aligned);
            flm_read(gate, p.gate + condition * p.M + j, left, p.aligned);
            if (DROP) drop_factors(factor, p.drop, b, l, j);
#pragma unroll
            for (int k = 0; k < W; k++) v[k] += gate[k] * (DROP ? u[k] * factor[k] : u[k]);
            flm_write(y + at, v, left, p.aligned);
        }
    }
}

/* A warp processes 32 W columns of ROWS rows of a sample. sums [gates, B, parts, d]: their contribution to the
 * gradients of its gate, or with CONTEXT its two. grad_branch may be branch. */
template <class T, bool DROP, bool CONTEXT>
__global__ void __launch_bounds__(THREADS, DROP || CONTEXT ? 2 : 3)
    gate_backward(T *grad_branch, float *__restrict__ sums, const float *__restrict__ grad_y, const T *branch, sizes p)
{
    constexpr int GATES = CONTEXT ? 2 : 1;
    const int64_t parts = flm_cuda_parts(p.L, ROWS), tiles = flm_cuda_parts(p.d, SPAN), tasks = p.B * parts * tiles;
    for (int64_t task = (int64_t)blockIdx.x * WARPS + flm_warp(); task < tasks; task += (int64_t)gridDim.x * WARPS) {
        const int64_t block = task / tiles, b = block / parts, l = block % parts * ROWS;
        const int64_t j = task % tiles * SPAN + flm_lane() * W, left = p.d - j;
        const int rows = p.L - l < ROWS ? (int)(p.L - l) : ROWS;
        if (left <= 0) continue;
        float gate[GATES][W], sum[GATES][W] = {{0}};
#pragma unroll
        for (int q = 0; q < GATES; q++) flm_read(gate[q], p.gate + (q * p.B + b) * p.M + j, left, p.aligned);
#pragma unroll 2
        for (int i = 0; i < rows; i++) {
            const int64_t row = b * p.L + l + i, at = row * p.d + j;
            const bool context = CONTEXT && p.context[row] != 0; /* the same in all lanes */
            float g[W], u[W], factor[W];
            flm_read(g, grad_y + at, left, p.aligned);
            flm_read(u, branch + at, left, p.aligned);
            if (DROP) drop_factors(factor, p.drop, b, l + i, j);
#pragma unroll
            for (int k = 0; k < W; k++) {
                if (DROP) g[k] *= factor[k];
                if (CONTEXT && context)
                    sum[GATES - 1][k] += g[k] * u[k];
                else
                    sum[0][k] += g[k] * u[k];
                g[k] *= CONTEXT && context ? gate[GATES - 1][k] : gate[0][k];
            }
            flm_write(grad_branch + at, g, left, p.aligned);
        }
#pragma unroll
        for (int q = 0; q < GATES; q++) flm_write(sums + (q * p.B * parts + block) * p.d + j, sum[q], left, p.aligned);
    }
}

template <class T> int forward(float *y, const float *x, const T *branch, const sizes &p, void *stream)
{
    const dim3 grid(flm_cuda_grid(flm_cuda_parts(p.B * p.L, WARPS), 0)), block(THREADS);
    if (p.drop.threshold) return flm_launch(gate_residual<T, true>, grid, block, 0, stream, y, x, branch, p);
    return flm_launch(gate_residual<T, false>, grid, block, 0, stream, y, x, branch, p);
}

template <class T, bool CONTEXT>
int backward(T *grad_branch, float *sums, const float *grad_y, const T *branch, const sizes &p, void *stream)
{
    const int64_t tasks = p.B * flm_cuda_parts(p.L, ROWS) * flm_cuda_parts(p.d, SPAN);
    const dim3 grid(flm_cuda_grid(flm_cuda_parts(tasks, WARPS), 0)), block(THREADS);
    if (p.drop.threshold)
        return flm_launch(gate_backward<T, true, CONTEXT>, grid, block, 0, stream, grad_branch, sums, grad_y, branch,
                          p);
    return flm_launch(gate_backward<T, false, CONTEXT>, grid, block, 0, stream, grad_branch, sums, grad_y, branch, p);
}

template <class T>
int backward_launch(T *grad_branch, float *sums, const float *grad_y, const T *branch, const sizes &p, void *stream)
{
    return p.context != nullptr ? backward<T, true>(grad_branch, sums, grad_y, branch, p, stream)
                                : backward<T, false>(grad_branch, sums, grad_y, branch, p, stream);
}

} // namespace

int flm_cuda_launch_gate_residual(float *y, const float *x, const void *branch, bool bf16, const float *mod,
                                  const int32_t *context, int64_t gate_at, const flm_cuda_dropout *drop, int64_t B,
                                  int64_t L, int64_t d, int64_t M, void *stream)
{
    const sizes p = {mod + gate_at,
                     context,
                     B,
                     L,
                     d,
                     M,
                     *drop,
                     flm_aligned(y, x, branch, mod) && flm_divisible(W, d) && flm_divisible(4, M, gate_at)};
    return bf16 ? forward(y, x, (const flm_bf16 *)branch, p, stream) : forward(y, x, (const float *)branch, p, stream);
}

int flm_cuda_launch_gate_residual_backward(void *grad_branch, float *grad_mod, float *sums, const float *grad_y,
                                           const void *branch, bool bf16, const float *mod, const int32_t *context,
                                           int64_t gate_at, const flm_cuda_dropout *drop, int64_t B, int64_t L,
                                           int64_t d, int64_t M, void *stream)
{
    const sizes p = {mod + gate_at,
                     context,
                     B,
                     L,
                     d,
                     M,
                     *drop,
                     flm_aligned(grad_branch, sums, grad_y, branch, mod) && flm_divisible(W, d) &&
                         flm_divisible(4, M, gate_at)};
    const int code = bf16 ? backward_launch((flm_bf16 *)grad_branch, sums, grad_y, (const flm_bf16 *)branch, p, stream)
                          : backward_launch((float *)grad_branch, sums, grad_y, (const float *)branch, p, stream);
    return code ? code
                : flm_cuda_launch_fold(grad_mod + gate_at, M, sums, (context != nullptr ? 2 : 1) * B,
                                       flm_cuda_parts(L, ROWS), d, false, stream);
}
