/* softmax.cu - softmax, its cross entropy, and argmax over the vocabulary. A block processes a row.
 *
 * A softmax reads its row twice. With three blocks on each multiprocessor, rows of GPT-2's length (200 KB) do not fit
 * the L2 cache together. So a long row is kept in shared memory (of capped logits), if that is large enough; each
 * thread reads only the groups that it wrote itself. SPDX-License-Identifier: Apache-2.0 */
#include "cuda/kernel/mma.cuh"
#include "cuda/kernel/softmax.cuh"

namespace
{

constexpr int THREADS_MAX = FLM_CUDA_ROW_THREADS;
constexpr int BLOCKS = 3; /* on a multiprocessor, so that some read while others wait */

/* How a block holds its row: a short row is read twice from memory; so is a long one, by a block of
 * FLM_CUDA_LONG_THREADS; or a long row is kept in shared memory. */
enum row_kind { SHORT, LONG, KEPT };
constexpr int max_threads(row_kind kind) { return kind == SHORT ? (int)THREADS_MAX : (int)FLM_CUDA_LONG_THREADS; }
constexpr int min_blocks(row_kind kind) { return kind == SHORT ? BLOCKS : 1; }

typedef flm_vector<float, FLM_GROUP> group;

/* Group g of the row for the second time, capped, from shared memory if this thread has kept it there. */
template <row_kind KIND, bool CAPPED>
FLM_DEVICE group group_again(const group *kept, const float *x, const flm_walk &walk, int64_t g,
                             const flm_logit_cap &cap)
{
    if constexpr (KIND == KEPT) return kept[g];
    group v = flm_load<FLM_GROUP>(x + walk.at(g), walk.count(g), walk.aligned);
    flm_logits_cap<CAPPED>(v.at, cap);
    return v;
}

/* As exponentials_of, by asynchronous copies some groups ahead of the computation; a thread waits for its own copies
 * alone. The row begins at a multiple of 16 bytes, and its last group is within the row stride: what the group holds
 * beyond the row is padding. */
template <bool CAPPED>
FLM_DEVICE flm_exponentials exponentials_ahead(group *kept, const float *x, const flm_walk &walk,
                                               const flm_logit_cap &cap)
{
    constexpr int AHEAD = 4;
    flm_exponentials s = {FLM_LOWEST, 0};
    int64_t next = threadIdx.x;
    for (int i = 0; i < AHEAD; i++, next += blockDim.x) {
        if (next < walk.groups) flm_copy_async(kept + next, x + next * FLM_GROUP, true);
        flm_copy_commit();
    }
    for (int64_t g = threadIdx.x; g < walk.groups; g += blockDim.x, next += blockDim.x) {
        if (next < walk.groups) flm_copy_async(kept + next, x + next * FLM_GROUP, true);
        flm_copy_commit();
        flm_copy_wait<AHEAD>();
        group mine = kept[g];
        flm_logits_cap<CAPPED>(mine.at, cap);
        if constexpr (CAPPED) kept[g] = mine;
        flm_exponentials_add(s, mine.at, walk.count(g));
    }
    return flm_exponentials_join(s);
}

template <row_kind KIND, bool CAPPED>
FLM_DEVICE flm_exponentials exponentials_of(group *kept, const float *x, const flm_walk &walk, int64_t row_stride,
                                            const flm_logit_cap &cap)
{
    flm_exponentials s = {FLM_LOWEST, 0};
    if (KIND == KEPT && walk.aligned && walk.shift == 0 && walk.groups * FLM_GROUP <= row_stride)
        return exponentials_ahead<CAPPED>(kept, x, walk, cap);
    for (int64_t g = threadIdx.x; g < walk.groups; g += blockDim.x) {
        const int count = walk.count(g);
        group v = flm_load<FLM_GROUP>(x + walk.at(g), count, walk.aligned);
        flm_logits_cap<CAPPED>(v.at, cap);
        if constexpr (KIND == KEPT) kept[g] = v;
        flm_exponentials_add(s, v.at, count);
    }
    return flm_exponentials_join(s);
}

/* grad may be logits, or NULL. A target outside the row gives NaN for the row's loss and gradient. */
template <class T, row_kind KIND, bool CAPPED>
__global__ void __launch_bounds__(max_threads(KIND), min_blocks(KIND))
    softmax_xent(float *__restrict__ loss, T *grad, int64_t grad_row_stride, const float *logits,
                 int64_t logits_row_stride, const int32_t *__restrict__ target, float scale, flm_logit_cap cap,
                 int64_t R, int64_t V, bool aligned)
{
    FLM_SHARED(group, kept);
    for (int64_t row = blockIdx.x; row < R; row += gridDim.x) {
        const flm_walk walk(row, V, logits_row_stride, aligned);
        const float *x = logits + row * logits_row_stride;
        const int64_t t = target[row];
        const bool valid = t >= 0 && t < V;
        const float hit = valid ? flm_logit_capped<CAPPED>(x[t], cap)
                                : flm_nan(); /* read before any thread writes: barriers follow */
        const flm_exponentials s = exponentials_of<KIND, CAPPED>(kept, x, walk, logits_row_stride, cap);
        const double below = (double)s.max_value - (double)hit;
        if (threadIdx.x == 0) loss[row] = (float)(log(s.sum) + below);
        if (!grad) continue;
        const float factor = valid ? (float)((double)scale / s.sum) : flm_nan();
        for (int64_t g = threadIdx.x; g < walk.groups; g += blockDim.x) {
            group v = group_again<KIND, CAPPED>(kept, x, walk, g, cap);
#pragma unroll
            for (int k = 0; k < FLM_GROUP; k++) {
                const float slope = flm_logit_slope<CAPPED>(v.at[k], cap), p = expf(v.at[k] - s.max_value) * factor;
                v.at[k] = CAPPED ? p * slope : p;
            }
            flm_write(grad + row * grad_row_stride + walk.at(g), v.at, walk.count(g), walk.aligned);
        }
        if (valid &&
            threadIdx.x == (t + walk.shift) / FLM_GROUP % blockDim.x) /* the thread that has written this element */
            grad[row * grad_row_stride + t] = flm_act<T>(
                (float)((exp(-below) / s.sum - 1) * (double)scale * (double)flm_logit_slope<CAPPED>(hit, cap)));
    }
}

/* p may be logits. */
template <class T, row_kind KIND, bool CAPPED>
__global__ void __launch_bounds__(max_threads(KIND), min_blocks(KIND))
    softmax(T *p, int64_t p_row_stride, const float *logits, int64_t logits_row_stride, flm_logit_cap cap, int64_t R,
            int64_t V, bool aligned)
{
    FLM_SHARED(group, kept);
    for (int64_t row = blockIdx.x; row < R; row += gridDim.x) {
        const flm_walk walk(row, V, logits_row_stride, aligned);
        const float *x = logits + row * logits_row_stride;
        const flm_exponentials s = exponentials_of<KIND, CAPPED>(kept, x, walk, logits_row_stride, cap);
        const float factor = (float)(1 / s.sum);
        for (int64_t g = threadIdx.x; g < walk.groups; g += blockDim.x) {
            group v = group_again<KIND, CAPPED>(kept, x, walk, g, cap);
#pragma unroll
            for (int k = 0; k < FLM_GROUP; k++) v.at[k] = expf(v.at[k] - s.max_value) * factor;
            flm_write(p + row * p_row_stride + walk.at(g), v.at, walk.count(g), walk.aligned);
        }
    }
}

__global__ void __launch_bounds__(THREADS_MAX, BLOCKS) argmax(int32_t *__restrict__ index, const float *__restrict__ x,
                                                              int64_t row_stride, int64_t R, int64_t V, bool aligned)
{
    for (int64_t row = blockIdx.x; row < R; row += gridDim.x) {
        const flm_candidate c = flm_block_best(x + row * row_stride, flm_walk(row, V, row_stride, aligned));
        if (threadIdx.x == 0) index[row] = c.index;
    }
}

/* The kernel for rows of V of which `bytes` are kept in shared memory. */
template <class K> K *kernel_for(size_t bytes, int64_t V, K *of_short, K *of_long, K *of_kept)
{
    return bytes > 0 ? of_kept : V >= FLM_CUDA_LONG_ROW ? of_long : of_short;
}

template <class T, bool CAPPED>
int xent(float *loss, T *grad, int64_t grad_row_stride, const float *logits, int64_t logits_row_stride,
         const int32_t *target, float scale, float cap, int64_t R, int64_t V, size_t max_shared, void *stream)
{
    const bool aligned = flm_aligned(grad, logits) &&
                         flm_row_strides_match(logits_row_stride, grad ? grad_row_stride : logits_row_stride);
    const size_t kept = flm_cuda_softmax_kept(V, max_shared);
    const auto kernel = kernel_for(kept, V, softmax_xent<T, SHORT, CAPPED>, softmax_xent<T, LONG, CAPPED>,
                                   softmax_xent<T, KEPT, CAPPED>);
    return flm_launch(kernel, dim3(flm_cuda_grid(R, 0)), dim3((unsigned)flm_cuda_softmax_threads(V)), kept, stream,
                      loss, grad, grad_row_stride, logits, logits_row_stride, target, scale, flm_logit_cap_make(cap), R,
                      V, aligned);
}

template <class T, bool CAPPED>
int probabilities(T *p, int64_t p_row_stride, const float *logits, int64_t logits_row_stride, float cap, int64_t R,
                  int64_t V, size_t max_shared, void *stream)
{
    const bool aligned = flm_aligned(p, logits) && flm_row_strides_match(logits_row_stride, p_row_stride);
    const size_t kept = flm_cuda_softmax_kept(V, max_shared);
    const auto kernel =
        kernel_for(kept, V, softmax<T, SHORT, CAPPED>, softmax<T, LONG, CAPPED>, softmax<T, KEPT, CAPPED>);
    return flm_launch(kernel, dim3(flm_cuda_grid(R, 0)), dim3((unsigned)flm_cuda_softmax_threads(V)), kept, stream, p,
                      p_row_stride, logits, logits_row_stride, flm_logit_cap_make(cap), R, V, aligned);
}

/* With or without a cap: kernels of their own. */
template <class T>
int xent_any(float *loss, T *grad, int64_t grad_row_stride, const float *logits, int64_t logits_row_stride,
             const int32_t *target, float scale, float cap, int64_t R, int64_t V, size_t max_shared, void *stream)
{
    return (cap > 0 ? xent<T, true> : xent<T, false>)(loss, grad, grad_row_stride, logits, logits_row_stride, target,
                                                      scale, cap, R, V, max_shared, stream);
}

template <class T>
int probabilities_any(T *p, int64_t p_row_stride, const float *logits, int64_t logits_row_stride, float cap, int64_t R,
                      int64_t V, size_t max_shared, void *stream)
{
    return (cap > 0 ? probabilities<T, true> : probabilities<T, false>)(p, p_row_stride, logits, logits_row_stride, cap,
                                                                        R, V, max_shared, stream);
}

} // namespace

int flm_cuda_launch_softmax_xent(float *loss, void *grad, bool bf16, int64_t grad_row_stride, const float *logits,
                                 int64_t logits_row_stride, const int32_t *target, float scale, float cap, int64_t R,
                                 int64_t V, size_t max_shared, void *stream)
{
    if (bf16)
        return xent_any(loss, (flm_bf16 *)grad, grad_row_stride, logits, logits_row_stride, target, scale, cap, R, V,
                        max_shared, stream);
    return xent_any(loss, (float *)grad, grad_row_stride, logits, logits_row_stride, target, scale, cap, R, V,
                    max_shared, stream);
}

int flm_cuda_launch_softmax(void *p, bool bf16, int64_t p_row_stride, const float *logits, int64_t logits_row_stride,
                            float cap, int64_t R, int64_t V, size_t max_shared, void *stream)
{
    if (bf16)
        return probabilities_any((flm_bf16 *)p, p_row_stride, logits, logits_row_stride, cap, R, V, max_shared, stream);
    return probabilities_any((float *)p, p_row_stride, logits, logits_row_stride, cap, R, V, max_shared, stream);
}

int flm_cuda_launch_argmax(int32_t *index, const float *x, int64_t row_stride, int64_t R, int64_t V, void *stream)
{
    return flm_launch(argmax, dim3(flm_cuda_grid(R, 0)), dim3((unsigned)flm_cuda_row_threads(V)), 0, stream, index, x,
                      row_stride, R, V, flm_aligned(x));
}
