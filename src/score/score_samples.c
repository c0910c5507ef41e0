/* score_samples.c - see score_samples.h. SPDX-License-Identifier: Apache-2.0 */
#include "score/score_samples.h"

#include "base/base_crc32c.h"
#include "score/score_rows.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct samples_set {
    flm_samples *file;
    int set;
    int64_t L;
    bool tokens; /* keep the scorer's */
    uint32_t scorer;
    flm_tokenizer *tokenizer; /* of the model that made the samples */
    int32_t *ids;             /* [L] */
    double *nll;              /* [N] */
    int64_t *positions;       /* [N] */
    bool *present;            /* [N] */
} samples_set;

static flm_status row_text(void *context, int64_t row, char **text, size_t *bytes)
{
    flm_status rc = FLM_OK;
    samples_set *s = context;
    FLM_TRY(flm_samples_read(s->file, s->set, row, 1, s->ids));
    FLM_TRY(flm_tokenizer_decode(s->tokenizer, s->ids, (size_t)s->L, text, bytes));
done:
    return rc;
}

static flm_status row_store(void *context, int64_t row, const flm_text_score *score)
{
    flm_status rc = FLM_OK;
    samples_set *s = context;
    FLM_TRY(flm_samples_write_score(s->file, s->set, row, s->scorer, score->nll, score->positions));
    if (s->tokens) FLM_TRY(flm_samples_write_tokens(s->file, s->set, row, score->ids, score->token_nll, score->tokens));
done:
    return rc;
}

static flm_status set_begin(samples_set *s, const flm_samples_info *info, const char *path)
{
    flm_status rc = FLM_OK;
    const size_t N = (size_t)info->samples;
    s->L = info->L;
    s->ids = malloc((size_t)s->L * sizeof *s->ids);
    s->nll = calloc(N, sizeof *s->nll);
    s->positions = calloc(N, sizeof *s->positions);
    s->present = calloc(N, sizeof *s->present);
    if (!s->ids || !s->nll || !s->positions || !s->present) FLM_FAIL(FLM_E_NOMEM, "%s: no memory to score it", path);
    if (flm_tokenizer_create(info->vocabulary.name, &s->tokenizer) != FLM_OK)
        FLM_FAIL(FLM_E_MISMATCH, "%s: its tokens cannot be decoded: this release has no tokeniser \"%s\"", path,
                 info->vocabulary.name);
    if (strcmp(flm_tokenizer_sha256(s->tokenizer), info->vocabulary.sha256) != 0)
        FLM_FAIL(FLM_E_MISMATCH, "%s: its vocabulary %s (sha256 %.8s...) differs from this release's", path,
                 info->vocabulary.name, info->vocabulary.sha256);
done:
    return rc;
}

static void set_end(samples_set *s)
{
    flm_tokenizer_destroy(&s->tokenizer);
    free(s->ids);
    free(s->nll);
    free(s->positions);
    free(s->present);
}

/* A row whose score is there without its tokens is scored again. */
static flm_status require_tokens(samples_set *s, int64_t N)
{
    flm_status rc = FLM_OK;
    const int64_t length = flm_samples_get_token_length(s->file, s->set);
    int32_t *ids = malloc((size_t)length * sizeof *ids);
    float *nll = malloc((size_t)length * sizeof *nll);
    bool there = false;
    if (!ids || !nll) FLM_FAIL(FLM_E_NOMEM, "no memory for %" PRId64 " tokens", length);
    for (int64_t i = 0; i < N; i++) {
        if (!s->present[i]) continue;
        FLM_TRY(flm_samples_read_tokens(s->file, s->set, i, ids, nll, &there));
        s->present[i] = there;
    }
done:
    free(ids);
    free(nll);
    return rc;
}

/* Rank 0 reads the scores that the file has; every rank gets them. */
static flm_status present_share(flm_comm *comm, samples_set *s, int64_t N)
{
    flm_status rc = FLM_OK, local = FLM_OK;
    if (flm_comm_rank(comm) == 0)
        local = flm_samples_read_scores(s->file, s->set, s->scorer, s->nll, s->positions, s->present);
    if (local == FLM_OK && flm_comm_rank(comm) == 0 && s->tokens) local = require_tokens(s, N);
    FLM_TRY(flm_comm_agree(comm, local));
    FLM_TRY(flm_comm_broadcast(comm, s->nll, N * (int64_t)sizeof *s->nll, 0));
    FLM_TRY(flm_comm_broadcast(comm, s->positions, N * (int64_t)sizeof *s->positions, 0));
    FLM_TRY(flm_comm_broadcast(comm, s->present, N * (int64_t)sizeof *s->present, 0));
done:
    return rc;
}

/* The figures; entropy and n-grams are those of the samples' own ids, not of GPT-2's. */
static flm_status result_compute(const samples_set *s, int64_t N, int64_t scored, int64_t draws, uint64_t seed,
                                 flm_score_result *out)
{
    flm_status rc = FLM_OK;
    int32_t *ids = malloc((size_t)(N * s->L) * sizeof *ids);
    int64_t *starts = malloc((size_t)(N + 1) * sizeof *starts);
    if (!ids || !starts) FLM_FAIL(FLM_E_NOMEM, "no memory for %" PRId64 " rows", N);
    FLM_TRY(flm_samples_read(s->file, s->set, 0, N, ids));
    for (int64_t i = 0; i <= N; i++) starts[i] = i * s->L;
    FLM_TRY(flm_score_result_compute(s->nll, s->positions, scored, &(flm_id_rows){ids, starts, N}, draws, seed, out));
done:
    free(starts);
    free(ids);
    return rc;
}

int64_t flm_score_samples_length(const flm_scorer *scorer, int64_t L, int64_t length)
{
    const int64_t own = length == 0 ? L : length, max = flm_scorer_get_length(scorer);
    return own < max ? own : max;
}

flm_status flm_score_samples_compute(flm_comm *comm, flm_scorer *scorer, flm_samples *samples, const char *path,
                                     int set, int64_t length, bool tokens, int64_t draws, uint64_t seed,
                                     bool (*stop_requested)(void), flm_score_result *out)
{
    flm_status rc = FLM_OK, local = FLM_OK;
    const flm_samples_info *info = flm_samples_get_info(samples);
    samples_set s = {.file = samples, .set = set, .tokens = tokens};
    flm_score_source source = {&s, NULL, info->samples, length, row_text, row_store};
    flm_score_result result = {0};
    char name[512], setting[FLM_SAMPLES_SETTING_BYTES], description[320], limit[64];
    char protocol[FLM_SCORE_PROTOCOL_BYTES];
    int64_t scored;

    snprintf(name, sizeof name, "%.350s, %s", path,
             flm_samples_setting_describe(flm_samples_get_setting(samples, set), setting));
    source.name = name;
    source.length = flm_score_samples_length(scorer, info->L, length);
    snprintf(limit, sizeof limit, ", at most %" PRId64 " tokens", source.length);
    snprintf(description, sizeof description, "%s%s", flm_scorer_describe(scorer, &s.scorer), limit);
    s.scorer = flm_crc32c_update(s.scorer, limit, strlen(limit));
    FLM_TRY(flm_comm_agree(comm, set_begin(&s, info, path)));
    FLM_TRY(present_share(comm, &s, info->samples));
    FLM_TRY(flm_score_rows_compute(comm, scorer, &source, s.nll, s.positions, s.present, stop_requested));
    scored = flm_score_protocol_count(flm_scorer_get_protocol(scorer), info->samples);
    if (flm_comm_rank(comm) == 0)
        local = flm_err_prefix(result_compute(&s, info->samples, scored, draws, seed, &result), path);
    FLM_TRY(flm_comm_agree(comm, local));
    local = flm_score_result_record(samples, set, &result);
    flm_score_protocol_describe(flm_scorer_get_protocol(scorer), protocol);
    if (local == FLM_OK) local = flm_samples_set_scorer(samples, set, description, protocol);
    FLM_TRY(flm_comm_agree(comm, local));
    *out = result;
done:
    set_end(&s);
    return rc;
}
