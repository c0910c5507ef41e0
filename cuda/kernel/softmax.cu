/* softmax.cu - soft max, its cross entropy, and arg max over the vocabulary. A block a row, which is read twice.
 * SPDX-License-Identifier: Apache-2.0 */
#include "cuda/kernel/softmax.cuh"

namespace {

constexpr int MOST = FLM_CUDA_ROW_THREADS,
              BLOCKS = 3; /* threads; blocks a multiprocessor, so that some read while others wait */

FLM_DEVICE flm_exponentials exponentials_of(const float *x, const flm_walk &walk)
{
    flm_exponentials s = {FLM_LOWEST, 0};
    for (int64_t g = threadIdx.x; g < walk.groups; g += blockDim.x) {
        float v[FLM_GROUP];
        const int count = walk.count(g);
        flm_read(v, x + walk.at(g), count, walk.aligned);
        flm_exponentials_take(s, v, count);
    }
    return flm_exponentials_join(s);
}

/* grad may be logits, or NULL. A target outside the row: NaN for its loss and gradient. */
template <class T>
__global__ void __launch_bounds__(MOST, BLOCKS)
    softmax_xent(float *__restrict__ loss, T *grad, int64_t grad_step, const float *logits, int64_t logits_step,
                 const int32_t *__restrict__ target, float scale, int64_t R, int64_t V, bool aligned)
{
    for (int64_t row = blockIdx.x; row < R; row += gridDim.x) {
        const flm_walk walk(row, V, logits_step, aligned);
        const float *x = logits + row * logits_step;
        const int64_t t = target[row];
        const bool there = t >= 0 && t < V;
        const float hit = there ? x[t] : flm_nan(); /* read before any thread writes: there are barriers ahead */
        const flm_exponentials s = exponentials_of(x, walk);
        const double below = (double)s.most - (double)hit;
        if (threadIdx.x == 0) loss[row] = (float)(log(s.sum) + below);
        if (!grad) continue;
        const float factor = there ? (float)((double)scale / s.sum) : flm_nan();
        for (int64_t g = threadIdx.x; g < walk.groups; g += blockDim.x) {
            float v[FLM_GROUP];
            const int64_t at = walk.at(g);
            const int count = walk.count(g);
            flm_read(v, x + at, count, walk.aligned);
#pragma unroll
            for (int k = 0; k < FLM_GROUP; k++) v[k] = expf(v[k] - s.most) * factor;
            flm_write(grad + row * grad_step + at, v, count, walk.aligned);
        }
        if (there &&
            threadIdx.x == (t + walk.shift) / FLM_GROUP % blockDim.x) /* who wrote this element writes it again */
            grad[row * grad_step + t] = flm_act<T>((float)((exp(-below) / s.sum - 1) * (double)scale));
    }
}

/* p may be logits. */
template <class T>
__global__ void __launch_bounds__(MOST, BLOCKS)
    softmax(T *p, int64_t p_step, const float *logits, int64_t logits_step, int64_t R, int64_t V, bool aligned)
{
    for (int64_t row = blockIdx.x; row < R; row += gridDim.x) {
        const flm_walk walk(row, V, logits_step, aligned);
        const float *x = logits + row * logits_step;
        const flm_exponentials s = exponentials_of(x, walk);
        const float factor = (float)(1 / s.sum);
        for (int64_t g = threadIdx.x; g < walk.groups; g += blockDim.x) {
            float v[FLM_GROUP];
            const int64_t at = walk.at(g);
            flm_read(v, x + at, walk.count(g), walk.aligned);
#pragma unroll
            for (int k = 0; k < FLM_GROUP; k++) v[k] = expf(v[k] - s.most) * factor;
            flm_write(p + row * p_step + at, v, walk.count(g), walk.aligned);
        }
    }
}

/* A candidate; NaN is above everything, as (infinity, -1). */
struct candidate {
    float value;
    int index;
};

FLM_DEVICE candidate better(candidate a, candidate b)
{
    return b.value > a.value || (b.value == a.value && b.index < a.index) ? b : a;
}

FLM_DEVICE candidate warp_best(candidate c)
{
#pragma unroll
    for (int step = 16; step > 0; step /= 2) {
        const candidate other = {__shfl_xor_sync(FLM_ALL, c.value, step), __shfl_xor_sync(FLM_ALL, c.index, step)};
        c = better(c, other);
    }
    return c;
}

__global__ void __launch_bounds__(MOST, BLOCKS)
    argmax(int32_t *__restrict__ index, const float *__restrict__ x, int64_t step, int64_t R, int64_t V, bool aligned)
{
    __shared__ candidate part[FLM_WARP];
    const float infinity = __uint_as_float(0x7F800000u);
    const candidate none = {-infinity, INT32_MAX};
    for (int64_t row = blockIdx.x; row < R; row += gridDim.x) {
        const flm_walk walk(row, V, step, aligned);
        candidate c = none;
        for (int64_t g = threadIdx.x; g < walk.groups; g += blockDim.x) {
            float v[FLM_GROUP];
            const int64_t at = walk.at(g);
            const int count = walk.count(g);
            flm_read(v, x + row * step + at, count, walk.aligned);
#pragma unroll
            for (int k = 0; k < FLM_GROUP; k++) {
                const bool nan = v[k] != v[k];
                const candidate next = {nan ? infinity : v[k], nan ? -1 : (int)(at + k)};
                if (k < count) c = better(c, next);
            }
        }
        c = warp_best(c);
        __syncthreads(); /* the row before has been read */
        if (flm_lane() == 0) part[flm_warp()] = c;
        __syncthreads();
        c = warp_best(flm_lane() < (int)blockDim.x / FLM_WARP ? part[flm_lane()] : none);
        if (threadIdx.x == 0) index[row] = c.index;
    }
}

} // namespace

int flm_cuda_launch_softmax_xent(float *loss, void *grad, bool bf16, int64_t grad_step, const float *logits,
                                 int64_t logits_step, const int32_t *target, float scale, int64_t R, int64_t V,
                                 void *stream)
{
    const dim3 grid(flm_cuda_grid(R, 0)), block((unsigned)flm_cuda_row_threads(V));
    const bool aligned = flm_aligned(grad, logits) && flm_steps_match(logits_step, grad ? grad_step : logits_step);
    if (bf16)
        return flm_launch(softmax_xent<flm_bf16>, grid, block, 0, stream, loss, (flm_bf16 *)grad, grad_step, logits,
                          logits_step, target, scale, R, V, aligned);
    return flm_launch(softmax_xent<float>, grid, block, 0, stream, loss, (float *)grad, grad_step, logits, logits_step,
                      target, scale, R, V, aligned);
}

int flm_cuda_launch_softmax(void *p, bool bf16, int64_t p_step, const float *logits, int64_t logits_step, int64_t R,
                            int64_t V, void *stream)
{
    const dim3 grid(flm_cuda_grid(R, 0)), block((unsigned)flm_cuda_row_threads(V));
    const bool aligned = flm_aligned(p, logits) && flm_steps_match(logits_step, p_step);
    if (bf16)
        return flm_launch(softmax<flm_bf16>, grid, block, 0, stream, (flm_bf16 *)p, p_step, logits, logits_step, R, V,
                          aligned);
    return flm_launch(softmax<float>, grid, block, 0, stream, (float *)p, p_step, logits, logits_step, R, V, aligned);
}

int flm_cuda_launch_argmax(int32_t *index, const float *x, int64_t step, int64_t R, int64_t V, void *stream)
{
    return flm_launch(argmax, dim3(flm_cuda_grid(R, 0)), dim3((unsigned)flm_cuda_row_threads(V)), 0, stream, index, x,
                      step, R, V, flm_aligned(x));
}
