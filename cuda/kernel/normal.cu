/* normal.cu - normal random numbers (model.md section 4). A thread computes the four components of a counter block.
 * SPDX-License-Identifier: Apache-2.0 */
#include "cuda/kernel/vector.cuh"

namespace
{

constexpr int W = FLM_PHILOX_WORDS, SPAN = W * FLM_WARP, THREADS = FLM_CUDA_THREADS, WARPS = THREADS / FLM_WARP;

/* Box and Muller, "A note on the generation of random normal deviates", 1958: sqrt(-2 ln u) times the cosine and sine
 * of a random angle. u = (w + 1/2) / 2^32 in fp32 is in (0, 1], so the largest normal is 6.8 and none is infinite. The
 * angle is between -1/2 and 1/2 of a turn, so that rounding it to fp32 moves it by at most 1e-7. logf is the accurate
 * one, because a fast logarithm has no correct digits near 1. */
FLM_DEVICE void normal_pair(uint32_t w, uint32_t turn, float *first, float *second)
{
    const float radius = sqrtf(-2 * logf((float)w * 0x1p-32f + 0x1p-33f));
    float sine, cosine;
    sincospif((float)(int32_t)turn * 0x1p-31f, &sine, &cosine);
    *first = radius * cosine;
    *second = radius * sine;
}

/* A warp computes a row. */
__global__ void __launch_bounds__(THREADS) normal(float *__restrict__ out, uint64_t stream, int64_t first_sample,
                                                  int64_t rows, int64_t L, int64_t K, bool aligned)
{
    for (int64_t row = (int64_t)blockIdx.x * WARPS + flm_warp(); row < rows; row += (int64_t)gridDim.x * WARPS) {
        const int64_t b = row / L;
        const uint64_t sample = (uint64_t)(first_sample + b);
        const uint32_t position = (uint32_t)(row - b * L);
        for (int64_t i = flm_lane() * W; i < K; i += SPAN) {
            const flm_philox4 r = flm_philox_at(stream, sample, position, (uint32_t)(i / W));
            float v[W];
            normal_pair(r.v[0], r.v[1], &v[0], &v[1]);
            normal_pair(r.v[2], r.v[3], &v[2], &v[3]);
            flm_write(out + row * K + i, v, K - i, aligned);
        }
    }
}

} // namespace

int flm_cuda_launch_normal(float *out, uint64_t stream_key, int64_t first_sample, int64_t B, int64_t L, int64_t K,
                           void *stream)
{
    return flm_launch(normal, dim3(flm_cuda_grid(flm_cuda_parts(B * L, WARPS), 0)), dim3(THREADS), 0, stream, out,
                      stream_key, first_sample, B * L, L, K, flm_aligned(out) && flm_divisible(W, K));
}
