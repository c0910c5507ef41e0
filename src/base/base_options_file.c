/* base_options_file.c - the configuration file: read and written.
 *
 * Lines `name = value`. Blank lines, and everything from a # that opens a line or follows a blank, are ignored. A value
 * in double quotes is taken as it is, with \" and \\ inside. Refused: a name the program does not have, a name set
 * twice, a value its option does not allow, control characters, a file above 1 MiB.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/base_options_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_BYTES_MAX = 1 << 20, WHERE_BYTES = 512 };

/* The whole file with a final NUL. A device or pipe that never ends is cut off at the size limit. */
static flm_status read_all(const char *path, char **text, size_t *bytes)
{
    flm_status rc = FLM_OK;
    FILE *file = fopen(path, "rb");
    char *buffer = malloc(FILE_BYTES_MAX + 1);
    size_t got;

    if (!file) FLM_FAIL(flm_status_from_errno(errno), "--config: cannot open %s: %s", path, strerror(errno));
    if (!buffer) FLM_FAIL(FLM_E_NOMEM, "--config: no memory to read %s", path);
    errno = 0;
    got = fread(buffer, 1, FILE_BYTES_MAX + 1, file);
    if (ferror(file)) FLM_FAIL(flm_status_from_errno(errno), "--config: cannot read %s: %s", path, strerror(errno));
    if (got > FILE_BYTES_MAX)
        FLM_FAIL(FLM_E_USAGE, "--config: %s is above %d bytes: not a configuration file", path, FILE_BYTES_MAX);
    buffer[got] = '\0';
    *text = buffer;
    *bytes = got;
    buffer = NULL;
done:
    free(buffer);
    if (file) fclose(file);
    return rc;
}

static bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r'; }

static char *skip_blanks(char *p)
{
    while (is_blank(*p)) p++;
    return p;
}

static void cut_blanks(const char *begin, char *end)
{
    while (end > begin && is_blank(end[-1])) end--;
    *end = '\0';
}

/* A quoted value in place; the position after the closing quote, NULL when there is none. */
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

/* Cut the value at its comment, or take it out of its quotes. */
static flm_status value_end(char *value, const char *where)
{
    flm_status rc = FLM_OK;
    char *p = value;

    if (*value == '"') {
        p = unquote(value);
        if (!p) FLM_FAIL(FLM_E_USAGE, "%s: the value's closing quote is missing", where);
        p = skip_blanks(p);
        if (*p && *p != '#') FLM_FAIL(FLM_E_USAGE, "%s: '%.200s' after the quoted value", where, p);
        goto done;
    }
    while (*p && !(*p == '#' && (p == value || is_blank(p[-1])))) p++;
    cut_blanks(value, p);
done:
    return rc;
}

static flm_status take_line(flm_options *options, const char *path, int line, char *text)
{
    flm_status rc = FLM_OK;
    char where[WHERE_BYTES], *name = skip_blanks(text), *equals = strchr(name, '='), *value;
    int index;

    if (*name == '\0' || *name == '#') goto done;
    snprintf(where, sizeof where, "%s:%d", path, line);
    if (!equals) FLM_FAIL(FLM_E_USAGE, "%s: '%.200s' is not `name = value`", where, name);
    value = skip_blanks(equals + 1);
    cut_blanks(name, equals);
    index = flm_options_find(options, name, strlen(name));
    if (index < 0)
        FLM_FAIL(FLM_E_USAGE, "%s: unknown option '%.200s'; %s --help lists what there is", where, name,
                 options->program);
    snprintf(where, sizeof where, "%s:%d: %s", path, line, options->table[index].name);
    if (options->lines[index]) FLM_FAIL(FLM_E_USAGE, "%s is set twice, first in line %d", where, options->lines[index]);
    FLM_TRY(value_end(value, where));
    FLM_TRY(flm_options_set(options, index, value, where));
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

    FLM_TRY(read_all(path, &text, &bytes));
    for (char *p = text; p < text + bytes; p = next, line++) {
        char *end = memchr(p, '\n', (size_t)(text + bytes - p));
        if (!end) end = text + bytes;
        if (memchr(p, '\0', (size_t)(end - p)))
            FLM_FAIL(FLM_E_USAGE, "%s:%d: a NUL byte: not a configuration file", path, line);
        *end = '\0';
        next = end + 1;
        FLM_TRY(take_line(options, path, line, p));
    }
done:
    free(text);
    return rc;
}

/* Whether a value needs its quotes to come back the same. */
static bool needs_quotes(const char *text)
{
    size_t length = strlen(text);

    return length == 0 || *text == '"' || *text == '#' || is_blank(*text) || is_blank(text[length - 1]) ||
           strstr(text, " #");
}

flm_status flm_options_write(const flm_options *options, FILE *file)
{
    flm_status rc = FLM_OK;

    for (int i = 0; i < options->count; i++) {
        const char *text = options->texts[i];
        if (!text || (*text == '\0' && !options->given[i])) {
            fprintf(file, "# %s =\n", options->table[i].name);
            continue;
        }
        fprintf(file, "%s = ", options->table[i].name);
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
