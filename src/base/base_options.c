/* base_options.c - see base_options.h: the command line, and the order of defaults, file and command line.
 *
 * argp parses the command line but prints nothing and does not exit (ARGP_NO_EXIT, ARGP_NO_ERRS). Abbreviated and
 * unknown names, which it would accept or refuse without naming them, are refused beforehand.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/base_options_internal.h"
#include "base/base_version.h"

#include <argp.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_HELP = 0x100, KEY_VERSION = 0x101, KEY_CONFIG = 0x102, KEY_TABLE = 0x200 };

int flm_options_find(const flm_options *options, const char *name, size_t length)
{
    for (int i = 0; i < options->count; i++)
        if (strlen(options->rows[i]->name) == length && memcmp(options->rows[i]->name, name, length) == 0) return i;
    return -1;
}

const flm_option_rename *flm_options_find_rename(const flm_options *options, const char *name, size_t length)
{
    for (const flm_option_rename *r = options->spec->renamed; r && r->old_name; r++)
        if (strlen(r->old_name) == length && memcmp(r->old_name, name, length) == 0) return r;
    return NULL;
}

const char *flm_options_new_value(const flm_option_rename *rename, const char *value)
{
    for (const flm_option_value *v = rename->values; v && v->old_value; v++)
        if (strcmp(v->old_value, value) == 0) return v->new_value;
    return value;
}

/* "--method two-model (1) or two-stage (2)", or the new name alone. */
static void describe_rename(const flm_option_rename *rename, char *text, size_t bytes)
{
    int used = snprintf(text, bytes, "--%s", rename->new_name);
    for (const flm_option_value *v = rename->values; v && v->old_value && (size_t)used < bytes; v++)
        used += snprintf(text + used, bytes - (size_t)used, "%s %s (%s)", v == rename->values ? "" : " or",
                         v->new_value, v->old_value);
}

static error_t parse_argument(int key, char *arg, struct argp_state *state)
{
    flm_options *options = state->input;
    char *copy;

    switch (key) {
    case KEY_HELP: options->help = arg ? arg : ""; return 0;
    case KEY_VERSION: options->version = true; return 0;
    case KEY_CONFIG: options->config[options->config_count++] = arg; return 0;
    case ARGP_KEY_ARG:
        copy = strdup(arg);
        if (!copy) return ENOMEM;
        options->positional[options->positional_count++] = copy;
        return 0;
    default:
        if (key < KEY_TABLE || key >= KEY_TABLE + options->count) return ARGP_ERR_UNKNOWN;
        options->command[key - KEY_TABLE] = arg ? arg : "yes"; /* a BOOL alone */
        return 0;
    }
}

/* Whether --name takes a value (2: only after =, or none); -1 when the program has no such option. */
static int takes_value(const flm_options *options, const char *name, size_t length)
{
    int index = flm_options_find(options, name, length);

    if (index >= 0) return options->rows[index]->type == FLM_OPTION_BOOL ? 2 : 1;
    if (length == 6 && memcmp(name, "config", 6) == 0) return 1;
    if (length == 4 && memcmp(name, "help", 4) == 0) return 2;
    if (length == 7 && memcmp(name, "version", 7) == 0) return 0;
    return -1;
}

static flm_status check_name(const flm_options *options, const char *word, size_t length, int *takes)
{
    flm_status rc = FLM_OK;
    const bool is_long = word[1] == '-';
    const flm_option_rename *rename = is_long ? flm_options_find_rename(options, word + 2, length - 2) : NULL;
    char new_name[256];

    *takes = is_long ? takes_value(options, word + 2, length - 2) : -1;
    if (*takes < 0 && rename && rename->reason)
        FLM_FAIL(FLM_E_USAGE, "%s has no %.*s: %s", options->spec->program, (int)length, word, rename->reason);
    if (*takes < 0 && rename) {
        describe_rename(rename, new_name, sizeof new_name);
        FLM_FAIL(FLM_E_USAGE, "%.*s was renamed: use %s", (int)length, word, new_name);
    }
    if (*takes < 0)
        FLM_FAIL(FLM_E_USAGE, "unknown option %.*s; %s --help lists the options", (int)length, word,
                 options->spec->program);
done:
    return rc;
}

static flm_status check_arguments(const flm_options *options, int argc, char **argv)
{
    flm_status rc = FLM_OK;
    bool only_positional = false;

    for (int i = 1; i < argc; i++) {
        const char *word = argv[i], *equals = strchr(word, '=');
        size_t length = equals ? (size_t)(equals - word) : strlen(word);
        int takes;
        if (only_positional || word[0] != '-' || word[1] == '\0') {
            if (!options->spec->arguments)
                FLM_FAIL(FLM_E_USAGE, "unexpected argument '%.200s': %s takes options only", word,
                         options->spec->program);
            continue;
        }
        if (strcmp(word, "--") == 0) {
            only_positional = true;
            continue;
        }
        FLM_TRY(check_name(options, word, length, &takes));
        if (takes == 0 && equals) FLM_FAIL(FLM_E_USAGE, "%.*s takes no value", (int)length, word);
        if (strncmp(word, "--help=", 7) == 0 && !flm_options_help_form(equals + 1))
            FLM_FAIL(FLM_E_USAGE, "%.200s: expected --help, --help=man, --help=bash or --help=zsh", word);
        if (takes == 1 && !equals && ++i >= argc) FLM_FAIL(FLM_E_USAGE, "%s needs a value", word);
    }
done:
    return rc;
}

static void fill_argp(const flm_options *options, struct argp_option *rows)
{
    rows[0] = (struct argp_option){.name = "config", .key = KEY_CONFIG, .arg = "FILE"};
    rows[1] = (struct argp_option){.name = "help", .key = KEY_HELP, .arg = "FORM", .flags = OPTION_ARG_OPTIONAL};
    rows[2] = (struct argp_option){.name = "version", .key = KEY_VERSION};
    for (int i = 0; i < options->count; i++)
        rows[3 + i] =
            (struct argp_option){.name = options->rows[i]->name,
                                 .key = KEY_TABLE + i,
                                 .arg = "VALUE",
                                 .flags = options->rows[i]->type == FLM_OPTION_BOOL ? OPTION_ARG_OPTIONAL : 0};
}

/* Parse the command line; print what --help and --version ask for. */
static flm_status read_command(flm_options *options, int argc, char **argv, bool is_root)
{
    flm_status rc = FLM_OK;
    struct argp_option *rows = calloc((size_t)options->count + 4, sizeof *rows);
    const struct argp argp = {.options = rows, .parser = parse_argument};
    error_t err;

    if (!rows) FLM_FAIL(FLM_E_NOMEM, "no memory for the option table");
    fill_argp(options, rows);
    FLM_TRY(check_arguments(options, argc, argv));
    err = argp_parse(&argp, argc, argv, ARGP_NO_EXIT | ARGP_NO_ERRS | ARGP_NO_HELP, NULL, options);
    if (err == ENOMEM) FLM_FAIL(FLM_E_NOMEM, "no memory for the command line");
    if (err) FLM_FAIL(FLM_E_USAGE, "invalid command line: %s", strerror(err));
    if (!is_root) goto done;
    if (options->help)
        flm_options_help_form(options->help)(options->spec);
    else if (options->version)
        printf("%s %s (git %s)\n", options->spec->program, flm_version_string(), flm_version_revision());
    fflush(stdout);
done:
    free(rows);
    return rc;
}

/* Apply the defaults, then the file, then the command line; then look for required options without a value. */
static flm_status resolve(flm_options *options)
{
    flm_status rc = FLM_OK;
    char where[256];

    for (int i = 0; i < options->count; i++) {
        const flm_option *row = options->rows[i];
        snprintf(where, sizeof where, "default of --%s", row->name);
        if (row->type == FLM_OPTION_STRING || row->type == FLM_OPTION_LIST)
            FLM_TRY(flm_options_set(options, i, row->default_value ? row->default_value : "", where));
        else if (row->default_value)
            FLM_TRY(flm_options_set(options, i, row->default_value, where));
    }
    for (int i = 0; i < options->config_count; i++) FLM_TRY(flm_options_read_file(options, options->config[i]));
    for (int i = 0; i < options->count; i++) {
        if (!options->command[i]) continue;
        snprintf(where, sizeof where, "--%s", options->rows[i]->name);
        FLM_TRY(flm_options_set(options, i, options->command[i], where));
        options->given[i] = true;
    }
    for (int i = 0; i < options->count; i++) {
        const flm_option *row = options->rows[i];
        if (row->required && (!options->given[i] || options->texts[i][0] == '\0'))
            FLM_FAIL(FLM_E_USAGE, "--%s %s is required: %.*s", row->name, row->unit, (int)strcspn(row->help, "\n"),
                     row->help);
    }
done:
    return rc;
}

static flm_status create(const flm_options_spec *spec, int argc, void *values, flm_options **out)
{
    flm_status rc = FLM_OK;
    flm_options *options = calloc(1, sizeof *options);
    const size_t n = (size_t)spec->count + 1;

    if (!options) FLM_FAIL(FLM_E_NOMEM, "no memory for the options");
    options->spec = spec;
    options->values = values;
    options->rows = calloc(n, sizeof *options->rows);
    options->texts = calloc(n, sizeof *options->texts);
    options->given = calloc(n, sizeof *options->given);
    options->lines = calloc(n, sizeof *options->lines);
    options->command = calloc(n, sizeof *options->command);
    options->positional = calloc((size_t)argc + 1, sizeof *options->positional);
    options->config = calloc((size_t)argc + 1, sizeof *options->config);
    if (!options->rows || !options->texts || !options->given || !options->lines || !options->command ||
        !options->positional || !options->config)
        FLM_FAIL(FLM_E_NOMEM, "no memory for %d options", spec->count);
    for (int i = 0; i < spec->count; i++)
        if (spec->rows[i].type != FLM_OPTION_GROUP) options->rows[options->count++] = &spec->rows[i];
    *out = options;
    options = NULL;
done:
    flm_options_destroy(&options);
    return rc;
}

flm_status flm_options_parse(const flm_options_spec *spec, int argc, char **argv, void *values, bool is_root,
                             bool *stop, flm_options **out)
{
    flm_status rc = FLM_OK;
    flm_options *options = NULL;

    FLM_TRY(create(spec, argc, values, &options));
    FLM_TRY(read_command(options, argc, argv, is_root));
    *stop = options->help != NULL || options->version;
    if (!*stop) FLM_TRY(resolve(options));
    *out = options;
    options = NULL;
done:
    flm_options_destroy(&options);
    return rc;
}

void flm_options_destroy(flm_options **options)
{
    flm_options *o = *options;

    if (!o) return;
    for (int i = 0; o->texts && i < o->count; i++) free(o->texts[i]);
    for (int i = 0; i < o->positional_count; i++) free(o->positional[i]);
    free(o->rows);
    free(o->texts);
    free(o->given);
    free(o->lines);
    free(o->command);
    free(o->positional);
    free(o->config);
    free(o);
    *options = NULL;
}

const char *const *flm_options_positional(const flm_options *options, int *count)
{
    *count = options->positional_count;
    return (const char *const *)options->positional;
}

bool flm_options_given(const flm_options *options, const char *name)
{
    int index = flm_options_find(options, name, strlen(name));

    return index >= 0 && options->given[index];
}

bool flm_options_changed(const flm_options *options, const char *name)
{
    const int index = flm_options_find(options, name, strlen(name));
    const char *initial = index >= 0 ? options->rows[index]->default_value : NULL;

    return index >= 0 && strcmp(flm_options_value(options, name), initial ? initial : "") != 0;
}

flm_status flm_options_replace(flm_options *options, const char *name, const char *text)
{
    flm_status rc = FLM_OK;
    const int index = flm_options_find(options, name, strlen(name));
    char where[256];

    if (index < 0 || options->given[index]) FLM_FAIL(FLM_E_ARG, "--%s is not an option with its default", name);
    snprintf(where, sizeof where, "--%s", name);
    FLM_TRY(flm_options_set(options, index, text, where));
done:
    return rc;
}

const char *flm_options_value(const flm_options *options, const char *name)
{
    int index = flm_options_find(options, name, strlen(name));

    return index >= 0 && options->texts[index] ? options->texts[index] : "";
}

int flm_options_count(const flm_options *options) { return options->count; }

const char *flm_options_name(const flm_options *options, int index) { return options->rows[index]->name; }
