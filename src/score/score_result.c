/* score_result.c - see score_result.h. SPDX-License-Identifier: Apache-2.0 */
#include "score/score_result.h"

#include <math.h>
#include <stddef.h>

/* The attributes of a samples file. */
static const struct {
    const char *name;
    size_t offset;
} figures[] = {
    {"gen_ppl", offsetof(flm_score_result, gen_ppl)},
    {"gen_ppl_low", offsetof(flm_score_result, gen_ppl_low)},
    {"gen_ppl_high", offsetof(flm_score_result, gen_ppl_high)},
    {"entropy", offsetof(flm_score_result, entropy)},
    {"distinct_1", offsetof(flm_score_result, distinct[0])},
    {"distinct_2", offsetof(flm_score_result, distinct[1])},
    {"distinct_3", offsetof(flm_score_result, distinct[2])},
    {"repetition_4", offsetof(flm_score_result, repetition)},
};
enum { FIGURES = sizeof figures / sizeof figures[0] };

flm_status flm_score_result_compute(const double *nll, const int64_t *positions, int64_t scored, const flm_id_rows *ids,
                                    int64_t draws, uint64_t seed, flm_score_result *out)
{
    flm_status rc = FLM_OK;
    flm_score_result r = {.rows = ids->rows, .dropped = ids->rows - scored};
    double sum = 0, entropy;
    int64_t nonempty = 0;
    for (int64_t i = 0; i < scored; i++) {
        r.positions += positions[i];
        r.unscored += positions[i] == 0;
    }
    for (int64_t i = 0; i < ids->rows; i++) {
        const int64_t n = ids->starts[i + 1] - ids->starts[i];
        if (n == 0) continue;
        FLM_TRY(flm_statistics_sum_entropy(ids->ids + ids->starts[i], 1, n, &entropy));
        sum += entropy;
        nonempty++;
    }
    r.entropy = nonempty > 0 ? sum / (double)nonempty : NAN;
    r.gen_ppl = flm_statistics_gen_ppl(nll, positions, scored);
    FLM_TRY(flm_statistics_bootstrap(nll, positions, scored, draws, seed, &r.gen_ppl_low, &r.gen_ppl_high));
    for (int n = 1; n <= FLM_SCORE_DISTINCT; n++) FLM_TRY(flm_statistics_distinct(ids, n, &r.distinct[n - 1]));
    FLM_TRY(flm_statistics_repetition(ids, FLM_SCORE_REPETITION, &r.repetition));
    *out = r;
done:
    return rc;
}

flm_status flm_score_result_record(flm_samples *samples, int set, const flm_score_result *result)
{
    flm_status rc = FLM_OK;
    for (int i = 0; i < FIGURES; i++) {
        const double *value = (const double *)((const char *)result + figures[i].offset);
        FLM_TRY(flm_samples_set_result(samples, set, figures[i].name, *value));
    }
done:
    return rc;
}

flm_status flm_score_result_read(const flm_samples *samples, int set, flm_score_result *out, bool *scored)
{
    flm_status rc = FLM_OK;
    flm_score_result r = {.rows = flm_samples_get_info(samples)->samples};
    bool present[FIGURES];
    for (int i = 0; i < FIGURES; i++) {
        double *value = (double *)((char *)&r + figures[i].offset);
        *value = NAN;
        FLM_TRY(flm_samples_get_result(samples, set, figures[i].name, value, &present[i]));
    }
    *out = r;
    *scored = present[0];
done:
    return rc;
}
