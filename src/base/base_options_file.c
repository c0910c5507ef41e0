/* base_options_file.c - the configuration file: read and written.
 *
 * Lines `name = value`. Empty lines are ignored, and so is everything from a # at the start of a line or after white
 * space. A value in double quotes is taken literally, except for \" and \\. An old name of a renamed option is
 * accepted. Refused: unknown options, an option set twice, values that are not allowed, control characters, files above
 * 1 MiB. SPDX-License-Identifier: Apache-2.0 */
#include "base/base_file.h"
#include "base/base_options_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_BYTES_MAX = 1 << 20, WHERE_BYTES = 512 };

static bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r'; }

static char *skip_spaces(char *p)
{
    while (is_space(*p)) p++;
    return p;
}

static void trim(const char *begin, char *end)
{
    while (end > begin && is_space(end[-1])) end--;
    *end = '\0';
}

/* Unquote a value in place. Returns the position after the closing quote, NULL if it is missing. */
static char *unquote(char *value)
{
    char *to = value, *from = value + 1;

    for (; *from && *from != '"'; from++) {
        if (*from == '\\' && (from[1] == '"' || from[1] == '\\')) from++;
        *to++ = *from;
    }
    if (*from != '"') return NULL;
    *to = '\0';
    return from + 1;
}

/* Remove the comment after a value, or its quotes. */
static flm_status strip_value(char *value, const char *where)
{
    flm_status rc = FLM_OK;
    char *p = value;

    if (*value == '"') {
        p = unquote(value);
        if (!p) FLM_FAIL(FLM_E_USAGE, "%s: the value's closing quote is missing", where);
        p = skip_spaces(p);
        if (*p && *p != '#') FLM_FAIL(FLM_E_USAGE, "%s: unexpected '%.200s' after the quoted value", where, p);
        goto done;
    }
    while (*p && !(*p == '#' && (p == value || is_space(p[-1])))) p++;
    trim(value, p);
done:
    return rc;
}

static flm_status parse_line(flm_options *options, const char *path, int line, char *text)
{
    flm_status rc = FLM_OK;
    char where[WHERE_BYTES], *name = skip_spaces(text), *equals = strchr(name, '='), *value;
    const flm_option_rename *rename;
    const char *new_name;
    int index;

    if (*name == '\0' || *name == '#') goto done;
    snprintf(where, sizeof where, "%s:%d", path, line);
    if (!equals) FLM_FAIL(FLM_E_USAGE, "%s: '%.200s' is not `name = value`", where, name);
    value = skip_spaces(equals + 1);
    trim(name, equals);
    rename = flm_options_find_rename(options, name, strlen(name));
    if (rename && rename->reason)
        FLM_FAIL(FLM_E_USAGE, "%s: %s has no option '%.200s': %s", where, options->spec->program, name, rename->reason);
    new_name = rename ? rename->new_name : name;
    index = flm_options_find(options, new_name, strlen(new_name));
    if (index < 0)
        FLM_FAIL(FLM_E_USAGE, "%s: unknown option '%.200s'; %s --help lists the options", where, name,
                 options->spec->program);
    snprintf(where, sizeof where, "%s:%d: %s", path, line, options->rows[index]->name);
    if (options->lines[index]) FLM_FAIL(FLM_E_USAGE, "%s is set twice, first on line %d", where, options->lines[index]);
    FLM_TRY(strip_value(value, where));
    FLM_TRY(flm_options_set(options, index, rename ? flm_options_new_value(rename, value) : value, where));
    options->lines[index] = line;
    options->given[index] = true;
done:
    return rc;
}

flm_status flm_options_read_file(flm_options *options, const char *path)
{
    flm_status rc = FLM_OK;
    char *text = NULL, *next;
    size_t bytes = 0;
    int line = 1;

    memset(options->lines, 0, (size_t)options->count * sizeof *options->lines); /* of an earlier file */
    FLM_TRY(flm_err_prefix(flm_file_read(path, FILE_BYTES_MAX, &text, &bytes), "--config"));
    for (char *p = text; p < text + bytes; p = next, line++) {
        char *end = memchr(p, '\n', (size_t)(text + bytes - p));
        if (!end) end = text + bytes;
        if (memchr(p, '\0', (size_t)(end - p)))
            FLM_FAIL(FLM_E_USAGE, "%s:%d: a NUL byte; this is not a configuration file", path, line);
        *end = '\0';
        next = end + 1;
        FLM_TRY(parse_line(options, path, line, p));
    }
done:
    free(text);
    return rc;
}

/* Whether a value is only read back unchanged when it is quoted. */
static bool needs_quotes(const char *text)
{
    size_t length = strlen(text);

    return length == 0 || *text == '"' || *text == '#' || is_space(*text) || is_space(text[length - 1]) ||
           strstr(text, " #");
}

flm_status flm_options_write(const flm_options *options, FILE *file)
{
    flm_status rc = FLM_OK;

    for (int i = 0; i < options->count; i++) {
        const char *text = options->texts[i];
        if (!text || (*text == '\0' && !options->given[i])) {
            fprintf(file, "# %s =\n", options->rows[i]->name);
            continue;
        }
        fprintf(file, "%s = ", options->rows[i]->name);
        if (needs_quotes(text)) {
            putc('"', file);
            for (const char *p = text; *p; p++) {
                if (*p == '"' || *p == '\\') putc('\\', file);
                putc(*p, file);
            }
            fputs("\"\n", file);
        } else {
            fprintf(file, "%s\n", text);
        }
    }
    errno = 0;
    if (fflush(file) != 0 || ferror(file))
        FLM_FAIL(flm_status_from_errno(errno), "cannot write the configuration: %s", strerror(errno));
done:
    return rc;
}
