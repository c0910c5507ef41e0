/* embed.cu - states in embedded form (model.md section 4), and learned positions. A warp computes a row. A row whose
 * token or position is outside its table becomes NaN, which the training step's check for finite values finds.
 * SPDX-License-Identifier: Apache-2.0 */
#include "cuda/kernel/kernel_choose.h"
#include "cuda/kernel/vector.cuh"

namespace
{

constexpr int W = 4, SPAN = W * FLM_WARP, THREADS = FLM_CUDA_THREADS, WARPS = THREADS / FLM_WARP;

/* A row of a warp: x = (1 - g) noise + g e, or NaN if not valid. x may be noise. */
FLM_DEVICE void state_row(float *x, const float *noise, const float *__restrict__ e, float g, bool valid, int64_t d,
                          bool aligned)
{
    const float factor = valid ? g : flm_nan();
#pragma unroll 2
    for (int64_t j = flm_lane() * W; j < d; j += SPAN) {
        float n[W], of_token[W];
        flm_read(n, noise + j, d - j, aligned);
        flm_read(of_token, e + j, valid ? d - j : 0, aligned);
#pragma unroll
        for (int k = 0; k < W; k++) n[k] = (1 - factor) * n[k] + factor * of_token[k];
        flm_write(x + j, n, d - j, aligned);
    }
}

/* x may be noise. */
__global__ void __launch_bounds__(THREADS)
    embed_state(float *x, const float *noise, const float *__restrict__ E, const int32_t *__restrict__ tokens,
                const float *__restrict__ g, int64_t rows, int64_t per_g, int64_t d, int64_t V, bool aligned)
{
    for (int64_t row = (int64_t)blockIdx.x * WARPS + flm_warp(); row < rows; row += (int64_t)gridDim.x * WARPS) {
        const int64_t token = tokens[row];
        const bool valid = token >= 0 && token < V;
        state_row(x + row * d, noise + row * d, E + (valid ? token : 0) * d, g[row / per_g], valid, d, aligned);
    }
}

/* x may be noise. Rows of negative tokens keep their values. */
__global__ void __launch_bounds__(THREADS)
    embed_known(float *x, const float *noise, const float *__restrict__ E, const int32_t *__restrict__ tokens, float g,
                int64_t rows, int64_t d, int64_t V, bool aligned)
{
    for (int64_t row = (int64_t)blockIdx.x * WARPS + flm_warp(); row < rows; row += (int64_t)gridDim.x * WARPS) {
        const int64_t token = tokens[row];
        if (token < 0) continue;
        const bool valid = token < V;
        state_row(x + row * d, noise + row * d, E + (valid ? token : 0) * d, g, valid, d, aligned);
    }
}

__global__ void __launch_bounds__(THREADS)
    embed_learned(float *__restrict__ x, const float *__restrict__ E, const float *__restrict__ P,
                  const int32_t *__restrict__ tokens, const int32_t *__restrict__ positions, int64_t rows, int64_t d,
                  int64_t V, int64_t L, bool aligned)
{
    for (int64_t row = (int64_t)blockIdx.x * WARPS + flm_warp(); row < rows; row += (int64_t)gridDim.x * WARPS) {
        const int64_t token = tokens[row], position = positions[row];
        const bool valid = token >= 0 && token < V && position >= 0 && position < L;
        const float zero = valid ? 0 : flm_nan();
#pragma unroll 2
        for (int64_t j = flm_lane() * W; j < d; j += SPAN) {
            float e[W], p[W];
            flm_read(e, E + (valid ? token * d + j : 0), valid ? d - j : 0, aligned);
            flm_read(p, P + (valid ? position * d + j : 0), valid ? d - j : 0, aligned);
#pragma unroll
            for (int k = 0; k < W; k++) e[k] = valid ? e[k] + p[k] : zero;
            flm_write(x + row * d + j, e, d - j, aligned);
        }
    }
}

} // namespace

int flm_cuda_launch_embed_state(float *x, const float *noise, const float *E, const int32_t *tokens, const float *g,
                                int64_t rows, int64_t per_g, int64_t d, int64_t V, void *stream)
{
    return flm_launch(embed_state, dim3(flm_cuda_grid(flm_cuda_parts(rows, WARPS), 0)), dim3(THREADS), 0, stream, x,
                      noise, E, tokens, g, rows, per_g, d, V, flm_aligned(x, noise, E) && flm_divisible(W, d));
}

int flm_cuda_launch_embed_known(float *x, const float *noise, const float *E, const int32_t *tokens, float g,
                                int64_t rows, int64_t d, int64_t V, void *stream)
{
    return flm_launch(embed_known, dim3(flm_cuda_grid(flm_cuda_parts(rows, WARPS), 0)), dim3(THREADS), 0, stream, x,
                      noise, E, tokens, g, rows, d, V, flm_aligned(x, noise, E) && flm_divisible(W, d));
}

int flm_cuda_launch_embed_learned(float *x, const float *E, const float *P, const int32_t *tokens,
                                  const int32_t *positions, int64_t rows, int64_t d, int64_t V, int64_t L, void *stream)
{
    return flm_launch(embed_learned, dim3(flm_cuda_grid(flm_cuda_parts(rows, WARPS), 0)), dim3(THREADS), 0, stream, x,
                      E, P, tokens, positions, rows, d, V, L, flm_aligned(x, E, P) && flm_divisible(W, d));
}
