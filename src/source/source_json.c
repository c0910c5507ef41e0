/* source_json.c - see source_json.h. The line is only checked, and the one string that is wanted is decoded.
 * SPDX-License-Identifier: Apache-2.0 */
#include "source/source_json.h"

#include "text/text_utf8.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH_MAX = 2048 }; /* of arrays and objects inside one another; Python's limit is about half of it */

typedef struct span { /* of a string, without its quotes */
    const char *begin, *end;
} span;

typedef struct parser {
    const char *begin, *p, *end;
    const char *field;
    size_t field_bytes;
    bool found, found_string;
    span text; /* the field's value, if it is a string */
    span list; /* the same with its brackets, if it is an array; begin is NULL otherwise */
    const char *expected;
} parser;

static bool fail(parser *q, const char *expected)
{
    if (!q->expected) q->expected = expected;
    return false;
}

static void skip_white(parser *q)
{
    while (q->p < q->end && (*q->p == ' ' || *q->p == '\t' || *q->p == '\n' || *q->p == '\r')) q->p++;
}

static bool take(parser *q, const char *word)
{
    const size_t n = strlen(word);

    if ((size_t)(q->end - q->p) < n || memcmp(q->p, word, n) != 0) return false;
    q->p += n;
    return true;
}

/* The value of four hexadecimal digits, or -1. */
static int32_t hex4(const char *p, const char *end)
{
    int32_t value = 0;

    if (end - p < 4) return -1;
    for (int i = 0; i < 4; i++) {
        const char c = p[i];
        const int digit = c >= '0' && c <= '9'   ? c - '0'
                          : c >= 'a' && c <= 'f' ? c - 'a' + 10
                          : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                                 : -1;
        if (digit < 0) return -1;
        value = value << 4 | digit;
    }
    return value;
}

/* A string, from its opening quote to behind its closing one. */
static bool parse_string(parser *q, span *out)
{
    out->begin = ++q->p;
    for (; q->p < q->end; q->p++) {
        const unsigned char c = (unsigned char)*q->p;
        if (c == '"') {
            out->end = q->p++;
            return true;
        }
        if (c < 0x20) return fail(q, "a string without control characters");
        if (c != '\\') continue;
        if (++q->p == q->end) break;
        if (*q->p == 'u') {
            if (hex4(q->p + 1, q->end) < 0) return fail(q, "four hexadecimal digits");
            q->p += 4;
        } else if (*q->p == '\0' || !strchr("\"\\/bfnrt", *q->p)) {
            return fail(q, "a valid escape");
        }
    }
    return fail(q, "the end of a string");
}

static size_t skip_digits(parser *q)
{
    const char *before = q->p;

    while (q->p < q->end && *q->p >= '0' && *q->p <= '9') q->p++;
    return (size_t)(q->p - before);
}

/* The longest prefix that is a number, as Python's scanner takes it: "1." is 1, and the point is then an error. */
static bool parse_number(parser *q)
{
    const char *after;

    take(q, "-");
    if (take(q, "Infinity")) return true;
    if (!take(q, "0") && skip_digits(q) == 0) return fail(q, "a value");
    after = q->p;
    if (!take(q, ".") || skip_digits(q) == 0) q->p = after;
    after = q->p;
    if (!take(q, "e") && !take(q, "E")) return true;
    if (!take(q, "+")) take(q, "-");
    if (skip_digits(q) == 0) q->p = after;
    return true;
}

static flm_status is_field(const parser *q, span key, bool *is);
static bool parse_value(parser *q, int depth, flm_status *rc);

static bool parse_member(parser *q, int depth, flm_status *rc)
{
    span key;
    bool wanted = false;

    skip_white(q);
    if (q->p == q->end || *q->p != '"') return fail(q, "the name of a field");
    if (!parse_string(q, &key)) return false;
    skip_white(q);
    if (!take(q, ":")) return fail(q, "':'");
    skip_white(q);
    if (depth == 1) *rc = is_field(q, key, &wanted);
    if (*rc != FLM_OK) return false;
    if (wanted) {
        q->found = true;
        q->found_string = q->p < q->end && *q->p == '"';
        if (q->found_string) return parse_string(q, &q->text);
        q->list.begin = q->p < q->end && *q->p == '[' ? q->p : NULL;
        if (!parse_value(q, depth, rc)) return false;
        q->list.end = q->p;
        return true;
    }
    return parse_value(q, depth, rc);
}

/* An array or object, after its opening bracket; depth counts this one. */
static bool parse_items(parser *q, char close, int depth, flm_status *rc)
{
    if (depth > DEPTH_MAX) return fail(q, "fewer nested brackets");
    skip_white(q);
    if (q->p < q->end && *q->p == close) return q->p++, true;
    for (;;) {
        if (!(close == '}' ? parse_member(q, depth, rc) : parse_value(q, depth, rc))) return false;
        skip_white(q);
        if (q->p < q->end && *q->p == close) return q->p++, true;
        if (!take(q, ",")) return fail(q, close == '}' ? "',' or '}'" : "',' or ']'");
    }
}

static bool parse_value(parser *q, int depth, flm_status *rc)
{
    span ignored;

    skip_white(q);
    if (q->p == q->end) return fail(q, "a value");
    switch (*q->p) {
    case '{': return q->p++, parse_items(q, '}', depth + 1, rc);
    case '[': return q->p++, parse_items(q, ']', depth + 1, rc);
    case '"': return parse_string(q, &ignored);
    case 'n': return take(q, "null") || fail(q, "a value");
    case 't': return take(q, "true") || fail(q, "a value");
    case 'f': return take(q, "false") || fail(q, "a value");
    case 'N': return take(q, "NaN") || fail(q, "a value");
    case 'I': return take(q, "Infinity") || fail(q, "a value");
    default: return parse_number(q);
    }
}

/* The code point of an escape whose letter p is at; p moves behind it. Half of a surrogate pair gives U+FFFD. */
static uint32_t read_escape(const char **p, const char *end, int64_t *replaced)
{
    static const char letters[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    const char c = *(*p)++;
    int32_t low, high;

    if (c != 'u') return (unsigned char)values[strchr(letters, c) - letters];
    high = hex4(*p, end);
    *p += 4;
    if (high < 0xd800 || high > 0xdfff) return (uint32_t)high;
    if (high < 0xdc00 && end - *p >= 6 && (*p)[0] == '\\' && (*p)[1] == 'u') {
        low = hex4(*p + 2, end);
        if (low >= 0xdc00 && low <= 0xdfff) {
            *p += 6;
            return 0x10000u + ((uint32_t)(high - 0xd800) << 10) + (uint32_t)(low - 0xdc00);
        }
    }
    ++*replaced;
    return 0xfffd;
}

/* Decode a string that was parsed; no escape is shorter than its character. */
static flm_status decode(span string, char **text, size_t *bytes, int64_t *replaced)
{
    flm_status rc = FLM_OK;
    char *raw = malloc((size_t)(string.end - string.begin) + 1);
    size_t n = 0;

    if (!raw) FLM_FAIL(FLM_E_NOMEM, "no memory for a text of %zu bytes", (size_t)(string.end - string.begin));
    for (const char *p = string.begin; p < string.end;) {
        const char *escape = memchr(p, '\\', (size_t)(string.end - p));
        const size_t plain = (size_t)((escape ? escape : string.end) - p);
        memcpy(raw + n, p, plain);
        n += plain;
        p += plain;
        if (!escape) break;
        p++;
        n += flm_utf8_put(read_escape(&p, string.end, replaced), (unsigned char *)raw + n);
    }
    raw[n] = '\0';
    if (flm_utf8_valid(raw, n) < n) {
        FLM_TRY(flm_utf8_repair(raw, n, text, bytes, replaced));
    } else {
        *text = raw;
        *bytes = n;
        raw = NULL;
    }
done:
    free(raw);
    return rc;
}

static flm_status is_field(const parser *q, span key, bool *is)
{
    flm_status rc = FLM_OK;
    const size_t raw = (size_t)(key.end - key.begin);
    char *name = NULL;
    size_t bytes = 0;
    int64_t replaced = 0;

    *is = raw == q->field_bytes && memcmp(key.begin, q->field, raw) == 0;
    if (*is || !memchr(key.begin, '\\', raw)) goto done;
    FLM_TRY(decode(key, &name, &bytes, &replaced));
    *is = bytes == q->field_bytes && memcmp(name, q->field, bytes) == 0;
done:
    free(name);
    return rc;
}

flm_status flm_json_line_read(const char *line, size_t bytes, const char *field, char **text, size_t *text_bytes,
                              int64_t *replaced)
{
    flm_status rc = FLM_OK;
    parser q = {.begin = line, .p = line, .end = line + bytes, .field = field, .field_bytes = strlen(field)};
    bool object, valid;

    skip_white(&q);
    object = q.p < q.end && *q.p == '{';
    valid = parse_value(&q, 0, &rc);
    FLM_TRY(rc);
    if (valid) skip_white(&q);
    if (valid && q.p < q.end) valid = fail(&q, "the end of the line");
    if (!valid)
        FLM_FAIL(FLM_E_FORMAT, "not JSON: expected %s at byte %zu of the line", q.expected, (size_t)(q.p - line));
    if (!object) FLM_FAIL(FLM_E_FORMAT, "not a JSON object");
    if (!q.found) FLM_FAIL(FLM_E_FORMAT, "no field \"%.64s\"", field);
    if (!q.found_string) FLM_FAIL(FLM_E_FORMAT, "field \"%.64s\" is not a string", field);
    FLM_TRY(decode(q.text, text, text_bytes, replaced));
done:
    return rc;
}

flm_status flm_json_line_is_object(const char *line, size_t bytes, bool *is)
{
    flm_status rc = FLM_OK;
    parser q = {.begin = line, .p = line, .end = line + bytes, .field = ""};
    bool valid;

    skip_white(&q);
    valid = q.p < q.end && *q.p == '{' && parse_value(&q, 0, &rc);
    if (valid) skip_white(&q);
    *is = valid && q.p == q.end;
    return rc;
}

/* Walks the strings of a list that was parsed; false: something else is in it. */
static flm_status walk_strings(span list, flm_status (*each)(void *context, const char *text, size_t bytes),
                               void *context, int64_t *replaced, bool *strings)
{
    flm_status rc = FLM_OK;
    parser q = {.begin = list.begin, .p = list.begin + 1, .end = list.end};
    span string;
    char *text = NULL;
    size_t bytes;

    *strings = true;
    for (skip_white(&q); *strings && *q.p != ']'; skip_white(&q)) {
        *strings = *q.p == '"' && parse_string(&q, &string);
        if (*strings && each) {
            FLM_TRY(decode(string, &text, &bytes, replaced));
            FLM_TRY(each(context, text, bytes));
            free(text);
            text = NULL;
        }
        skip_white(&q);
        take(&q, ",");
    }
done:
    free(text);
    return rc;
}

flm_status flm_json_list_read(const char *document, size_t bytes, const char *field,
                              flm_status (*each)(void *context, const char *text, size_t text_bytes), void *context,
                              int64_t *replaced, bool *found)
{
    flm_status rc = FLM_OK;
    parser q = {
        .begin = document, .p = document, .end = document + bytes, .field = field, .field_bytes = strlen(field)};
    bool valid;

    skip_white(&q);
    valid = q.p < q.end && *q.p == '{' && parse_value(&q, 0, &rc);
    FLM_TRY(rc);
    if (valid) skip_white(&q);
    *found = valid && q.p == q.end && q.found && !q.found_string && q.list.begin;
    if (*found) FLM_TRY(walk_strings(q.list, NULL, NULL, replaced, found));
    if (*found) FLM_TRY(walk_strings(q.list, each, context, replaced, &valid));
done:
    return rc;
}
