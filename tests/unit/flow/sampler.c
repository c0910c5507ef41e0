/* sampler.c - tokens drawn by samplers: temperature 0 is the argmax, frequencies are the probabilities, batches do not
 * matter. SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/flow/flow.h"

#include <math.h>

enum { B = 6, L = 4, V = 13, STEPS = 3 };

static const flm_model_shape one_time = {
    .L = L, .V = V, .d = 8, .H = 2, .c = 4, .N = 2, .F = 6, .mlp_ratio = 2, .softcap = 50, .logit_cap = 5};

static flm_sampling sampling_of(double temperature, int64_t first)
{
    return (flm_sampling){.steps = STEPS,
                          .choice = {.temperature = temperature, .top_p = 1},
                          .noise = {.stream = flm_philox_stream(4, FLM_RANDOM_SAMPLE, 0, 0), .first_sample = first}};
}

static void test_batches(void)
{
    flow_network n = flow_network_new(&one_time, B, false);
    flm_sampler *sampler = flow_sampler(&flm_kinds[FLM_KIND_FLM], n.dit, n.weights, NULL, n.basis, n.gamma);
    int32_t argmax[B * L], zero[B * L], whole[B * L], parts[B * L];
    flm_sampling how = sampling_of(0, 0);
    must(flm_sampler_run(sampler, B, &how, zero));
    how.choice = (flm_choice){.temperature = 1, .top_p = 1, .top_k = 1};
    must(flm_sampler_run(sampler, B, &how, argmax));
    tap_ok(memcmp(zero, argmax, sizeof zero) == 0, "temperature 0 chooses what top-k 1 leaves");
    how.choice = (flm_choice){.temperature = 100, .top_p = 1e-9};
    must(flm_sampler_run(sampler, B, &how, argmax));
    tap_ok(memcmp(zero, argmax, sizeof zero) == 0, "and what a small top-p leaves");
    how = sampling_of(1, 0);
    must(flm_sampler_run(sampler, B, &how, whole));
    tap_ok(memcmp(zero, whole, sizeof zero) != 0, "temperature 1 draws other tokens");
    for (int64_t first = 0; first < B; first += 4) {
        how = sampling_of(1, first);
        must(flm_sampler_run(sampler, B - first < 4 ? B - first : 4, &how, parts + first * L));
    }
    tap_ok(memcmp(whole, parts, sizeof whole) == 0, "the same samples in parts");
    how.noise.stream++;
    how.noise.first_sample = 0;
    must(flm_sampler_run(sampler, B, &how, parts));
    tap_ok(memcmp(whole, parts, sizeof whole) != 0, "another seed gives other samples");
    how.choice.temperature = -1;
    tap_ok(flm_sampler_run(sampler, B, &how, parts) == FLM_E_ARG, "refused: %s", flm_err_message());
    flm_err_clear();
    flm_sampler_destroy(&sampler);
    flow_network_free(&n);
}

/* The same noise for every sample: tokens differ by the numbers of the choice alone. Chi-square over all positions. */
static void test_frequencies(double temperature)
{
    enum { ROUNDS = 700 };
    flow_network n = flow_network_new(&one_time, B, false);
    flm_sampler *sampler = flow_sampler(&flm_kinds[FLM_KIND_FLM], n.dit, n.weights, NULL, n.basis, n.gamma);
    const int64_t width = n.basis->width;
    float *xi = must_alloc(B * L * width, sizeof *xi), scores[3 * V];
    int64_t count[L][V] = {{0}};
    double chi = 0;
    for (int64_t i = 0; i < B * L * width; i++) xi[i] = (float)sin((double)(i % (L * width)));
    const flm_tensor given = flm_tensor_3d(xi, FLM_DTYPE_F32, B, L, width);
    for (int round = 0; round < ROUNDS; round++) {
        int32_t tokens[B * L];
        flm_sampling how = sampling_of(temperature, (int64_t)round * B);
        how.noise.given = &given;
        must(flm_sampler_run(sampler, B, &how, tokens));
        for (int i = 0; i < B * L; i++) count[i % L][tokens[i]]++;
    }
    for (int l = 0; l < L; l++) {
        double p[V], sum = 0;
        must(sampler_scores(sampler, l, 1, scores));
        for (int v = 0; v < V; v++) sum += p[v] = pow((double)scores[v], 1 / temperature);
        for (int v = 0; v < V; v++) {
            const double expected = B * ROUNDS * p[v] / sum;
            chi += ((double)count[l][v] - expected) * ((double)count[l][v] - expected) / expected;
        }
    }
    const double freedom = L * (V - 1);
    tap_ok(!(fabs(chi - freedom) > 5 * sqrt(2 * freedom)), "temperature %g: chi-square %.1f of %g degrees of freedom",
           temperature, chi, freedom);
    free(xi);
    flm_sampler_destroy(&sampler);
    flow_network_free(&n);
}

/* With a prompt: known tokens come out as they are and matter for the others; free ones alone are the plain samples;
 * parts of a batch do not matter. */
static void test_known(flm_kind_id kind, double noise_level)
{
    flm_model_shape shape = one_time;
    shape.network = flm_kinds[kind].network;
    flow_network n = flow_network_new(&shape, B, false);
    flm_sampler *sampler = NULL;
    int32_t known[B * L], free_ones[B * L], plain[B * L], whole[B * L], other[B * L], parts[B * L];
    int wrong = 0, moved = 0;
    const flm_sampler_parts of = {.kind = &flm_kinds[kind],
                                  .dit = n.dit,
                                  .weights = n.weights,
                                  .basis = n.basis,
                                  .gamma = n.gamma,
                                  .known = true};
    must(flm_sampler_create(&of, &sampler));
    for (int i = 0; i < B * L; i++) known[i] = i % 3 == 0 ? (5 * i) % V : -1, free_ones[i] = -1;
    flm_sampling how = sampling_of(0, 0);
    how.noise_level = noise_level;
    must(flm_sampler_run(sampler, B, &how, plain));
    how.known = free_ones;
    must(flm_sampler_run(sampler, B, &how, whole));
    tap_ok(memcmp(plain, whole, sizeof plain) == 0, "%s: nothing known, the same samples", flm_kinds[kind].name);
    how.known = known;
    must(flm_sampler_run(sampler, B, &how, whole));
    for (int first = 0; first < B; first += 4) {
        how.noise.first_sample = first;
        how.known = known + first * L;
        must(flm_sampler_run(sampler, B - first < 4 ? B - first : 4, &how, parts + first * L));
    }
    how = sampling_of(0, 0);
    how.noise_level = noise_level;
    for (int i = 0; i < B * L; i += 3) known[i] = (known[i] + 1) % V;
    how.known = known;
    must(flm_sampler_run(sampler, B, &how, other));
    for (int i = 0; i < B * L; i++) {
        wrong += i % 3 == 0 && (other[i] != known[i] || whole[i] != (5 * i) % V);
        moved += i % 3 != 0 && other[i] != whole[i];
    }
    tap_ok(wrong == 0 && memcmp(whole, parts, sizeof whole) == 0,
           "known tokens come out unchanged, and the same samples in parts");
    tap_ok(moved > 0, "%d of %d other tokens depend on them", moved, 2 * B * L / 3);
    how.steps = 1;
    tap_ok(flm_sampler_run(sampler, B, &how, other) == FLM_E_ARG, "refused: %s", flm_err_message());
    how.steps = 2;
    known[B * L - 1] = V;
    tap_ok(flm_sampler_run(sampler, B, &how, other) == FLM_E_ARG, "refused: %s", flm_err_message());
    flm_sampler_destroy(&sampler);
    sampler = flow_sampler(&flm_kinds[kind], n.dit, n.weights, NULL, n.basis, n.gamma);
    tap_ok(flm_sampler_run(sampler, B, &how, other) == FLM_E_ARG, "refused: %s", flm_err_message());
    flm_err_clear();
    flm_sampler_destroy(&sampler);
    flow_network_free(&n);
}

/* The state of known tokens: with noise xi = 0 and g = 1/2 it is half of the embedding. */
static void test_state(void)
{
    flow_network n = flow_network_new(&one_time, B, false);
    flm_sampler *sampler = NULL;
    const flm_sampler_parts of = {.kind = &flm_kinds[FLM_KIND_FLM],
                                  .dit = n.dit,
                                  .weights = n.weights,
                                  .basis = n.basis,
                                  .gamma = n.gamma,
                                  .known = true};
    const int64_t width = n.basis->width, d = one_time.d;
    float *xi = must_alloc(B * L * width, sizeof *xi);
    int32_t known[B * L], tokens[B * L];
    double worst = 0;
    must(flm_sampler_create(&of, &sampler));
    for (int i = 0; i < B * L; i++) known[i] = i == 2 || i == B * L - 1 ? i % V : -1;
    const flm_tensor given = flm_tensor_3d(xi, FLM_DTYPE_F32, B, L, width);
    flm_sampling how = {.steps = 2, .noise = {.given = &given}, .known = known};
    must(flm_sampler_run(sampler, B, &how, tokens));
    const double g = flm_gamma_at(n.gamma, 0.5);
    for (int i = 2; i < B * L; i += B * L - 3)
        for (int64_t j = 0; j < d; j++) {
            const double want = g * (double)((const float *)n.weights->w.E.data)[known[i] * d + j];
            worst = fmax(worst, fabs((double)((const float *)sampler->z[0].data)[i * d + j] - want));
        }
    tap_ok(!(worst > 1e-6), "in the last of two steps, without noise, a known token is g E[token]: off by %.2g", worst);
    free(xi);
    flm_sampler_destroy(&sampler);
    flow_network_free(&n);
}

/* An any-order map: every schedule gives the same samples in parts, keeps what is known and fills in the rest. */
static void test_order(const char *name, flm_sampling how)
{
    flm_model_shape shape = one_time;
    shape.network = FLM_NETWORK_ANY_ORDER;
    flow_network n = flow_network_new(&shape, B, false);
    flm_sampler *sampler = flow_sampler(&flm_kinds[FLM_KIND_FMLM_ANY_ORDER], n.dit, n.weights, NULL, n.basis, n.gamma);
    int32_t known[B * L], whole[B * L], parts[B * L];
    int wrong = 0;
    how.noise.stream = flm_philox_stream(4, FLM_RANDOM_SAMPLE, 0, 0);
    for (int i = 0; i < B * L; i++)
        known[i] = i % 5 == 1 || i < L ? (3 * i) % V : -1; /* the first one has nothing left */
    how.known = known;
    must(flm_sampler_run(sampler, B, &how, whole));
    for (int first = 0; first < B; first += 4) {
        how.noise.first_sample = first;
        how.known = known + first * L;
        must(flm_sampler_run(sampler, B - first < 4 ? B - first : 4, &how, parts + first * L));
    }
    for (int i = 0; i < B * L; i++) wrong += whole[i] < 0 || whole[i] >= V || (known[i] >= 0 && whole[i] != known[i]);
    tap_ok(wrong == 0 && memcmp(whole, parts, sizeof whole) == 0,
           "%s: known tokens stay, and the same samples in parts", name);
    flm_sampler_destroy(&sampler);
    flow_network_free(&n);
}

static void test_orders(void)
{
    const flm_sampling refine = {.schedule = FLM_SCHEDULE_REFINE,
                                 .steps = 2,
                                 .rounds = 3,
                                 .budget = FLM_BUDGET_UNIFORM,
                                 .threshold = 0.3,
                                 .fresh_noise = true};
    flm_sampling how = refine;
    int32_t tokens[B * L];
    test_order("flow", (flm_sampling){.steps = 3});
    test_order("blocks of 3", (flm_sampling){.schedule = FLM_SCHEDULE_BLOCKS, .steps = 2, .block_length = 3});
    test_order("refinement", refine);
    how.choice = (flm_choice){.temperature = 1, .top_p = 1};
    test_order("refinement with drawn tokens", how);
    how = refine;
    how.fresh_noise = false, how.threshold = -1, how.budget = 1;
    test_order("refinement from the same noise, one token a round", how);
    flow_network n = flow_network_new(&one_time, B, false);
    flm_sampler *sampler = flow_sampler(&flm_kinds[FLM_KIND_FLM], n.dit, n.weights, NULL, n.basis, n.gamma);
    tap_ok(flm_sampler_run(sampler, B, &refine, tokens) == FLM_E_ARG, "refused: %s", flm_err_message());
    flm_err_clear();
    flm_sampler_destroy(&sampler);
    flow_network_free(&n);
}

int main(void)
{
    flow_begin();
    test_batches();
    test_frequencies(1);
    test_frequencies(1.7);
    test_known(FLM_KIND_FLM, 0);
    test_known(FLM_KIND_FMLM, 0);
    test_known(FLM_KIND_FMLM, 0.8);
    test_state();
    test_orders();
    return flow_end();
}
