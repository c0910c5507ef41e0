/* epilogue.cu - what cuBLASLt's epilogues cannot do after a product: an fp32 bias on a bf16 result, GELU beside an f32
 * one. A thread takes four neighbours of a row where rows allow it. SPDX-License-Identifier: Apache-2.0 */
#include "cuda/kernel/kernel.h"

#include <cuda_bf16.h>
#include <cuda_runtime.h>

namespace
{

constexpr int THREADS = 256, BLOCKS_MOST = 1 << 16;

/* 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))): model.md section 2. */
__device__ inline float gelu_tanh(float x)
{
    const float inner = 0.7978845608f * (x + 0.044715f * x * x * x);
    return 0.5f * x * (1.0f + tanhf(inner));
}

__device__ inline float load(const float *p, int64_t i) { return p[i]; }
__device__ inline float load(const __nv_bfloat16 *p, int64_t i) { return __bfloat162float(p[i]); }
/* Returns what was stored, rounded. */
__device__ inline float store(float *p, int64_t i, float x) { return p[i] = x; }
__device__ inline float store(__nv_bfloat16 *p, int64_t i, float x)
{
    p[i] = __float2bfloat16_rn(x);
    return __bfloat162float(p[i]);
}

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
            for (int i = 0; i < WIDE; i++) x[i] = load(in.v, i);
        }
        if (bias) {
            const int64_t column = at % N;
            for (int i = 0; i < WIDE; i++) x[i] += bias[column + i];
        }
        pack<T, WIDE> out;
        for (int i = 0; i < WIDE; i++) x[i] = store(out.v, i, x[i]);
        if (sum || bias) *reinterpret_cast<pack<T, WIDE> *>(c + at) = out;
        if (gelu) {
            for (int i = 0; i < WIDE; i++) store(out.v, i, gelu_tanh(x[i]));
            *reinterpret_cast<pack<T, WIDE> *>(gelu + at) = out;
        }
    }
}

template <typename T>
int launch(T *c, T *gelu, const float *sum, const float *bias, int64_t M, int64_t N, cudaStream_t stream)
{
    const int64_t count = M * N;
    const size_t align = (size_t)c | (size_t)gelu | (size_t)sum;
    const bool wide = N % 4 == 0 && align % 16 == 0;
    const int64_t threads = wide ? count / 4 : count;
    const int64_t blocks = (threads + THREADS - 1) / THREADS;
    const unsigned grid = (unsigned)(blocks < BLOCKS_MOST ? blocks : BLOCKS_MOST);
    if (wide)
        epilogue<T, 4><<<grid, THREADS, 0, stream>>>(c, gelu, sum, bias, count, N);
    else
        epilogue<T, 1><<<grid, THREADS, 0, stream>>>(c, gelu, sum, bias, count, N);
    return (int)cudaGetLastError();
}

} // namespace

extern "C" int flm_cuda_launch_epilogue(void *c, void *gelu, bool bf16, const float *sum, const float *bias, int64_t M,
                                        int64_t N, void *stream)
{
    if (bf16) return launch((__nv_bfloat16 *)c, (__nv_bfloat16 *)gelu, sum, bias, M, N, (cudaStream_t)stream);
    return launch((float *)c, (float *)gelu, sum, bias, M, N, (cudaStream_t)stream);
}
