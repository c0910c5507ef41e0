/* objective.c - objective and sampler of an FLM do not depend on how a batch is divided, and refuse bad arguments.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/flow/flow.h"

#include <math.h>

enum { B = 5, L = 3 };
static const double times[B] = {0, 0.2, 0.55, 0.9, 1};

static flm_model_shape shape_of(int64_t V)
{
    return (flm_model_shape){.L = L, .V = V, .d = 8, .H = 2, .c = 4, .N = 2, .F = 6, .mlp_ratio = 2, .softcap = 50};
}

/* A step in micro-batches of at most `max` sequences: the sum of the losses, and all gradients in one array. */
static double step(flow_network *n, flm_objective *objective, int64_t max, const flm_dit_hook *hook, float *gradients)
{
    int32_t tokens[B * L];
    for (int i = 0; i < B * L; i++) tokens[i] = (4 * i + 1) % (int32_t)n->dit->shape.V;
    must(flm_weights_zero_grad(n->weights));
    must(flm_objective_begin(objective, comm, n->weights));
    for (int64_t first = 0; first < B; first += max) {
        const int64_t count = B - first < max ? B - first : max;
        const flm_dit_dropout dropout = {.p = 0.2f, .seed = 1, .step = 2, .first_sample = first};
        const flm_micro_batch batch = {
            .B = count,
            .tokens = tokens + first * L,
            .t = times + first,
            .noise = {.stream = flm_philox_stream(1, FLM_RANDOM_NOISE, 2, 0), .first_sample = first},
            .dropout = &dropout,
            .scale = 1.0 / (B * L),
            .backward = gradients != NULL,
            .hook = first + count == B ? hook : NULL};
        must(flm_objective_micro_batch(objective, n->weights, &batch));
    }
    flm_objective_sums sums;
    must(flm_objective_total(objective, &sums));
    const double total = sums.loss;
    if (gradients == NULL) return total;
    must(flm_noise_reduce(n->basis, comm));
    must(flm_noise_gradient(n->basis, &n->weights->w.E, 0, &n->weights->grad.E));
    for (int i = 0; i < n->weights->parameters; i++) {
        network_grad(n->weights, i, gradients);
        gradients += n->weights->parameter[i].count;
    }
    return total;
}

/* Sums of 15 rows in another order: a few roundings of gradients of order 1. */
static void test_division(int64_t V)
{
    const flm_model_shape shape = shape_of(V);
    flow_network n = flow_network_new(&shape, B, true);
    flm_objective *objective = NULL;
    int64_t count = 0;
    objective = flow_objective(&n);
    for (int i = 0; i < n.weights->parameters; i++) count += n.weights->parameter[i].count;
    float *whole = must_alloc(count, sizeof *whole), *parts = must_alloc(count, sizeof *parts),
          *zero = must_alloc(count, 4);
    const double total = step(&n, objective, B, NULL, whole);
    const double size = worst_difference(whole, zero, count);
    tap_ok(total > 0 && isfinite(total) && size > 0.01 && isfinite(size),
           "V=%d: loss %.4g, gradients up to %.3g, t from 0 to 1", (int)V, total / (B * L), size);
    for (int64_t max = 1; max < B; max++) {
        const double loss = step(&n, objective, max, NULL, parts), e = worst_difference(whole, parts, count);
        tap_ok(fabs(loss - total) <= 1e-6 * total && e <= 2e-6 * fmax(1, size),
               "V=%d: micro-batches of %d: loss off by %.2g, gradients by %.2g", (int)V, (int)max, fabs(loss - total),
               e);
    }
    tap_close(step(&n, objective, 2, NULL, NULL), total, 1e-6 * total, "without gradients: the loss");
    free(whole);
    free(parts);
    free(zero);
    flm_objective_destroy(&objective);
    flow_network_free(&n);
}

static int called[32], calls;

static flm_status record_call(void *context, int bucket)
{
    if (context == called && calls < 32) called[calls++] = bucket;
    return FLM_OK;
}

static void test_hook(void)
{
    const flm_model_shape shape = shape_of(11);
    const flm_dit_hook hook = {.ready = record_call, .context = called};
    flow_network n = flow_network_new(&shape, B, true);
    flm_objective *objective = NULL;
    int seen[32] = {0}, wrong = 0;
    int64_t count = 0;
    objective = flow_objective(&n);
    for (int i = 0; i < n.weights->parameters; i++) count += n.weights->parameter[i].count;
    float *gradients = must_alloc(count, sizeof *gradients);
    step(&n, objective, 2, &hook, gradients);
    for (int i = 0; i < calls; i++) wrong += seen[called[i]]++ != 0;
    tap_ok(calls == n.weights->buckets && wrong == 0 && called[calls - 1] == FLM_BUCKET_EMBEDDING,
           "the hook is called once for each of %d buckets, for the embedding last", n.weights->buckets);
    free(gradients);
    flm_objective_destroy(&objective);
    flow_network_free(&n);
}

static void test_refusals(void)
{
    const flm_model_shape shape = shape_of(11);
    flow_network n = flow_network_new(&shape, B, true);
    flm_objective *objective = NULL;
    int32_t tokens[B * L] = {0};
    flm_micro_batch batch = {.B = B, .tokens = tokens, .t = times, .scale = 1};
    objective = flow_objective(&n);
    tokens[B * L - 1] = 11;
    tap_ok(flm_objective_micro_batch(objective, n.weights, &batch) == FLM_E_ARG, "token V is refused");
    tokens[B * L - 1] = -1;
    tap_ok(flm_objective_micro_batch(objective, n.weights, &batch) == FLM_E_ARG, "token -1 is refused");
    tokens[B * L - 1] = 10;
    tap_ok(flm_objective_micro_batch(objective, n.weights, &batch) == FLM_OK, "token V - 1 is not");
    batch.B = B + 1;
    tap_ok(flm_objective_micro_batch(objective, n.weights, &batch) == FLM_E_ARG, "a batch above max_batch is refused");
    batch.B = 0;
    tap_ok(flm_objective_micro_batch(objective, n.weights, &batch) == FLM_E_ARG, "no sequences");
    flm_err_clear();
    flm_objective_destroy(&objective);
    flow_network_free(&n);
}

static void test_sampler(int64_t V)
{
    const flm_model_shape shape = shape_of(V);
    flow_network n = flow_network_new(&shape, B, false);
    flm_sampler *sampler = NULL;
    int32_t whole[B * L], parts[B * L];
    flm_noise_source noise = {.stream = flm_philox_stream(4, FLM_RANDOM_SAMPLE, 0, 0)};
    sampler = flow_sampler(&flm_kinds[FLM_KIND_FLM], n.dit, n.weights, NULL, n.basis, n.gamma);
    for (int64_t steps = 1; steps <= 16; steps *= 4) {
        int different = 0, outside = 0;
        noise.first_sample = 0;
        must(flm_sampler_run(sampler, B, &(flm_sampling){.steps = steps, .noise = noise}, whole));
        for (int64_t first = 0; first < B; first += 2) {
            noise.first_sample = first;
            must(flm_sampler_run(sampler, B - first < 2 ? B - first : 2,
                                 &(flm_sampling){.steps = steps, .noise = noise}, parts + first * L));
        }
        for (int i = 0; i < B * L; i++) {
            different += whole[i] != parts[i];
            outside += whole[i] < 0 || whole[i] >= V;
        }
        tap_ok(different == 0 && outside == 0, "V=%d, %d steps: the same samples in parts", (int)V, (int)steps);
    }
    float *scores = must_alloc(3 * V, sizeof *scores), sum = 0;
    must(sampler_scores(sampler, 0, 3, scores));
    for (int64_t i = 0; i < 3 * V; i++) sum += scores[i];
    tap_close(sum, 3, 1e-5, "scores are probabilities");
    tap_ok(flm_sampler_run(sampler, B, &(flm_sampling){.steps = 0, .noise = noise}, whole) == FLM_E_ARG, "no steps");
    tap_ok(flm_sampler_run(sampler, 0, &(flm_sampling){.steps = 1, .noise = noise}, whole) == FLM_E_ARG, "no samples");
    tap_ok(flm_sampler_run(sampler, B + 1, &(flm_sampling){.steps = 1, .noise = noise}, whole) == FLM_E_ARG,
           "a batch above max_batch is refused");
    flm_err_clear();
    free(scores);
    flm_sampler_destroy(&sampler);
    flow_network_free(&n);
}

int main(void)
{
    flow_begin();
    test_division(29);
    test_division(7); /* V <= d: xi is x0 */
    test_hook();
    test_refusals();
    test_sampler(29);
    test_sampler(7);
    return flow_end();
}
