/* io_samples_setting.c - see io_samples_setting.h. SPDX-License-Identifier: Apache-2.0 */
#include "io/samples/io_samples_internal.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const flm_samples_sampler_names[] = {"flow", "blocks", "refine", NULL};

static void append(char name[FLM_SAMPLES_SETTING_BYTES], const char *format, ...)
{
    va_list more;
    const size_t used = strlen(name);
    va_start(more, format);
    vsnprintf(name + used, FLM_SAMPLES_SETTING_BYTES - used, format, more);
    va_end(more);
}

const char *flm_samples_setting_name(const flm_samples_setting *s, char name[FLM_SAMPLES_SETTING_BYTES])
{
    name[0] = '\0';
    if (s->sampler == FLM_SAMPLES_BLOCKS)
        append(name, "blocks_%" PRId64 "x%" PRId64, s->block_length, s->steps);
    else if (s->sampler == FLM_SAMPLES_REFINE)
        append(name, "refine_%" PRId64 "x%" PRId64, s->rounds, s->steps);
    else
        append(name, "steps_%" PRId64, s->steps);
    if (s->sampler == FLM_SAMPLES_REFINE) {
        if (s->threshold >= 0) append(name, "_threshold_%.9g", s->threshold);
        if (s->budget != FLM_SAMPLES_UNIFORM) append(name, "_budget_%" PRId64, s->budget);
        if (!s->fresh_noise) append(name, "_same_noise");
    }
    if (s->noise_level > 0) append(name, "_noise_%.9g", s->noise_level);
    if (s->temperature > 0) append(name, "_temperature_%.9g", s->temperature);
    if (s->top_k > 0) append(name, "_top_k_%" PRId64, s->top_k);
    if (s->temperature > 0 && s->top_p < 1) append(name, "_top_p_%.9g", s->top_p);
    return name;
}

const char *flm_samples_setting_describe(const flm_samples_setting *s, char text[FLM_SAMPLES_SETTING_BYTES])
{
    const char *plural = s->steps == 1 ? "" : "s";
    text[0] = '\0';
    if (s->sampler == FLM_SAMPLES_BLOCKS)
        append(text, "%" PRId64 " step%s a block of %" PRId64, s->steps, plural, s->block_length);
    else if (s->sampler == FLM_SAMPLES_REFINE)
        append(text, "%" PRId64 " round%s of %" PRId64 " step%s", s->rounds, s->rounds == 1 ? "" : "s", s->steps,
               plural);
    else
        append(text, "%" PRId64 " step%s", s->steps, plural);
    if (s->sampler == FLM_SAMPLES_REFINE) {
        if (s->threshold >= 0) append(text, ", threshold %g", s->threshold);
        if (s->budget != FLM_SAMPLES_UNIFORM) append(text, ", budget %" PRId64, s->budget);
        if (!s->fresh_noise) append(text, ", the same noise");
    }
    if (s->noise_level > 0) append(text, ", noise level %g", s->noise_level);
    if (s->temperature > 0) append(text, ", temperature %g", s->temperature);
    if (s->top_k > 0) append(text, ", top-k %" PRId64, s->top_k);
    if (s->temperature > 0 && s->top_p < 1) append(text, ", top-p %g", s->top_p);
    return text;
}

flm_samples_setting flm_samples_setting_of_steps(int64_t steps)
{
    return (flm_samples_setting){.sampler = FLM_SAMPLES_FLOW, .steps = steps, .top_p = 1};
}

static int order_i64(int64_t a, int64_t b) { return (a > b) - (a < b); }
static int order_f64(double a, double b) { return (a > b) - (a < b); }

int flm_samples_setting_compare(const flm_samples_setting *a, const flm_samples_setting *b)
{
    const int parts[] = {order_i64(a->sampler, b->sampler),
                         order_i64(a->block_length, b->block_length),
                         order_i64(a->rounds, b->rounds),
                         order_i64(a->steps, b->steps),
                         order_f64(a->threshold, b->threshold),
                         order_i64(a->budget, b->budget),
                         order_i64(a->fresh_noise, b->fresh_noise),
                         order_f64(a->noise_level, b->noise_level),
                         order_f64(a->temperature, b->temperature),
                         order_i64(a->top_k, b->top_k),
                         order_f64(a->top_p, b->top_p)};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (parts[i] != 0) return parts[i];
    return 0;
}

flm_status flm_samples_setting_write(hid_t group, const flm_samples_setting *s)
{
    flm_status rc = FLM_OK;
    FLM_TRY(flm_h5_set_string(group, "sampler", flm_samples_sampler_names[s->sampler]));
    FLM_TRY(flm_h5_set_i64(group, "steps", s->steps));
    if (s->sampler == FLM_SAMPLES_BLOCKS) FLM_TRY(flm_h5_set_i64(group, "block_length", s->block_length));
    if (s->sampler == FLM_SAMPLES_REFINE) {
        FLM_TRY(flm_h5_set_i64(group, "rounds", s->rounds));
        FLM_TRY(flm_h5_set_i64(group, "budget", s->budget));
        FLM_TRY(flm_h5_set_f64(group, "threshold", s->threshold));
        FLM_TRY(flm_h5_set_i64(group, "fresh_noise", s->fresh_noise));
    }
    FLM_TRY(flm_h5_set_f64(group, "noise_level", s->noise_level));
    FLM_TRY(flm_h5_set_f64(group, "temperature", s->temperature));
    FLM_TRY(flm_h5_set_f64(group, "top_p", s->top_p));
    FLM_TRY(flm_h5_set_i64(group, "top_k", s->top_k));
done:
    return rc;
}

/* A set of version 0.1. */
static flm_status read_old(const char *name, double noise_level, flm_samples_setting *s)
{
    flm_status rc = FLM_OK;
    const size_t prefix = strlen("steps_");
    char *end = NULL;
    *s = (flm_samples_setting){.noise_level = noise_level, .top_p = 1};
    if (strncmp(name, "steps_", prefix) == 0) s->steps = strtoll(name + prefix, &end, 10); /* at most 18 digits */
    if (end == NULL || *end != '\0' || s->steps < 1)
        FLM_FAIL(FLM_E_FORMAT, "/%s: attribute \"sampler\" is missing, and the name is not that of a number of steps",
                 name);
done:
    return rc;
}

/* The attributes as they are. */
static flm_status read_attributes(hid_t group, flm_samples_setting *s)
{
    flm_status rc = FLM_OK;
    char sampler[16];
    int64_t fresh = 0;
    *s = (flm_samples_setting){0};
    FLM_TRY(flm_h5_get_string(group, "sampler", sampler, sizeof sampler));
    while (s->sampler < FLM_SAMPLES_SAMPLERS && strcmp(sampler, flm_samples_sampler_names[s->sampler]) != 0)
        s->sampler++;
    if (s->sampler == FLM_SAMPLES_SAMPLERS) FLM_FAIL(FLM_E_FORMAT, "unknown sampler \"%s\"", sampler);
    FLM_TRY(flm_h5_get_i64(group, "steps", &s->steps));
    if (s->sampler == FLM_SAMPLES_BLOCKS) FLM_TRY(flm_h5_get_i64(group, "block_length", &s->block_length));
    if (s->sampler == FLM_SAMPLES_REFINE) {
        FLM_TRY(flm_h5_get_i64(group, "rounds", &s->rounds));
        FLM_TRY(flm_h5_get_i64(group, "budget", &s->budget));
        FLM_TRY(flm_h5_get_f64(group, "threshold", &s->threshold));
        FLM_TRY(flm_h5_get_i64(group, "fresh_noise", &fresh));
        s->fresh_noise = fresh != 0;
    }
    FLM_TRY(flm_h5_get_f64(group, "noise_level", &s->noise_level));
    FLM_TRY(flm_h5_get_f64(group, "temperature", &s->temperature));
    FLM_TRY(flm_h5_get_f64(group, "top_p", &s->top_p));
    FLM_TRY(flm_h5_get_i64(group, "top_k", &s->top_k));
done:
    return rc;
}

flm_status flm_samples_setting_read(hid_t group, const char *name, double noise_level, flm_samples_setting *setting)
{
    flm_status rc = FLM_OK;
    flm_samples_setting s;
    char expected[FLM_SAMPLES_SETTING_BYTES];
    htri_t described;
    FLM_H5(described = H5Aexists(group, "sampler"));
    if (described == 0) {
        FLM_TRY(read_old(name, noise_level, &s));
    } else {
        FLM_TRY(read_attributes(group, &s));
        if (strcmp(flm_samples_setting_name(&s, expected), name) != 0)
            FLM_FAIL(FLM_E_FORMAT, "/%s: its attributes are those of /%s", name, expected);
    }
    *setting = s;
done:
    return rc;
}
