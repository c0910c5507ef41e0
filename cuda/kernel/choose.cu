/* choose.cu - tokens drawn from rows of scores (flm_choose in backend_arguments.h). A block processes a row: scores
 * become weights relative to the largest, in place; which of them take part follows from a threshold, found a bit at a
 * time; then each thread sums a segment of the row, one thread finds the segment in which the drawn share lies, and
 * that segment's thread the token. Sums are fp64, in an order that depends on the row's length alone.
 * SPDX-License-Identifier: Apache-2.0 */
#include "cuda/kernel/kernel_choose.h"
#include "cuda/kernel/softmax.cuh"

namespace
{

constexpr int THREADS_MAX = FLM_CUDA_ROW_THREADS;
constexpr int TOP_BIT = 29; /* weights are at most 1, whose highest bit this is */

/* The weights that take part: those above min, and the first `ties` of those equal to it. */
struct kept {
    float min;
    int64_t ties;
    double total;
};

/* A row of weights. Until it is drawn from, a thread reads only what it has written itself. */
struct weights {
    float *w;
    flm_walk walk;

    __device__ double sum_from(float min) const
    {
        double sum = 0;
        for (int64_t g = threadIdx.x; g < walk.groups; g += blockDim.x) {
            float v[FLM_GROUP];
            const int count = walk.count(g);
            flm_read(v, w + walk.at(g), count, walk.aligned);
#pragma unroll
            for (int k = 0; k < FLM_GROUP; k++)
                if (k < count && v[k] >= min) sum += (double)v[k];
        }
        return flm_block_sum(sum);
    }

    __device__ int64_t count_from(float min) const
    {
        int number = 0;
        for (int64_t g = threadIdx.x; g < walk.groups; g += blockDim.x) {
            float v[FLM_GROUP];
            const int count = walk.count(g);
            flm_read(v, w + walk.at(g), count, walk.aligned);
#pragma unroll
            for (int k = 0; k < FLM_GROUP; k++) number += k < count && v[k] >= min;
        }
        return (int64_t)flm_block_sum((double)number);
    }
};

FLM_DEVICE float next_above(float x) { return __uint_as_float(__float_as_uint(x) + 1); }

/* Keeps the k largest. */
FLM_DEVICE kept keep_count(const weights &row, int64_t k)
{
    uint32_t at = 0;
    for (int bit = TOP_BIT; bit >= 0; bit--)
        if (row.count_from(__uint_as_float(at | 1u << bit)) >= k) at |= 1u << bit;
    kept set = {__uint_as_float(at), 0, 0};
    set.ties = k - row.count_from(next_above(set.min));
    set.total = row.sum_from(next_above(set.min)) + (double)set.ties * (double)set.min;
    return set;
}

/* Of those kept, keeps the fewest that have the share p of their sum. */
FLM_DEVICE kept keep_share(const weights &row, const kept &of, double p)
{
    const double wanted = p * of.total;
    uint32_t at = 0;
    for (int bit = TOP_BIT; bit >= 0; bit--) {
        const float next = __uint_as_float(at | 1u << bit);
        if (next <= of.min || row.sum_from(next) >= wanted) at |= 1u << bit; /* the same in every thread */
    }
    const float min = __uint_as_float(at);
    const double above = row.sum_from(next_above(min));
    const int64_t equal = min > of.min ? row.count_from(min) - row.count_from(next_above(min)) : of.ties;
    int64_t ties = min > 0 ? (int64_t)ceil((wanted - above) / (double)min) : 0;
    ties = ties < 1 ? 1 : ties;
    ties = ties < equal ? ties : equal;
    return {min, ties, above + (double)ties * (double)min};
}

/* In [begin, end), of which `ties` may still take part: the first token at which the running sum exceeds target, else
 * the last one with a weight. -1: there is none. */
FLM_DEVICE int64_t scan(const float *w, int64_t begin, int64_t end, float min, int64_t ties, double before,
                        double target)
{
    int64_t last = -1;
    for (int64_t j = begin; j < end; j++) {
        if (w[j] < min || w[j] == 0 || (w[j] == min && ties-- <= 0)) continue;
        last = j;
        before += (double)w[j];
        if (before > target) break;
    }
    return last;
}

/* What a segment has: the sum above min, and the number equal to it. */
struct segment {
    double above;
    int equal;
};

/* The first segment in which the running sum exceeds target, else the last one with a weight; *before and *ties: what
 * precedes it and how many ties are left. */
FLM_DEVICE int find_segment(const segment *part, int count, float min, double target, double *before, int64_t *ties)
{
    int found = 0;
    double sum = 0;
    int64_t left = *ties;
    for (int i = 0; i < count; i++) {
        const int64_t equal = part[i].equal < left ? part[i].equal : left;
        const double own = part[i].above + (double)equal * (double)min;
        if (own > 0) {
            found = i;
            *before = sum;
            *ties = left;
        }
        sum += own;
        left -= equal;
        if (sum > target) break;
    }
    return found;
}

/* The token at the share u of the kept weights, in the order of ids; only the thread whose segment has it knows it, the
 * others get -1. Contains barriers. */
FLM_DEVICE int64_t draw(const float *w, int64_t V, const kept &set, double u)
{
    __shared__ segment part[THREADS_MAX];
    __shared__ double before;
    __shared__ int64_t ties;
    __shared__ int owner;
    const int64_t size = flm_cuda_parts(V, blockDim.x), begin = threadIdx.x * size < V ? threadIdx.x * size : V,
                  end = begin + size < V ? begin + size : V;
    const double target = u * set.total;
    __syncthreads(); /* all weights are written, and the previous row's parts are read */
    segment own = {0, 0};
    for (int64_t j = begin; j < end; j++) {
        own.above += w[j] > set.min ? (double)w[j] : 0;
        own.equal += w[j] == set.min;
    }
    part[threadIdx.x] = own;
    __syncthreads();
    if (threadIdx.x == 0) {
        double sum = 0;
        int64_t left = set.ties;
        owner = find_segment(part, (int)blockDim.x, set.min, target, &sum, &left);
        before = sum;
        ties = left;
    }
    __syncthreads();
    return (int)threadIdx.x == owner ? scan(w, begin, end, set.min, ties, before, target) : -1;
}

/* The weight at temperature 1 relative to the largest. */
FLM_DEVICE float weight_of(float y, float max, bool linear)
{
    if (linear) return y > 0 ? y / max : 0;
    return expf(y - max);
}

/* Writes weights at the temperature over the scores (unless it is 0); returns their sum at temperature 1. */
template <bool CAPPED>
FLM_DEVICE double make_weights(float *x, const flm_walk &walk, float max, const flm_cuda_choice &p,
                               const flm_logit_cap &cap)
{
    double sum = 0;
    const float inverse = p.temperature > 0 ? (float)(1 / p.temperature) : 0;
    for (int64_t g = threadIdx.x; g < walk.groups; g += blockDim.x) {
        float v[FLM_GROUP];
        const int count = walk.count(g);
        flm_read(v, x + walk.at(g), count, walk.aligned);
#pragma unroll
        for (int k = 0; k < FLM_GROUP; k++) {
            const float y = p.linear ? v[k] : flm_logit_capped<CAPPED>(v[k], cap), w = weight_of(y, max, p.linear);
            if (k < count) sum += (double)w;
            v[k] = p.linear ? powf(w, inverse) : expf((y - max) * inverse);
        }
        if (p.temperature > 0) flm_write(x + walk.at(g), v, count, walk.aligned);
    }
    return flm_block_sum(sum);
}

template <bool CAPPED>
__global__ void __launch_bounds__(THREADS_MAX, 2) choose(flm_cuda_choice p, flm_logit_cap cap, bool aligned)
{
    for (int64_t r = blockIdx.x; r < p.R; r += gridDim.x) {
        float *x = p.x + r * p.row_stride;
        const flm_walk walk(r, p.V, p.row_stride, aligned);
        const flm_candidate best = flm_block_best(x, walk);
        const float max = p.linear ? best.value : flm_logit_capped<CAPPED>(best.value, cap);
        const bool valid = best.index >= 0 && (p.linear ? max > 0 : max >= FLM_LOWEST) &&
                           max <= -FLM_LOWEST; /* the same in all threads */
        double sum = 1;
        if (valid && (p.temperature > 0 || p.confidence)) sum = make_weights<CAPPED>(x, walk, max, p, cap);
        int64_t token = threadIdx.x == 0 ? (valid ? best.index : -1) : -2;
        double own = 1;
        if (valid && p.temperature > 0) {
            const weights row = {x, walk};
            kept set = {-1, 0, 0};
            if (p.top_k > 0 && p.top_k < p.V)
                set = keep_count(row, p.top_k);
            else
                set.total = row.sum_from(0);
            if (p.top_p < 1) set = keep_share(row, set, p.top_p);
            const int64_t place = p.place ? p.place[r] : p.first_row + r;
            const flm_philox4 number =
                flm_philox_at(p.stream, (uint64_t)(p.first_sample + place / p.L), (uint32_t)(place % p.L), 0);
            token = draw(x, p.V, set, flm_philox_uniform(number.v[0], number.v[1]));
            if (token < 0) token = -2;
            if (token >= 0) own = pow((double)x[token], p.temperature);
        }
        if (token > -2) {
            p.index[r] = (int32_t)token;
            if (p.confidence) p.confidence[r] = valid ? (float)(own / sum) : flm_nan();
        }
    }
}

} // namespace

int flm_cuda_launch_choose(const flm_cuda_choice *p, void *stream)
{
    const auto kernel = p->cap > 0 ? choose<true> : choose<false>;
    return flm_launch(kernel, dim3(flm_cuda_grid(p->R, 0)), dim3((unsigned)flm_cuda_row_threads(p->V)), 0, stream, *p,
                      flm_logit_cap_make(p->cap), flm_aligned(p->x));
}
