/* activation.cu - the gradient of GELU, SiLU, GELU by erf, and the timestep features (model.md sections 2 and 6).
 *
 * GELU uses the identity (1 + tanh u) / 2 = s(2u), s(z) = 1 / (1 + exp(-z)), which does not cancel for negative x.
 * SiLU, GELU by erf and the features are computed in double: they have only a few thousand elements in a training step.
 * SPDX-License-Identifier: Apache-2.0 */
#include "cuda/kernel/vector.cuh"

namespace
{

constexpr int THREADS = FLM_CUDA_THREADS, WARPS = THREADS / FLM_WARP, ROWS = FLM_CUDA_COLUMN_ROWS;
constexpr double ROOT_HALF = 0.70710678118654752440,
                 ROOT_TURN = 0.39894228040143267794; /* 1 / sqrt(2), 1 / sqrt(2 pi) */

/* gelu'(x) = s + x s (1 - s) 2u', with u = sqrt(2/pi) (x + 0.044715 x^3). |x| is limited to 9.9, where exp(-2u) is
 * e^-85 or e^85 and the slope is 0 or 1 in fp32. NaN stays NaN. expf is the accurate one, because the error of its
 * argument is already most of the result's; the fast division is off by at most two units for divisors below 2^126, and
 * this one is below 2^123. */
FLM_DEVICE float gelu_slope(float x)
{
    const float v = x < -9.9f ? -9.9f : x > 9.9f ? 9.9f : x;
    const float e = expf(-1.5957691216f * (v + 0.044715f * v * v * v)), s = __fdividef(1, 1 + e);
    return s + v * (s * (e * s)) * (1.5957691216f + 0.2140644488f * v * v); /* 6 sqrt(2/pi) 0.044715 */
}

/* A warp processes 32 W columns of ROWS rows. sums [blocks, N]: their contribution to grad_b. grad_x may be grad_y. */
template <class T, int W>
__global__ void __launch_bounds__(THREADS) gelu_backward(T *grad_x, float *__restrict__ sums, const T *__restrict__ x,
                                                         const T *grad_y, int64_t M, int64_t N, bool aligned)
{
    const int64_t tiles = flm_cuda_parts(N, W * FLM_WARP), tasks = tiles * flm_cuda_parts(M, ROWS);
    for (int64_t task = (int64_t)blockIdx.x * WARPS + flm_warp(); task < tasks; task += (int64_t)gridDim.x * WARPS) {
        const int64_t block = task / tiles, row = block * ROWS, j = (task % tiles * FLM_WARP + flm_lane()) * W,
                      left = N - j;
        const int rows = M - row < ROWS ? (int)(M - row) : ROWS;
        float sum[W] = {0};
        if (left <= 0) continue;
#pragma unroll 2
        for (int i = 0; i < rows; i++) {
            const int64_t at = (row + i) * N + j;
            float v[W], g[W];
            flm_read(v, x + at, left, aligned);
            flm_read(g, grad_y + at, left, aligned);
#pragma unroll
            for (int k = 0; k < W; k++) {
                g[k] *= gelu_slope(v[k]);
                sum[k] += g[k];
            }
            flm_write(grad_x + at, g, left, aligned);
        }
        flm_write(sums + block * N + j, sum, left, aligned);
    }
}

FLM_DEVICE double silu_of(double x) { return x / (1 + exp(-x)); }

FLM_DEVICE double silu_slope(double x)
{
    const double s = 1 / (1 + exp(-x));
    return s * (1 + x * (1 - s));
}

FLM_DEVICE double gelu_erf_of(double x) { return 0.5 * x * erfc(-x * ROOT_HALF); }

FLM_DEVICE double gelu_erf_slope(double x) { return 0.5 * erfc(-x * ROOT_HALF) + x * ROOT_TURN * exp(-0.5 * x * x); }

enum function { SILU, SILU_SLOPE, GELU_ERF, GELU_ERF_SLOPE };

/* y = f(x), or for the slopes y = grad_y f'(x); y may be grad_y. */
template <function F>
__global__ void __launch_bounds__(THREADS) each(float *y, const float *grad_y, const float *__restrict__ x, int64_t n)
{
    for (int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x; i < n; i += (int64_t)gridDim.x * THREADS) {
        const double v = (double)x[i];
        if (F == SILU) y[i] = (float)silu_of(v);
        if (F == SILU_SLOPE) y[i] = (float)((double)grad_y[i] * silu_slope(v));
        if (F == GELU_ERF) y[i] = (float)gelu_erf_of(v);
        if (F == GELU_ERF_SLOPE) y[i] = (float)((double)grad_y[i] * gelu_erf_slope(v));
    }
}

template <function F> int launch_each(float *y, const float *grad_y, const float *x, int64_t n, void *stream)
{
    return flm_launch(each<F>, dim3(flm_cuda_grid(flm_cuda_parts(n, THREADS), 0)), dim3(THREADS), 0, stream, y, grad_y,
                      x, n);
}

/* A thread computes a cosine and its sine. */
__global__ void __launch_bounds__(THREADS)
    timestep_features(float *__restrict__ out, const float *__restrict__ t, int64_t B, int64_t F)
{
    const int64_t half = F / 2;
    for (int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x; i < B * half; i += (int64_t)gridDim.x * THREADS) {
        const int64_t b = i / half, j = i % half;
        const double angle = (double)t[b] * pow(10000.0, -2.0 * (double)j / (double)F);
        out[b * F + j] = (float)cos(angle);
        out[b * F + half + j] = (float)sin(angle);
    }
}

} // namespace

int flm_cuda_launch_gelu_backward(void *grad_x, float *grad_b, float *sums, const void *x, const void *grad_y,
                                  bool bf16, int64_t M, int64_t N, void *stream)
{
    const int wide = bf16 ? 8 : 4;
    const int64_t blocks = flm_cuda_parts(M, ROWS), tasks = blocks * flm_cuda_parts(N, wide * FLM_WARP);
    const dim3 grid(flm_cuda_grid(flm_cuda_parts(tasks, WARPS), 0)), block(THREADS);
    const bool aligned = flm_aligned(grad_x, sums, x, grad_y) && flm_divisible(wide, N);
    const int code = bf16 ? flm_launch(gelu_backward<flm_bf16, 8>, grid, block, 0, stream, (flm_bf16 *)grad_x, sums,
                                       (const flm_bf16 *)x, (const flm_bf16 *)grad_y, M, N, aligned)
                          : flm_launch(gelu_backward<float, 4>, grid, block, 0, stream, (float *)grad_x, sums,
                                       (const float *)x, (const float *)grad_y, M, N, aligned);
    return code ? code : flm_cuda_launch_fold(grad_b, 0, sums, 1, blocks, N, true, stream);
}

int flm_cuda_launch_silu(float *y, const float *x, int64_t n, void *stream)
{
    return launch_each<SILU>(y, nullptr, x, n, stream);
}

int flm_cuda_launch_silu_backward(float *grad_x, const float *grad_y, const float *x, int64_t n, void *stream)
{
    return launch_each<SILU_SLOPE>(grad_x, grad_y, x, n, stream);
}

int flm_cuda_launch_gelu_erf(float *y, const float *x, int64_t n, void *stream)
{
    return launch_each<GELU_ERF>(y, nullptr, x, n, stream);
}

int flm_cuda_launch_gelu_erf_backward(float *grad_x, const float *grad_y, const float *x, int64_t n, void *stream)
{
    return launch_each<GELU_ERF_SLOPE>(grad_x, grad_y, x, n, stream);
}

int flm_cuda_launch_timestep_features(float *out, const float *t, int64_t B, int64_t F, void *stream)
{
    return flm_launch(timestep_features, dim3(flm_cuda_grid(flm_cuda_parts(B * (F / 2), THREADS), 0)), dim3(THREADS), 0,
                      stream, out, t, B, F);
}
