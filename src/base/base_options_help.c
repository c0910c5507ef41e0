/* base_options_help.c - the text of --help.
 *
 * Each option has its purpose, then its range and default in parentheses. Choices are shown after the name. Bounds
 * that no user reaches (limit) are left out. SPDX-License-Identifier: Apache-2.0 */
#include "base/base_options_internal.h"

#include <stdarg.h>
#include <string.h>

enum { COLUMNS = 80, DOC_COLUMN = 26 };

/* Writes words, and a line break with an indentation before each that would exceed COLUMNS. */
typedef struct writer {
    int column, indent;
} writer;

static void start_line(writer *w)
{
    printf("\n%*s", w->indent, "");
    w->column = w->indent;
}

static void put_word(writer *w, const char *word, int length)
{
    const bool first = w->column <= w->indent;

    if (!first && w->column + 1 + length > COLUMNS - 1) start_line(w);
    if (w->column > w->indent) w->column += printf(" ");
    w->column += printf("%.*s", length, word);
}

static void put_text(writer *w, const char *text)
{
    while (*text) {
        const int length = (int)strcspn(text, " \n");
        put_word(w, text, length);
        text += length;
        if (*text == '\n') start_line(w);
        text += *text != '\0';
    }
}

__attribute__((format(printf, 3, 4))) static void append(char *text, size_t bytes, const char *fmt, ...)
{
    const size_t used = strlen(text);
    va_list ap;

    va_start(ap, fmt);
    if (used < bytes) vsnprintf(text + used, bytes - used, fmt, ap);
    va_end(ap);
}

void flm_options_limits(const flm_option *row, char *text, size_t bytes)
{
    const bool number = row->type == FLM_OPTION_INT || row->type == FLM_OPTION_FLOAT;
    const bool off = row->type == FLM_OPTION_BOOL && row->default_value && strcmp(row->default_value, "no") == 0;

    *text = '\0';
    if (number && row->min > 0 && row->min < 1e-6)
        append(text, bytes, "above 0");
    else if (number && row->max > 0)
        append(text, bytes, "%.15g to %.15g", row->min, row->max);
    else if (number && row->min != 0)
        append(text, bytes, "at least %.15g", row->min);
    if (row->required)
        append(text, bytes, "%srequired", *text ? "; " : "");
    else if (row->default_value && *row->default_value && !off)
        append(text, bytes, "%sdefault %s", *text ? "; " : "", row->default_value);
}

void flm_options_values(const flm_option *row, char *text, size_t bytes)
{
    *text = '\0';
    if (row->choices && !row->unit)
        for (int i = 0; row->choices[i]; i++) append(text, bytes, "%s%s", i ? "|" : "", row->choices[i]);
    else
        append(text, bytes, "%s", row->unit);
}

static int print_name(const flm_option *row)
{
    char values[512];

    flm_options_values(row, values, sizeof values);
    if (!*values) return printf("  --%s", row->name);
    return printf(row->type == FLM_OPTION_BOOL ? "  --%s[=%s]" : "  --%s=%s", row->name, values);
}

static void print_option(const flm_option *row)
{
    char limits[512];
    writer w = {.indent = DOC_COLUMN};

    w.column = print_name(row);
    if (w.column > DOC_COLUMN - 2) /* a long name has a line of its own */
        start_line(&w);
    else
        w.column += printf("%*s", DOC_COLUMN - w.column, "");
    put_text(&w, row->help ? row->help : "");
    flm_options_limits(row, limits, sizeof limits);
    if (*limits) {
        append(limits, sizeof limits, ")");
        if (w.column + 2 + (int)strlen(limits) > COLUMNS - 1)
            start_line(&w);
        else if (w.column > w.indent)
            w.column += printf(" ");
        printf("(%s", limits);
    }
    printf("\n");
}

const flm_option *flm_options_row(const flm_options_spec *spec, int index)
{
    static const flm_option common[] = {
        {.type = FLM_OPTION_GROUP, .name = "Every program"},
        {.type = FLM_OPTION_STRING,
         .name = "config",
         .unit = "FILE",
         .help = "read options from a file with lines `name = value`; may be repeated\n"
                 "later files take precedence over earlier ones, and the command line over all"},
        {.type = FLM_OPTION_BOOL,
         .name = "help",
         .unit = "man|bash|zsh",
         .help =
             "print this help and exit\nman = as a manual page; bash, zsh = completion of the options in that shell"},
        {.type = FLM_OPTION_BOOL,
         .name = "version",
         .unit = "",
         .help = "print the version and the git revision and exit"},
    };

    if (index < spec->count) return &spec->rows[index];
    index -= spec->count;
    return index < (int)(sizeof common / sizeof common[0]) ? &common[index] : NULL;
}

void flm_options_print_help(const flm_options_spec *spec)
{
    writer w = {0};

    printf("Usage: %s [OPTION...]%s%s\n", spec->program, spec->arguments ? " " : "",
           spec->arguments ? spec->arguments : "");
    put_text(&w, spec->purpose);
    printf("\n");
    for (int i = 0; flm_options_row(spec, i); i++) {
        const flm_option *row = flm_options_row(spec, i);
        if (row->type == FLM_OPTION_GROUP)
            printf("\n%s:\n", row->name);
        else
            print_option(row);
    }
    printf("\nExit codes: 0 done; 2 wrong usage; 75 stopped by a signal: run the same command\n"
           "again to resume. Other failures: see docs/exit-codes.md.\n");
}

flm_options_printer *flm_options_help_form(const char *form)
{
    static const struct {
        const char *form;
        flm_options_printer *print;
    } forms[] = {{"", flm_options_print_help},
                 {"man", flm_options_print_man},
                 {"bash", flm_options_print_bash},
                 {"zsh", flm_options_print_zsh}};

    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++)
        if (strcmp(forms[i].form, form) == 0) return forms[i].print;
    return NULL;
}
