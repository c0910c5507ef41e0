/* score_texts.c - see score_texts.h. SPDX-License-Identifier: Apache-2.0 */
#include "score/score_texts.h"

#include "base/base_log.h"
#include "base/base_path.h"
#include "source/source_container.h"
#include "source/source_json.h"
#include "source/source_reader.h"
#include "text/text_utf8.h"

#include <inttypes.h>
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

/* Invalid UTF-8 is replaced as the tokeniser would do it, so that it can be counted. */
static flm_status document_add(texts_growing *g, const flm_document *document, int64_t *replaced)
{
    flm_status rc = FLM_OK;
    char *repaired = NULL;
    size_t bytes = 0;

    *replaced += document->replaced;
    if (flm_utf8_valid(document->text, document->bytes) == document->bytes) {
        FLM_TRY(text_add(g, document->text, document->bytes));
    } else {
        FLM_TRY(flm_utf8_repair(document->text, document->bytes, &repaired, &bytes, replaced));
        FLM_TRY(text_add(g, repaired, bytes));
    }
done:
    free(repaired);
    return rc;
}

/* What was not read as it is. */
static void log_tally(const char *path, const flm_source_tally *t, int64_t replaced)
{
    const struct {
        int64_t count;
        const char *what;
    } rows[] = {{t->skipped, "members skipped that are not named as text"},
                {t->system, "members skipped that macOS added"},
                {t->deleted, "members skipped that were deleted from the zip"},
                {t->decoded, "files decoded from UTF-16 or UTF-32"},
                {t->marks, "byte order marks removed"},
                {t->bad_lines, "bad lines skipped"},
                {replaced, "invalid sequences replaced by U+FFFD"}};

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (rows[i].count > 0) flm_log(FLM_LOG_INFO, "%s: %" PRId64 " %s", path, rows[i].count, rows[i].what);
}

static flm_status string_add(void *context, const char *text, size_t bytes) { return text_add(context, text, bytes); }

/* Whether a file is named .json, also with the ending of a compression. */
static bool is_named_json(const char *path)
{
    char name[FLM_PATH_BYTES], inner[FLM_PATH_BYTES];

    snprintf(name, sizeof name, "%s", flm_path_name(path));
    if (flm_container_is_compression(flm_container_of_name(name))) {
        flm_container_inner_name(name, inner, sizeof inner);
        return flm_container_name_ends_in(inner, ".json");
    }
    return flm_container_name_ends_in(name, ".json");
}

/* The samples of the published evaluation: a JSON document with the texts as the list generated_seqs. *is: the file is
 * one. */
static flm_status published_read(texts_growing *g, const char *path, const flm_source_rules *rules, bool *is)
{
    enum { MAX = 1 << 30 }; /* bytes of the document */
    flm_status rc = FLM_OK;
    flm_source_rules whole = *rules;
    flm_source_file file;
    flm_reader *reader = NULL;
    flm_document document;
    int64_t replaced = 0;
    bool end = false;

    *is = false;
    if (rules->format != FLM_SOURCE_FORMAT_AUTO || !is_named_json(path)) goto done;
    whole.format = FLM_SOURCE_FORMAT_TEXT;
    whole.documents = FLM_SOURCE_FILE;
    whole.document_bytes = MAX;
    whole.log = false;
    FLM_TRY(flm_source_examine(path, &whole, &file));
    if (file.bytes > MAX || flm_container_is_archive((flm_container)file.container)) goto done;
    FLM_TRY(flm_reader_open(&whole, &file, 0, false, &reader));
    FLM_TRY(flm_reader_next(reader, &document, &end));
    if (end) goto done;
    FLM_TRY(flm_json_list_read(document.text, document.bytes, "generated_seqs", string_add, g, &replaced, is));
    if (*is && rules->log)
        flm_log(FLM_LOG_INFO, "%s: samples of the published evaluation: the texts in generated_seqs are scored", path);
    if (*is && rules->log) log_tally(path, flm_reader_tally(reader), replaced);
done:
    flm_reader_close(&reader);
    return rc;
}

flm_status flm_score_texts_read(const char *path, const flm_source_rules *rules, flm_score_texts *out)
{
    flm_status rc = FLM_OK;
    texts_growing g = {.max = 64};
    flm_source_file file;
    flm_reader *reader = NULL;
    flm_document document;
    int64_t replaced = 0;
    bool end = false, published = false;

    g.texts.starts = calloc((size_t)g.max, sizeof *g.texts.starts);
    if (!g.texts.starts) FLM_FAIL(FLM_E_NOMEM, "%s: no memory to read it", path);
    FLM_TRY(published_read(&g, path, rules, &published));
    if (!published) FLM_TRY(flm_source_examine(path, rules, &file));
    if (!published) FLM_TRY(flm_reader_open(rules, &file, 0, false, &reader));
    while (!published) {
        FLM_TRY(flm_reader_next(reader, &document, &end));
        if (end) break;
        FLM_TRY(document_add(&g, &document, &replaced));
    }
    if (rules->log && !published) log_tally(path, flm_reader_tally(reader), replaced);
    if (g.texts.count == 0 && !published && flm_reader_tally(reader)->skipped > 0)
        FLM_FAIL(FLM_E_FORMAT,
                 "%s: contains no text: none of its members is named as text; select members with --members", path);
    if (g.texts.count == 0) FLM_FAIL(FLM_E_FORMAT, "%s: contains no text", path);
    *out = g.texts;
    g.texts = (flm_score_texts){0};
done:
    flm_reader_close(&reader);
    flm_score_texts_free(&g.texts);
    return rc;
}

void flm_score_texts_free(flm_score_texts *texts)
{
    free(texts->data);
    free(texts->starts);
    *texts = (flm_score_texts){0};
}
