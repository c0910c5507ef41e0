/* base_options.c - see base_options.h: the command line by argp, the order of defaults, file and command line.
 *
 * argp formats the help and takes the words apart; it never prints an error nor ends the program (ARGP_NO_EXIT,
 * ARGP_NO_ERRS). What it would accept or leave unnamed is refused before: abbreviated and unknown names.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/base_options_internal.h"
#include "base/base_version.h"

#include <argp.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_HELP = 0x100, KEY_VERSION = 0x101, KEY_CONFIG = 0x102, KEY_TABLE = 0x200, DOC_BYTES = 1024 };

int flm_options_find(const flm_options *options, const char *name, size_t length)
{
    for (int i = 0; i < options->count; i++)
        if (strlen(options->table[i].name) == length && memcmp(options->table[i].name, name, length) == 0) return i;
    return -1;
}

static error_t take_word(int key, char *arg, struct argp_state *state)
{
    flm_options *options = state->input;
    char *copy;

    switch (key) {
    case KEY_HELP: options->help = true; return 0;
    case KEY_VERSION: options->version = true; return 0;
    case KEY_CONFIG: options->config = arg; return 0;
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

/* Whether --name takes a value (2: only after =), -1 when the program has no such name. */
static int takes_value(const flm_options *options, const char *name, size_t length)
{
    int index = flm_options_find(options, name, length);

    if (index >= 0) return options->table[index].type == FLM_OPTION_BOOL ? 2 : 1;
    if (length == 6 && memcmp(name, "config", 6) == 0) return 1;
    if ((length == 4 && memcmp(name, "help", 4) == 0) || (length == 7 && memcmp(name, "version", 7) == 0)) return 0;
    return -1;
}

/* Refuse by name what argp refuses without a word, and the abbreviations it would take. */
static flm_status check_words(const flm_options *options, int argc, char **argv)
{
    flm_status rc = FLM_OK;
    bool only_positional = false;

    for (int i = 1; i < argc; i++) {
        const char *word = argv[i], *equals = strchr(word, '=');
        size_t length = equals ? (size_t)(equals - word) : strlen(word);
        int takes;
        if (only_positional || word[0] != '-' || word[1] == '\0') {
            if (!options->positional_allowed)
                FLM_FAIL(FLM_E_USAGE, "unexpected argument '%.200s': %s takes options only", word, options->program);
            continue;
        }
        if (strcmp(word, "--") == 0) {
            only_positional = true;
            continue;
        }
        takes = word[1] == '-' ? takes_value(options, word + 2, length - 2) : -1;
        if (takes < 0)
            FLM_FAIL(FLM_E_USAGE, "unknown option %.*s; %s --help lists what there is", (int)length, word,
                     options->program);
        if (takes == 0 && equals) FLM_FAIL(FLM_E_USAGE, "%.*s takes no value", (int)length, word);
        if (takes == 1 && !equals && ++i >= argc) FLM_FAIL(FLM_E_USAGE, "%s needs a value", word);
    }
done:
    return rc;
}

/* The help of a row: its text, what is allowed, its default. */
static void describe(const flm_option *row, char *doc, size_t bytes)
{
    char allowed[512];
    int used = snprintf(doc, bytes, "%s", row->help ? row->help : "");
    bool text = row->type == FLM_OPTION_STRING || row->type == FLM_OPTION_LIST || row->type == FLM_OPTION_BOOL;

    flm_options_allowed(row, allowed, sizeof allowed);
    if (!text && (size_t)used < bytes) used += snprintf(doc + used, bytes - (size_t)used, "; %s", allowed);
    if ((size_t)used >= bytes) return;
    if (row->required)
        snprintf(doc + used, bytes - (size_t)used, " (required)");
    else if (row->default_value && *row->default_value)
        snprintf(doc + used, bytes - (size_t)used, " [%s]", row->default_value);
}

/* argp's own table: rows under the headings of their groups, then the options every program has. */
static void fill_argp(const flm_options *options, struct argp_option *rows, char (*docs)[DOC_BYTES])
{
    const struct argp_option common[] = {
        {NULL, 0, NULL, 0, "Every program:", options->count + 1},
        {"config", KEY_CONFIG, "FILE", 0, "Lines `name = value` with the names above; the command line wins", 0},
        {"help", KEY_HELP, NULL, 0, "Print this help and end", 0},
        {"version", KEY_VERSION, NULL, 0, "Print the version and the git revision and end", 0},
    };
    int used = 0, group = 0;
    const char *heading = NULL;

    for (int i = 0; i < options->count; i++) {
        const flm_option *row = &options->table[i];
        if (i == 0 || (row->group && heading && strcmp(row->group, heading) != 0)) {
            heading = row->group ? row->group : "Options";
            rows[used++] = (struct argp_option){NULL, 0, NULL, 0, heading, ++group};
        }
        describe(row, docs[i], DOC_BYTES);
        rows[used++] = (struct argp_option){.name = row->name,
                                            .key = KEY_TABLE + i,
                                            .arg = row->unit ? row->unit : "VALUE",
                                            .flags = row->type == FLM_OPTION_BOOL ? OPTION_ARG_OPTIONAL : 0,
                                            .doc = docs[i],
                                            .group = group};
    }
    memcpy(rows + used, common, sizeof common);
}

/* Take the command line apart, print what --help and --version ask for. */
static flm_status read_command(flm_options *options, const char *purpose, const char *positional, int argc, char **argv,
                               bool speak)
{
    flm_status rc = FLM_OK;
    struct argp_option *rows = calloc(2 * (size_t)options->count + 8, sizeof *rows);
    char(*docs)[DOC_BYTES] = calloc((size_t)options->count + 1, sizeof *docs);
    const struct argp argp = {.options = rows, .parser = take_word, .args_doc = positional, .doc = purpose};
    error_t err;

    if (!rows || !docs) FLM_FAIL(FLM_E_NOMEM, "no memory for the option table");
    fill_argp(options, rows, docs);
    FLM_TRY(check_words(options, argc, argv));
    err = argp_parse(&argp, argc, argv, ARGP_NO_EXIT | ARGP_NO_ERRS | ARGP_NO_HELP, NULL, options);
    if (err == ENOMEM) FLM_FAIL(FLM_E_NOMEM, "no memory for the command line");
    if (err) FLM_FAIL(FLM_E_USAGE, "the command line is refused: %s", strerror(err));
    if (!speak) goto done;
    if (options->help)
        argp_help(&argp, stdout, ARGP_HELP_SHORT_USAGE | ARGP_HELP_DOC | ARGP_HELP_LONG, (char *)options->program);
    else if (options->version)
        printf("%s %s (git %s)\n", options->program, flm_version_string(), flm_version_revision());
    fflush(stdout);
done:
    free(docs);
    free(rows);
    return rc;
}

/* Defaults, then the file, then the command line; then what is still missing. */
static flm_status resolve(flm_options *options)
{
    flm_status rc = FLM_OK;
    char where[256];

    for (int i = 0; i < options->count; i++) {
        const flm_option *row = &options->table[i];
        snprintf(where, sizeof where, "default of --%s", row->name);
        if (row->type == FLM_OPTION_STRING || row->type == FLM_OPTION_LIST)
            FLM_TRY(flm_options_set(options, i, row->default_value ? row->default_value : "", where));
        else if (row->default_value)
            FLM_TRY(flm_options_set(options, i, row->default_value, where));
    }
    if (options->config) FLM_TRY(flm_options_read_file(options, options->config));
    for (int i = 0; i < options->count; i++) {
        if (!options->command[i]) continue;
        snprintf(where, sizeof where, "--%s", options->table[i].name);
        FLM_TRY(flm_options_set(options, i, options->command[i], where));
        options->given[i] = true;
    }
    for (int i = 0; i < options->count; i++)
        if (options->table[i].required && (!options->given[i] || options->texts[i][0] == '\0'))
            FLM_FAIL(FLM_E_USAGE, "--%s %s is required: %s", options->table[i].name,
                     options->table[i].unit ? options->table[i].unit : "VALUE", options->table[i].help);
done:
    return rc;
}

flm_status flm_options_parse(const char *program, const char *purpose, const char *positional, const flm_option *table,
                             int count, int argc, char **argv, void *values, bool speak, bool *stop, flm_options **out)
{
    flm_status rc = FLM_OK;
    flm_options *options = calloc(1, sizeof *options);
    size_t n = (size_t)count + 1;

    if (!options) FLM_FAIL(FLM_E_NOMEM, "no memory for the options");
    options->program = program;
    options->table = table;
    options->count = count;
    options->values = values;
    options->positional_allowed = positional != NULL;
    options->texts = calloc(n, sizeof *options->texts);
    options->given = calloc(n, sizeof *options->given);
    options->lines = calloc(n, sizeof *options->lines);
    options->command = calloc(n, sizeof *options->command);
    options->positional = calloc((size_t)argc + 1, sizeof *options->positional);
    if (!options->texts || !options->given || !options->lines || !options->command || !options->positional)
        FLM_FAIL(FLM_E_NOMEM, "no memory for %d options", count);
    FLM_TRY(read_command(options, purpose, positional, argc, argv, speak));
    *stop = options->help || options->version;
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
    free(o->texts);
    free(o->given);
    free(o->lines);
    free(o->command);
    free(o->positional);
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

const char *flm_options_value(const flm_options *options, const char *name)
{
    int index = flm_options_find(options, name, strlen(name));

    return index >= 0 && options->texts[index] ? options->texts[index] : "";
}

int flm_options_count(const flm_options *options) { return options->count; }

const char *flm_options_name(const flm_options *options, int index) { return options->table[index].name; }
