/* distill.c - the objectives of flow maps and their samplers: they do not depend on how a batch is divided, begin where
 * they should, call the hook for every bucket, and refuse what does not fit. The numbers themselves are checked against
 * golden files (tests/parity). SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/flow/flow.h"

#include "flow/flow_coefficients.h"
#include "flow/flow_time.h"

#include <math.h>

enum { B = 5, L = 3 };
static const double starts[B] = {0, 0.2, 0.55, 0.9, 0}, lengths[B] = {1e-6, 0.3, 0.45, 0.05, 1};

static flm_model_shape shape_of(int64_t V, flm_network network)
{
    return (flm_model_shape){
        .L = L, .V = V, .d = 8, .H = 2, .c = 4, .N = 2, .F = 6, .mlp_ratio = 2, .softcap = 50, .network = network};
}

static flm_weights *weights_new(int64_t V, flm_network network, flm_dtype act)
{
    const flm_model_shape shape = shape_of(V, network);
    return network_weights(be, &shape, act);
}

static flow_distillation distillation_new(const flm_kind *kind, int64_t V, flm_dtype act, int64_t chunk)
{
    flow_distillation c = {.kind = kind, .weights = weights_new(V, kind->network, act)};
    c.frozen[FLM_ROLE_TEACHER] = weights_new(V, FLM_NETWORK_ONE_TIME, act);
    if (kind->objective->networks[FLM_ROLE_FLOW_MAP].kind != NULL)
        c.frozen[FLM_ROLE_FLOW_MAP] = weights_new(V, FLM_NETWORK_RESIDUAL, act);
    flow_distillation_complete(&c, act, B, chunk);
    return c;
}

/* A step in micro-batches of at most `max` sequences: the sum of the losses, and all gradients in one array. */
static double step(flow_distillation *c, int64_t max, float p, const flm_dit_hook *hook, float *gradients,
                   double *error)
{
    int32_t tokens[B * L];
    for (int i = 0; i < B * L; i++) tokens[i] = (4 * i + 1) % (int32_t)c->dit->shape.V;
    must(flm_weights_zero_grad(c->weights));
    must(flm_objective_begin(c->objective, comm, c->weights));
    for (int64_t first = 0; first < B; first += max) {
        const int64_t count = B - first < max ? B - first : max;
        const flm_dit_dropout dropout = {.p = p, .seed = 1, .step = 2, .first_sample = first};
        const flm_micro_batch batch = {
            .B = count,
            .tokens = tokens + first * L,
            .t = starts + first,
            .d = lengths + first,
            .noise = {.stream = flm_philox_stream(1, FLM_RANDOM_NOISE, 2, 0), .first_sample = first},
            .dropout = p > 0 ? &dropout : NULL,
            .scale = 1.0 / (B * L),
            .backward = gradients != NULL,
            .hook = first + count == B ? hook : NULL};
        must(flm_objective_micro_batch(c->objective, c->weights, &batch));
    }
    flm_objective_sums sums;
    must(flm_objective_total(c->objective, &sums));
    const double total = sums.loss;
    if (error != NULL) *error = sums.error;
    if (gradients == NULL) return total;
    must(flm_noise_reduce(c->basis, comm));
    must(flm_noise_gradient(c->basis, &c->weights->w.E, 0, &c->weights->grad.E));
    for (int i = 0; i < c->weights->parameters; i++) {
        network_grad(c->weights, i, gradients);
        gradients += c->weights->parameter[i].count;
    }
    return total;
}

/* Sums of 15 rows in another order: a few roundings of gradients of order 1. The weighted loss may be negative. */
static void test_division(const flm_kind *kind, int64_t V)
{
    flow_distillation c = distillation_new(kind, V, FLM_DTYPE_F32, 4);
    const int64_t count = flow_parameters(c.weights);
    float *whole = must_alloc(count, sizeof *whole), *parts = must_alloc(count, sizeof *parts),
          *zero = must_alloc(count, sizeof *zero);
    double error, other;
    const double total = step(&c, B, 0.2f, NULL, whole, &error), size = worst_difference(whole, zero, count);
    tap_ok(isfinite(total) && error > 0 && isfinite(error) && size > 0.01 && isfinite(size),
           "%s, V=%d: loss %.4g, error %.4g, gradients up to %.3g", kind->name, (int)V, total / (B * L),
           error / (B * L), size);
    const bool weighted = kind == &flm_kinds[FLM_KIND_FMLM_TWO_MODEL];
    tap_ok(weighted ? fabs(total - error) > 0.01 * error : total == error, "the loss is %sthe error",
           weighted ? "not " : "");
    for (int64_t max = 1; max < B; max++) {
        const double loss = step(&c, max, 0.2f, NULL, parts, &other), e = worst_difference(whole, parts, count);
        tap_ok(fabs(loss - total) <= 1e-6 * (fabs(total) + error) && fabs(other - error) <= 1e-6 * error &&
                   e <= 3e-6 * fmax(1, size),
               "%s, V=%d: micro-batches of %d: loss off by %.2g, gradients by %.2g", kind->name, (int)V, (int)max,
               fabs(loss - total), e);
    }
    tap_close(step(&c, 2, 0.2f, NULL, NULL, NULL), total, 1e-6 * (fabs(total) + error), "without gradients: the loss");
    tap_ok(fabs(step(&c, 2, 0, NULL, NULL, NULL) - total) > 1e-4 * error, "dropout changes the loss");
    free(whole);
    free(parts);
    free(zero);
    flow_distillation_free(&c);
}

/* With other chunks of the head, sums over rows have another order. */
static void test_chunks(const flm_kind *kind)
{
    flow_distillation a = distillation_new(kind, 29, FLM_DTYPE_F32, 1),
                      b = distillation_new(kind, 29, FLM_DTYPE_F32, 1000);
    const int64_t count = flow_parameters(a.weights);
    float *one = must_alloc(count, sizeof *one), *all = must_alloc(count, sizeof *all);
    flm_weights *const from[] = {a.weights, a.frozen[FLM_ROLE_TEACHER], a.frozen[FLM_ROLE_FLOW_MAP]},
                       *const to[] = {b.weights, b.frozen[FLM_ROLE_TEACHER], b.frozen[FLM_ROLE_FLOW_MAP]};
    for (int k = 0; k < 3 && from[k] != NULL; k++) /* the same networks */
        for (int i = 0; i < from[k]->buckets; i++)
            memcpy(to[k]->bucket[i].compute.data, from[k]->bucket[i].compute.data,
                   flm_tensor_bytes(&from[k]->bucket[i].compute));
    const double first = step(&a, B, 0, NULL, one, NULL), second = step(&b, B, 0, NULL, all, NULL);
    tap_ok(fabs(first - second) <= 1e-6 * (1 + fabs(first)) && worst_difference(one, all, count) <= 3e-6,
           "%s: a row at once, or all: gradients off by %.2g", kind->name, worst_difference(one, all, count));
    free(one);
    free(all);
    flow_distillation_free(&a);
    flow_distillation_free(&b);
}

static void test_repeat(const flm_kind *kind, flm_dtype act)
{
    flow_distillation c = distillation_new(kind, 29, act, 4);
    const int64_t count = flow_parameters(c.weights);
    float *first = must_alloc(count, sizeof *first), *again = must_alloc(count, sizeof *again);
    const double a = step(&c, 2, 0.1f, NULL, first, NULL), b = step(&c, 2, 0.1f, NULL, again, NULL);
    tap_ok(a == b && memcmp(first, again, (size_t)count * sizeof *first) == 0, "%s, %s: the same bits again",
           kind->name, flm_dtype_name(act));
    free(first);
    free(again);
    flow_distillation_free(&c);
}

static int called[32], calls;

static flm_status record_call(void *context, int bucket)
{
    if (context == called && calls < 32) called[calls++] = bucket;
    return FLM_OK;
}

static void test_hook(const flm_kind *kind)
{
    static const int order[] = {6, 7, 4, 5, 2, 3, FLM_BUCKET_TIME, 8, FLM_BUCKET_EMBEDDING};
    const flm_dit_hook hook = {.ready = record_call, .context = called};
    flow_distillation c = distillation_new(kind, 29, FLM_DTYPE_F32, 4);
    float *gradients = must_alloc(flow_parameters(c.weights), sizeof *gradients);
    calls = 0;
    step(&c, 2, 0, &hook, gradients, NULL);
    tap_ok(calls == c.weights->buckets && calls == 9 && memcmp(called, order, sizeof order) == 0,
           "%s: the hook is called for each of %d buckets once, in order", kind->name, c.weights->buckets);
    free(gradients);
    flow_distillation_free(&c);
}

/* Initialise `to` as the student of a distillation from `from`: model.md sections 6 and 7. */
static void begin_from(flm_weights *to, const flm_weights *from)
{
    for (int i = 0; i < to->parameters; i++) {
        const flm_parameter *p = &to->parameter[i];
        float *values = must_alloc(p->count, sizeof *values);
        const int at = flm_parameter_find(from->parameter, from->parameters, p->name);
        if (p->reinit) {
            flm_parameter_initial(p, i, 3, 0, p->count, values);
        } else {
            const flm_parameter *q = &from->parameter[at];
            memcpy(values, (const float *)from->bucket[q->bucket].compute.data + q->offset,
                   (size_t)p->count * sizeof *values);
        }
        must(flm_weights_set(to, i, values));
        free(values);
    }
}

/* A student equal to its teacher and a map whose output is zero: the second stage has no error. The two-model map has
 * the error by which the teacher is not consistent, and l = 0, so that loss and error are equal. */
static void test_begin(void)
{
    flow_distillation c = distillation_new(&flm_kinds[FLM_KIND_FMLM_TWO_STAGE], 29, FLM_DTYPE_F32, 4),
                      one = distillation_new(&flm_kinds[FLM_KIND_FMLM_TWO_MODEL], 29, FLM_DTYPE_F32, 4);
    const int64_t count = flow_parameters(c.weights), of_one = flow_parameters(one.weights);
    float *gradients = must_alloc(count + of_one, sizeof *gradients), *zero = must_alloc(count + of_one, sizeof *zero);
    double error;
    begin_from(c.frozen[FLM_ROLE_FLOW_MAP], c.frozen[FLM_ROLE_TEACHER]);
    begin_from(c.weights, c.frozen[FLM_ROLE_TEACHER]);
    const double none = step(&c, B, 0, NULL, gradients, NULL);
    /* One of the two equal softmaxes is rounded before they are subtracted: 6e-8 of each, squared. */
    tap_ok(none <= 1e-13 && worst_difference(gradients, zero, count) <= 1e-7,
           "the second stage with a map of zeros begins without error: %.2g", none);
    begin_from(one.weights, one.frozen[FLM_ROLE_TEACHER]);
    const double loss = step(&one, B, 0, NULL, gradients, &error);
    tap_close(loss, error, 1e-6 * error, "the two-model map begins without weighting");
    tap_ok(error > 0.001 && worst_difference(gradients, zero, of_one) > 1e-4, "and with an error to reduce: %.3g",
           error);
    free(gradients);
    free(zero);
    flow_distillation_free(&c);
    flow_distillation_free(&one);
}

/* Coefficients at the ends of their range are finite; the weights of the state at m add up to 1. */
static void test_coefficients(void)
{
    flm_gamma *gamma = NULL;
    int wrong = 0;
    must(flm_gamma_create(50258, &gamma));
    static const double jumps[][2] = {{0, 1}, {0, 1e-6}, {1 - 1e-6, 1e-6}, {0.5, 1e-6}, {0.3, 0.7}, {0.25, 0.5}};
    for (size_t i = 0; i < sizeof jumps / sizeof *jumps; i++) {
        const flm_two_model_coeffs c = flm_two_model_coeffs_make(gamma, jumps[i][0], jumps[i][1]);
        const flm_two_stage_coeffs two = flm_two_stage_coeffs_make(gamma, jumps[i][0], jumps[i][1]);
        const double all[] = {c.keep, c.mean, c.jump, c.beta, c.A, c.B, c.w, two.k, two.jump};
        for (size_t k = 0; k < sizeof all / sizeof *all; k++) wrong += !isfinite(all[k]) || all[k] < -1e-12;
        wrong += !(fabs(c.keep + c.mean - 1) <= 1e-9) || !(c.m <= c.u && c.u <= 1 && c.gs <= c.gm && c.gm <= c.gu);
    }
    tap_ok(wrong == 0, "coefficients are finite and not negative, weights of a state add up to 1");
    /* A jump from 0 to 1: c1 + c2 = 1, so that b = 1 - c1 = c2 and beta = c2 / b = 1. */
    const flm_two_model_coeffs all = flm_two_model_coeffs_make(gamma, 0, 1);
    tap_close(all.beta, 1, 1e-9, "a jump from 0 to 1: beta is 1");
    tap_close(all.A, 0, 1e-9, "and A is 0");
    flm_gamma_destroy(&gamma);
}

/* Each objective draws its times by its law in model.md sections 5 to 7, 9.2 and 10. */
static void test_times(void)
{
    enum { n = 4096 };
    static const flm_time_law laws[FLM_KINDS] = {[FLM_KIND_FMLM_TWO_MODEL] = {.min = 1e-6, .boundary = 1.0 / 64},
                                                 [FLM_KIND_FMLM_TWO_STAGE] = {.min = 1e-5, .boundary = 1.0 / 128}};
    double t[n], d[n], want_t[n], want_d[n];
    const flm_objective objective = {.parts.psd = {0.5, 32}};
    for (int k = 0; k < FLM_KINDS; k++) {
        const bool psd = k == FLM_KIND_FMLM || k == FLM_KIND_FMLM_ANY_ORDER, jumps = psd || laws[k].min > 0;
        flm_kinds[k].objective->sample_times(&objective, 5, FLM_RANDOM_TIME, 3, n, 0, n, t, d);
        if (psd)
            flm_time_psd(&objective.parts.psd, 5, FLM_RANDOM_TIME, 3, n, 0, n, want_t, want_d);
        else if (jumps)
            flm_time_jumps(&laws[k], 5, FLM_RANDOM_TIME, 3, n, 0, n, want_t, want_d);
        else
            flm_time_stratified(5, FLM_RANDOM_TIME, 3, n, 0, n, want_t);
        tap_ok(memcmp(t, want_t, sizeof t) == 0 && (!jumps || memcmp(d, want_d, sizeof d) == 0), "%s: its times",
               flm_kinds[k].name);
    }
}

/* The names of model.md sections 5 to 7, 9.2 and 10, and those of version 0.1. */
static void test_kinds(void)
{
    static const struct {
        const char *name;
        flm_kind_id id;
    } names[] = {{"flm", FLM_KIND_FLM},
                 {"fmlm-two-model", FLM_KIND_FMLM_TWO_MODEL},
                 {"fmlm-two-stage", FLM_KIND_FMLM_TWO_STAGE},
                 {"fmlm", FLM_KIND_FMLM},
                 {"fmlm-any-order", FLM_KIND_FMLM_ANY_ORDER},
                 {"flow-map-1", FLM_KIND_FMLM_TWO_MODEL},
                 {"flow-map-2", FLM_KIND_FMLM_TWO_STAGE}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const flm_kind *kind = NULL;
        tap_ok(flm_kind_find(names[i].name, &kind) == FLM_OK && kind == &flm_kinds[names[i].id] &&
                   strcmp(kind->name, names[names[i].id].name) == 0,
               "kind %s", names[i].name);
    }
    const flm_kind *none = NULL;
    tap_ok(flm_kind_find("gpt2", &none) == FLM_E_MISMATCH && none == NULL, "no such kind: %s", flm_err_message());
    flm_err_clear();
}

static void test_refusals(void)
{
    flow_distillation c = distillation_new(&flm_kinds[FLM_KIND_FMLM_TWO_MODEL], 29, FLM_DTYPE_F32, 4);
    flm_objective *none = NULL;
    flm_objective_parts parts = flow_distillation_parts(&c);
    parts.frozen[FLM_ROLE_FLOW_MAP] = c.weights;
    tap_ok(flm_objective_create(&parts, &none) == FLM_E_ARG, "a flow map too many: %s", flm_err_message());
    parts = flow_distillation_parts(&c);
    parts.frozen[FLM_ROLE_TEACHER] = NULL;
    tap_ok(flm_objective_create(&parts, &none) == FLM_E_ARG, "no teacher: %s", flm_err_message());
    parts = flow_distillation_parts(&c);
    parts.frozen[FLM_ROLE_TEACHER] = c.weights;
    tap_ok(flm_objective_create(&parts, &none) == FLM_E_ARG, "a flow map as teacher: %s", flm_err_message());
    parts = flow_distillation_parts(&c);
    parts.inference = NULL;
    tap_ok(flm_objective_create(&parts, &none) == FLM_E_ARG, "no activations: %s", flm_err_message());
    flm_weights *other = weights_new(31, FLM_NETWORK_ONE_TIME, FLM_DTYPE_F32);
    parts = flow_distillation_parts(&c);
    parts.frozen[FLM_ROLE_TEACHER] = other;
    tap_ok(flm_objective_create(&parts, &none) == FLM_E_ARG && none == NULL, "another vocabulary: %s",
           flm_err_message());
    flm_err_clear();
    flm_weights_destroy(&other);
    flow_distillation_free(&c);
}

static void test_sampler(const flm_kind *kind, int64_t V)
{
    flow_distillation c = distillation_new(kind, V, FLM_DTYPE_F32, 4);
    const flm_weights *teacher =
        kind->sampler->networks[FLM_ROLE_TEACHER].kind != NULL ? c.frozen[FLM_ROLE_TEACHER] : NULL;
    flm_noise_basis *basis = NULL;
    int32_t whole[B * L], parts[B * L];
    flm_noise_source noise = {.stream = flm_philox_stream(4, FLM_RANDOM_SAMPLE, 0, 0)};
    must(flm_noise_create(be, V, c.dit->shape.d, teacher != NULL, &c.frozen[FLM_ROLE_TEACHER]->w.E, &basis));
    must(flm_noise_update(basis, comm, &c.weights->w.E));
    flm_sampler *sampler = flow_sampler(kind, c.inference, c.weights, teacher, basis, c.gamma);
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
        tap_ok(different == 0 && outside == 0, "%s, V=%d, %d steps: the same samples in parts", kind->name, (int)V,
               (int)steps);
    }
    flm_sampler *none = NULL;
    flm_sampler_parts wrong = sampler->parts;
    wrong.frozen[FLM_ROLE_TEACHER] = teacher != NULL ? NULL : c.frozen[FLM_ROLE_TEACHER];
    tap_ok(flm_sampler_create(&wrong, &none) == FLM_E_ARG && none == NULL, "%s: %s", kind->name, flm_err_message());
    wrong = sampler->parts;
    wrong.weights = c.frozen[FLM_ROLE_TEACHER];
    tap_ok(flm_sampler_create(&wrong, &none) == FLM_E_ARG && none == NULL, "%s: %s", kind->name, flm_err_message());
    flm_err_clear();
    flm_sampler_destroy(&sampler);
    flm_noise_destroy(&basis);
    flow_distillation_free(&c);
}

/* A two-model map whose output is zero samples like its teacher, except for the 1e-5 in the FLM's denominator. */
static void test_zero_map(void)
{
    enum { V = 29 };
    flow_distillation c = distillation_new(&flm_kinds[FLM_KIND_FMLM_TWO_MODEL], V, FLM_DTYPE_F32, 4);
    flm_noise_basis *basis = NULL;
    int32_t tokens[B * L];
    float a[4 * V], b[4 * V];
    const flm_noise_source noise = {.stream = flm_philox_stream(4, FLM_RANDOM_SAMPLE, 0, 0)};
    begin_from(c.weights, c.frozen[FLM_ROLE_TEACHER]);
    must(flm_noise_update(c.basis, comm, &c.weights->w.E));
    must(flm_noise_create(be, V, c.dit->shape.d, 0, NULL, &basis));
    must(flm_noise_update(basis, comm, &c.frozen[FLM_ROLE_TEACHER]->w.E));
    flm_sampler *map = flow_sampler(c.kind, c.inference, c.weights, c.frozen[FLM_ROLE_TEACHER], c.basis, c.gamma);
    flm_sampler *flm = flow_sampler(&flm_kinds[FLM_KIND_FLM], c.dit, c.frozen[FLM_ROLE_TEACHER], NULL, basis, c.gamma);
    for (int64_t steps = 1; steps <= 4; steps *= 4) {
        must(flm_sampler_run(map, B, &(flm_sampling){.steps = steps, .noise = noise}, tokens));
        must(sampler_scores(map, 2, 4, a));
        must(flm_sampler_run(flm, B, &(flm_sampling){.steps = steps, .noise = noise}, tokens));
        must(sampler_scores(flm, 2, 4, b));
        tap_ok(worst_difference(a, b, 4 * V) <= 1e-4, "%d steps of a map of zeros are those of the FLM: off by %.2g",
               (int)steps, worst_difference(a, b, 4 * V));
    }
    flm_sampler_destroy(&map);
    flm_sampler_destroy(&flm);
    flm_noise_destroy(&basis);
    flow_distillation_free(&c);
}

int main(void)
{
    flow_begin();
    for (int k = FLM_KIND_FMLM_TWO_MODEL; k <= FLM_KIND_FMLM_TWO_STAGE; k++) {
        const flm_kind *kind = &flm_kinds[k];
        test_division(kind, 29);
        test_division(kind, 7); /* V <= kd: xi is x0 */
        test_chunks(kind);
        test_repeat(kind, FLM_DTYPE_F32);
        test_repeat(kind, FLM_DTYPE_BF16);
        test_hook(kind);
        test_sampler(kind, 29);
        test_sampler(kind, 7);
    }
    test_times();
    test_kinds();
    test_begin();
    test_zero_map();
    test_coefficients();
    test_refusals();
    return flow_end();
}
