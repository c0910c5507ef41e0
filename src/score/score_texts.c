/* score_texts.c - see score_texts.h. SPDX-License-Identifier: Apache-2.0 */
#include "score/score_texts.h"

#include "base/base_file.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A list that grows. */
typedef struct texts_growing {
    flm_score_texts texts;
    size_t capacity;
    int64_t max; /* entries of starts */
} texts_growing;

static flm_status text_add(texts_growing *g, const char *text, size_t bytes)
{
    flm_status rc = FLM_OK;
    flm_score_texts *t = &g->texts;
    const size_t used = (size_t)t->starts[t->count];
    if (used + bytes > g->capacity) {
        const size_t capacity = 2 * (used + bytes);
        char *grown = realloc(t->data, capacity);
        if (!grown) FLM_FAIL(FLM_E_NOMEM, "no memory for %zu bytes of text", capacity);
        t->data = grown;
        g->capacity = capacity;
    }
    if (t->count + 1 == g->max) {
        int64_t *grown = realloc(t->starts, 2 * (size_t)g->max * sizeof *grown);
        if (!grown) FLM_FAIL(FLM_E_NOMEM, "no memory for %" PRId64 " texts", g->max);
        t->starts = grown;
        g->max *= 2;
    }
    if (bytes > 0) memcpy(t->data + used, text, bytes);
    t->starts[++t->count] = (int64_t)(used + bytes);
done:
    return rc;
}

static flm_status json_line(texts_growing *g, const char *line, size_t bytes, const char *field)
{
    flm_status rc = FLM_OK;
    json_error_t error;
    json_t *object = json_loadb(line, bytes, JSON_ALLOW_NUL, &error);
    const json_t *text = json_object_get(object, field);
    if (!object) FLM_FAIL(FLM_E_FORMAT, "is not JSON: %s", error.text);
    if (!json_is_string(text)) FLM_FAIL(FLM_E_FORMAT, "the field \"%s\" is missing or is not a string", field);
    if (json_string_length(text) == 0) FLM_FAIL(FLM_E_FORMAT, "the text is empty");
    FLM_TRY(text_add(g, json_string_value(text), json_string_length(text)));
done:
    json_decref(object);
    return rc;
}

static flm_status lines_read(texts_growing *g, const char *path, const char *field)
{
    flm_status rc = FLM_OK;
    char *line = NULL, where[4200]; /* "PATH: line N" */
    size_t capacity = 0;
    ssize_t length;
    int64_t number = 0;
    FILE *file = fopen(path, "r");
    if (!file) FLM_FAIL(flm_status_from_errno(errno), "%s: %s", path, strerror(errno));
    while ((length = getline(&line, &capacity, file)) > 0) {
        number++;
        if (line[length - 1] == '\n') length--;
        if (length > 0 && line[length - 1] == '\r') length--;
        if (length == 0) continue;
        snprintf(where, sizeof where, "%.4096s: line %" PRId64, path, number);
        FLM_TRY(field ? flm_err_prefix(json_line(g, line, (size_t)length, field), where)
                      : text_add(g, line, (size_t)length));
    }
    if (ferror(file)) FLM_FAIL(flm_status_from_errno(errno), "%s: reading failed: %s", path, strerror(errno));
done:
    free(line);
    if (file) fclose(file);
    return rc;
}

static flm_status file_read(texts_growing *g, const char *path)
{
    flm_status rc = FLM_OK;
    char *text = NULL;
    size_t bytes = 0;
    FLM_TRY(flm_file_read(path, SIZE_MAX, &text, &bytes));
    if (bytes > 0) FLM_TRY(text_add(g, text, bytes));
done:
    free(text);
    return rc;
}

static bool ends_in(const char *path, const char *ending)
{
    const size_t length = strlen(path), more = strlen(ending);
    return length > more && strcmp(path + length - more, ending) == 0;
}

flm_status flm_score_texts_read(const char *path, const char *field, bool whole_file, flm_score_texts *out)
{
    flm_status rc = FLM_OK;
    texts_growing g = {.max = 64};
    g.texts.starts = calloc((size_t)g.max, sizeof *g.texts.starts);
    if (!g.texts.starts) FLM_FAIL(FLM_E_NOMEM, "%s: no memory to read it", path);
    const bool json = ends_in(path, ".jsonl") || ends_in(path, ".json");
    FLM_TRY(!json && whole_file ? file_read(&g, path) : lines_read(&g, path, json ? field : NULL));
    if (g.texts.count == 0) FLM_FAIL(FLM_E_FORMAT, "%s: contains no text", path);
    *out = g.texts;
    g.texts = (flm_score_texts){0};
done:
    flm_score_texts_free(&g.texts);
    return rc;
}

void flm_score_texts_free(flm_score_texts *texts)
{
    free(texts->data);
    free(texts->starts);
    *texts = (flm_score_texts){0};
}
