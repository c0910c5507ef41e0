/* network.h - small networks for the unit tests of model and the modules above it. SPDX-License-Identifier: Apache-2.0
 */
#ifndef FLM_TESTS_UNIT_NETWORK_H
#define FLM_TESTS_UNIT_NETWORK_H

#include "model/model_dit.h"
#include "tests/tap.h"

#include <stdlib.h>
#include <string.h>

/* must - abort if a call fails that the test needs. */
static inline void must(flm_status rc)
{
    if (rc == FLM_OK) return;
    fprintf(stderr, "%s\n", flm_err_trace());
    abort();
}

static inline void *must_alloc(int64_t count, size_t size)
{
    void *p = calloc((size_t)count, size);
    if (p == NULL) abort();
    return p;
}

static inline double network_draw(void) /* xorshift64 (Marsaglia 2003), in [-1, 1) */
{
    static uint64_t x = 88172645463325252u;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return (double)(int64_t)x * 0x1p-63;
}

static inline double network_normal(void) /* Box and Muller */
{
    const double u = 0.5 * (network_draw() + 1) + 0x1p-65;
    return sqrt(-2 * log(u)) * cos(M_PI * network_draw());
}

/* network_values - random values of parameter i, none of which is zero by design, so that every path of the network
 * matters. malloc'd. */
static inline float *network_values(const flm_weights *weights, int i)
{
    const flm_parameter *p = &weights->parameter[i];
    const double bound = p->init == FLM_INIT_UNIFORM ? 1.5 * p->bound : 0.5, middle = p->init == FLM_INIT_ONE ? 1 : 0;
    float *values = must_alloc(p->count, sizeof *values);
    for (int64_t k = 0; k < p->count; k++) values[k] = (float)(middle + bound * network_draw());
    return values;
}

static inline flm_weights *network_weights(flm_backend *be, const flm_model_shape *shape, flm_dtype compute)
{
    flm_weights *weights = NULL;
    must(flm_weights_create(be, shape, compute, 1, true, &weights));
    for (int i = 0; i < weights->parameters; i++) {
        float *values = network_values(weights, i);
        must(flm_weights_set(weights, i, values));
        free(values);
    }
    return weights;
}

/* network_grad - the gradient of parameter i to host values [count]. */
static inline void network_grad(const flm_weights *weights, int i, float *values)
{
    flm_backend *be = weights->be;
    const flm_parameter *p = &weights->parameter[i];
    const flm_tensor *grad = &weights->bucket[p->bucket].grad;
    must(be->memory->to_host(be, values, (const float *)grad->data + p->offset, (size_t)p->count * sizeof *values));
    must(be->stream->sync(be));
}

/* worst_difference - the largest |a - b|; NaN once it is NaN. */
static inline double worst_difference(const float *a, const float *b, int64_t n)
{
    double worst = 0;
    for (int64_t i = 0; i < n; i++) {
        const double e = fabs((double)a[i] - (double)b[i]);
        if (isnan(e) || e > worst) worst = e;
    }
    return worst;
}

#endif
