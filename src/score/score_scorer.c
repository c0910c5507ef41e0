/* score_scorer.c - see score_scorer.h. SPDX-License-Identifier: Apache-2.0 */
#include "score/score_scorer.h"

#include "base/base_crc32c.h"
#include "score/score_statistics.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct flm_scorer {
    flm_gpt2 *gpt2;
    flm_tokenizer *tokenizer;
    int64_t batch, length;
    char description[160]; /* part of stored scores' identity: a change makes them invalid */
    uint32_t identity;
    float *nll;    /* [batch * length] */
    bool *counted; /* [length] */
};

flm_status flm_scorer_create(flm_backend *be, const char *path, flm_dtype act, int64_t batch, int64_t length,
                             int64_t chunk, flm_scorer **out)
{
    flm_status rc = FLM_OK;
    flm_checkpoint *checkpoint = NULL;
    flm_scorer *s = calloc(1, sizeof *s);

    if (!s) FLM_FAIL(FLM_E_NOMEM, "scorer: no memory for %zu bytes", sizeof *s);
    FLM_TRY(flm_checkpoint_open(path, &checkpoint));
    const flm_checkpoint_info *info = flm_checkpoint_get_info(checkpoint);
    if (batch < 1 || length < 0 || length > info->L)
        FLM_FAIL(FLM_E_MISMATCH,
                 "%s: a batch of %" PRId64 " texts of %" PRId64
                 " tokens is not supported; this model takes at most %" PRId64 " tokens per text",
                 path, batch, length, info->L);
    s->batch = batch;
    s->length = length ? length : info->L;
    if (chunk == 0) chunk = flm_backend_chunk(be, info->vocabulary.V);
    const int64_t rows = batch > INT32_MAX / s->length ? INT32_MAX : batch * s->length;
    FLM_TRY(
        flm_err_prefix(flm_gpt2_create(be, checkpoint, act, rows < info->L ? info->L : rows, chunk, &s->gpt2), path));
    FLM_TRY(flm_tokenizer_create("gpt2", &s->tokenizer));
    s->nll = malloc((size_t)rows * sizeof *s->nll);
    s->counted = malloc((size_t)s->length * sizeof *s->counted);
    if (!s->nll || !s->counted) FLM_FAIL(FLM_E_NOMEM, "scorer: no memory for %" PRId64 " tokens", rows);
    snprintf(s->description, sizeof s->description,
             "gpt2 d %" PRId64 " N %" PRId64 " V %" PRId64 " crc32c %08" PRIx32 ", %s, data.md 6", info->d, info->N,
             info->vocabulary.V, flm_checkpoint_get_identity(checkpoint), act == FLM_DTYPE_BF16 ? "bf16" : "fp32");
    s->identity = flm_crc32c_update(0, s->description, strlen(s->description));
    *out = s;
    s = NULL;
done:
    flm_scorer_destroy(&s);
    flm_checkpoint_close(&checkpoint);
    return rc;
}

void flm_scorer_destroy(flm_scorer **scorer)
{
    flm_scorer *s = *scorer;
    if (!s) return;
    *scorer = NULL;
    flm_gpt2_destroy(&s->gpt2);
    flm_tokenizer_destroy(&s->tokenizer);
    free(s->nll);
    free(s->counted);
    free(s);
}

const char *flm_scorer_describe(const flm_scorer *scorer, uint32_t *identity)
{
    *identity = scorer->identity;
    return scorer->description;
}

int64_t flm_scorer_get_length(const flm_scorer *scorer) { return scorer->length; }

int64_t flm_scorer_get_batch(const flm_scorer *scorer) { return scorer->batch; }

flm_status flm_scorer_encode(flm_scorer *scorer, const char *text, size_t bytes, int64_t length, flm_ids *ids)
{
    flm_status rc = FLM_OK;
    const size_t before = ids->count, max = (size_t)(length ? length : scorer->length);
    FLM_TRY(flm_tokenizer_encode(scorer->tokenizer, text, bytes, ids, NULL));
    if (ids->count - before > max) ids->count = before + max;
done:
    return rc;
}

flm_status flm_scorer_score(flm_scorer *scorer, const int32_t *ids, const int64_t *starts, int64_t B,
                            flm_text_score *score)
{
    flm_status rc = FLM_OK;
    if (B > scorer->batch)
        FLM_FAIL(FLM_E_ARG, "scorer: %" PRId64 " texts at once, at most %" PRId64 " are possible", B, scorer->batch);
    for (int64_t b = 0; b < B; b++)
        if (starts[b + 1] - starts[b] > scorer->length)
            FLM_FAIL(FLM_E_ARG, "scorer: a text of %" PRId64 " tokens, at most %" PRId64 " are possible",
                     starts[b + 1] - starts[b], scorer->length);
    FLM_TRY(flm_gpt2_compute_nll(scorer->gpt2, ids, starts, B, scorer->nll));
    for (int64_t b = 0; b < B; b++) {
        const int64_t n = starts[b + 1] - starts[b];
        double sum = 0;
        score[b].positions =
            flm_statistics_count_targets(ids + starts[b], n, flm_gpt2_get_shape(scorer->gpt2)->end_id, scorer->counted);
        for (int64_t i = 0; i < n; i++)
            if (scorer->counted[i]) sum += (double)scorer->nll[starts[b] + i];
        if (!isfinite(sum))
            FLM_FAIL(FLM_E_NUMERIC, "scorer: the score of text %" PRId64 " of a batch is not finite", b);
        score[b].nll = sum;
    }
done:
    return rc;
}
