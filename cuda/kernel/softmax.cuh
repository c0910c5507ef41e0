/* softmax.cuh - iteration over a row of the vocabulary, and the maximum and sum that every softmax over it needs.
 *
 * A block processes a row in groups of four that start at multiples of four elements of the matrix (padding counted),
 * so that rows of any length are read 16 bytes at a time, except at their ends. One reading gives the maximum and the
 * sum of exponentials: a thread rescales its sum when its maximum grows. Terms are fp32, sums fp64. All of them are of
 * capped logits; kernels with CAPPED false compute no tanh.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_CUDA_SOFTMAX_CUH
#define FLM_CUDA_SOFTMAX_CUH

#include "cuda/kernel/tanh.cuh"
#include "cuda/kernel/vector.cuh"

constexpr int FLM_GROUP = 4;

/* The groups of one row of [R, V]. shift: position of the row's element 0 in its group. */
struct flm_walk {
    int64_t V, groups;
    int shift;
    bool aligned;
    __device__ flm_walk(int64_t row, int64_t length, int64_t row_stride, bool base_aligned)
        : V(length), groups(0), shift((int)(row * row_stride % FLM_GROUP)), aligned(base_aligned)
    {
        groups = flm_cuda_parts(V + shift, FLM_GROUP);
    }
    /* Group g begins at element at(g) and has count(g) elements. */
    __device__ int64_t at(int64_t g) const { return g ? g * FLM_GROUP - shift : 0; }
    __device__ int count(int64_t g) const
    {
        const int64_t end = (g + 1) * FLM_GROUP - shift;
        return (int)((end < V ? end : V) - at(g));
    }
};

/* flm_row_strides_match - whether matrices of these row strides have the same groups in every row, so that one flm_walk
 * serves all of them. */
template <class... S> static inline bool flm_row_strides_match(int64_t row_stride, S... other)
{
    return ((other % FLM_GROUP == row_stride % FLM_GROUP) && ...);
}

/* A cap C of logits: C tanh(z / C). Source: model.md section 9.1. */
struct flm_logit_cap {
    float value, inverse; /* C, 1 / C; 0: no cap */
};

static inline flm_logit_cap flm_logit_cap_make(float cap) { return {cap, cap > 0 ? 1 / cap : 0}; }

/* flm_logit_capped - the capped logit, with the absolute error of tanh times C. */
template <bool CAPPED> FLM_DEVICE float flm_logit_capped(float z, const flm_logit_cap &cap)
{
    if constexpr (CAPPED) return cap.value * flm_tanh(z * cap.inverse);
    return z;
}

template <bool CAPPED> FLM_DEVICE void flm_logits_cap(float (&z)[FLM_GROUP], const flm_logit_cap &cap)
{
#pragma unroll
    for (int k = 0; k < FLM_GROUP; k++) z[k] = flm_logit_capped<CAPPED>(z[k], cap);
}

/* flm_logit_slope - the derivative of the capped logit y by the logit itself. */
template <bool CAPPED> FLM_DEVICE float flm_logit_slope(float y, const flm_logit_cap &cap)
{
    const float t = y * cap.inverse;
    return CAPPED ? 1 - t * t : 1;
}

constexpr float FLM_LOWEST = -3.402823466e38f; /* a maximum of no elements; -infinity minus itself would be NaN */

struct flm_exponentials {
    float max_value;
    double sum; /* of exp(x - max_value) */
};

/* flm_exponentials_add - includes the first `count` elements of a group. */
FLM_DEVICE void flm_exponentials_add(flm_exponentials &s, const float (&x)[FLM_GROUP], int count)
{
    float max_value = s.max_value, sum = 0;
#pragma unroll
    for (int k = 0; k < FLM_GROUP; k++)
        if (k < count) max_value = fmaxf(max_value, x[k]);
    if (max_value > s.max_value) {
        s.sum *= (double)expf(s.max_value - max_value);
        s.max_value = max_value;
    }
#pragma unroll
    for (int k = 0; k < FLM_GROUP; k++)
        if (k < count) sum += expf(x[k] - max_value);
    s.sum += (double)sum;
}

/* flm_exponentials_join - combines those of all threads of the block; every thread gets the same bits. Contains
 * barriers. */
FLM_DEVICE flm_exponentials flm_exponentials_join(const flm_exponentials &s)
{
    const float max_value = flm_block_max(s.max_value);
    return {max_value, flm_block_sum(s.sum * (double)expf(s.max_value - max_value))};
}

/* A candidate of argmax. NaN becomes (infinity, -1), which wins against everything. */
struct flm_candidate {
    float value;
    int index;
};

FLM_DEVICE flm_candidate flm_better(flm_candidate a, flm_candidate b)
{
    return b.value > a.value || (b.value == a.value && b.index < a.index) ? b : a;
}

FLM_DEVICE flm_candidate flm_warp_best(flm_candidate c)
{
#pragma unroll
    for (int step = 16; step > 0; step /= 2) {
        const flm_candidate other = {__shfl_xor_sync(FLM_ALL, c.value, step), __shfl_xor_sync(FLM_ALL, c.index, step)};
        c = flm_better(c, other);
    }
    return c;
}

/* flm_block_best - the first of the largest elements of the row x, in every thread. Contains barriers. */
FLM_DEVICE flm_candidate flm_block_best(const float *x, const flm_walk &walk)
{
    __shared__ flm_candidate part[FLM_WARP];
    const float infinity = __uint_as_float(0x7F800000u);
    const flm_candidate none = {-infinity, INT32_MAX};
    flm_candidate c = none;
    for (int64_t g = threadIdx.x; g < walk.groups; g += blockDim.x) {
        float v[FLM_GROUP];
        const int64_t at = walk.at(g);
        const int count = walk.count(g);
        flm_read(v, x + at, count, walk.aligned);
#pragma unroll
        for (int k = 0; k < FLM_GROUP; k++) {
            const bool nan = v[k] != v[k];
            const flm_candidate next = {nan ? infinity : v[k], nan ? -1 : (int)(at + k)};
            if (k < count) c = flm_better(c, next);
        }
    }
    c = flm_warp_best(c);
    __syncthreads(); /* all threads have read the parts of the previous row */
    if (flm_lane() == 0) part[flm_warp()] = c;
    __syncthreads();
    return flm_warp_best(flm_lane() < (int)blockDim.x / FLM_WARP ? part[flm_lane()] : none);
}

#endif
