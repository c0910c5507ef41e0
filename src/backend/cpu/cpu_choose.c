/* cpu_choose.c - tokens drawn from rows of scores (flm_choose in backend_arguments.h), and known tokens put into
 * states.
 *
 * A row's scores become weights relative to its largest, in place; which weights take part follows from a threshold,
 * found a bit at a time, as floats that are not negative are ordered like their bits. Sums are fp64, so that many
 * tokens of little probability keep their share. SPDX-License-Identifier: Apache-2.0 */
#include "backend/cpu/cpu_rows.h"
#include "backend/cpu/cpu_softmax.h"
#include "base/base_philox.h"

enum { DRAW_BLOCK = 1024, TOP_BIT = 29 }; /* weights are at most 1, whose highest bit this is */

/* One row of scores. */
typedef struct choose_row {
    float *x;
    int64_t V, top_k;
    flm_logit_cap cap;
    bool linear;
    double temperature, top_p, u;
} choose_row;

/* The weights that take part: those above min, and the first `ties` of those equal to it. */
typedef struct kept {
    float min;
    int64_t ties;
    double total;
} kept;

/* The maximum of x; NaN if there is a NaN. */
FLM_INLINE float largest(const float *x, int64_t V)
{
    float max = x[0];
    int nan = 0;
#pragma omp simd reduction(| : nan) reduction(max : max)
    for (int64_t j = 0; j < V; j++) {
        nan |= x[j] != x[j];
        max = x[j] > max ? x[j] : max;
    }
    return nan ? NAN : max;
}

FLM_INLINE int64_t first_equal(const float *x, int64_t V, float value)
{
    int64_t j = 0;
    while (j + 1 < V && x[j] != value) j++;
    return j;
}

/* The weight at temperature 1, relative to that of the largest score. */
FLM_INLINE float weight(float x, float max, bool linear, bool capped, flm_logit_cap cap)
{
    if (linear) return x > 0 ? x / max : 0;
    return flm_math_exp(flm_logit_capped(x, capped, cap) - max);
}

/* The sum of the weights at temperature 1. */
FLM_INLINE double sum_weights(const float *x, int64_t V, float max, bool linear, bool capped, flm_logit_cap cap)
{
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t j = 0; j < V; j++) sum += (double)weight(x[j], max, linear, capped, cap);
    return sum;
}

/* x = weight^(1 / temperature); returns the sum at temperature 1. */
FLM_INLINE double make_weights(float *x, int64_t V, float max, float inverse, bool capped, flm_logit_cap cap)
{
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t j = 0; j < V; j++) {
        const float below = flm_logit_capped(x[j], capped, cap) - max;
        sum += (double)flm_math_exp(below);
        x[j] = flm_math_exp(below * inverse);
    }
    return sum;
}

static double make_linear(float *x, int64_t V, float max, double inverse)
{
    double sum = 0;
    for (int64_t j = 0; j < V; j++) {
        const double w = x[j] > 0 ? (double)x[j] / (double)max : 0;
        sum += w;
        x[j] = (float)pow(w, inverse);
    }
    return sum;
}

FLM_INLINE double sum_from(const float *w, int64_t V, float min)
{
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t j = 0; j < V; j++) sum += w[j] >= min ? (double)w[j] : 0;
    return sum;
}

FLM_INLINE int64_t count_from(const float *w, int64_t V, float min)
{
    int64_t count = 0;
#pragma omp simd reduction(+ : count)
    for (int64_t j = 0; j < V; j++) count += w[j] >= min;
    return count;
}

FLM_INLINE float next_above(float x)
{
    flm_bits v = {.f = x};
    v.u++;
    return v.f;
}

/* Keeps the k largest. */
FLM_INLINE void keep_count(const float *w, int64_t V, int64_t k, kept *set)
{
    flm_bits at = {.u = 0};
    for (int bit = TOP_BIT; bit >= 0; bit--) {
        const flm_bits next = {.u = at.u | 1u << bit};
        if (count_from(w, V, next.f) >= k) at = next;
    }
    set->min = at.f;
    set->ties = k - count_from(w, V, next_above(at.f));
    set->total = sum_from(w, V, next_above(at.f)) + (double)set->ties * (double)at.f;
}

/* Of those kept, keeps the fewest that have the share p of their sum. */
FLM_INLINE void keep_share(const float *w, int64_t V, double p, kept *set)
{
    const double wanted = p * set->total;
    flm_bits at = {.u = 0};
    for (int bit = TOP_BIT; bit >= 0; bit--) {
        const flm_bits next = {.u = at.u | 1u << bit};
        if (next.f <= set->min || sum_from(w, V, next.f) >= wanted) at = next;
    }
    const double above = sum_from(w, V, next_above(at.f));
    const int64_t equal = at.f > set->min ? count_from(w, V, at.f) - count_from(w, V, next_above(at.f)) : set->ties;
    int64_t ties = at.f > 0 ? (int64_t)ceil((wanted - above) / (double)at.f) : 0;
    ties = ties < 1 ? 1 : ties;
    *set = (kept){at.f, ties < equal ? ties : equal, 0};
    set->total = above + (double)set->ties * (double)at.f;
}

/* In [begin, end), of which `ties` may still take part: the first token at which the running sum exceeds target, else
 * the last one with a weight. -1: there is none. */
static int64_t scan(const float *w, int64_t begin, int64_t end, float min, int64_t ties, double before, double target)
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

/* The token at the share u of the kept weights, in the order of ids. */
FLM_INLINE int64_t draw(const float *w, int64_t V, const kept *set, double u)
{
    const double target = u * set->total;
    double before = 0;
    int64_t ties = set->ties;
    for (int64_t at = 0; at < V; at += DRAW_BLOCK) {
        const int64_t n = V - at < DRAW_BLOCK ? V - at : DRAW_BLOCK,
                      above = count_from(w + at, n, next_above(set->min));
        int64_t equal = count_from(w + at, n, set->min) - above;
        if (equal > ties) equal = ties;
        const double sum = sum_from(w + at, n, next_above(set->min)) + (double)equal * (double)set->min;
        if (before + sum > target) {
            const int64_t found = scan(w, at, at + n, set->min, ties, before, target);
            if (found >= 0) return found;
        }
        before += sum;
        ties -= equal;
    }
    return scan(w, 0, V, set->min, set->ties, 0, INFINITY); /* u rounded up to all of it */
}

FLM_INLINE void choose_any(const choose_row *r, bool capped, int32_t *index, float *confidence)
{
    float *x = r->x;
    const int64_t V = r->V;
    const float top = largest(x, V), max = r->linear ? top : flm_logit_capped(top, capped, r->cap);
    *index = -1;
    if (confidence != NULL) *confidence = NAN;
    if (!(max > (r->linear ? 0 : -INFINITY) && max < INFINITY)) return;
    if (r->temperature == 0) {
        *index = (int32_t)first_equal(x, V, top);
        if (confidence != NULL)
            *confidence = (float)(1 / (r->linear ? sum_weights(x, V, max, true, false, r->cap)
                                                 : sum_weights(x, V, max, false, capped, r->cap)));
        return;
    }
    const double sum = r->linear ? make_linear(x, V, max, 1 / r->temperature)
                                 : make_weights(x, V, max, (float)(1 / r->temperature), capped, r->cap);
    kept set = {-1, 0, 0};
    if (r->top_k > 0 && r->top_k < V)
        keep_count(x, V, r->top_k, &set);
    else
        set.total = sum_from(x, V, 0);
    if (r->top_p < 1) keep_share(x, V, r->top_p, &set);
    *index = (int32_t)draw(x, V, &set, r->u);
    if (confidence != NULL) *confidence = (float)(pow((double)x[*index], r->temperature) / sum);
}

FLM_SIMD static void choose_one(const choose_row *r, int32_t *index, float *confidence)
{
    if (r->cap.value > 0)
        choose_any(r, true, index, confidence);
    else
        choose_any(r, false, index, confidence);
}

flm_status flm_cpu_choose(flm_backend *be, const flm_choose *p)
{
    flm_status rc = FLM_OK;
    const int64_t R = p->x->dim[0], step = flm_tensor_row_stride(p->x);
    int64_t bad = R;
#pragma omp parallel for num_threads(flm_cpu_threads(be)) reduction(min : bad)
    for (int64_t r = 0; r < R; r++) {
        const int64_t row = p->place->data != NULL ? ((const int32_t *)p->place->data)[r] : p->first_row + r;
        const flm_philox4 number =
            flm_philox_at(p->stream, (uint64_t)(p->first_sample + row / p->L), (uint32_t)(row % p->L), 0);
        choose_one(&(choose_row){.x = (float *)p->x->data + r * step,
                                 .V = p->x->dim[1],
                                 .top_k = p->top_k,
                                 .cap = flm_logit_cap_make(p->logit_cap),
                                 .linear = p->linear,
                                 .temperature = p->temperature,
                                 .top_p = p->top_p,
                                 .u = flm_philox_uniform(number.v[0], number.v[1])},
                   (int32_t *)p->index->data + r, p->confidence->data ? (float *)p->confidence->data + r : NULL);
        if (((const int32_t *)p->index->data)[r] < 0 && r < bad) bad = r;
    }
    if (bad < R) FLM_FAIL(FLM_E_NUMERIC, "row %lld contains a NaN, or has no largest score", (long long)bad);
done:
    return rc;
}
