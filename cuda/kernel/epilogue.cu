/* epilogue.cu - what cuBLASLt's epilogues cannot do after a product: an fp32 bias on a bf16 result, GELU beside an f32
 * one. A thread takes four neighbours of a row where rows allow it. SPDX-License-Identifier: Apache-2.0 */
#include "cuda/kernel/device.cuh"

namespace
{

constexpr int THREADS = 256, BLOCKS_MOST = 1 << 16;

/* 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))): model.md section 2. */
FLM_DEVICE float gelu_tanh(float x)
{
    const float inner = 0.7978845608f * (x + 0.044715f * x * x * x);
    return 0.5f * x * (1.0f + tanhf(inner));
}

/* What a value is once it is stored as a T. */
template <typename T> FLM_DEVICE float rounded(float x) { return flm_float(flm_act<T>(x)); }

/* WIDE neighbours at a time; N a multiple of it, and pointers aligned to WIDE elements. */
template <typename T, int WIDE> struct alignas(sizeof(T) * WIDE) pack {
    T v[WIDE];
};

template <typename T, int WIDE>
__global__ void __launch_bounds__(THREADS)
    epilogue(T *c, T *gelu, const float *sum, const float *bias, int64_t count, int64_t N)
{
    const int64_t step = (int64_t)gridDim.x * THREADS * WIDE;
    for (int64_t at = ((int64_t)blockIdx.x * THREADS + threadIdx.x) * WIDE; at < count; at += step) {
        float x[WIDE];
        if (sum) {
            const pack<float, WIDE> in = *reinterpret_cast<const pack<float, WIDE> *>(sum + at);
            for (int i = 0; i < WIDE; i++) x[i] = in.v[i];
        } else {
            const pack<T, WIDE> in = *reinterpret_cast<const pack<T, WIDE> *>(c + at);
            for (int i = 0; i < WIDE; i++) x[i] = flm_float(in.v[i]);
        }
        if (bias) {
            const int64_t column = at % N;
            for (int i = 0; i < WIDE; i++) x[i] += bias[column + i];
        }
        pack<T, WIDE> out;
        for (int i = 0; i < WIDE; i++) {
            out.v[i] = flm_act<T>(x[i]);
            x[i] = rounded<T>(x[i]);
        }
        if (sum || bias) *reinterpret_cast<pack<T, WIDE> *>(c + at) = out;
        if (gelu) {
            for (int i = 0; i < WIDE; i++) out.v[i] = flm_act<T>(gelu_tanh(x[i]));
            *reinterpret_cast<pack<T, WIDE> *>(gelu + at) = out;
        }
    }
}

template <typename T> int launch(T *c, T *gelu, const float *sum, const float *bias, int64_t M, int64_t N, void *stream)
{
    const int64_t count = M * N;
    const size_t align = (size_t)c | (size_t)gelu | (size_t)sum;
    const bool wide = N % 4 == 0 && align % 16 == 0;
    const int64_t threads = wide ? count / 4 : count;
    const int64_t blocks = (threads + THREADS - 1) / THREADS;
    const unsigned grid = (unsigned)(blocks < BLOCKS_MOST ? blocks : BLOCKS_MOST);
    return flm_launch(wide ? epilogue<T, 4> : epilogue<T, 1>, dim3(grid), dim3(THREADS), 0, stream, c, gelu, sum, bias,
                      count, N);
}

} // namespace

extern "C" int flm_cuda_launch_epilogue(void *c, void *gelu, bool bf16, const float *sum, const float *bias, int64_t M,
                                        int64_t N, void *stream)
{
    if (bf16) return launch((flm_bf16 *)c, (flm_bf16 *)gelu, sum, bias, M, N, stream);
    return launch((float *)c, (float *)gelu, sum, bias, M, N, stream);
}
