/* epilogue.cu - bias and GELU after a product, for the cases that cuBLASLt's epilogues do not cover: GELU of an f32
 * result, and what cuda_matmul.c lists. SPDX-License-Identifier: Apache-2.0 */
#include "cuda/kernel/vector.cuh"

namespace
{

constexpr int THREADS = 256, BLOCKS_MAX = 1 << 16;

/* 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))): model.md section 2. */
FLM_DEVICE float gelu_tanh(float x)
{
    const float inner = 0.7978845608f * (x + 0.044715f * x * x * x);
    return 0.5f * x * (1.0f + tanhf(inner));
}

constexpr int WIDE = 4;

/* Bias and GELU of four neighbours of a row at a time. aligned: every access at a multiple of four columns is aligned
 * to four elements. */
template <typename T>
__global__ void __launch_bounds__(THREADS)
    epilogue(T *c, T *gelu, const float *sum, const float *bias, int64_t M, int64_t N, int64_t row_stride, bool aligned)
{
    const int64_t groups = (N + WIDE - 1) / WIDE, count = M * groups;
    for (int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x; i < count; i += (int64_t)gridDim.x * THREADS) {
        const int64_t row = i / groups, column = i % groups * WIDE, left = N - column;
        T *to = c + row * row_stride + column;
        float x[WIDE];
        if (sum)
            flm_read(x, sum + row * N + column, left, aligned);
        else
            flm_read(x, to, left, aligned);
        if (bias) {
#pragma unroll
            for (int k = 0; k < WIDE; k++)
                if (k < left) x[k] += bias[column + k];
        }
        if (sum || bias) flm_write(to, x, left, aligned);
        if (gelu) {
#pragma unroll
            for (int k = 0; k < WIDE; k++)
                x[k] = gelu_tanh(flm_float(flm_act<T>(x[k]))); /* of the value that c holds */
            flm_write(gelu + row * N + column, x, left, aligned);
        }
    }
}

template <typename T>
int launch(T *c, T *gelu, const float *sum, const float *bias, int64_t M, int64_t N, int64_t row_stride, void *stream)
{
    const int64_t blocks = (M * ((N + WIDE - 1) / WIDE) + THREADS - 1) / THREADS;
    const unsigned grid = (unsigned)(blocks < BLOCKS_MAX ? blocks : BLOCKS_MAX);
    /* Every row begins at a multiple of WIDE. */
    const bool even = row_stride % WIDE == 0 && (N % WIDE == 0 || (!gelu && !sum));
    return flm_launch(epilogue<T>, dim3(grid), dim3(THREADS), 0, stream, c, gelu, sum, bias, M, N, row_stride,
                      even && flm_aligned(c, gelu, sum));
}

} // namespace

extern "C" int flm_cuda_launch_epilogue(void *c, void *gelu, bool bf16, const float *sum, const float *bias, int64_t M,
                                        int64_t N, int64_t row_stride, void *stream)
{
    if (bf16) return launch((flm_bf16 *)c, (flm_bf16 *)gelu, sum, bias, M, N, row_stride, stream);
    return launch((float *)c, (float *)gelu, sum, bias, M, N, row_stride, stream);
}
