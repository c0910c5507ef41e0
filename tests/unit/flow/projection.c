/* projection.c - the noise part of the embedding's gradient has the mean of the usual V-dimensional one and less
 * variance (model.md section 4): statistics of many draws through a network. SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/flow/flow.h"

#include <math.h>

enum { B = 4, L = 2, V = 24, d = 4, DRAWS = 4000, ENTRIES = V * d };
static const flm_model_shape shape = {
    .L = L, .V = V, .d = d, .H = 2, .c = 4, .N = 1, .F = 4, .mlp_ratio = 2, .softcap = 50};
static const double times[B] = {0.05, 0.3, 0.6, 0.9};

/* Sums over the draws of the entries of an estimate, and of their squares. */
typedef struct moments {
    double sum[ENTRIES], square[ENTRIES];
} moments;

static void moments_add(moments *m, const double *x)
{
    for (int i = 0; i < ENTRIES; i++) {
        m->sum[i] += x[i];
        m->square[i] += x[i] * x[i];
    }
}

static double mean(const moments *m, int i) { return m->sum[i] / DRAWS; }

static double variance(const moments *m, int i) { return m->square[i] / DRAWS - mean(m, i) * mean(m, i); }

static double total_variance(const moments *m)
{
    double sum = 0;
    for (int i = 0; i < ENTRIES; i++) sum += variance(m, i);
    return sum;
}

/* The largest difference of two means, or of one from zero (b NULL), in standard deviations. */
static double farthest(const moments *a, const moments *b)
{
    double worst = 0;
    for (int i = 0; i < ENTRIES; i++) {
        const double sigma = sqrt((variance(a, i) + (b != NULL ? variance(b, i) : 0)) / DRAWS);
        const double e = fabs(mean(a, i) - (b != NULL ? mean(b, i) : 0)) / sigma;
        if (isnan(e) || e > worst) worst = e;
    }
    return worst;
}

/* One training step: only the noise part of the embedding's gradient. */
static void projected(flow_network *n, flm_objective *objective, flm_noise_source noise, double *out)
{
    int32_t tokens[B * L];
    for (int i = 0; i < B * L; i++) tokens[i] = (5 * i + 1) % V;
    const flm_micro_batch batch = {
        .B = B, .tokens = tokens, .t = times, .noise = noise, .scale = 1.0 / (B * L), .backward = true};
    const flm_tensor *grad = &n->weights->grad.E;
    must(flm_noise_update(n->basis, comm, &n->weights->w.E));
    must(flm_objective_micro_batch(objective, n->weights, &batch));
    must(flm_noise_reduce(n->basis, comm));
    must(be->memory->zero(be, grad->data, flm_tensor_bytes(grad)));
    must(flm_noise_gradient(n->basis, &n->weights->w.E, 0, grad));
    for (int i = 0; i < ENTRIES; i++) out[i] = ((float *)grad->data)[i];
}

/* x0^T ((1-g) grad_x) of that step. */
static void usual(const flow_network *n, const double *x0, double *out)
{
    const float *grad_x = n->dit->grad_x.data;
    memset(out, 0, ENTRIES * sizeof *out);
    for (int r = 0; r < B * L; r++) {
        const double g = flm_gamma_at(n->gamma, times[r / L]);
        for (int v = 0; v < V; v++)
            for (int j = 0; j < d; j++) out[v * d + j] += x0[r * V + v] * (1 - g) * (double)grad_x[r * d + j];
    }
}

/* If the means are equal, each of 96 differences is nearly normal, and one of them exceeds 5 deviations with
 * probability 6e-5; the seeds are fixed. The means themselves are further from zero, so that a wrong one would be seen.
 */
int main(void)
{
    flow_begin();
    flow_network n = flow_network_new(&shape, B, true);
    flm_objective *objective = NULL;
    moments *from_x0 = must_alloc(4, sizeof *from_x0), *shadow = from_x0 + 1, *rest = from_x0 + 2, *drawn = from_x0 + 3;
    flm_tensor xi = flm_tensor_3d(NULL, FLM_DTYPE_F32, B, L, d);
    double x0[B * L * V], P[ENTRIES], U[ENTRIES], Q[ENTRIES];
    objective = flow_objective(&n);
    must(be->memory->alloc(be, flm_tensor_bytes(&xi), &xi.data));
    for (int k = 0; k < DRAWS; k++) {
        for (int i = 0; i < B * L * V; i++) x0[i] = network_normal();
        for (int r = 0; r < B * L; r++) flow_xi(n.basis, n.weights->w.E.data, x0 + r * V, (float *)xi.data + r * d);
        projected(&n, objective, (flm_noise_source){.given = &xi}, P);
        usual(&n, x0, U);
        projected(&n, objective, (flm_noise_source){.stream = flm_philox_stream(3, FLM_RANDOM_NOISE, (uint64_t)k, 0)},
                  Q);
        moments_add(from_x0, U);
        moments_add(shadow, P);
        moments_add(drawn, Q);
        for (int i = 0; i < ENTRIES; i++) U[i] -= P[i];
        moments_add(rest, U);
    }
    tap_ok(farthest(from_x0, NULL) >= 7, "the usual gradient's mean is not zero: by %.3g deviations",
           farthest(from_x0, NULL));
    tap_ok(farthest(shadow, NULL) >= 10, "nor the projected one's: by %.3g", farthest(shadow, NULL));
    tap_ok(farthest(rest, NULL) <= 5, "draw by draw, their difference has mean zero: within %.3g",
           farthest(rest, NULL));
    tap_ok(farthest(drawn, from_x0) <= 5, "with xi drawn, the projected one has the mean of the usual one: within %.3g",
           farthest(drawn, from_x0));
    tap_ok(farthest(drawn, shadow) <= 5, "and that of the xi made of x0: within %.3g", farthest(drawn, shadow));
    /* Only d of the V directions of x0 remain, and so about d / V of the variance. */
    const double ratio = total_variance(drawn) / total_variance(from_x0);
    tap_ok(ratio <= 0.5, "its variance is %.3g of the usual one's", ratio);
    /* In each draw the projected one is the orthogonal projection of the usual one onto the columns of E. */
    tap_close((total_variance(shadow) + total_variance(rest)) / total_variance(from_x0), 1, 1e-5,
              "the variances add up");
    be->memory->release(be, xi.data);
    free(from_x0);
    flm_objective_destroy(&objective);
    flow_network_free(&n);
    return flow_end();
}
