/* base_options_value.c - one value of an option: from text, checked, and back to text.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/base_options_internal.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double EXACT_MAX = 9007199254740992.0; /* 2^53: the largest range of integers that a double has exactly */

/* The largest value that a row allows; 0: any. */
static double largest(const flm_option *row)
{
    if (row->max > 0) return row->max;
    return row->limit > 0 || row->type != FLM_OPTION_INT ? row->limit : EXACT_MAX;
}

void flm_options_allowed(const flm_option *row, char *text, size_t bytes)
{
    static const char *const kinds[] = {"", "an integer", "a number", "yes or no", "text", "one of", "a list"};
    int used = snprintf(text, bytes, "%s", kinds[row->type]);

    if (row->type == FLM_OPTION_INT || row->type == FLM_OPTION_FLOAT) {
        if (row->max > 0 || row->limit > 0)
            snprintf(text + used, bytes - (size_t)used, " from %.15g to %.15g", row->min, largest(row));
        else
            snprintf(text + used, bytes - (size_t)used, " of at least %.15g", row->min);
    } else if (row->type == FLM_OPTION_CHOICE) {
        for (int i = 0; row->choices[i] && (size_t)used < bytes; i++)
            used += snprintf(text + used, bytes - (size_t)used, "%s %s", i ? "," : "", row->choices[i]);
    }
}

/* A decimal integer with nothing before or after it. */
static bool parse_int(const char *text, int64_t *value)
{
    char *end;
    const char *digits = text + (*text == '-' || *text == '+');

    if (!isdigit((unsigned char)*digits)) return false;
    errno = 0;
    *value = strtoll(text, &end, 10);
    return errno == 0 && *end == '\0';
}

/* A finite number with nothing before or after it. */
static bool parse_float(const char *text, double *value)
{
    char *end;

    if (*text == '\0' || isspace((unsigned char)*text)) return false;
    *value = strtod(text, &end);
    return *end == '\0' && isfinite(*value);
}

static bool parse_bool(const char *text, bool *value)
{
    static const char *const words[] = {"no", "yes", "false", "true", "0", "1"};

    for (int i = 0; i < 6; i++)
        if (strcmp(text, words[i]) == 0) {
            *value = i & 1;
            return true;
        }
    return false;
}

/* Text must fit on one line of a configuration file. */
static bool text_ok(const char *text)
{
    for (; *text; text++)
        if (iscntrl((unsigned char)*text)) return false;
    return true;
}

/* The fewest digits that read back as the same double: 0.0003 rather than 0.00029999999999999997, and 30 rather than
 * 3e+01. */
static void format_float(double value, char *text, size_t bytes)
{
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, bytes, "%.*g", digits, value);
        const bool plain = strchr(text, 'e') == NULL || fabs(value) < 1 || fabs(value) >= 1e6;
        if (plain && strtod(text, NULL) == value) return;
    }
}

static bool in_range(const flm_option *row, double value)
{
    return value >= row->min && (largest(row) <= 0 || value <= largest(row));
}

/* Parse text into *target. *kept becomes the canonical text: in `canonical`, or text itself. False when the row does
 * not allow it. */
static bool convert(const flm_option *row, const char *text, void *target, char *canonical, size_t bytes,
                    const char **kept)
{
    int64_t whole;
    double number;
    bool truth;

    *kept = canonical;
    switch (row->type) {
    case FLM_OPTION_INT:
        if (!parse_int(text, &whole) || !in_range(row, (double)whole)) return false;
        *(int64_t *)target = whole;
        snprintf(canonical, bytes, "%" PRId64, whole);
        return true;
    case FLM_OPTION_FLOAT:
        if (!parse_float(text, &number) || !in_range(row, number)) return false;
        *(double *)target = number;
        format_float(number, canonical, bytes);
        return true;
    case FLM_OPTION_BOOL:
        if (!parse_bool(text, &truth)) return false;
        *(bool *)target = truth;
        snprintf(canonical, bytes, "%s", truth ? "yes" : "no");
        return true;
    case FLM_OPTION_CHOICE:
        for (int i = 0; row->choices[i]; i++)
            if (strcmp(text, row->choices[i]) == 0) {
                *(int *)target = i;
                *kept = row->choices[i];
                return true;
            }
        return false;
    case FLM_OPTION_GROUP: return false;
    case FLM_OPTION_STRING:
    case FLM_OPTION_LIST: *kept = text; return text_ok(text);
    }
    return false;
}

flm_status flm_options_set(flm_options *options, int index, const char *text, const char *where)
{
    flm_status rc = FLM_OK;
    const flm_option *row = options->rows[index];
    void *target = options->values + row->offset;
    char canonical[64], allowed[512], *copy = NULL;
    const char *kept;

    if (!convert(row, text, target, canonical, sizeof canonical, &kept)) {
        flm_options_allowed(row, allowed, sizeof allowed);
        FLM_FAIL(FLM_E_USAGE, "%s: '%.200s' is not valid; expected %s%s", where, text, allowed,
                 row->type == FLM_OPTION_STRING || row->type == FLM_OPTION_LIST ? " without control characters" : "");
    }
    copy = strdup(kept);
    if (!copy) FLM_FAIL(FLM_E_NOMEM, "%s: no memory for its value", where);
    free(options->texts[index]);
    options->texts[index] = copy;
    if (row->type == FLM_OPTION_STRING || row->type == FLM_OPTION_LIST) *(const char **)target = copy;
done:
    return rc;
}

/* The numbers of a list separated by commas: `read` puts one, of `bytes` bytes, into a place if it is within `range`;
 * `expected` says what that is. */
static flm_status read_list(const char *name, const char *text, bool (*read)(const char *, const void *, void *),
                            const void *range, size_t bytes, const char *expected, void **list, int *count)
{
    flm_status rc = FLM_OK;
    char *values = NULL, *copy = strdup(text), *rest = copy, *word;
    int n = 1;

    for (const char *p = text; *p; p++) n += *p == ',';
    values = malloc((size_t)n * bytes);
    if (!copy || !values) FLM_FAIL(FLM_E_NOMEM, "--%s: no memory for %d numbers", name, n);
    for (int i = 0; (word = strsep(&rest, ",")); i++)
        if (!read(word, range, values + (size_t)i * bytes))
            FLM_FAIL(FLM_E_USAGE, "--%s: '%.200s' in '%.200s' is not valid; expected %s, separated by commas", name,
                     word, text, expected);
    *list = values;
    *count = n;
    values = NULL;
done:
    free(values);
    free(copy);
    return rc;
}

static bool read_int(const char *word, const void *range, void *value)
{
    const int64_t *limit = range, *have = value;
    return parse_int(word, value) && *have >= limit[0] && *have <= limit[1];
}

static bool read_float(const char *word, const void *range, void *value)
{
    const double *limit = range, *have = value;
    return parse_float(word, value) && *have >= limit[0] && *have <= limit[1];
}

flm_status flm_options_int_list(const char *name, const char *text, int64_t min, int64_t max, int64_t **list,
                                int *count)
{
    const int64_t range[2] = {min, max};
    void *values = NULL;
    char expected[96];
    snprintf(expected, sizeof expected, "integers from %" PRId64 " to %" PRId64, min, max);
    flm_status rc = read_list(name, text, read_int, range, sizeof **list, expected, &values, count);
    if (rc == FLM_OK) *list = values;
    return rc;
}

flm_status flm_options_float_list(const char *name, const char *text, double min, double max, double **list, int *count)
{
    const double range[2] = {min, max};
    void *values = NULL;
    char expected[96];
    snprintf(expected, sizeof expected, "numbers from %.15g to %.15g", min, max);
    flm_status rc = read_list(name, text, read_float, range, sizeof **list, expected, &values, count);
    if (rc == FLM_OK) *list = values;
    return rc;
}
