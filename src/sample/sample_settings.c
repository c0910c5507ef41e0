/* sample_settings.c - the settings of the sampler: from options to a samples file and to the sampler.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/base_philox.h"
#include "sample/sample_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { STEPS_MAX = 1 << 20 };

_Static_assert((int)FLM_SCHEDULE_REFINE == (int)FLM_SAMPLES_REFINE &&
                   (int)FLM_BUDGET_UNIFORM == (int)FLM_SAMPLES_UNIFORM,
               "files and samplers number the samplers alike");

const char *const flm_generate_sampler_names[] = {"auto", "flow", "blocks", "refine", NULL};

/* The lists of the options: each combination is a setting. */
typedef struct sweep {
    int64_t *steps;                /* [steps_count] */
    double *levels, *temperatures; /* [levels_count], [temperatures_count] */
    int steps_count, levels_count, temperatures_count;
} sweep;

static void sweep_free(sweep *w)
{
    free(w->steps);
    free(w->levels);
    free(w->temperatures);
}

static flm_status check_different(const char *name, const char *text, const double *list, int count)
{
    flm_status rc = FLM_OK;
    for (int i = 0; i < count; i++)
        for (int k = 0; k < i; k++)
            if (list[k] == list[i]) FLM_FAIL(FLM_E_USAGE, "--%s %s: %g is given twice", name, text, list[i]);
done:
    return rc;
}

/* Steps: of the option, or the default of the sampler. */
static flm_status parse_sweep(const flm_generate_options *o, int sampler, sweep *w)
{
    static const char *const defaults[FLM_SAMPLES_SAMPLERS] = {"128", "8", "1"};
    flm_status rc = FLM_OK;
    const char *steps = strcmp(o->steps, "auto") == 0 ? defaults[sampler] : o->steps;
    FLM_TRY(flm_options_int_list("steps", steps, 1, STEPS_MAX, &w->steps, &w->steps_count));
    FLM_TRY(flm_options_float_list("noise-level", o->noise_level, 0, 1, &w->levels, &w->levels_count));
    FLM_TRY(flm_options_float_list("temperature", o->temperature, 0, FLM_TEMPERATURE_MAX, &w->temperatures,
                                   &w->temperatures_count));
    for (int i = 0; i < w->steps_count; i++)
        for (int k = 0; k < i; k++)
            if (w->steps[k] == w->steps[i])
                FLM_FAIL(FLM_E_USAGE, "--steps %s: %" PRId64 " is given twice", o->steps, w->steps[i]);
    FLM_TRY(check_different("noise-level", o->noise_level, w->levels, w->levels_count));
    FLM_TRY(check_different("temperature", o->temperature, w->temperatures, w->temperatures_count));
done:
    return rc;
}

static flm_status parse_budget(const char *text, int64_t *budget)
{
    flm_status rc = FLM_OK;
    char *end;
    *budget = FLM_SAMPLES_UNIFORM;
    if (strcmp(text, "uniform") == 0) goto done;
    *budget = strtoll(text, &end, 10);
    if (end == text || *end != '\0' || *budget < 0 || *budget > STEPS_MAX)
        FLM_FAIL(FLM_E_USAGE, "--budget %s: expected uniform, or a number from 0 to %d", text, STEPS_MAX);
done:
    return rc;
}

static flm_status check_choice(const flm_generate_options *o, const sweep *w)
{
    flm_status rc = FLM_OK;
    bool drawn = false;
    for (int i = 0; i < w->temperatures_count; i++) {
        const double t = w->temperatures[i];
        drawn = drawn || t > 0;
        if (t != 0 && !(t >= FLM_TEMPERATURE_MIN))
            FLM_FAIL(FLM_E_USAGE, "--temperature %g: must be 0 (argmax) or at least %g", t, FLM_TEMPERATURE_MIN);
    }
    if (!(o->top_p > 0)) FLM_FAIL(FLM_E_USAGE, "--top-p %g: must be above 0", o->top_p);
    if (!drawn && (o->top_p < 1 || o->top_k > 0))
        FLM_FAIL(FLM_E_USAGE,
                 "--top-p and --top-k limit what --temperature draws from; without it the argmax is taken");
done:
    return rc;
}

flm_status flm_generation_check_options(const flm_generate_options *o)
{
    flm_status rc = FLM_OK;
    sweep w = {0};
    int64_t budget;
    FLM_TRY(parse_sweep(o, FLM_SAMPLES_FLOW, &w));
    FLM_TRY(parse_budget(o->budget, &budget));
    FLM_TRY(check_choice(o, &w));
    if (o->prompts[0] && o->samples_given)
        FLM_FAIL(FLM_E_USAGE, "--samples cannot be combined with --prompts; set --samples-per-prompt");
    if (o->prompts[0] && !o->mask[0]) FLM_FAIL(FLM_E_USAGE, "--mask must not be empty");
    if (!o->prompts[0] && o->samples_per_prompt > 1) FLM_FAIL(FLM_E_USAGE, "--samples-per-prompt needs --prompts");
done:
    sweep_free(&w);
    return rc;
}

/* The sampler and its settings, without those of a sweep. */
static flm_status make_setting(const flm_generation *g, flm_samples_setting *setting)
{
    flm_status rc = FLM_OK;
    const flm_generate_options *o = g->o;
    const flm_sampler_ops *ops = g->kind->sampler;
    flm_samples_setting s = {.sampler = o->sampler - 1, .top_p = 1};
    if (o->sampler == FLM_GENERATE_AUTO) s.sampler = ops->token_times ? FLM_SAMPLES_REFINE : FLM_SAMPLES_FLOW;
    if (s.sampler != FLM_SAMPLES_FLOW && !ops->token_times)
        FLM_FAIL(FLM_E_USAGE, "--sampler %s: the tokens of kind %s have no times of their own; it has the sampler flow",
                 flm_generate_sampler_names[o->sampler], g->kind->name);
    if (s.sampler == FLM_SAMPLES_BLOCKS) s.block_length = o->block_length;
    if (s.sampler == FLM_SAMPLES_REFINE) {
        s.rounds = o->rounds;
        s.threshold = o->threshold < 0 ? -1 : o->threshold;
        s.fresh_noise = o->fresh_noise;
        FLM_TRY(parse_budget(o->budget, &s.budget));
    }
    *setting = s;
done:
    return rc;
}

/* The combinations of a sweep. Without temperature there is nothing to limit the choice to. */
static void combine(const flm_generate_options *o, const sweep *w, const flm_samples_setting *setting,
                    flm_samples_setting *out)
{
    for (int t = 0; t < w->temperatures_count; t++)
        for (int l = 0; l < w->levels_count; l++)
            for (int i = 0; i < w->steps_count; i++, out++) {
                *out = *setting;
                out->steps = w->steps[i];
                out->noise_level = w->levels[l];
                out->temperature = w->temperatures[t];
                if (out->temperature == 0) continue;
                out->top_p = o->top_p;
                out->top_k = o->top_k;
            }
}

flm_status flm_generation_make_settings(flm_generation *g)
{
    flm_status rc = FLM_OK;
    flm_samples_setting setting;
    sweep w = {0};
    FLM_TRY(make_setting(g, &setting));
    FLM_TRY(parse_sweep(g->o, setting.sampler, &w));
    for (int l = 0; l < w.levels_count; l++)
        if (w.levels[l] > 0 && !g->kind->sampler->noise_level)
            FLM_FAIL(FLM_E_USAGE, "--noise-level: %s is of kind %s, whose sampler draws no fresh noise", g->path,
                     g->kind->name);
    g->count = w.steps_count * w.levels_count * w.temperatures_count;
    g->settings = calloc((size_t)g->count, sizeof *g->settings);
    g->sets = calloc((size_t)g->count, sizeof *g->sets);
    if (g->settings == NULL || g->sets == NULL) FLM_FAIL(FLM_E_NOMEM, "no memory for %d settings", g->count);
    combine(g->o, &w, &setting, g->settings);
done:
    sweep_free(&w);
    return rc;
}

flm_status flm_generation_check_prompts(const flm_generation *g)
{
    flm_status rc = FLM_OK;
    for (int i = 0; i < g->count && g->prompts.count > 0; i++)
        if (g->settings[i].steps < 2 && !g->kind->sampler->token_times)
            FLM_FAIL(FLM_E_USAGE,
                     "--prompts with --steps %" PRId64
                     ": the tokens of kind %s have no times of their own, and one step starts from noise alone; set at "
                     "least 2 steps",
                     g->settings[i].steps, g->kind->name);
done:
    return rc;
}

flm_sampling flm_generation_sampling(flm_generation *g, const flm_samples_setting *setting, int64_t first,
                                     int64_t count)
{
    const int64_t L = g->info.L;
    for (int64_t i = 0; i < count && g->known != NULL; i++)
        memcpy(g->known + i * L, flm_samples_get_prompt(g->file, first + i), (size_t)L * sizeof *g->known);
    return (flm_sampling){
        .steps = setting->steps,
        .schedule = (flm_schedule)setting->sampler,
        .block_length = setting->block_length,
        .rounds = setting->rounds,
        .budget = setting->budget,
        .threshold = setting->threshold,
        .fresh_noise = setting->fresh_noise,
        .noise_level = setting->noise_level,
        .choice = {.temperature = setting->temperature, .top_p = setting->top_p, .top_k = setting->top_k},
        .known = g->known,
        .noise = {NULL, flm_philox_stream((uint64_t)g->o->seed, FLM_RANDOM_SAMPLE, 0, 0), first}};
}
