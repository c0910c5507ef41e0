/* prep_json.c - one line of JSON to the text in it (prep_read.h), by Jansson. SPDX-License-Identifier: Apache-2.0 */
#include "prep_read.h"

#include "text/text_utf8.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WHY_BYTES = 128 };

flm_status prep_json_text(const char *line, size_t bytes, const char *field, char **text, size_t *text_bytes,
                          int64_t *replaced, char *why)
{
    flm_status rc = FLM_OK;
    json_error_t error = {.text = ""};
    char *repaired = NULL;
    const json_t *value;
    json_t *root;

    why[0] = '\0';
    root = json_loadb(line, bytes, JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &error);
    if (!root && json_error_code(&error) == json_error_invalid_utf8) { /* text that is not UTF-8 is never fatal */
        FLM_TRY(flm_utf8_repair(line, bytes, &repaired, &bytes, replaced));
        root = json_loadb(repaired, bytes, JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &error);
    }
    if (!root && json_error_code(&error) == json_error_out_of_memory)
        FLM_FAIL(FLM_E_NOMEM, "no memory for a line of JSON of %zu bytes", bytes);
    value = json_object_get(root, field); /* NULL of what is no object */
    if (!root)
        snprintf(why, WHY_BYTES, "is no JSON: %.80s", error.text);
    else if (!json_is_object(root))
        snprintf(why, WHY_BYTES, "is no JSON object");
    else if (!json_is_string(value))
        snprintf(why, WHY_BYTES, value ? "\"%.64s\" is no string" : "has no field \"%.64s\"", field);
    if (why[0]) goto done;
    *text_bytes = json_string_length(value);
    *text = malloc(*text_bytes + 1);
    if (!*text) FLM_FAIL(FLM_E_NOMEM, "no memory for a text of %zu bytes", *text_bytes);
    memcpy(*text, json_string_value(value), *text_bytes + 1);
done:
    json_decref(root);
    free(repaired);
    return rc;
}
