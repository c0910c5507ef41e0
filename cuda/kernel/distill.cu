/* distill.cu - the squared error between two softmaxes plus a residual, and its gradient (model.md sections 6 and 7). A
 * block passes over its row once for the sums of exponentials, once for the error, and with softmax_backward once more
 * for the gradient. SPDX-License-Identifier: Apache-2.0 */
#include "cuda/kernel/softmax.cuh"

namespace
{

constexpr int THREADS_MAX = FLM_CUDA_ROW_THREADS, BLOCKS = 2; /* BLOCKS: on a multiprocessor */
constexpr int COEFFICIENTS = 4;                               /* of a row */

/* The logits of one row, and the constants of their softmax, which is of capped logits. */
struct side {
    const float *x;
    float max_value, factor;
};

FLM_DEVICE float probability(float x, const side &of) { return expf(x - of.max_value) * of.factor; }

/* The constants of both sides in one pass. */
template <bool CAPPED> FLM_DEVICE void sides_make(side &from, side &to, const flm_walk &walk, const flm_logit_cap &cap)
{
    flm_exponentials s = {FLM_LOWEST, 0}, t = s;
    for (int64_t g = threadIdx.x; g < walk.groups; g += blockDim.x) {
        float u[FLM_GROUP], v[FLM_GROUP];
        const int64_t at = walk.at(g);
        const int count = walk.count(g);
        flm_read(u, from.x + at, count, walk.aligned);
        flm_read(v, to.x + at, count, walk.aligned);
        flm_logits_cap<CAPPED>(u, cap);
        flm_logits_cap<CAPPED>(v, cap);
        flm_exponentials_add(s, u, count);
        flm_exponentials_add(t, v, count);
    }
    s = flm_exponentials_join(s);
    t = flm_exponentials_join(t);
    from.max_value = s.max_value;
    from.factor = (float)(1 / s.sum);
    to.max_value = t.max_value;
    to.factor = (float)(1 / t.sum);
}

/* grad: may be NULL or p.residual, with SOFTMAX_BACKWARD also p.from. A thread processes the same elements in every
 * pass, so what it reads again no other thread has written. */
template <class T, bool SOFTMAX_BACKWARD, bool CAPPED>
__global__ void __launch_bounds__(THREADS_MAX, BLOCKS)
    distill_error(flm_cuda_distill p, T *grad, flm_logit_cap cap, bool bias_aligned, bool aligned)
{
    for (int64_t row = blockIdx.x; row < p.R; row += gridDim.x) {
        const flm_walk walk(row, p.V, p.from_row_stride, aligned);
        const float *c = p.coefficient + row * COEFFICIENTS, c0 = c[0], c1 = c[1], c2 = c[2], c3 = c[3];
        float *residual = p.residual + row * p.residual_row_stride;
        T *out = grad ? grad + row * p.grad_row_stride : nullptr;
        side from = {p.from + row * p.from_row_stride, 0, 0}, to = {p.to + row * p.to_row_stride, 0, 0};
        const bool keeps = static_cast<const void *>(out) != static_cast<const void *>(residual);
        double squares = 0, products = 0;
        sides_make<CAPPED>(from, to, walk, cap);
        for (int64_t g = threadIdx.x; g < walk.groups; g += blockDim.x) {
            float u[FLM_GROUP], v[FLM_GROUP], e[FLM_GROUP], bias[FLM_GROUP], square = 0, product = 0;
            const int64_t at = walk.at(g);
            const int count = walk.count(g);
            flm_read(u, from.x + at, count, walk.aligned);
            flm_read(v, to.x + at, count, walk.aligned);
            flm_read(e, residual + at, count, walk.aligned);
            flm_read(bias, p.bias + at, count, bias_aligned && walk.shift == 0);
            flm_logits_cap<CAPPED>(u, cap);
            flm_logits_cap<CAPPED>(v, cap);
#pragma unroll
            for (int k = 0; k < FLM_GROUP; k++) {
                u[k] = probability(u[k], from);
                e[k] = c0 * (probability(v[k], to) - u[k]) + c1 * e[k] + c2 * bias[k];
                if (k < count) {
                    square += e[k] * e[k];
                    product += u[k] * e[k];
                }
                v[k] = c3 * e[k];
            }
            squares += (double)square;
            if (SOFTMAX_BACKWARD) products += (double)product;
            if (SOFTMAX_BACKWARD || keeps) flm_write(residual + at, e, count, walk.aligned);
            if (!SOFTMAX_BACKWARD && out) flm_write(out + at, v, count, walk.aligned);
        }
        squares = flm_block_sum(squares);
        if (threadIdx.x == 0) p.loss[row] = (float)squares;
        if (!SOFTMAX_BACKWARD || !out) continue;
        const float dot = (float)flm_block_sum(products);
        for (int64_t g = threadIdx.x; g < walk.groups; g += blockDim.x) {
            float u[FLM_GROUP], e[FLM_GROUP];
            const int64_t at = walk.at(g);
            const int count = walk.count(g);
            flm_read(u, from.x + at, count, walk.aligned);
            flm_read(e, residual + at, count, walk.aligned);
#pragma unroll
            for (int k = 0; k < FLM_GROUP; k++) {
                const float y = flm_logit_capped<CAPPED>(u[k], cap), g = c3 * probability(y, from) * (e[k] - dot);
                u[k] = CAPPED ? g * flm_logit_slope<CAPPED>(y, cap) : g;
            }
            flm_write(out + at, u, count, walk.aligned);
        }
    }
}

__global__ void __launch_bounds__(FLM_CUDA_THREADS)
    weigh(float *coefficient, const float *l, const double *factor, double scale, int64_t R, int64_t L)
{
    const int64_t stride = (int64_t)gridDim.x * FLM_CUDA_THREADS;
    for (int64_t row = (int64_t)blockIdx.x * FLM_CUDA_THREADS + threadIdx.x; row < R; row += stride)
        coefficient[row * COEFFICIENTS + 3] = (float)(factor[row / L] * exp(-(double)l[row / L]) * scale);
}

/* sums[b] = e_b + L l[b]; a block a sequence. */
__global__ void __launch_bounds__(FLM_CUDA_THREADS)
    weigh_loss(float *grad_l, double *sums, const float *loss, const float *l, double scale, int64_t B, int64_t L)
{
    for (int64_t b = blockIdx.x; b < B; b += gridDim.x) {
        double sum = 0;
        for (int64_t i = threadIdx.x; i < L; i += FLM_CUDA_THREADS) sum += (double)loss[b * L + i];
        sum = flm_block_sum(sum) * exp(-(double)l[b]);
        if (threadIdx.x != 0) continue;
        sums[b] = sum + (double)L * (double)l[b];
        grad_l[b] = (float)(((double)L - sum) * scale);
    }
}

/* One block. */
__global__ void __launch_bounds__(FLM_CUDA_THREADS) add_sums(double *total, const double *sums, int64_t B)
{
    double sum = 0;
    for (int64_t b = threadIdx.x; b < B; b += FLM_CUDA_THREADS) sum += sums[b];
    sum = flm_block_sum(sum);
    if (threadIdx.x == 0) *total += sum;
}

template <class T, bool CAPPED> int launch(const flm_cuda_distill &p, T *grad, bool softmax_backward, void *stream)
{
    const dim3 grid(flm_cuda_grid(p.R, 0)), block((unsigned)flm_cuda_row_threads(p.V));
    const bool aligned = flm_aligned(grad, p.from, p.to, p.residual) &&
                         flm_row_strides_match(p.from_row_stride, p.to_row_stride, p.residual_row_stride,
                                               grad ? p.grad_row_stride : p.from_row_stride),
               bias_aligned = flm_aligned(p.bias);
    const auto kernel = softmax_backward ? distill_error<T, true, CAPPED> : distill_error<T, false, CAPPED>;
    return flm_launch(kernel, grid, block, 0, stream, p, grad, flm_logit_cap_make(p.cap), bias_aligned, aligned);
}

template <class T> int launch_any(const flm_cuda_distill &p, T *grad, bool softmax_backward, void *stream)
{
    return (p.cap > 0 ? launch<T, true> : launch<T, false>)(p, grad, softmax_backward, stream);
}

} // namespace

int flm_cuda_launch_distill_error(const flm_cuda_distill *p, void *grad, bool bf16, bool softmax_backward, void *stream)
{
    return bf16 ? launch_any(*p, (flm_bf16 *)grad, softmax_backward, stream)
                : launch_any(*p, (float *)grad, softmax_backward, stream);
}

int flm_cuda_launch_distill_weigh(float *coefficient, const float *l, const double *factor, double scale, int64_t R,
                                  int64_t B, void *stream)
{
    return flm_launch(weigh, dim3(flm_cuda_grid(flm_cuda_parts(R, FLM_CUDA_THREADS), 0)), dim3(FLM_CUDA_THREADS), 0,
                      stream, coefficient, l, factor, scale, R, R / B);
}

int flm_cuda_launch_distill_loss(double *total, float *grad_l, double *sums, const float *loss, const float *l,
                                 double scale, int64_t R, int64_t B, void *stream)
{
    const int code = flm_launch(weigh_loss, dim3(flm_cuda_grid(B, 0)), dim3(FLM_CUDA_THREADS), 0, stream, grad_l, sums,
                                loss, l, scale, B, R / B);
    return code ? code : flm_launch(add_sums, dim3(1), dim3(FLM_CUDA_THREADS), 0, stream, total, sums, B);
}
