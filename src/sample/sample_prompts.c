/* sample_prompts.c - see sample_prompts.h. SPDX-License-Identifier: Apache-2.0 */
#include "sample/sample_prompts.h"

#include "source/source_reader.h"
#include "text/text_tokenizer.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct prompt_list {
    const flm_vocabulary *vocabulary;
    const char *mask;
    int64_t L, count, capacity;
    int32_t *tokens;          /* [capacity, L] */
    flm_tokenizer *tokenizer; /* NULL until a text needs it */
    flm_ids ids;              /* of the prompt being read, the begin id included */
} prompt_list;

/* ---- one prompt ---- */

static flm_status add_id(flm_ids *ids, int32_t id)
{
    flm_status rc = FLM_OK;
    if (ids->count == ids->capacity) {
        const size_t capacity = 2 * ids->capacity + 64;
        int32_t *grown = realloc(ids->ids, capacity * sizeof *grown);
        if (grown == NULL) FLM_FAIL(FLM_E_NOMEM, "no memory for %zu tokens", capacity);
        ids->ids = grown;
        ids->capacity = capacity;
    }
    ids->ids[ids->count++] = id;
done:
    return rc;
}

static flm_status need_tokenizer(prompt_list *p)
{
    flm_status rc = FLM_OK;
    const flm_vocabulary *v = p->vocabulary;
    if (p->tokenizer != NULL) goto done;
    if (flm_tokenizer_create(v->name, &p->tokenizer) != FLM_OK)
        FLM_FAIL(FLM_E_MISMATCH, "this release has no tokeniser \"%s\" for a text; give token ids", v->name);
    if (strcmp(flm_tokenizer_sha256(p->tokenizer), v->sha256) != 0)
        FLM_FAIL(FLM_E_MISMATCH,
                 "the checkpoint's vocabulary %s (sha256 %.8s...) differs from this release's; give "
                 "token ids",
                 v->name, v->sha256);
done:
    return rc;
}

/* The first occurrence of the mask in text [bytes], or NULL. */
static const char *find_mask(const char *text, size_t bytes, const char *mask)
{
    const size_t length = strlen(mask);
    for (size_t i = 0; i + length <= bytes; i++)
        if (memcmp(text + i, mask, length) == 0) return text + i;
    return NULL;
}

/* Appends the tokens of text [bytes]; an occurrence of the mask, if there is one, is a token to fill in. */
static flm_status add_text(prompt_list *p, const char *text, size_t bytes, const char *mask)
{
    flm_status rc = FLM_OK;
    const size_t length = mask != NULL ? strlen(mask) : 0;
    FLM_TRY(need_tokenizer(p));
    FLM_TRY(add_id(&p->ids, (int32_t)p->vocabulary->begin_id));
    while (bytes > 0) {
        const char *found = mask != NULL ? find_mask(text, bytes, mask) : NULL;
        const size_t piece = found != NULL ? (size_t)(found - text) : bytes;
        if (piece > 0) FLM_TRY(flm_tokenizer_encode(p->tokenizer, text, piece, &p->ids, NULL));
        if (found != NULL) FLM_TRY(add_id(&p->ids, FLM_SAMPLES_FREE));
        text += piece + (found != NULL ? length : 0);
        bytes -= piece + (found != NULL ? length : 0);
    }
done:
    return rc;
}

static flm_status add_tokens(prompt_list *p, const json_t *list)
{
    flm_status rc = FLM_OK;
    const json_t *item;
    size_t i;
    json_array_foreach(list, i, item)
    {
        const json_int_t id = json_integer_value(item);
        if (!json_is_null(item) && !json_is_integer(item))
            FLM_FAIL(FLM_E_FORMAT, "\"tokens\": element %zu is neither an id nor null", i);
        if (json_is_integer(item) && (id < 0 || id >= p->vocabulary->V))
            FLM_FAIL(FLM_E_FORMAT,
                     "\"tokens\": element %zu is %" JSON_INTEGER_FORMAT ", expected 0 to V - 1 (V = %" PRId64 ")", i,
                     id, p->vocabulary->V);
        FLM_TRY(add_id(&p->ids, json_is_null(item) ? FLM_SAMPLES_FREE : (int32_t)id));
    }
    if (p->ids.count > 0 && p->ids.ids[0] == FLM_SAMPLES_FREE) p->ids.ids[0] = (int32_t)p->vocabulary->begin_id;
done:
    return rc;
}

/* The tokens of a line's object. */
static flm_status add_object(prompt_list *p, const json_t *object)
{
    flm_status rc = FLM_OK;
    static const char *const fields[] = {"prefix", "text", "tokens"};
    const json_t *value = NULL;
    int which = -1;
    for (int i = 0; i < 3; i++) {
        const json_t *own = json_object_get(object, fields[i]);
        if (own == NULL) continue;
        if (value != NULL)
            FLM_FAIL(FLM_E_FORMAT, "has both \"%s\" and \"%s\"; expected one of them", fields[which], fields[i]);
        value = own;
        which = i;
    }
    if (value == NULL) FLM_FAIL(FLM_E_FORMAT, "expected an object with \"prefix\", \"text\" or \"tokens\"");
    if (which == 2 ? !json_is_array(value) : !json_is_string(value))
        FLM_FAIL(FLM_E_FORMAT, "\"%s\" is not a %s", fields[which], which == 2 ? "list" : "string");
    p->ids.count = 0;
    if (which == 2)
        FLM_TRY(add_tokens(p, value));
    else
        FLM_TRY(add_text(p, json_string_value(value), json_string_length(value), which == 1 ? p->mask : NULL));
done:
    return rc;
}

/* The prompt's row in the list. */
static flm_status add_row(prompt_list *p)
{
    flm_status rc = FLM_OK;
    const int64_t given = (int64_t)p->ids.count;
    int64_t open = p->L - given;
    if (given > p->L)
        FLM_FAIL(FLM_E_FORMAT, "has %" PRId64 " tokens, begin id included; the network has L = %" PRId64 " positions",
                 given, p->L);
    for (int64_t i = 0; i < given; i++) open += p->ids.ids[i] == FLM_SAMPLES_FREE;
    if (open == 0) FLM_FAIL(FLM_E_FORMAT, "has nothing to fill in: no mask, and no position behind it");
    if (p->count == p->capacity) {
        const int64_t capacity = 2 * p->capacity + 16;
        int32_t *grown = realloc(p->tokens, (size_t)(capacity * p->L) * sizeof *grown);
        if (grown == NULL) FLM_FAIL(FLM_E_NOMEM, "no memory for %" PRId64 " prompts", capacity);
        p->tokens = grown;
        p->capacity = capacity;
    }
    int32_t *row = p->tokens + p->count++ * p->L;
    for (int64_t l = 0; l < p->L; l++) row[l] = l < given ? p->ids.ids[l] : FLM_SAMPLES_FREE;
    if (given == 0) row[0] = (int32_t)p->vocabulary->begin_id;
done:
    return rc;
}

static flm_status add_line(prompt_list *p, const char *line, size_t bytes)
{
    flm_status rc = FLM_OK;
    json_error_t error;
    json_t *object = json_loadb(line, bytes, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    if (object == NULL) FLM_FAIL(FLM_E_FORMAT, "not JSON: %s", error.text);
    FLM_TRY(add_object(p, object));
    FLM_TRY(add_row(p));
done:
    json_decref(object);
    return rc;
}

/* ---- the file ---- */

flm_status flm_prompts_read(const char *path, const char *mask, const flm_vocabulary *vocabulary, int64_t L,
                            flm_samples_prompts *prompts)
{
    flm_status rc = FLM_OK;
    const flm_source_rules rules = {.field = "",
                                    .members = "",
                                    .documents = FLM_SOURCE_LINE,
                                    .format = FLM_SOURCE_FORMAT_TEXT,
                                    .document_bytes = 1 << 24,
                                    .ratio = 1000,
                                    .nesting = 8};
    prompt_list p = {.vocabulary = vocabulary, .mask = mask, .L = L};
    flm_source_file file;
    flm_reader *reader = NULL;
    flm_document line;
    bool end = false;
    char name[64];

    FLM_TRY(flm_source_examine(path, &rules, &file));
    FLM_TRY(flm_reader_open(&rules, &file, 0, false, &reader));
    for (;;) {
        FLM_TRY(flm_reader_next(reader, &line, &end));
        if (end) break;
        rc = add_line(&p, line.text, line.bytes);
        if (rc != FLM_OK) {
            snprintf(name, sizeof name, "prompt %" PRId64 " (at byte %" PRId64 ")", p.count, line.offset);
            FLM_TRY(flm_err_prefix(flm_err_prefix(rc, name), path));
        }
    }
    if (p.count == 0) FLM_FAIL(FLM_E_FORMAT, "%s: contains no prompt", path);
    *prompts = (flm_samples_prompts){p.count, p.tokens};
    p.tokens = NULL;
done:
    flm_reader_close(&reader);
    flm_tokenizer_destroy(&p.tokenizer);
    free(p.ids.ids);
    free(p.tokens);
    return rc;
}

void flm_prompts_free(flm_samples_prompts *prompts)
{
    free((int32_t *)prompts->tokens);
    *prompts = (flm_samples_prompts){0};
}
