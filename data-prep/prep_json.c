/* prep_json.c - a document from one line of JSON (prep_read.h), by Jansson. SPDX-License-Identifier: Apache-2.0 */
#include "prep_read.h"

#include "text/text_utf8.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

flm_status flm_document_parse_json(flm_document *document, const char *field, char **text)
{
    flm_status rc = FLM_OK;
    const size_t flags = JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL;
    const long long offset = (long long)document->offset;
    json_error_t error = {.text = ""};
    char *repaired = NULL;
    size_t bytes = document->bytes;
    int64_t replaced = 0;
    const json_t *value;
    json_t *root = json_loadb(document->text, bytes, flags, &error);

    if (!root && json_error_code(&error) == json_error_invalid_utf8) { /* invalid UTF-8 is never an error */
        FLM_TRY(flm_utf8_repair(document->text, bytes, &repaired, &bytes, &replaced));
        root = json_loadb(repaired, bytes, flags, &error);
    }
    if (!root && json_error_code(&error) == json_error_out_of_memory)
        FLM_FAIL(FLM_E_NOMEM, "no memory for a line of JSON of %zu bytes", bytes);
    if (!root) FLM_FAIL(FLM_E_FORMAT, "line at byte %lld: not JSON: %.80s (see --on-bad-line)", offset, error.text);
    if (!json_is_object(root))
        FLM_FAIL(FLM_E_FORMAT, "line at byte %lld: not a JSON object (see --on-bad-line)", offset);
    value = json_object_get(root, field);
    if (!value) FLM_FAIL(FLM_E_FORMAT, "line at byte %lld: no field \"%.64s\" (see --on-bad-line)", offset, field);
    if (!json_is_string(value))
        FLM_FAIL(FLM_E_FORMAT, "line at byte %lld: field \"%.64s\" is not a string (see --on-bad-line)", offset, field);
    bytes = json_string_length(value);
    *text = malloc(bytes + 1);
    if (!*text) FLM_FAIL(FLM_E_NOMEM, "no memory for a text of %zu bytes", bytes);
    memcpy(*text, json_string_value(value), bytes + 1);
    document->text = *text;
    document->bytes = bytes;
    document->replaced += replaced;
done:
    json_decref(root);
    free(repaired);
    return rc;
}
