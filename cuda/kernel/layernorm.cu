/* layernorm.cu - layer normalisation with a sample's own scale and shift, and its gradient (model.md section 2).
 * SPDX-License-Identifier: Apache-2.0 */
#include "cuda/kernel/device.cuh"

namespace {

constexpr float EPSILON = 1e-5f; /* model.md section 2 */
constexpr int THREADS = 128;

/* One block a row. */
template <class T>
__global__ void __launch_bounds__(THREADS)
    layernorm_modulate(T *y, float *mean, float *rstd, const float *x, const float *w, const float *mod, int64_t shift_at,
                       int64_t scale_at, int64_t L, int64_t d, int64_t M)
{
    const int64_t row = blockIdx.x;
    const float *in = x + row * d, *shift = mod + row / L * M + shift_at, *scale = mod + row / L * M + scale_at;
    float sum = 0, square = 0;
    for (int64_t j = threadIdx.x; j < d; j += THREADS) sum += in[j];
    const float m = flm_block_sum(sum) / (float)d;
    for (int64_t j = threadIdx.x; j < d; j += THREADS) square += (in[j] - m) * (in[j] - m);
    const float r = 1 / sqrtf(flm_block_sum(square) / (float)d + EPSILON);
    for (int64_t j = threadIdx.x; j < d; j += THREADS)
        y[row * d + j] = flm_act<T>((in[j] - m) * r * w[j] * (1 + scale[j]) + shift[j]);
    if (threadIdx.x == 0) {
        mean[row] = m;
        rstd[row] = r;
    }
}

} // namespace

int flm_cuda_launch_layernorm_modulate(void *y, bool bf16, float *mean, float *rstd, const float *x, const float *w,
                                       const float *mod, int64_t shift_at, int64_t scale_at, int64_t B, int64_t L,
                                       int64_t d, int64_t M, void *stream)
{
    const dim3 grid((unsigned)(B * L));
    if (bf16)
        return flm_launch(layernorm_modulate<flm_bf16>, grid, dim3(THREADS), 0, stream, (flm_bf16 *)y, mean, rstd, x, w,
                          mod, shift_at, scale_at, L, d, M);
    return flm_launch(layernorm_modulate<float>, grid, dim3(THREADS), 0, stream, (float *)y, mean, rstd, x, w, mod,
                      shift_at, scale_at, L, d, M);
}
