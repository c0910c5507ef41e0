/* mixture.cu - cross entropy of a softmax against a mixture of two, and its gradient (model.md section 9.2). A block
 * passes over its row once for the sums of exponentials, and once for loss and gradient. SPDX-License-Identifier:
 * Apache-2.0 */
#include "cuda/kernel/softmax.cuh"

namespace
{

constexpr int THREADS_MAX = FLM_CUDA_ROW_THREADS, BLOCKS = 2; /* BLOCKS: on a multiprocessor */

/* The logits of one row, and the constants of their softmax times a weight, which is of capped logits. */
struct side {
    const float *x;
    float max_value, factor;
};

FLM_DEVICE float weighted(float x, const side &of) { return expf(x - of.max_value) * of.factor; }

template <bool CAPPED>
FLM_DEVICE void side_add(flm_exponentials &s, const side &of, const flm_walk &walk, int64_t g, const flm_logit_cap &cap)
{
    float u[FLM_GROUP];
    flm_read(u, of.x + walk.at(g), walk.count(g), walk.aligned);
    flm_logits_cap<CAPPED>(u, cap);
    flm_exponentials_add(s, u, walk.count(g));
}

/* Returns the sum of exponentials. */
FLM_DEVICE double side_make(side &of, const flm_exponentials &part, float weight)
{
    const flm_exponentials s = flm_exponentials_join(part);
    of.max_value = s.max_value;
    of.factor = (float)((double)weight / s.sum);
    return s.sum;
}

/* grad: may be NULL or p.logits. A thread processes the same elements in both passes, so what it reads again no other
 * thread has written. */
template <class T, bool TWO, bool CAPPED>
__global__ void __launch_bounds__(THREADS_MAX, BLOCKS)
    mixture_xent(flm_cuda_mixture p, T *grad, flm_logit_cap cap, bool aligned)
{
    for (int64_t row = blockIdx.x; row < p.R; row += gridDim.x) {
        const flm_walk walk(row, p.V, p.logits_row_stride, aligned);
        const float weight = TWO ? p.weight[row] : 1;
        side own = {p.logits + row * p.logits_row_stride, 0, 0}, first = {p.first + row * p.first_row_stride, 0, 0},
             second = {TWO ? p.second + row * p.second_row_stride : nullptr, 0, 0};
        T *out = grad ? grad + row * p.grad_row_stride : nullptr;
        flm_exponentials s = {FLM_LOWEST, 0}, a = s, b = s;
        for (int64_t g = threadIdx.x; g < walk.groups; g += blockDim.x) {
            side_add<CAPPED>(s, own, walk, g, cap);
            side_add<CAPPED>(a, first, walk, g, cap);
            if (TWO) side_add<CAPPED>(b, second, walk, g, cap);
        }
        const double sum = side_make(own, s, 1);
        side_make(first, a, weight);
        if (TWO) side_make(second, b, 1 - weight);
        double total = 0;
        for (int64_t g = threadIdx.x; g < walk.groups; g += blockDim.x) {
            float z[FLM_GROUP], q[FLM_GROUP], r[FLM_GROUP], distance = 0;
            const int64_t at = walk.at(g);
            const int count = walk.count(g);
            flm_read(z, own.x + at, count, walk.aligned);
            flm_read(q, first.x + at, count, walk.aligned);
            if (TWO) flm_read(r, second.x + at, count, walk.aligned);
#pragma unroll
            for (int k = 0; k < FLM_GROUP; k++) {
                const float y = flm_logit_capped<CAPPED>(z[k], cap);
                float target = weighted(flm_logit_capped<CAPPED>(q[k], cap), first);
                if (TWO) target += weighted(flm_logit_capped<CAPPED>(r[k], cap), second);
                if (k < count) distance += target * (own.max_value - y);
                const float slope = (weighted(y, own) - target) * p.scale;
                z[k] = CAPPED ? slope * flm_logit_slope<CAPPED>(y, cap) : slope;
            }
            total += (double)distance;
            if (out) flm_write(out + at, z, count, walk.aligned);
        }
        total = flm_block_sum(total);
        if (threadIdx.x == 0) p.loss[row] = (float)(log(sum) + total);
    }
}

template <class T, bool TWO> int launch(const flm_cuda_mixture &p, T *grad, void *stream)
{
    const dim3 grid(flm_cuda_grid(p.R, 0)), block((unsigned)flm_cuda_row_threads(p.V));
    const bool aligned =
        flm_aligned(grad, p.logits, p.first, TWO ? p.second : p.first) &&
        flm_row_strides_match(p.logits_row_stride, p.first_row_stride, TWO ? p.second_row_stride : p.first_row_stride,
                              grad ? p.grad_row_stride : p.logits_row_stride);
    const auto kernel = p.cap > 0 ? mixture_xent<T, TWO, true> : mixture_xent<T, TWO, false>;
    return flm_launch(kernel, grid, block, 0, stream, p, grad, flm_logit_cap_make(p.cap), aligned);
}

template <class T> int launch_any(const flm_cuda_mixture &p, T *grad, void *stream)
{
    return (p.second ? launch<T, true> : launch<T, false>)(p, grad, stream);
}

} // namespace

int flm_cuda_launch_mixture_xent(const flm_cuda_mixture *p, void *grad, bool bf16, void *stream)
{
    return bf16 ? launch_any(*p, (flm_bf16 *)grad, stream) : launch_any(*p, (float *)grad, stream);
}
