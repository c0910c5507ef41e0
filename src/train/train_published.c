/* train_published.c - see train_published.h. SPDX-License-Identifier: Apache-2.0 */
#include "train/train_published.h"

#include "base/base_log.h"
#include "train/train_internal.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

typedef struct published_run {
    const char *name, *corpus, *tokenizer; /* jobs/NAME.slurm */
    int64_t L;
    flm_kind_id kind;
    bool teacher;
    int64_t batch;
} published_run;

/* Source: jobs/, model.md sections 7, 9.2 and 10.2. */
static const published_run runs[] = {
    {"lm1b_flm", "lm1b", "bert-base-uncased", 128, FLM_KIND_FLM, false, 512},
    {"lm1b_fmlm", "lm1b", "bert-base-uncased", 128, FLM_KIND_FMLM, true, 512},
    {"lm1b_flm_distill", "lm1b", "bert-base-uncased", 128, FLM_KIND_FMLM_TWO_MODEL, true, 512},
    {"lm1b_flm_distill_second", "lm1b", "bert-base-uncased", 128, FLM_KIND_FMLM_TWO_STAGE, true, 512},
    {"owt_flm", "owt", "gpt2", 1024, FLM_KIND_FLM, false, 512},
    {"owt_fmlm", "owt", "gpt2", 1024, FLM_KIND_FMLM, true, 128},
    {"owt_flm_distill", "owt", "gpt2", 1024, FLM_KIND_FMLM_TWO_MODEL, true, 128},
    {"owt_flm_distill_second", "owt", "gpt2", 1024, FLM_KIND_FMLM_TWO_STAGE, true, 512},
    {"owt_any_order", "owt", "gpt2", 1024, FLM_KIND_FMLM_ANY_ORDER, false, 512},
};

/* The published run that this one is meant to be, or NULL. */
static const published_run *find(const flm_shard_info *data, const flm_train_options *o, const flm_trainer_settings *s)
{
    flm_model_shape small;
    if (flm_model_preset("small", &small) != FLM_OK) return NULL;
    const flm_model_shape *have = &s->shape;
    if (*o->init_from || have->d != small.d || have->H != small.H || have->c != small.c || have->N != small.N)
        return NULL;
    for (size_t i = 0; i < sizeof runs / sizeof runs[0]; i++)
        if (strcmp(data->corpus, runs[i].corpus) == 0 && s->kind == &flm_kinds[runs[i].kind] &&
            (o->teacher != NULL) == runs[i].teacher)
            return &runs[i];
    return NULL;
}

/* The list of differences that is being made. */
typedef struct difference_list {
    char *text;
    size_t bytes, used;
    int count;
} difference_list;

__attribute__((format(printf, 2, 3))) static void add(difference_list *list, const char *format, ...)
{
    va_list arguments;
    if (list->count++ > 0 && list->used < list->bytes)
        list->used += (size_t)snprintf(list->text + list->used, list->bytes - list->used, ", ");
    va_start(arguments, format);
    if (list->used < list->bytes)
        list->used += (size_t)vsnprintf(list->text + list->used, list->bytes - list->used, format, arguments);
    va_end(arguments);
}

static void compare_numbers(difference_list *list, const flm_train_options *o)
{
    const struct {
        const char *name;
        double value, published;
    } numbers[] = {{"lr", o->lr, 3e-4},      {"warmup", (double)o->warmup, 2500},  {"dropout", o->dropout, 0.1},
                   {"beta1", o->beta1, 0.9}, {"beta2", o->beta2, 0.999},           {"eps", o->eps, 1e-8},
                   {"clip", o->clip, 1},     {"weight-decay", o->weight_decay, 0}, {"ema-decay", o->ema_decay, 0.9999}};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        if (numbers[i].value != numbers[i].published)
            add(list, "--%s %.7g (published: %.7g)", numbers[i].name, numbers[i].value, numbers[i].published);
    if (o->schedule != FLM_LR_CONSTANT)
        add(list, "--schedule %s (published: constant)", o->schedule == FLM_LR_LINEAR ? "linear" : "cosine");
    else if (o->lr_decay != 0)
        add(list, "--lr-decay %" PRId64 " (published: 0)", o->lr_decay);
}

/* What only some runs have: jumps, teachers, a cap. */
static void compare_objective(difference_list *list, const published_run *run, const flm_train_options *o,
                              const flm_model_shape *shape)
{
    if (run->kind == FLM_KIND_FMLM || run->kind == FLM_KIND_FMLM_ANY_ORDER) {
        if (o->diagonal_fraction != 0.5) add(list, "--diagonal-fraction %g (published: 0.5)", o->diagonal_fraction);
        if (o->boundary != 32) add(list, "--boundary %" PRId64 " (published: 32)", o->boundary);
        if (o->target_weights != 0) add(list, "--target-weights ema (published: raw)");
    }
    if (run->teacher && o->teacher_weights != 0) add(list, "--teacher-weights raw (published: ema)");
    /* The two stages are of the first version of the paper, which had no cap. */
    if (run->kind != FLM_KIND_FMLM_TWO_MODEL && run->kind != FLM_KIND_FMLM_TWO_STAGE && shape->logit_cap != 30)
        add(list, "%s %g (published: 30)", run->teacher ? "logit cap of the teacher" : "--logit-cap", shape->logit_cap);
}

/* Returns the number of differences; text [bytes] is a list of them. */
static int compare(const published_run *run, const flm_shard_info *data, const flm_train_options *o,
                   const flm_trainer_settings *s, char *text, size_t bytes)
{
    difference_list list = {text, bytes, 0, 0};
    *text = '\0';
    if (strcmp(data->vocabulary.name, run->tokenizer) != 0)
        add(&list, "shards of tokeniser %s (published: %s)", data->vocabulary.name, run->tokenizer);
    if (data->L != run->L) add(&list, "rows of %" PRId64 " tokens (published: %" PRId64 ")", data->L, run->L);
    if (o->batch != run->batch) add(&list, "--batch %" PRId64 " (published: %" PRId64 ")", o->batch, run->batch);
    compare_numbers(&list, o);
    compare_objective(&list, run, o, &s->shape);
    return list.count;
}

void flm_published_warn(const flm_shard_info *data, const flm_train_options *o, const flm_trainer_settings *s)
{
    char text[512];
    const published_run *run = find(data, o, s);
    const int differences = run != NULL ? compare(run, data, o, s, text, sizeof text) : 0;
    if (differences > 0 && differences <= FLM_PUBLISHED_DIFFERENCES_MAX)
        flm_log(FLM_LOG_WARN,
                "the settings are those of the published run %s except for %s; if that is intended, nothing is wrong",
                run->name, text);
}
