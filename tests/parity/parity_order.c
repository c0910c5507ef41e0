/* parity_order.c - the samplers of any-order maps: /sample_blocks and /sample_refine, with and without a prompt.
 * Confidences and scores can be close, so that tokens are compared in fp32 alone, and then all of them.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/parity/parity.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One setting of a case: a group of expected values. */
typedef struct setting {
    char name[96];
    flm_sampling how;
    int prompt;
} setting;

/* What a case is given. */
typedef struct inputs {
    flm_tensor xi[(1 + PARITY_STEP_NOISES) * FLM_NOISE_NETWORKS]; /* of the noise, and of that after rounds 0, 1, 2 */
    int32_t *known;                                               /* [B, L]: the prompt */
} inputs;

/* rounds_R_flow_N_fresh_F_threshold_T_budget_U_prompt_P */
static bool read_refine(setting *s)
{
    long long rounds = 0, steps = 0;
    int fresh = 0, length = 0;
    char budget[16] = "", *end = budget;
    if (sscanf(s->name, "rounds_%9lld_flow_%9lld_fresh_%1d_threshold_%lf_budget_%15[^_]_prompt_%1d%n", &rounds, &steps,
               &fresh, &s->how.threshold, budget, &s->prompt, &length) != 6)
        return false;
    s->how.schedule = FLM_SCHEDULE_REFINE;
    s->how.rounds = rounds;
    s->how.steps = steps;
    s->how.fresh_noise = fresh != 0;
    s->how.budget = strcmp(budget, "uniform") == 0 ? FLM_BUDGET_UNIFORM : strtoll(budget, &end, 10);
    return s->name[length] == '\0' && rounds >= 1 && (!fresh || rounds <= PARITY_STEP_NOISES + 1) &&
           (s->how.budget == FLM_BUDGET_UNIFORM || *end == '\0');
}

/* length_B_steps_S_prompt_P */
static bool read_blocks(setting *s)
{
    long long block = 0, steps = 0;
    int length = 0;
    if (sscanf(s->name, "length_%9lld_steps_%9lld_prompt_%1d%n", &block, &steps, &s->prompt, &length) != 3)
        return false;
    s->how.schedule = FLM_SCHEDULE_BLOCKS;
    s->how.block_length = block;
    s->how.steps = steps;
    return s->name[length] == '\0';
}

/* Samples [first, first + B) of a setting, from slices of the noises. */
static flm_status run_sampler(flm_sampler *sampler, const setting *s, const inputs *in, int64_t first, int64_t B,
                              int32_t *tokens)
{
    const int blocks = sampler->parts.basis->blocks;
    flm_tensor own[FLM_NOISE_NETWORKS], fresh[PARITY_STEP_NOISES * FLM_NOISE_NETWORKS];
    flm_sampling how = s->how;
    for (int i = 0; i < blocks; i++) {
        own[i] = flm_tensor_slice(&in->xi[i], first, B);
        for (int k = 0; k < PARITY_STEP_NOISES && how.fresh_noise; k++)
            fresh[k * blocks + i] = flm_tensor_slice(&in->xi[(1 + k) * FLM_NOISE_NETWORKS + i], first, B);
    }
    how.noise.given = own;
    how.fresh = fresh;
    how.known = s->prompt ? in->known + first * sampler->parts.dit->shape.L : NULL;
    return flm_sampler_run(sampler, B, &how, tokens);
}

static flm_status compare_setting(parity_run *run, const parity_file *file, const char *part, flm_sampler *sampler,
                                  const inputs *in, setting *s)
{
    flm_status rc = FLM_OK;
    const int64_t dim[] = {file->B, file->shape.L}, rounds = s->how.rounds, max = sampler->parts.dit->max_batch;
    int32_t *expected = NULL, *tokens = malloc((size_t)(dim[0] * dim[1]) * sizeof *tokens);
    double *want = NULL, *committed = calloc((size_t)rounds + 1, sizeof *committed), worst = 0;
    int64_t wrong = 0;
    if (tokens == NULL || committed == NULL) FLM_FAIL(FLM_E_NOMEM, "no memory for samples");
    FLM_TRY(parity_read(file->id, FLM_DTYPE_I32, 2, dim, &expected, "/%s/expected/%s/tokens", part, s->name));
    if (rounds > 0)
        FLM_TRY(parity_read(file->id, FLM_DTYPE_F64, 1, &rounds, &want, "/%s/expected/%s/committed", part, s->name));
    s->how.committed = committed;
    for (int64_t first = 0; first < file->B; first += max)
        FLM_TRY(
            run_sampler(sampler, s, in, first, file->B - first < max ? file->B - first : max, tokens + first * dim[1]));
    for (int64_t i = 0; i < dim[0] * dim[1]; i++) wrong += tokens[i] != expected[i];
    for (int64_t r = 0; r < rounds; r++) worst = parity_worst(worst, fabs(committed[r] / (double)file->B - want[r]));
    parity_compare(run, (double)wrong, 0, "%s/tokens (wrong)", s->name);
    if (rounds > 0) parity_compare(run, worst, 1e-6, "%s/committed", s->name);
done:
    free(expected);
    free(tokens);
    free(want);
    free(committed);
    return rc;
}

/* The prompt: tokens where context, else negative. */
static flm_status read_prompt(const parity_file *file, const char *part, inputs *in)
{
    flm_status rc = FLM_OK;
    const int64_t dim[] = {file->B, file->shape.L};
    int32_t *context = NULL;
    FLM_TRY(parity_read(file->id, FLM_DTYPE_I32, 2, dim, &in->known, "/%s/inputs/tokens", part));
    FLM_TRY(parity_read(file->id, FLM_DTYPE_I32, 2, dim, &context, "/%s/inputs/context", part));
    for (int64_t i = 0; i < dim[0] * dim[1]; i++)
        if (context[i] == 0) in->known[i] = -1;
done:
    free(context);
    return rc;
}

static flm_status compare_settings(parity_run *run, const parity_file *file, const char *part,
                                   const parity_network *network, flm_sampler *sampler, inputs *in)
{
    flm_status rc = FLM_OK;
    char group[96];
    int64_t members = 0;
    const bool refine = strcmp(part, "sample_refine") == 0;
    snprintf(group, sizeof group, "/%s/expected", part);
    FLM_TRY(parity_members(file->id, group, &members));
    if (members == 0) FLM_FAIL(FLM_E_FORMAT, "%s: nothing is expected", group);
    if (refine) FLM_TRY(parity_step_xi(run, file, network, part, "round_noise", in->xi + FLM_NOISE_NETWORKS));
    for (int64_t i = 0; i < members; i++) {
        setting s = {.prompt = 0};
        FLM_TRY(parity_member(file->id, group, i, s.name, sizeof s.name));
        if (!(refine ? read_refine(&s) : read_blocks(&s)))
            FLM_FAIL(FLM_E_FORMAT, "%s: '%s' is not a setting of this sampler", group, s.name);
        FLM_TRY(compare_setting(run, file, part, sampler, in, &s));
    }
done:
    return rc;
}

flm_status parity_order(parity_run *run, const parity_file *file, const parity_case *which)
{
    flm_status rc = FLM_OK;
    parity_network network = {0};
    flm_sampler *sampler = NULL;
    inputs in = {.known = NULL};
    if (run->act != FLM_DTYPE_F32) {
        parity_skip(run, "confidences are as close as bf16 rounds; compared in fp32");
        return FLM_OK;
    }
    FLM_TRY(parity_network_create(run, file, which, &network));
    FLM_TRY(flm_sampler_create(&(flm_sampler_parts){.kind = network.kind,
                                                    .dit = network.dit,
                                                    .weights = network.weights,
                                                    .basis = network.basis,
                                                    .gamma = network.gamma},
                               &sampler));
    FLM_TRY(parity_xi(run, file, &network, which->part, in.xi));
    FLM_TRY(read_prompt(file, which->part, &in));
    FLM_TRY(compare_settings(run, file, which->part, &network, sampler, &in));
done:
    for (int k = 0; k <= PARITY_STEP_NOISES; k++) parity_xi_free(run, in.xi + k * FLM_NOISE_NETWORKS);
    free(in.known);
    flm_sampler_destroy(&sampler);
    parity_network_destroy(&network);
    return rc;
}
