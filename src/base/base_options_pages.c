/* base_options_pages.c - manual pages and completions of a shell from the option tables: --help=man, bash, zsh.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/base_options_internal.h"
#include "base/base_version.h"

#include <ctype.h>
#include <string.h>

enum { VALUES_BYTES = 512 };

/* Words of the values of a row that a user types as they are: "auto" of "auto|no|FILE". A name for a value is in upper
 * case or a single letter. */
static bool is_literal(const char *word, size_t length) { return length > 1 && islower((unsigned char)word[0]); }

/* The literal words of a row, separated by spaces; whether it takes files or directories. */
typedef struct value_kinds {
    char words[VALUES_BYTES];
    bool files, directories;
} value_kinds;

static value_kinds find_kinds(const flm_option *row)
{
    value_kinds kinds = {.words = ""};
    char values[VALUES_BYTES];
    size_t used = 0;

    flm_options_values(row, values, sizeof values);
    for (const char *word = values; *word;) {
        const size_t length = strcspn(word, "|[");
        if (is_literal(word, length)) {
            memcpy(kinds.words + used, word, length);
            used += length;
            kinds.words[used++] = ' ';
        }
        kinds.files |= strncmp(word, "FILE", 4) == 0;
        kinds.directories |= strncmp(word, "DIR", 3) == 0;
        word += word[length] == '|' ? length + 1 : strlen(word);
    }
    if (used > 0) kinds.words[used - 1] = '\0';
    return kinds;
}

/* Text for roff: a backslash, a quote or a dash would be read as something else. */
static void put_roff(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        switch (text[i]) {
        case '\\': printf("\\e"); break;
        case '-': printf("\\-"); break;
        case '\'': printf("\\(aq"); break;
        case '`': printf("\\(ga"); break;
        case '^': printf("\\(ha"); break;
        case '~': printf("\\(ti"); break;
        case '"': printf("\\(dq"); break;
        case '.': printf(i == 0 || text[i - 1] == '\n' ? "\\&." : "."); break;
        case '\n': printf("\n.br\n"); break;
        default: putchar(text[i]);
        }
    }
}

static void put_roff_text(const char *text) { put_roff(text, strlen(text)); }

/* "--name=VALUE" with literal words in bold and names of values in italics. */
static void put_roff_name(const flm_option *row)
{
    char values[VALUES_BYTES];

    flm_options_values(row, values, sizeof values);
    printf(".TP\n\\fB\\-\\-");
    put_roff_text(row->name);
    printf("\\fR%s%s", row->type == FLM_OPTION_BOOL && *values ? "[" : "", *values ? "=" : "");
    for (const char *word = values; *word;) {
        const size_t length = strcspn(word, "|");
        printf(is_literal(word, length) ? "\\fB" : "\\fI");
        put_roff(word, length);
        printf("\\fR%s", word[length] ? "|" : "");
        word += length + (word[length] != '\0');
    }
    printf("%s\n", row->type == FLM_OPTION_BOOL && *values ? "]" : "");
}

void flm_options_print_man(const flm_options_spec *spec)
{
    char limits[VALUES_BYTES];
    const size_t sentence = strcspn(spec->purpose, ".");

    printf(".\\\" made by %s \\-\\-help=man\n.TH ", spec->program);
    for (const char *p = spec->program; *p; p++) putchar(toupper((unsigned char)*p));
    printf(" 1 \"\" \"flm %s\" \"Flow language models\"\n.nh\n.ad l\n.SH NAME\n%s \\- ", flm_version_string(),
           spec->program);
    putchar(tolower((unsigned char)spec->purpose[0]));
    put_roff(spec->purpose + 1, sentence - 1);
    printf("\n.SH SYNOPSIS\n\\fB%s\\fR [\\fIOPTION\\fR...]", spec->program);
    if (spec->arguments) printf(" \\fI%s\\fR", spec->arguments);
    printf("\n.SH DESCRIPTION\n");
    put_roff_text(spec->purpose);
    printf("\n.SH OPTIONS\n");
    for (int i = 0; flm_options_row(spec, i); i++) {
        const flm_option *row = flm_options_row(spec, i);
        if (row->type == FLM_OPTION_GROUP) {
            printf(".SS \"");
            put_roff_text(row->name);
            printf("\"\n");
            continue;
        }
        put_roff_name(row);
        put_roff_text(row->help ? row->help : "");
        flm_options_limits(row, limits, sizeof limits);
        if (*limits) {
            printf("\n(");
            put_roff_text(limits);
            printf(")");
        }
        printf("\n");
    }
    printf(".SH EXIT STATUS\n.TP\n0\ndone\n.TP\n2\nwrong usage\n.TP\n75\nstopped by a signal: run the same command "
           "again to "
           "resume\n.P\nOther failures: see\n.BR flm (7).\n.SH SEE ALSO\n.BR flm (7)\n");
}

/* The case of a row in the completion of bash: what may follow --name= or, where a value is required, the next word. */
static void put_bash_case(const flm_option *row, const value_kinds *kinds)
{
    printf("    --%s)\n", row->name);
    if (row->type == FLM_OPTION_BOOL) {
        printf("        if test -n \"$joined\"; then\n"
               "            mapfile -t COMPREPLY < <(compgen -W '%s' -- \"$word\")\n"
               "            return\n        fi\n        ;;\n",
               kinds->words);
        return;
    }
    if (*kinds->words) printf("        mapfile -t COMPREPLY < <(compgen -W '%s' -- \"$word\")\n", kinds->words);
    if (kinds->files || kinds->directories)
        printf("        compopt -o filenames 2>/dev/null\n"
               "        mapfile -t -O \"${#COMPREPLY[@]}\" COMPREPLY < <(compgen -%c -- \"$word\")\n",
               kinds->files ? 'f' : 'd');
    printf("        return\n        ;;\n");
}

/* The cases of all rows; those with values that nobody can suggest share one. */
static void put_bash_cases(const flm_options_spec *spec)
{
    const flm_option *row;
    int count = 0;

    for (int i = 0; (row = flm_options_row(spec, i)) != NULL; i++) {
        const value_kinds kinds = row->type == FLM_OPTION_GROUP ? (value_kinds){.words = ""} : find_kinds(row);
        if (*kinds.words || kinds.files || kinds.directories) put_bash_case(row, &kinds);
    }
    for (int i = 0; (row = flm_options_row(spec, i)) != NULL; i++) {
        if (row->type == FLM_OPTION_GROUP || row->type == FLM_OPTION_BOOL) continue;
        const value_kinds kinds = find_kinds(row);
        if (*kinds.words || kinds.files || kinds.directories) continue;
        printf("%s--%s", count++ ? " | " : "    ", row->name);
    }
    if (count > 0) printf(") return ;;\n");
}

void flm_options_print_bash(const flm_options_spec *spec)
{
    const flm_option *row;

    /* Bash divides --name=value into three words. */
    printf("# completion of %s in bash, made by %s --help=bash\n_%s() {\n"
           "    local word=${COMP_WORDS[COMP_CWORD]} option='' joined=''\n"
           "    COMPREPLY=()\n"
           "    if test \"$word\" = =; then\n"
           "        option=${COMP_WORDS[COMP_CWORD - 1]} joined=1 word=''\n"
           "    elif test \"$COMP_CWORD\" -gt 2 && test \"${COMP_WORDS[COMP_CWORD - 1]}\" = =; then\n"
           "        option=${COMP_WORDS[COMP_CWORD - 2]} joined=1\n"
           "    elif test \"$COMP_CWORD\" -gt 1; then\n"
           "        option=${COMP_WORDS[COMP_CWORD - 1]}\n"
           "    fi\n"
           "    case $option in\n",
           spec->program, spec->program, spec->program);
    put_bash_cases(spec);
    printf("    esac\n    case $word in\n    -*)\n        mapfile -t COMPREPLY < <(compgen -W '");
    for (int i = 0; (row = flm_options_row(spec, i)) != NULL; i++)
        if (row->type != FLM_OPTION_GROUP)
            printf("%s--%s%s", i > 1 ? " " : "", row->name, row->type == FLM_OPTION_BOOL ? "" : "=");
    printf("' -- \"$word\")\n"
           "        case ${COMPREPLY[0]-} in *=) compopt -o nospace 2>/dev/null ;; esac\n"
           "        ;;\n");
    if (spec->arguments)
        printf("    *)\n"
               "        compopt -o filenames 2>/dev/null\n"
               "        mapfile -t COMPREPLY < <(compgen -f -- \"$word\")\n"
               "        ;;\n");
    printf("    esac\n}\ncomplete -F _%s %s\n", spec->program, spec->program);
}

/* The first line of a text for a description of _arguments, within single quotes. */
static void put_zsh_text(const char *text)
{
    for (const char *p = text; *p && *p != '\n'; p++) {
        if (*p == '\'')
            printf("'\\''");
        else
            printf(strchr("[]:\\", *p) ? "\\%c" : "%c", *p);
    }
}

static void put_zsh_option(const flm_option *row)
{
    const value_kinds kinds = find_kinds(row);
    const bool is_bool = row->type == FLM_OPTION_BOOL, valued = !row->unit || *row->unit;

    printf(" \\\n  '%s--%s%s[", strcmp(row->name, "config") == 0 ? "*" : "", row->name,
           (const char *[]){"", "=", "=-"}[valued + (valued && is_bool)]);
    put_zsh_text(row->help ? row->help : "");
    printf("]");
    if (valued) printf("%svalue:", is_bool ? "::" : ":");
    if (kinds.files || kinds.directories)
        printf("{%s%s%s_files%s}", *kinds.words ? "compadd " : "", kinds.words, *kinds.words ? "; " : "",
               kinds.files ? "" : " -/");
    else if (*kinds.words)
        printf("(%s)", kinds.words);
    printf("'");
}

void flm_options_print_zsh(const flm_options_spec *spec)
{
    const flm_option *row;

    printf("#compdef %s\n# completion of %s in zsh, made by %s --help=zsh\n_arguments", spec->program, spec->program,
           spec->program);
    for (int i = 0; (row = flm_options_row(spec, i)) != NULL; i++)
        if (row->type != FLM_OPTION_GROUP) put_zsh_option(row);
    if (spec->arguments) printf(" \\\n  '*:%s:_files'", "file");
    printf("\n");
}
