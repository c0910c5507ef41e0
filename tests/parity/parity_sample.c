/* parity_sample.c - the samplers: /sample_flm, /sample_distill, /sample_second, /sample_fmlm. SPDX-License-Identifier:
 * Apache-2.0 */
#include "tests/parity/parity.h"
#include "tests/sampler_scores.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* The number of tokens that differ although the two best scores of their row are further apart than the margin. */
static int64_t wrong_tokens(const int32_t *have, const int32_t *want, const float *scores, int64_t rows, int64_t V,
                            double margin)
{
    int64_t wrong = 0;
    for (int64_t r = 0; r < rows; r++) {
        double best = -INFINITY, second = -INFINITY;
        for (int64_t v = 0; v < V; v++) {
            const double score = scores[r * V + v];
            if (score > best) {
                second = best;
                best = score;
            } else if (score > second) {
                second = score;
            }
        }
        wrong += !(best - second <= margin) && have[r] != want[r];
    }
    return wrong;
}

/* One setting of a case: a group of expected values. */
typedef struct setting {
    char name[64];
    int64_t steps;
    double noise_level;
} setting;

/* steps_N, or steps_N_gamma_G with a noise level G. */
static flm_status setting_read(const char *group, setting *s)
{
    flm_status rc = FLM_OK;
    long long steps = 0;
    int length = 0, rest = 0;
    if (sscanf(s->name, "steps_%9lld%n", &steps, &length) != 1 || steps < 1)
        FLM_FAIL(FLM_E_FORMAT, "%s: '%s' is not steps_ and a number", group, s->name);
    if (s->name[length] != '\0' && sscanf(s->name + length, "_gamma_%lf%n", &s->noise_level, &rest) != 1)
        FLM_FAIL(FLM_E_FORMAT, "%s: '%s' has no _gamma_ and a number after the steps", group, s->name);
    if (s->name[length + rest] != '\0' || (s->noise_level > 0 && steps > PARITY_STEP_NOISES + 1))
        FLM_FAIL(FLM_E_FORMAT, "%s: '%s' has other settings, or too many steps", group, s->name);
    s->steps = steps;
done:
    return rc;
}

/* Samples [first, first + B) of a setting, from slices of the noises. */
static flm_status run_sampler(flm_sampler *sampler, const setting *s, const flm_tensor *xi, int64_t first, int64_t B,
                              int32_t *tokens)
{
    const int blocks = sampler->parts.basis->blocks;
    flm_tensor own[FLM_NOISE_NETWORKS], fresh[PARITY_STEP_NOISES * FLM_NOISE_NETWORKS];
    for (int i = 0; i < blocks; i++) {
        own[i] = flm_tensor_slice(&xi[i], first, B);
        for (int k = 0; k < PARITY_STEP_NOISES && s->noise_level > 0; k++)
            fresh[k * blocks + i] = flm_tensor_slice(&xi[(1 + k) * FLM_NOISE_NETWORKS + i], first, B);
    }
    return flm_sampler_run(sampler, B,
                           &(flm_sampling){.steps = s->steps,
                                           .noise_level = s->noise_level,
                                           .noise = {.given = own},
                                           .fresh = s->noise_level > 0 ? fresh : NULL},
                           tokens);
}

static flm_status sample_steps(parity_run *run, const parity_file *file, const char *part, flm_sampler *sampler,
                               const flm_tensor *xi, const setting *one)
{
    flm_status rc = FLM_OK;
    const int64_t L = file->shape.L, V = file->shape.V, max = sampler->parts.dit->max_batch;
    const int64_t chunk = sampler->parts.dit->chunk;
    int32_t *expected = NULL, *tokens = malloc((size_t)(file->B * L) * sizeof *tokens);
    float *scores = NULL, *have = malloc((size_t)(chunk * V) * sizeof *have);
    double worst = 0;
    if (tokens == NULL || have == NULL) FLM_FAIL(FLM_E_NOMEM, "no memory for samples");
    FLM_TRY(parity_read(file->id, FLM_DTYPE_I32, 2, (const int64_t[]){file->B, L}, &expected, "/%s/expected/%s/tokens",
                        part, one->name));
    FLM_TRY(parity_read(file->id, FLM_DTYPE_F32, 3, (const int64_t[]){file->B, L, V}, &scores, "/%s/expected/%s/scores",
                        part, one->name));
    for (int64_t first = 0; first < file->B; first += max) {
        const int64_t B = file->B - first < max ? file->B - first : max;
        FLM_TRY(run_sampler(sampler, one, xi, first, B, tokens + first * L));
        for (int64_t row = 0; row < B * L; row += chunk) {
            const int64_t rows = B * L - row < chunk ? B * L - row : chunk;
            FLM_TRY(sampler_scores(sampler, row, rows, have));
            worst = parity_worst(worst, parity_farthest(have, scores + (first * L + row) * V, rows * V));
        }
    }
    const int64_t wrong = wrong_tokens(tokens, expected, scores, file->B * L, V, run->tolerance.margin);
    parity_compare(run, worst, run->tolerance.scores, "%s/scores", one->name);
    parity_compare(run, (double)wrong, 0, "%s/tokens (wrong)", one->name);
done:
    free(expected);
    free(tokens);
    free(scores);
    free(have);
    return rc;
}

/* All settings of a case. */
static flm_status sample_settings(parity_run *run, const parity_file *file, const char *part,
                                  const parity_network *network, flm_sampler *sampler, flm_tensor *xi)
{
    flm_status rc = FLM_OK;
    char group[96];
    int64_t members = 0;
    bool drawn = false; /* the fresh noises */
    snprintf(group, sizeof group, "/%s/expected", part);
    FLM_TRY(parity_members(file->id, group, &members));
    if (members == 0) FLM_FAIL(FLM_E_FORMAT, "%s: nothing is expected", group);
    for (int64_t i = 0; i < members; i++) {
        setting s = {0};
        FLM_TRY(parity_member(file->id, group, i, s.name, sizeof s.name));
        FLM_TRY(setting_read(group, &s));
        if (s.noise_level > 0 && !drawn)
            FLM_TRY(parity_step_xi(run, file, network, part, "step_noise", xi + FLM_NOISE_NETWORKS));
        drawn = drawn || s.noise_level > 0;
        FLM_TRY(sample_steps(run, file, part, sampler, xi, &s));
    }
done:
    return rc;
}

flm_status parity_samples(parity_run *run, const parity_file *file, const parity_case *which)
{
    flm_status rc = FLM_OK;
    parity_network network = {0};
    flm_sampler *sampler = NULL;
    flm_tensor xi[(1 + PARITY_STEP_NOISES) * FLM_NOISE_NETWORKS] = {{0}};
    FLM_TRY(parity_network_create(run, file, which, &network));
    flm_sampler_parts parts = {.kind = network.kind,
                               .dit = network.dit,
                               .weights = network.weights,
                               .basis = network.basis,
                               .gamma = network.gamma};
    for (int r = 0; r < FLM_ROLES; r++) parts.frozen[r] = network.frozen[r];
    FLM_TRY(flm_sampler_create(&parts, &sampler));
    FLM_TRY(parity_xi(run, file, &network, which->part, xi));
    FLM_TRY(sample_settings(run, file, which->part, &network, sampler, xi));
done:
    for (int k = 0; k <= PARITY_STEP_NOISES; k++) parity_xi_free(run, xi + k * FLM_NOISE_NETWORKS);
    flm_sampler_destroy(&sampler);
    parity_network_destroy(&network);
    return rc;
}
