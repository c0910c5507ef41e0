/* parity_sample.c - the samplers: /sample_flm, /sample_distill, /sample_second. SPDX-License-Identifier: Apache-2.0 */
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

static flm_status sample_steps(parity_run *run, const parity_file *file, const char *part, flm_sampler *sampler,
                               const flm_tensor *xi, int64_t steps)
{
    flm_status rc = FLM_OK;
    const int64_t L = file->shape.L, V = file->shape.V, max = sampler->parts.dit->max_batch;
    const int64_t chunk = sampler->parts.dit->chunk;
    int32_t *expected = NULL, *tokens = malloc((size_t)(file->B * L) * sizeof *tokens);
    float *scores = NULL, *have = malloc((size_t)(chunk * V) * sizeof *have);
    double worst = 0;
    if (tokens == NULL || have == NULL) FLM_FAIL(FLM_E_NOMEM, "no memory for samples");
    FLM_TRY(parity_read(file->id, FLM_DTYPE_I32, 2, (const int64_t[]){file->B, L}, &expected,
                        "/%s/expected/steps_%lld/tokens", part, (long long)steps));
    FLM_TRY(parity_read(file->id, FLM_DTYPE_F32, 3, (const int64_t[]){file->B, L, V}, &scores,
                        "/%s/expected/steps_%lld/scores", part, (long long)steps));
    for (int64_t first = 0; first < file->B; first += max) {
        const int64_t B = file->B - first < max ? file->B - first : max;
        flm_tensor own[FLM_NOISE_NETWORKS];
        for (int i = 0; i < sampler->parts.basis->blocks; i++) own[i] = flm_tensor_slice(&xi[i], first, B);
        FLM_TRY(flm_sampler_run(sampler, B, steps, &(flm_noise_source){.given = own}, tokens + first * L));
        for (int64_t row = 0; row < B * L; row += chunk) {
            const int64_t rows = B * L - row < chunk ? B * L - row : chunk;
            FLM_TRY(sampler_scores(sampler, row, rows, have));
            worst = parity_worst(worst, parity_farthest(have, scores + (first * L + row) * V, rows * V));
        }
    }
    const int64_t wrong = wrong_tokens(tokens, expected, scores, file->B * L, V, run->tolerance.margin);
    parity_compare(run, worst, run->tolerance.scores, "steps_%lld/scores", (long long)steps);
    parity_compare(run, (double)wrong, 0, "steps_%lld/tokens (wrong)", (long long)steps);
done:
    free(expected);
    free(tokens);
    free(scores);
    free(have);
    return rc;
}

flm_status parity_samples(parity_run *run, const parity_file *file, const parity_case *which)
{
    flm_status rc = FLM_OK;
    parity_network network = {0};
    flm_sampler *sampler = NULL;
    flm_tensor xi[FLM_NOISE_NETWORKS] = {{0}};
    char group[96];
    int64_t members = 0;
    FLM_TRY(parity_network_create(run, file, which, &network));
    flm_sampler_parts parts = {.kind = network.kind,
                               .dit = network.dit,
                               .weights = network.weights,
                               .basis = network.basis,
                               .gamma = network.gamma};
    for (int r = 0; r < FLM_ROLES; r++) parts.frozen[r] = network.frozen[r];
    FLM_TRY(flm_sampler_create(&parts, &sampler));
    FLM_TRY(parity_xi(run, file, &network, which->part, xi));
    snprintf(group, sizeof group, "/%s/expected", which->part);
    FLM_TRY(parity_members(file->id, group, &members));
    if (members == 0) FLM_FAIL(FLM_E_FORMAT, "%s: nothing is expected", group);
    for (int64_t i = 0; i < members; i++) {
        char name[64];
        long long steps = 0;
        int length = 0;
        FLM_TRY(parity_member(file->id, group, i, name, sizeof name));
        if (sscanf(name, "steps_%9lld%n", &steps, &length) != 1 || name[length] != '\0' || steps < 1)
            FLM_FAIL(FLM_E_FORMAT, "%s: '%s' is not steps_ and a number", group, name);
        FLM_TRY(sample_steps(run, file, which->part, sampler, xi, steps));
    }
done:
    parity_xi_free(run, xi);
    flm_sampler_destroy(&sampler);
    parity_network_destroy(&network);
    return rc;
}
