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
    flm_score_protocol protocol;
    int64_t batch, length;
    char description[224];
    uint32_t identity;
    float *nll;    /* [batch * length] */
    bool *counted; /* [length] */
};

/* The description's first part and, of the published protocol, the second are in the identity of stored scores: a
 * change makes them invalid. */
static void describe(flm_scorer *s, const flm_checkpoint_info *info, uint32_t weights, flm_dtype act)
{
    char protocol[FLM_SCORE_PROTOCOL_BYTES];
    size_t bytes;
    snprintf(s->description, sizeof s->description,
             "gpt2 d %" PRId64 " N %" PRId64 " V %" PRId64 " crc32c %08" PRIx32 ", %s, data.md 6", info->d, info->N,
             info->vocabulary.V, weights, act == FLM_DTYPE_BF16 ? "bf16" : "fp32");
    bytes = strlen(s->description);
    snprintf(s->description + bytes, sizeof s->description - bytes, ", protocol %s",
             flm_score_protocol_describe(&s->protocol, protocol));
    if (s->protocol.kind == FLM_SCORE_PUBLISHED) bytes = strlen(s->description);
    s->identity = flm_crc32c_update(0, s->description, bytes);
}

flm_status flm_scorer_create(flm_backend *be, const char *path, flm_dtype act, int64_t batch, int64_t length,
                             int64_t chunk, const flm_score_protocol *protocol, flm_scorer **out)
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
    s->protocol = *protocol;
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
    describe(s, info, flm_checkpoint_get_identity(checkpoint), act);
    *out = s;
    s = NULL;
done:
    flm_scorer_destroy(&s);
    flm_checkpoint_close(&checkpoint);
    return rc;
}

flm_dtype flm_scorer_dtype(const flm_backend *be, flm_precision asked)
{
    if (asked == FLM_PRECISION_AUTO && be->host_memory) return FLM_DTYPE_F32;
    return flm_backend_precision(be, asked) == FLM_PRECISION_BF16 ? FLM_DTYPE_BF16 : FLM_DTYPE_F32;
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

const flm_score_protocol *flm_scorer_get_protocol(const flm_scorer *scorer) { return &scorer->protocol; }

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

flm_status flm_scorer_pad(const flm_scorer *scorer, int64_t start, size_t longest, flm_ids *ids)
{
    flm_status rc = FLM_OK;
    const int32_t end_id = (int32_t)flm_gpt2_get_shape(scorer->gpt2)->end_id;
    const size_t n = ids->count - (size_t)start;
    if (!flm_score_protocol_pads(&scorer->protocol, ids->ids + start, n, longest, end_id)) goto done;
    if (ids->count == ids->capacity) {
        int32_t *grown = realloc(ids->ids, (ids->capacity + 64) * sizeof *grown);
        if (!grown) FLM_FAIL(FLM_E_NOMEM, "no memory for %zu ids", ids->capacity + 64);
        ids->ids = grown;
        ids->capacity += 64;
    }
    ids->ids[ids->count++] = end_id;
done:
    return rc;
}

static flm_status check_batch(const flm_scorer *scorer, const int64_t *starts, int64_t B)
{
    flm_status rc = FLM_OK;
    if (B > scorer->batch)
        FLM_FAIL(FLM_E_ARG, "scorer: %" PRId64 " texts at once, at most %" PRId64 " are possible", B, scorer->batch);
    for (int64_t b = 0; b < B; b++)
        if (starts[b + 1] - starts[b] > scorer->length)
            FLM_FAIL(FLM_E_ARG, "scorer: a text of %" PRId64 " tokens, at most %" PRId64 " are possible",
                     starts[b + 1] - starts[b], scorer->length);
done:
    return rc;
}

int64_t flm_scorer_get_width(const flm_scorer *scorer) { return flm_gpt2_get_shape(scorer->gpt2)->d; }

flm_status flm_scorer_compute_features(flm_scorer *scorer, const int32_t *ids, const int64_t *starts, int64_t B,
                                       float *features)
{
    flm_status rc = FLM_OK;
    FLM_TRY(check_batch(scorer, starts, B));
    FLM_TRY(flm_gpt2_compute_features(scorer->gpt2, ids, starts, B, features));
done:
    return rc;
}

flm_status flm_scorer_score(flm_scorer *scorer, const int32_t *ids, const int64_t *starts, int64_t B,
                            flm_text_score *score)
{
    flm_status rc = FLM_OK;
    FLM_TRY(check_batch(scorer, starts, B));
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
        score[b].tokens = n;
        score[b].ids = ids + starts[b];
        score[b].token_nll = scorer->nll + starts[b];
    }
done:
    return rc;
}
