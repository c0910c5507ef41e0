/* elementwise.cu - a x + b y, casts, and combinations of samples: one pass over memory in a grid-stride loop, by a grid
 * that fills the GPU. SPDX-License-Identifier: Apache-2.0 */
#include "cuda/kernel/vector.cuh"

namespace
{

constexpr int THREADS = FLM_CUDA_THREADS;

/* The first element of this thread's first vector, and the distance to its next. */
template <int W> FLM_DEVICE int64_t first_of() { return ((int64_t)blockIdx.x * THREADS + threadIdx.x) * W; }
template <int W> FLM_DEVICE int64_t stride_of() { return (int64_t)gridDim.x * THREADS * W; }

dim3 grid_of(int64_t n, int wide, int processors)
{
    return dim3(flm_cuda_grid(flm_cuda_parts(n, (int64_t)THREADS * wide), (int64_t)processors * FLM_CUDA_WAVES));
}

__global__ void __launch_bounds__(THREADS) axpby(const flm_cuda_axpby_rows p, bool aligned)
{
    const int64_t groups = flm_cuda_parts(p.n, 4);
    const float a = p.a, b = p.b_at ? *p.b_at : p.b;
    for (int64_t task = first_of<1>(); task < p.rows * groups; task += stride_of<1>()) {
        const int64_t row = task / groups, i = task % groups * 4;
        float u[4], v[4] = {0};
        flm_read(u, p.x + row * p.x_row_stride + i, p.n - i, aligned);
        if (b != 0) flm_read(v, p.y + row * p.y_row_stride + i, p.n - i, aligned);
#pragma unroll
        for (int k = 0; k < 4; k++) u[k] = b != 0 ? a * u[k] + b * v[k] : a * u[k];
        flm_write(p.y + row * p.y_row_stride + i, u, p.n - i, aligned);
    }
}

FLM_DEVICE void convert(float *to, float from) { *to = from; }
FLM_DEVICE void convert(float *to, flm_bf16 from) { *to = flm_float(from); }
FLM_DEVICE void convert(float *to, double from) { *to = (float)from; }
FLM_DEVICE void convert(double *to, float from) { *to = (double)from; }
FLM_DEVICE void convert(double *to, flm_bf16 from) { *to = (double)flm_float(from); }
FLM_DEVICE void convert(double *to, double from) { *to = from; }
FLM_DEVICE void convert(flm_bf16 *to, float from) { *to = flm_act<flm_bf16>(from); }
FLM_DEVICE void convert(flm_bf16 *to, flm_bf16 from) { *to = from; }

/* With a single rounding. The conversion to fp32 rounds to odd, if it is not exact, and so keeps the information that
 * the rounding to bf16 needs (Boldo and Melquiond, "Emulation of FMA and correctly rounded sums", 2008). */
FLM_DEVICE void convert(flm_bf16 *to, double from)
{
    const float near = (float)from;
    uint32_t u = __float_as_uint(near);
    if ((double)near != from && (u & 1) == 0) u += fabs((double)near) < fabs(from) ? 1u : 0xFFFFFFFFu;
    *to = flm_act<flm_bf16>(__uint_as_float(u));
}

template <class To, class From>
__global__ void __launch_bounds__(THREADS)
    cast(To *__restrict__ to, int64_t to_row_stride, const From *__restrict__ from, int64_t from_row_stride,
         int64_t rows, int64_t n, bool aligned)
{
    const int64_t groups = flm_cuda_parts(n, 8);
    for (int64_t task = first_of<1>(); task < rows * groups; task += stride_of<1>()) {
        const int64_t row = task / groups, i = task % groups * 8;
        const flm_vector<From, 8> x = flm_load<8>(from + row * from_row_stride + i, n - i, aligned);
        flm_vector<To, 8> y;
#pragma unroll
        for (int k = 0; k < 8; k++) convert(&y.at[k], x.at[k]);
        flm_store(to + row * to_row_stride + i, y, n - i, aligned);
    }
}

/* y may be x. B samples of n elements. */
__global__ void __launch_bounds__(THREADS)
    sample_scale(float *y, const float *x, const float *__restrict__ g, int64_t B, int64_t n, bool aligned)
{
    const int64_t groups = flm_cuda_parts(n, 4);
    for (int64_t task = first_of<1>(); task < B * groups; task += stride_of<1>()) {
        const int64_t b = task / groups, i = task % groups * 4;
        const float factor = 1 - g[b];
        float v[4];
        flm_read(v, x + b * n + i, n - i, aligned);
#pragma unroll
        for (int k = 0; k < 4; k++) v[k] *= factor;
        flm_write(y + b * n + i, v, n - i, aligned);
    }
}

template <class T> struct combined {
    const T *x[4];
};

/* y may be one of x. */
template <class T, int W, int COUNT>
__global__ void __launch_bounds__(THREADS)
    sample_combine(T *y, const float *__restrict__ c, combined<T> p, int64_t B, int64_t n, bool aligned)
{
    const int64_t groups = flm_cuda_parts(n, W);
    for (int64_t task = first_of<1>(); task < B * groups; task += stride_of<1>()) {
        const int64_t b = task / groups, i = task % groups * W;
        float sum[W] = {0}, v[COUNT][W];
#pragma unroll
        for (int q = 0; q < COUNT; q++) flm_read(v[q], p.x[q] + b * n + i, n - i, aligned);
#pragma unroll
        for (int q = 0; q < COUNT; q++)
#pragma unroll
            for (int k = 0; k < W; k++) sum[k] = q ? sum[k] + c[b * COUNT + q] * v[q][k] : c[b * COUNT] * v[q][k];
        flm_write(y + b * n + i, sum, n - i, aligned);
    }
}

template <class To, class From> int cast_launch(const flm_cuda_cast_rows &p, int processors, void *stream)
{
    const bool aligned =
        flm_aligned(p.to, p.from) && (p.rows == 1 || flm_divisible(8, p.to_row_stride, p.from_row_stride));
    return flm_launch(cast<To, From>, grid_of(p.rows * flm_cuda_parts(p.n, 8), 1, processors), dim3(THREADS), 0, stream,
                      (To *)p.to, p.to_row_stride, (const From *)p.from, p.from_row_stride, p.rows, p.n, aligned);
}

template <class To> int cast_to(const flm_cuda_cast_rows &p, int processors, void *stream)
{
    if (p.from_kind == FLM_CUDA_F32) return cast_launch<To, float>(p, processors, stream);
    if (p.from_kind == FLM_CUDA_BF16) return cast_launch<To, flm_bf16>(p, processors, stream);
    return cast_launch<To, double>(p, processors, stream);
}

template <class T, int W>
int combine(void *y, const float *c, const void *const *x, int count, int64_t B, int64_t n, int processors,
            void *stream)
{
    combined<T> p = {};
    bool aligned = flm_aligned(y) && flm_divisible(W, n);
    for (int k = 0; k < count; k++) {
        p.x[k] = (const T *)x[k];
        aligned = aligned && flm_aligned(x[k]);
    }
    const dim3 grid = grid_of(B * flm_cuda_parts(n, W), 1, processors), block(THREADS);
    if (count == 1) return flm_launch(sample_combine<T, W, 1>, grid, block, 0, stream, (T *)y, c, p, B, n, aligned);
    if (count == 2) return flm_launch(sample_combine<T, W, 2>, grid, block, 0, stream, (T *)y, c, p, B, n, aligned);
    if (count == 3) return flm_launch(sample_combine<T, W, 3>, grid, block, 0, stream, (T *)y, c, p, B, n, aligned);
    return flm_launch(sample_combine<T, W, 4>, grid, block, 0, stream, (T *)y, c, p, B, n, aligned);
}

} // namespace

int flm_cuda_launch_axpby(const flm_cuda_axpby_rows *p, int processors, void *stream)
{
    const bool aligned =
        flm_aligned(p->y, p->x) && (p->rows == 1 || flm_divisible(4, p->y_row_stride, p->x_row_stride));
    return flm_launch(axpby, grid_of(p->rows * flm_cuda_parts(p->n, 4), 1, processors), dim3(THREADS), 0, stream, *p,
                      aligned);
}

int flm_cuda_launch_cast(const flm_cuda_cast_rows *p, int processors, void *stream)
{
    if (p->to_kind == FLM_CUDA_F32) return cast_to<float>(*p, processors, stream);
    if (p->to_kind == FLM_CUDA_BF16) return cast_to<flm_bf16>(*p, processors, stream);
    return cast_to<double>(*p, processors, stream);
}

int flm_cuda_launch_sample_scale(float *y, const float *x, const float *g, int64_t B, int64_t n, int processors,
                                 void *stream)
{
    return flm_launch(sample_scale, grid_of(B * flm_cuda_parts(n, 4), 1, processors), dim3(THREADS), 0, stream, y, x, g,
                      B, n, flm_aligned(y, x) && flm_divisible(4, n));
}

int flm_cuda_launch_sample_combine(void *y, bool bf16, const float *c, const void *const *x, int count, int64_t B,
                                   int64_t n, int processors, void *stream)
{
    return bf16 ? combine<flm_bf16, 8>(y, c, x, count, B, n, processors, stream)
                : combine<float, 4>(y, c, x, count, B, n, processors, stream);
}
