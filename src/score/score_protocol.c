/* score_protocol.c - see score_protocol.h. SPDX-License-Identifier: Apache-2.0 */
#include "score/score_protocol.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

const char *const flm_score_protocol_names[] = {"clean", "published", NULL};

bool flm_score_protocol_equal(const flm_score_protocol *a, const flm_score_protocol *b)
{
    return a->kind == b->kind && (a->kind == FLM_SCORE_CLEAN || a->batch == b->batch);
}

const char *flm_score_protocol_describe(const flm_score_protocol *protocol, char text[FLM_SCORE_PROTOCOL_BYTES])
{
    if (protocol->kind == FLM_SCORE_PUBLISHED)
        snprintf(text, FLM_SCORE_PROTOCOL_BYTES, "published, batches of %" PRId64, protocol->batch);
    else
        snprintf(text, FLM_SCORE_PROTOCOL_BYTES, "clean");
    return text;
}

flm_score_protocol flm_score_protocol_find(const char *text)
{
    flm_score_protocol found = {FLM_SCORE_CLEAN, 1};
    const char *at = strstr(text, "protocol published");

    if (at && sscanf(at, "protocol published, batches of %" SCNd64, &found.batch) == 1)
        found.kind = FLM_SCORE_PUBLISHED;
    return found;
}

/* The published evaluation reduces the batch to the number of texts. */
static int64_t batch_of(const flm_score_protocol *protocol, int64_t texts)
{
    if (protocol->kind != FLM_SCORE_PUBLISHED || texts < 1) return 1;
    return protocol->batch < texts ? protocol->batch : texts;
}

int64_t flm_score_protocol_count(const flm_score_protocol *protocol, int64_t texts)
{
    return texts - texts % batch_of(protocol, texts);
}

void flm_score_protocol_batch(const flm_score_protocol *protocol, int64_t texts, int64_t row, int64_t *first,
                              int64_t *end)
{
    const int64_t batch = batch_of(protocol, texts);

    *first = row - row % batch;
    *end = *first + batch;
}

bool flm_score_protocol_pads(const flm_score_protocol *protocol, const int32_t *ids, size_t n, size_t longest,
                             int64_t end_id)
{
    if (protocol->kind != FLM_SCORE_PUBLISHED || n >= longest) return false;
    for (size_t i = 0; i < n; i++)
        if (ids[i] == end_id) return false;
    return true;
}
