/* epilogue.cu - what cuBLASLt's epilogues cannot do after a product: an fp32 bias on a bf16 result, GELU beside an f32
 * one. SPDX-License-Identifier: Apache-2.0 */
#include "cuda/kernel/vector.cuh"

namespace
{

constexpr int THREADS = 256, BLOCKS_MOST = 1 << 16;

/* 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))): model.md section 2. */
FLM_DEVICE float gelu_tanh(float x)
{
    const float inner = 0.7978845608f * (x + 0.044715f * x * x * x);
    return 0.5f * x * (1.0f + tanhf(inner));
}

constexpr int WIDE = 4;

/* Bias and GELU of four neighbours of the M N elements at a time. aligned: all pointers are, to 16 bytes. */
template <typename T>
__global__ void __launch_bounds__(THREADS)
    epilogue(T *c, T *gelu, const float *sum, const float *bias, int64_t count, int64_t N, bool aligned)
{
    const int64_t step = (int64_t)gridDim.x * THREADS * WIDE;
    for (int64_t at = ((int64_t)blockIdx.x * THREADS + threadIdx.x) * WIDE; at < count; at += step) {
        const int64_t left = count - at;
        float x[WIDE];
        if (sum)
            flm_read(x, sum + at, left, aligned);
        else
            flm_read(x, c + at, left, aligned);
        if (bias) {
            int64_t column = at % N;
#pragma unroll
            for (int i = 0; i < WIDE; i++) {
                x[i] += bias[column];
                if (++column == N) column = 0;
            }
        }
        if (sum || bias) flm_write(c + at, x, left, aligned);
        if (gelu) {
#pragma unroll
            for (int i = 0; i < WIDE; i++) x[i] = gelu_tanh(flm_float(flm_act<T>(x[i]))); /* of what c holds */
            flm_write(gelu + at, x, left, aligned);
        }
    }
}

template <typename T> int launch(T *c, T *gelu, const float *sum, const float *bias, int64_t M, int64_t N, void *stream)
{
    const int64_t count = M * N, blocks = (count + THREADS * WIDE - 1) / (THREADS * WIDE);
    const unsigned grid = (unsigned)(blocks < BLOCKS_MOST ? blocks : BLOCKS_MOST);
    return flm_launch(epilogue<T>, dim3(grid), dim3(THREADS), 0, stream, c, gelu, sum, bias, count, N,
                      flm_aligned(c, gelu, sum));
}

} // namespace

extern "C" int flm_cuda_launch_epilogue(void *c, void *gelu, bool bf16, const float *sum, const float *bias, int64_t M,
                                        int64_t N, void *stream)
{
    if (bf16) return launch((flm_bf16 *)c, (flm_bf16 *)gelu, sum, bias, M, N, stream);
    return launch((float *)c, (float *)gelu, sum, bias, M, N, stream);
}
