/* h5_schema.c - schemas as text: parsing, and the schemas of the suite by name. Refuses any line it does not know.
 * SPDX-License-Identifier: Apache-2.0 */
#include "h5/h5_schema_internal.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_WORDS = 16, LINE_BYTES = 512 };

typedef struct schema_line {
    char text[LINE_BYTES];
    char *word[LINE_WORDS];
    int words, number;
    const char *schema;
} schema_line;

static flm_status line_refuse(const schema_line *line, const char *what, const char *word)
{
    return flm_err_raise(FLM_E_FORMAT, __FILE__, __LINE__, "schema %s, line %d: %s \"%s\"", line->schema, line->number,
                         what, word);
}

/* Split a line into words at white space; text in brackets is one word, comments are removed. */
static flm_status line_split(schema_line *line, const char *text, size_t bytes)
{
    flm_status rc = FLM_OK;
    char *p = line->text;

    line->words = 0;
    if (bytes >= LINE_BYTES) FLM_TRY(line_refuse(line, "is longer than the limit:", "..."));
    for (size_t i = 0; i < bytes; i++) {
        if (text[i] == '#')
            bytes = i;
        else if (!isprint((unsigned char)text[i]) && !isspace((unsigned char)text[i]))
            FLM_TRY(line_refuse(line, "contains a control character, not", "text"));
    }
    memcpy(p, text, bytes);
    p[bytes] = '\0';
    for (;;) {
        while (isspace((unsigned char)*p)) p++;
        if (!*p) break;
        if (line->words == LINE_WORDS) FLM_TRY(line_refuse(line, "has too many words, from", p));
        line->word[line->words++] = p;
        if (*p == '[') {
            p = strchr(p, ']');
            if (!p) FLM_TRY(line_refuse(line, "has no closing bracket:", line->word[line->words - 1]));
            p++;
        } else {
            while (*p && !isspace((unsigned char)*p)) p++;
        }
        if (!*p) break;
        if (!isspace((unsigned char)*p)) FLM_TRY(line_refuse(line, "expected a space before", p));
        *p++ = '\0';
    }
done:
    return rc;
}

static bool number_parse(const char *text, const char **end, int64_t *out)
{
    char *stop;
    long long value;
    if (!isdigit((unsigned char)*text)) return false;
    value = strtoll(text, &stop, 10);
    *end = stop;
    *out = value;
    return true;
}

static bool element_parse(const char *word, flm_schema_element *out)
{
    static const struct {
        const char *word;
        flm_schema_element element;
    } known[] = {{"i32", {FLM_SCHEMA_I32, 4}},       {"i64", {FLM_SCHEMA_I64, 8}},   {"u16", {FLM_SCHEMA_U16, 2}},
                 {"u32", {FLM_SCHEMA_U32, 4}},       {"f32", {FLM_SCHEMA_F32, 4}},   {"f64", {FLM_SCHEMA_F64, 8}},
                 {"int", {FLM_SCHEMA_I64, 8}},       {"float", {FLM_SCHEMA_F64, 8}}, {"string", {FLM_SCHEMA_STRING, 0}},
                 {"sha256", {FLM_SCHEMA_SHA256, 65}}};
    const char *end;
    int64_t bytes;

    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strcmp(word, known[i].word) == 0) {
            *out = known[i].element;
            return true;
        }
    if (strncmp(word, "str", 3) != 0 || !number_parse(word + 3, &end, &bytes) || *end || bytes < 1 || bytes > 65536)
        return false;
    *out = (flm_schema_element){FLM_SCHEMA_STRING, (size_t)bytes};
    return true;
}

const char *flm_schema_element_describe(const flm_schema_element *element, char *text, size_t size)
{
    static const char *const names[] = {"i32", "i64", "u16", "u32", "f32", "f64", "a string", "a SHA-256 digest"};
    if (element->type == FLM_SCHEMA_STRING && element->size > 0)
        snprintf(text, size, "a string of %zu bytes", element->size);
    else
        snprintf(text, size, "%s", names[element->type]);
    return text;
}

bool flm_schema_attribute_allows(const char *words, const char *value)
{
    size_t length = strlen(value);
    if (strchr(value, ' ')) return false;
    for (const char *p = words; *p;) {
        size_t word = strcspn(p, " ");
        if (word == length && memcmp(p, value, word) == 0) return true;
        p += word;
        p += strspn(p, " ");
    }
    return false;
}

/* One size: ?, 256, L, 4*d, blocks4M. */
static bool dim_parse(const char *text, flm_schema_dim *out)
{
    const char *end = text;

    memset(out, 0, sizeof *out);
    out->number = 1;
    if (strcmp(text, "?") == 0) return true;
    if (strcmp(text, "blocks4M") == 0) {
        out->kind = FLM_SCHEMA_DIM_BLOCKS;
        return true;
    }
    out->kind = FLM_SCHEMA_DIM_NUMBER;
    if (number_parse(text, &end, &out->number)) {
        if (out->number < 1 || out->number > INT32_MAX) return false;
        if (!*end) return true;
        if (*end++ != '*') return false;
    }
    out->kind = FLM_SCHEMA_DIM_NAME;
    for (size_t i = 0; end[i]; i++)
        if (!isalnum((unsigned char)end[i]) && end[i] != '_') return false;
    return snprintf(out->name, sizeof out->name, "%s", end) < (int)sizeof out->name && isalpha((unsigned char)*end);
}

/* "[n, L]", in place. */
static bool shape_parse(char *word, flm_schema_shape *out)
{
    size_t length = strlen(word);
    char *rest, *one;

    memset(out, 0, sizeof *out);
    if (length < 2 || word[length - 1] != ']') return false;
    word[length - 1] = '\0';
    for (one = strtok_r(word + 1, ", ", &rest); one; one = strtok_r(NULL, ", ", &rest))
        if (out->ndim == FLM_SCHEMA_DIMS || !dim_parse(one, &out->dim[out->ndim++])) return false;
    return out->ndim > 0;
}

/* group PATH [optional]; dataset PATH TYPE[|TYPE] [DIMENSIONS]... | like GROUP/ [optional] */
static flm_status object_parse(const schema_line *line, flm_schema_object *object)
{
    flm_status rc = FLM_OK;
    int next = 2;
    char *rest, *one;

    memset(object, 0, sizeof *object);
    object->dataset = strcmp(line->word[0], "dataset") == 0;
    if (line->words < (object->dataset ? 4 : 2))
        FLM_TRY(line_refuse(line, "expected more words after", line->word[line->words - 1]));
    if (line->word[1][0] != '/' ||
        snprintf(object->path, sizeof object->path, "%s", line->word[1]) >= (int)sizeof object->path)
        FLM_TRY(line_refuse(line, "not the path of an object:", line->word[1]));
    if (object->dataset) {
        for (one = strtok_r(line->word[next++], "|", &rest); one; one = strtok_r(NULL, "|", &rest))
            if (object->elements == FLM_SCHEMA_CHOICES || !element_parse(one, &object->element[object->elements++]))
                FLM_TRY(line_refuse(line, "not a type:", one));
        if (object->elements == 0) FLM_TRY(line_refuse(line, "has no type:", line->word[1]));
        if (strcmp(line->word[next], "like") == 0) {
            const char *like = line->words > next + 1 ? line->word[next + 1] : "";
            size_t length = strlen(like);
            if (length < 2 || length >= sizeof object->like || like[0] != '/' || like[length - 1] != '/')
                FLM_TRY(line_refuse(line, "expected a group after \"like\", found", like));
            memcpy(object->like, like, length + 1);
            next += 2;
        }
        for (; next < line->words && line->word[next][0] == '['; next++)
            if (object->shapes == FLM_SCHEMA_CHOICES ||
                !shape_parse(line->word[next], &object->shape[object->shapes++]))
                FLM_TRY(line_refuse(line, "not a shape:", line->word[next]));
        if (object->shapes == 0 && !object->like[0]) FLM_TRY(line_refuse(line, "has no shape:", line->word[1]));
    }
    if (next < line->words && strcmp(line->word[next], "optional") == 0) {
        object->optional = true;
        next++;
    }
    if (next < line->words) FLM_TRY(line_refuse(line, "unexpected word", line->word[next]));
done:
    return rc;
}

/* = a b c | MIN..MAX; moves *next past it. */
static flm_status rule_parse(const schema_line *line, int *next, flm_schema_attribute *attribute)
{
    flm_status rc = FLM_OK;
    const char *end;
    size_t used = 0;

    if (strcmp(line->word[*next], "=") == 0) {
        for (++*next; *next < line->words && strcmp(line->word[*next], "optional") != 0; ++*next) {
            int wrote = snprintf(attribute->allowed + used, sizeof attribute->allowed - used, "%s%s", used ? " " : "",
                                 line->word[*next]);
            if (wrote < 0 || (size_t)wrote >= sizeof attribute->allowed - used)
                FLM_TRY(line_refuse(line, "allows too many values, from", line->word[*next]));
            used += (size_t)wrote;
        }
        if (used == 0) FLM_TRY(line_refuse(line, "no values are listed for", attribute->name));
    } else if (strstr(line->word[*next], "..")) {
        const flm_schema_type type = attribute->element.type;
        if ((type != FLM_SCHEMA_I64 && type != FLM_SCHEMA_F64) ||
            !number_parse(line->word[*next], &end, &attribute->min) || strncmp(end, "..", 2) != 0 ||
            !number_parse(end + 2, &end, &attribute->max) || *end || attribute->max < attribute->min)
            FLM_TRY(line_refuse(line, "not a range of integers or floats:", line->word[*next]));
        attribute->ranged = true;
        ++*next;
    }
done:
    return rc;
}

/* @NAME TYPE [DIMENSIONS] [RULE] [optional] */
static flm_status attribute_parse(const schema_line *line, flm_schema_attribute *attribute)
{
    flm_status rc = FLM_OK;
    const char *name = line->word[0] + 1;
    int next = 2;

    memset(attribute, 0, sizeof *attribute);
    if (line->words < 2 || !*name || strlen(name) >= sizeof attribute->name)
        FLM_TRY(line_refuse(line, "not an attribute:", line->word[0]));
    strcpy(attribute->name, name);
    if (!element_parse(line->word[1], &attribute->element)) FLM_TRY(line_refuse(line, "not a type:", line->word[1]));
    if (next < line->words && line->word[next][0] == '[' && !shape_parse(line->word[next++], &attribute->shape))
        FLM_TRY(line_refuse(line, "not a shape:", line->word[next - 1]));
    if (next < line->words) FLM_TRY(rule_parse(line, &next, attribute));
    if (next < line->words && strcmp(line->word[next], "optional") == 0) {
        attribute->optional = true;
        next++;
    }
    if (next < line->words) FLM_TRY(line_refuse(line, "unexpected word", line->word[next]));
    if (strcmp(name, "*") == 0 && !attribute->optional) FLM_TRY(line_refuse(line, "must be optional:", line->word[0]));
done:
    return rc;
}

/* Grow an array by one element of `size` bytes. */
static flm_status array_grow(void **array, int count, size_t size)
{
    void *grown = realloc(*array, (size_t)(count + 1) * size);
    if (!grown) return flm_err_raise(FLM_E_NOMEM, __FILE__, __LINE__, "schema: no memory for %d lines", count + 1);
    *array = grown;
    return FLM_OK;
}

static flm_status line_take(const schema_line *line, flm_schema *schema)
{
    flm_status rc = FLM_OK;
    const char *first = line->word[0];

    if (strcmp(first, "schema") == 0) {
        if (line->words != 2 || schema->name[0] || strlen(line->word[1]) >= sizeof schema->name)
            FLM_TRY(line_refuse(line, "expected one line \"schema NAME\", found a wrong or second", first));
        strcpy(schema->name, line->word[1]);
    } else if (!schema->name[0]) {
        FLM_TRY(line_refuse(line, "expected the line \"schema NAME\" before", first));
    } else if (strcmp(first, "group") == 0 || strcmp(first, "dataset") == 0) {
        flm_schema_object object;
        FLM_TRY(object_parse(line, &object));
        FLM_TRY(array_grow((void **)&schema->objects, schema->count, sizeof object));
        schema->objects[schema->count++] = object;
    } else if (first[0] == '@' && schema->count > 0) {
        flm_schema_object *object = &schema->objects[schema->count - 1];
        flm_schema_attribute attribute;
        FLM_TRY(attribute_parse(line, &attribute));
        FLM_TRY(array_grow((void **)&object->attributes, object->attributes_count, sizeof attribute));
        object->attributes[object->attributes_count++] = attribute;
    } else {
        FLM_TRY(line_refuse(line, "expected schema, group, dataset or @, found", first));
    }
done:
    return rc;
}

flm_status flm_schema_parse(const char *name, const char *text, size_t bytes, flm_schema **out)
{
    flm_status rc = FLM_OK;
    schema_line *line = calloc(1, sizeof *line);
    flm_schema *schema = calloc(1, sizeof *schema);

    if (!line || !schema) FLM_FAIL(FLM_E_NOMEM, "schema %s: no memory", name);
    line->schema = name;
    for (size_t at = 0; at < bytes;) {
        const char *end = memchr(text + at, '\n', bytes - at);
        size_t length = end ? (size_t)(end - text) - at : bytes - at;
        line->number++;
        FLM_TRY(line_split(line, text + at, length));
        if (line->words > 0) FLM_TRY(line_take(line, schema));
        at += length + 1;
    }
    if (schema->count == 0) FLM_FAIL(FLM_E_FORMAT, "schema %s: describes no object", name);
    *out = schema;
    schema = NULL;
done:
    free(line);
    flm_schema_destroy(&schema);
    return rc;
}

void flm_schema_destroy(flm_schema **schema)
{
    if (!*schema) return;
    for (int i = 0; i < (*schema)->count; i++) free((*schema)->objects[i].attributes);
    free((*schema)->objects);
    free(*schema);
    *schema = NULL;
}
