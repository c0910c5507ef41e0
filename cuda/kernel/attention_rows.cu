/* attention_rows.cu - the statistics of every query that attention's gradient needs: lse, and the sum of grad_o o.
 * SPDX-License-Identifier: Apache-2.0 */
#include "cuda/kernel/attention_shape.cuh"

namespace
{

constexpr int THREADS = 128, LANES = 8; /* LANES: threads of a row; each loads 8 of 64 columns of bf16 at once */

/* The dot product of columns [8 chunk, 8 chunk + 8). */
FLM_DEVICE float dot_of(const flm_bf16 *a, const flm_bf16 *b, int chunk)
{
    const uint4 x = reinterpret_cast<const uint4 *>(a)[chunk], y = reinterpret_cast<const uint4 *>(b)[chunk];
    const uint32_t left[4] = {x.x, x.y, x.z, x.w}, right[4] = {y.x, y.y, y.z, y.w};
    float dot = 0;
#pragma unroll
    for (int i = 0; i < 4; i++) {
        dot += __uint_as_float(left[i] << 16) * __uint_as_float(right[i] << 16);
        dot += __uint_as_float(left[i] & 0xFFFF0000u) * __uint_as_float(right[i] & 0xFFFF0000u);
    }
    return dot;
}

FLM_DEVICE float dot_of(const float *a, const float *b, int chunk)
{
    float dot = 0;
    for (int i = 8 * chunk; i < 8 * chunk + 8; i++) dot += a[i] * b[i];
    return dot;
}

/* pairs[b, head, l] = (lse * factor, sum over the head's columns of grad_o o). */
template <class T>
__global__ void __launch_bounds__(THREADS) attention_rows(float2 *pairs, const T *grad_o, const T *o, const float *lse,
                                                          float factor, int64_t rows, flm_attention_shape n)
{
    const int64_t row = ((int64_t)blockIdx.x * THREADS + threadIdx.x) / LANES; /* of [B, L, H] */
    const int lane = (int)threadIdx.x % LANES;
    float dot = 0;
    if (row < rows) {
        const T *a = grad_o + row * n.h, *b = o + row * n.h;
        if (n.vector)
            for (int chunk = lane; 8 * chunk < n.h; chunk += LANES) dot += dot_of(a, b, chunk);
        else
            for (int i = lane; i < n.h; i += LANES) dot += flm_float(a[i]) * flm_float(b[i]);
    }
#pragma unroll
    for (int step = LANES / 2; step > 0; step /= 2) dot += __shfl_xor_sync(FLM_ALL, dot, step);
    if (row < rows && lane == 0) {
        const int64_t head = row % n.H, l = row / n.H % n.L, b = row / n.H / n.L, at = (b * n.H + head) * n.L + l;
        pairs[at] = make_float2(lse[at] * factor, dot);
    }
}

} // namespace

int flm_cuda_launch_attention_rows(void *pairs, const void *grad_o, const void *o, bool bf16, bool vector,
                                   const float *lse, int64_t B, int64_t L, int64_t H, int64_t h, void *stream)
{
    const flm_attention_shape n = {H, (int)L, (int)h, 0, 0, vector};
    const dim3 grid((unsigned)((B * L * H * LANES + THREADS - 1) / THREADS));
    if (bf16)
        return flm_launch(attention_rows<flm_bf16>, grid, dim3(THREADS), 0, stream, (float2 *)pairs,
                          (const flm_bf16 *)grad_o, (const flm_bf16 *)o, lse, FLM_LOG2_E, B * L * H, n);
    return flm_launch(attention_rows<float>, grid, dim3(THREADS), 0, stream, (float2 *)pairs, (const float *)grad_o,
                      (const float *)o, lse, 1.0f, B * L * H, n);
}
