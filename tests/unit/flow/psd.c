/* psd.c - the objectives of the one-network and the any-order flow map and their samplers: they do not depend on how a
 * batch is divided, with and without teacher, with targets of the weights or of their average; noise levels; context
 * tokens. The numbers themselves are checked against golden files (tests/parity). SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/flow/flow.h"

#include "flow/flow_coefficients.h"

#include <math.h>

enum { B = 11, L = 3, V = 29 };
enum { TEACHER = 1, AVERAGE = 2, ANY_ORDER = 4 }; /* what takes part; of an any-order map */

/* Which tokens are context, of an any-order map, and the number of those with a loss. */
static int32_t context[B * L];
static int64_t active;

static flm_model_shape shape_of(flm_network network)
{
    return (flm_model_shape){.L = L,
                             .V = V,
                             .d = 8,
                             .H = 2,
                             .c = 4,
                             .N = 2,
                             .F = 6,
                             .mlp_ratio = 2,
                             .softcap = 50,
                             .logit_cap = 3,
                             .network = network};
}

static flow_distillation distillation_new(int with, double fraction, flm_dtype act, int64_t chunk)
{
    const flm_kind *kind = &flm_kinds[with & ANY_ORDER ? FLM_KIND_FMLM_ANY_ORDER : FLM_KIND_FMLM];
    const flm_model_shape of_teacher = shape_of(kind->objective->networks[FLM_ROLE_TEACHER].kind->network);
    const flm_model_shape own = shape_of(kind->network);
    flow_distillation c = {.kind = kind, .weights = network_weights(be, &own, act), .psd = {fraction, 3}};
    if (with & TEACHER) c.frozen[FLM_ROLE_TEACHER] = network_weights(be, &of_teacher, act);
    if (with & AVERAGE) c.frozen[FLM_ROLE_AVERAGE] = network_weights(be, &own, act);
    flow_distillation_complete(&c, act, B, chunk);
    memset(context, 0, sizeof context);
    active = with & ANY_ORDER ? flm_time_context(1, FLM_RANDOM_TIME, 2, B, 0, B, L, context) : B * L;
    return c;
}

/* A step in micro-batches of at most `max` sequences, and all gradients in one array. */
static flm_objective_sums step(flow_distillation *c, int64_t max, float p, float *gradients)
{
    int32_t tokens[B * L];
    double s[B], d[B];
    flm_objective_sums sums;
    for (int i = 0; i < B * L; i++) tokens[i] = (4 * i + 1) % V;
    flm_objective_times(c->objective, 1, FLM_RANDOM_TIME, 2, B, 0, B, s, d);
    must(flm_weights_zero_grad(c->weights));
    must(flm_objective_begin(c->objective, comm, c->weights));
    for (int64_t first = 0; first < B; first += max) {
        const int64_t count = B - first < max ? B - first : max;
        const flm_dit_dropout dropout = {.p = p, .seed = 1, .step = 2, .first_sample = first};
        const flm_micro_batch batch = {
            .B = count,
            .tokens = tokens + first * L,
            .t = s + first,
            .d = d + first,
            .context = context + first * L,
            .noise = {.stream = flm_philox_stream(1, FLM_RANDOM_NOISE, 2, 0), .first_sample = first},
            .dropout = p > 0 ? &dropout : NULL,
            .scale = 1.0 / (double)active,
            .backward = gradients != NULL};
        must(flm_objective_micro_batch(c->objective, c->weights, &batch));
    }
    must(flm_objective_total(c->objective, &sums));
    if (gradients == NULL) return sums;
    must(flm_noise_reduce(c->basis, comm));
    must(flm_noise_gradient(c->basis, &c->weights->w.E, 0, &c->weights->grad.E));
    for (int i = 0; i < c->weights->parameters; i++) {
        network_grad(c->weights, i, gradients);
        gradients += c->weights->parameter[i].count;
    }
    return sums;
}

/* Sums of 33 rows in another order: a few roundings of gradients of order 1. */
static void test_division(int with, double fraction)
{
    flow_distillation c = distillation_new(with, fraction, FLM_DTYPE_F32, 4);
    const int64_t count = flow_parameters(c.weights);
    float *whole = must_alloc(count, sizeof *whole), *parts = must_alloc(count, sizeof *parts),
          *zero = must_alloc(count, sizeof *zero);
    const flm_objective_sums all = step(&c, B, 0.2f, whole);
    const double size = worst_difference(whole, zero, count);
    int64_t diagonals = 0; /* rows */
    for (int64_t i = 0; i < B * L; i++) {
        const flm_psd_law *law = &c.objective->parts.psd;
        diagonals += flm_time_psd_jumps(law, i / L + 1) == flm_time_psd_jumps(law, i / L) && context[i] == 0;
    }
    tap_ok(all.loss > 0 && size > 1e-3 && isfinite(size) && all.diagonal_rows == (double)diagonals &&
               all.rows == (double)active && (diagonals == 0 ? all.diagonal == 0 : all.diagonal > 0) &&
               all.diagonal <= all.loss && isnan(all.error),
           "%d, fraction %g: loss %.4g, of %d diagonal rows %.4g, gradients up to %.3g", with, fraction, all.loss,
           (int)diagonals, all.diagonal, size);
    for (int64_t max = 1; max < B; max += 1 + max / 2) {
        const flm_objective_sums own = step(&c, max, 0.2f, parts);
        const double e = worst_difference(whole, parts, count);
        tap_ok(fabs(own.loss - all.loss) <= 1e-6 * all.loss && fabs(own.diagonal - all.diagonal) <= 1e-6 * all.loss &&
                   own.diagonal_rows == all.diagonal_rows && e <= 3e-6 * fmax(1, size),
               "micro-batches of %d: loss off by %.2g, gradients by %.2g", (int)max, fabs(own.loss - all.loss), e);
    }
    tap_close(step(&c, 2, 0.2f, NULL).loss, all.loss, 1e-6 * all.loss, "without gradients: the loss");
    tap_ok(fabs(step(&c, 2, 0, NULL).loss - all.loss) > 1e-5 * all.loss, "dropout changes the loss");
    free(whole);
    free(parts);
    free(zero);
    flow_distillation_free(&c);
}

static void test_repeat(int with, flm_dtype act)
{
    flow_distillation c = distillation_new(with, 0.5, act, 7);
    const int64_t count = flow_parameters(c.weights);
    float *first = must_alloc(count, sizeof *first), *again = must_alloc(count, sizeof *again);
    const double a = step(&c, 3, 0.1f, first).loss, b = step(&c, 3, 0.1f, again).loss;
    tap_ok(a == b && memcmp(first, again, (size_t)count * sizeof *first) == 0, "%d, %s: the same bits again", with,
           flm_dtype_name(act));
    free(first);
    free(again);
    flow_distillation_free(&c);
}

static void copy_weights(flm_weights *to, const flm_weights *from)
{
    for (int i = 0; i < from->buckets; i++)
        memcpy(to->bucket[i].compute.data, from->bucket[i].compute.data, flm_tensor_bytes(&from->bucket[i].compute));
}

/* An average equal to the weights has the targets of the weights; another one has others. The noise of the two bases
 * differs by the ridge of the larger one: sqrt(1e-10) of its size. */
static void test_average(void)
{
    flow_distillation plain = distillation_new(TEACHER, 0.5, FLM_DTYPE_F32, 9),
                      c = distillation_new(TEACHER | AVERAGE, 0.5, FLM_DTYPE_F32, 9);
    const int64_t count = flow_parameters(c.weights);
    float *a = must_alloc(count, sizeof *a), *b = must_alloc(count, sizeof *b);
    copy_weights(c.frozen[FLM_ROLE_TEACHER], plain.frozen[FLM_ROLE_TEACHER]);
    copy_weights(c.weights, plain.weights);
    const double other = step(&c, B, 0, b).loss;
    copy_weights(c.frozen[FLM_ROLE_AVERAGE], c.weights);
    c.basis->frozen_done = false;
    const double want = step(&plain, B, 0, a).loss, have = step(&c, B, 0, b).loss, e = worst_difference(a, b, count);
    tap_ok(fabs(have - want) <= 1e-5 * want && e <= 1e-3,
           "an average equal to the weights: loss off by %.2g, gradients by %.2g", fabs(have - want), e);
    tap_ok(fabs(other - want) > 1e-3 * want, "another average: another loss (%.4g and %.4g)", other, want);
    free(a);
    free(b);
    flow_distillation_free(&plain);
    flow_distillation_free(&c);
}

/* Context tokens have no loss: without active ones nothing is learnt. The loss is that of the active tokens alone: it
 * does not depend on how many samples have none. */
static void test_context(void)
{
    flow_distillation c = distillation_new(ANY_ORDER, 0.5, FLM_DTYPE_F32, 5);
    const int64_t count = flow_parameters(c.weights);
    float *grad = must_alloc(count, sizeof *grad), *zero = must_alloc(count, sizeof *zero);
    tap_ok(active > 0 && active < B * L, "%d of %d tokens are active", (int)active, B * L);
    for (int i = 0; i < B * L; i++) context[i] = 1;
    const flm_objective_sums none = step(&c, 4, 0.1f, grad);
    tap_ok(none.loss == 0 && none.rows == 0 && none.diagonal_rows == 0 && worst_difference(grad, zero, count) == 0,
           "context tokens alone: no loss and no gradient");
    context[5] = 0;
    const flm_objective_sums one = step(&c, 4, 0, grad);
    tap_ok(one.loss > 0 && one.rows == 1 && worst_difference(grad, zero, count) > 1e-4,
           "one active token: its loss %.4g", one.loss);
    free(grad);
    free(zero);
    flow_distillation_free(&c);
}

static void test_coefficients(void)
{
    flm_gamma *gamma = NULL;
    static const double jumps[][2] = {{0, 1}, {0, 1e-12}, {1 - 1e-12, 1e-12}, {0.5, 1e-9}, {0.3, 0.7}, {0.25, 0.5}};
    int wrong = 0;
    must(flm_gamma_create(50258, &gamma));
    for (size_t i = 0; i < sizeof jumps / sizeof *jumps; i++) {
        const flm_psd_coeffs c = flm_psd_coeffs_make(gamma, jumps[i][0], jumps[i][1]);
        wrong += !(c.k >= 0 && c.k <= 1 && c.lambda >= 0 && c.lambda <= 1 && c.u <= c.end && c.end <= 1);
    }
    tap_ok(wrong == 0, "k and lambda are in [0, 1]");
    tap_close(flm_psd_coeffs_make(gamma, 0, 1).lambda, 0, 0, "a jump to 1 has the target of its second half");
    const flm_psd_coeffs none = flm_psd_coeffs_make(gamma, 0.3, 0);
    tap_ok(none.u == 0.3 && none.end == 0.3, "the diagonal has one time");
    flm_gamma_destroy(&gamma);
    must(flm_gamma_create_identity(&gamma));
    const flm_psd_coeffs c = flm_psd_coeffs_make(gamma, 0.3, 0.5);
    tap_close(c.lambda, (1 - 0.8) / (2 - 0.3 - 0.8), 1e-15, "without gamma: lambda = (1-t) / (2-s-t)");
    tap_close(c.k, 0.25 / 0.7, 1e-15, "and k = (u-s) / (1-s)");
    flm_gamma_destroy(&gamma);
}

static void test_sampler(void)
{
    flow_distillation c = distillation_new(0, 0.5, FLM_DTYPE_F32, 100);
    int32_t whole[2][B * L], parts[B * L];
    flm_noise_source noise = {.stream = flm_philox_stream(4, FLM_RANDOM_SAMPLE, 0, 0)};
    must(flm_noise_update(c.basis, comm, &c.weights->w.E));
    flm_sampler *sampler = flow_sampler(&flm_kinds[FLM_KIND_FMLM], c.dit, c.weights, NULL, c.basis, c.gamma);
    for (int g = 0; g < 2; g++) {
        flm_sampling how = {.steps = 4, .noise_level = g == 0 ? 0 : 0.8, .noise = noise};
        must(flm_sampler_run(sampler, B, &how, whole[g]));
        for (how.noise.first_sample = 0; how.noise.first_sample < B; how.noise.first_sample += 4) {
            const int64_t first = how.noise.first_sample;
            must(flm_sampler_run(sampler, B - first < 4 ? B - first : 4, &how, parts + first * L));
        }
        tap_ok(memcmp(whole[g], parts, sizeof parts) == 0, "noise level %g: the same samples in parts",
               how.noise_level);
    }
    tap_ok(memcmp(whole[0], whole[1], sizeof whole[0]) != 0, "another noise level: other samples");
    flm_sampling how = {.steps = 4, .noise_level = 1.5, .noise = noise};
    tap_ok(flm_sampler_run(sampler, B, &how, parts) == FLM_E_ARG, "refused: %s", flm_err_message());
    how.noise_level = NAN;
    tap_ok(flm_sampler_run(sampler, B, &how, parts) == FLM_E_ARG, "refused: %s", flm_err_message());
    flm_sampler_destroy(&sampler);
    const flm_model_shape shape = shape_of(FLM_NETWORK_ONE_TIME);
    flow_network n = flow_network_new(&shape, B, false);
    sampler = flow_sampler(&flm_kinds[FLM_KIND_FLM], n.dit, n.weights, NULL, n.basis, n.gamma);
    how.noise_level = 0.5;
    tap_ok(flm_sampler_run(sampler, B, &how, parts) == FLM_E_ARG, "refused: %s", flm_err_message());
    flm_err_clear();
    flm_sampler_destroy(&sampler);
    flow_network_free(&n);
    flow_distillation_free(&c);
}

int main(void)
{
    flow_begin();
    for (int with = 0; with <= (TEACHER | AVERAGE | ANY_ORDER); with++) {
        test_division(with, 0.5);
        test_repeat(with, FLM_DTYPE_F32);
        test_repeat(with, FLM_DTYPE_BF16);
    }
    test_division(TEACHER, 0.1);
    test_division(TEACHER, 0);
    test_division(0, 1);
    test_average();
    test_context();
    test_coefficients();
    test_sampler();
    return flow_end();
}
