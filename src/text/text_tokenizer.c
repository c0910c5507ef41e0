/* text_tokenizer.c - the table of tokenisers (text_tokenizer.h) and what all of them share: repair of UTF-8 before
 * encoding and after decoding, range checks of ids, clean-up. SPDX-License-Identifier: Apache-2.0 */
#include "text/text_internal.h"

#include <stdlib.h>
#include <string.h>

static const flm_tokenizer_ops *const tokenizers[] = {&flm_tokenizer_bytes, &flm_tokenizer_bert, &flm_tokenizer_gpt2};

enum { TOKENIZERS = sizeof tokenizers / sizeof tokenizers[0] };

struct flm_tokenizer {
    const flm_tokenizer_ops *ops;
    void *state;
    flm_tokenizer_info info;
    bool clean_up;
};

flm_status flm_tokenizer_create(const char *name, flm_tokenizer **out)
{
    return flm_tokenizer_create_from(name, NULL, NULL, out);
}

flm_status flm_tokenizer_create_from(const char *name, const char *vocab, const char *merges, flm_tokenizer **out)
{
    flm_status rc = FLM_OK;
    flm_tokenizer *tokenizer = NULL;
    flm_tokenizer_files files = {vocab && vocab[0] ? vocab : NULL, merges && merges[0] ? merges : NULL};
    const flm_tokenizer_ops *ops = NULL;
    char known[256] = "";

    for (int i = 0; i < TOKENIZERS; i++) {
        if (strcmp(tokenizers[i]->name, name) == 0) ops = tokenizers[i];
        if (i > 0) strncat(known, ", ", sizeof known - strlen(known) - 1);
        strncat(known, tokenizers[i]->name, sizeof known - strlen(known) - 1);
    }
    if (!ops) FLM_FAIL(FLM_E_ARG, "unknown tokeniser \"%.64s\"; known: %s", name, known);
    if (files.vocab && !ops->takes_vocab) FLM_FAIL(FLM_E_ARG, "the tokeniser %s does not use a vocabulary file", name);
    if (files.merges && !ops->takes_merges) FLM_FAIL(FLM_E_ARG, "the tokeniser %s does not use a merges file", name);
    if (files.merges && !files.vocab)
        FLM_FAIL(FLM_E_ARG, "%s: a merges file needs a vocabulary file (--vocab)", files.merges);
    tokenizer = calloc(1, sizeof *tokenizer);
    if (!tokenizer) FLM_FAIL(FLM_E_NOMEM, "no memory for the tokeniser %s", name);
    tokenizer->ops = ops;
    tokenizer->clean_up = ops->clean_up;
    FLM_TRY(ops->create(&files, &tokenizer->state, &tokenizer->info));
    *out = tokenizer;
    tokenizer = NULL;
done:
    flm_tokenizer_destroy(&tokenizer);
    return rc;
}

void flm_tokenizer_destroy(flm_tokenizer **tokenizer)
{
    if (!*tokenizer) return;
    (*tokenizer)->ops->destroy((*tokenizer)->state);
    free(*tokenizer);
    *tokenizer = NULL;
}

const char *flm_tokenizer_name(const flm_tokenizer *tokenizer) { return tokenizer->ops->name; }
const char *flm_tokenizer_sha256(const flm_tokenizer *tokenizer) { return tokenizer->info.sha256; }
int64_t flm_tokenizer_size(const flm_tokenizer *tokenizer) { return tokenizer->info.V; }
int64_t flm_tokenizer_begin_id(const flm_tokenizer *tokenizer) { return tokenizer->info.begin_id; }
int64_t flm_tokenizer_end_id(const flm_tokenizer *tokenizer) { return tokenizer->info.end_id; }
void flm_tokenizer_set_clean_up(flm_tokenizer *tokenizer, bool clean_up) { tokenizer->clean_up = clean_up; }

flm_status flm_ids_reserve(flm_ids *ids, size_t more)
{
    flm_status rc = FLM_OK;
    size_t want, capacity = ids->capacity;
    int32_t *grown;

    if (__builtin_add_overflow(ids->count, more, &want) || want > SIZE_MAX / 2 / sizeof *grown)
        FLM_FAIL(FLM_E_NOMEM, "no memory for %zu more ids", more);
    if (want <= capacity) goto done;
    capacity = want > 2 * capacity ? want : 2 * capacity;
    grown = realloc(ids->ids, capacity * sizeof *grown);
    if (!grown) FLM_FAIL(FLM_E_NOMEM, "no memory for %zu ids", capacity);
    ids->ids = grown;
    ids->capacity = capacity;
done:
    return rc;
}

flm_status flm_tokenizer_encode(flm_tokenizer *tokenizer, const char *text, size_t bytes, flm_ids *ids,
                                int64_t *replaced)
{
    flm_status rc = FLM_OK;
    char *repaired = NULL;

    if (flm_utf8_valid(text, bytes) < bytes) { /* rare; valid text is not copied */
        FLM_TRY(flm_utf8_repair(text, bytes, &repaired, &bytes, replaced));
        text = repaired;
    }
    FLM_TRY(tokenizer->ops->encode(tokenizer->state, text, bytes, ids));
done:
    free(repaired);
    return rc;
}

flm_status flm_tokenizer_decode(flm_tokenizer *tokenizer, const int32_t *ids, size_t count, char **text, size_t *bytes)
{
    flm_status rc = FLM_OK;
    char *raw = NULL;
    size_t raw_bytes = 0;

    for (size_t i = 0; i < count; i++)
        if (ids[i] < 0 || ids[i] >= tokenizer->info.V)
            FLM_FAIL(FLM_E_ARG, "id %d at index %zu is out of range 0..%lld of %s", ids[i], i,
                     (long long)tokenizer->info.V - 1, tokenizer->ops->name);
    FLM_TRY(tokenizer->ops->decode(tokenizer->state, ids, count, &raw, &raw_bytes));
    FLM_TRY(flm_utf8_repair(raw, raw_bytes, text, bytes, NULL));
    if (tokenizer->clean_up) flm_text_clean_up(*text, bytes);
done:
    free(raw);
    return rc;
}
