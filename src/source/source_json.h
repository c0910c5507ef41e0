/* source_json.h - the text in a line of JSON, which is read as Python's json module reads it: NaN, Infinity and numbers
 * of any size are values, the last of several fields of one name counts, control characters in strings are errors.
 * What Python leaves in a string without being text (half of a surrogate pair) or refuses to decode (invalid UTF-8)
 * becomes U+FFFD. Source: CPython 3.11, Modules/_json.c. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_SOURCE_JSON_H
#define FLM_SOURCE_JSON_H

#include "base/base_err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* flm_json_line_read - the string `field` of the object in line [bytes].
 * out  *text is malloc'd, with a NUL after *text_bytes; valid UTF-8. The number of replacements is added to *replaced.
 * Errors: FLM_E_FORMAT for what is not JSON ("not JSON: expected ... at byte N"), not an object, without the field, or
 * whose field is not a string; FLM_E_NOMEM. */
flm_status flm_json_line_read(const char *line, size_t bytes, const char *field, char **text, size_t *text_bytes,
                              int64_t *replaced);

/* flm_json_line_is_object - whether the line is a JSON object. Errors: FLM_E_NOMEM. */
flm_status flm_json_line_is_object(const char *line, size_t bytes, bool *is);

/* flm_json_list_read - the strings in the list `field` of an object that is the whole document [bytes]: each is called
 * once for every string, in order, with valid UTF-8. *found: whether the document is such an object; otherwise each is
 * not called. The number of replacements is added to *replaced. Errors: those of each; FLM_E_NOMEM. */
flm_status flm_json_list_read(const char *document, size_t bytes, const char *field,
                              flm_status (*each)(void *context, const char *text, size_t text_bytes), void *context,
                              int64_t *replaced, bool *found);

#endif
