/* base_options.h - option tables: from one table come a program's command line, --help, configuration file and record.
 *
 * A program declares a plain struct and a table of rows that point to its fields. The same long name works on the
 * command line (--name VALUE, --name=VALUE) and in the file of --config (lines `name = value`, comments after #); the
 * command line wins, and the last of several values counts. Unknown names and values that are not allowed are refused
 * before any work. Every program also has --config, --help and --version.
 *
 *     #define FLM_OPT_STRUCT my_options
 *     static const flm_option rows[] = {
 *         FLM_OPT_GROUP("Training"),
 *         FLM_OPT_STRING("data", data, NULL, "DIR", "directory of shards", .required = true),
 *         FLM_OPT_INT("batch", batch, "512", "N", "sequences per step, over all ranks", .min = 1),
 *     };
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_BASE_OPTIONS_H
#define FLM_BASE_OPTIONS_H

#include "base/base_err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

typedef enum flm_option_type {
    FLM_OPTION_GROUP,  /* no option: a heading of --help */
    FLM_OPTION_INT,    /* int64_t, decimal; no suffixes */
    FLM_OPTION_FLOAT,  /* double, finite */
    FLM_OPTION_BOOL,   /* bool: yes, no, true, false, 1 or 0; --name alone means yes */
    FLM_OPTION_STRING, /* const char *, owned by the options; "" when not given */
    FLM_OPTION_CHOICE, /* int: index into choices */
    FLM_OPTION_LIST    /* const char *: comma-separated, kept as text; flm_options_int_list, _float_list */
} flm_option_type;

typedef struct flm_option {
    flm_option_type type;
    const char *name;           /* long option, lower case with dashes; of a GROUP its heading */
    size_t offset;              /* of the value in the program's struct */
    const char *default_value;  /* as text; NULL: none */
    const char *unit;           /* shown after the name: "N", "FILE", "SECONDS"; NULL: the choices */
    const char *help;           /* purpose; a line break starts a new line in --help. Range and default are added */
    double min, max;            /* of INT and FLOAT, inclusive; max 0: none */
    double limit;               /* as max, for a bound so large that --help need not mention it; 0: 2^53 for INT */
    const char *const *choices; /* of CHOICE, NULL-terminated */
    bool required;
} flm_option;

/* The rows of a table, for fields of FLM_OPT_STRUCT, which the file defines before its table. The further arguments are
 * designated initialisers: .min, .max, .limit, .required. A field of another type does not compile. */
#define FLM_OPT_GROUP(heading)                      \
    {                                               \
        .type = FLM_OPTION_GROUP, .name = (heading) \
    }
#define FLM_OPT_INT(name, field, default_value, unit, help, ...) \
    FLM_OPT_ROW(FLM_OPTION_INT, int64_t, name, field, default_value, unit, help, __VA_ARGS__)
#define FLM_OPT_FLOAT(name, field, default_value, unit, help, ...) \
    FLM_OPT_ROW(FLM_OPTION_FLOAT, double, name, field, default_value, unit, help, __VA_ARGS__)
#define FLM_OPT_BOOL(name, field, default_value, help) \
    FLM_OPT_ROW(FLM_OPTION_BOOL, bool, name, field, default_value, "yes|no", help)
#define FLM_OPT_STRING(name, field, default_value, unit, help, ...) \
    FLM_OPT_ROW(FLM_OPTION_STRING, const char *, name, field, default_value, unit, help, __VA_ARGS__)
#define FLM_OPT_LIST(name, field, default_value, unit, help, ...) \
    FLM_OPT_ROW(FLM_OPTION_LIST, const char *, name, field, default_value, unit, help, __VA_ARGS__)
#define FLM_OPT_CHOICE(name, field, default_value, choices_, help) \
    FLM_OPT_ROW(FLM_OPTION_CHOICE, int, name, field, default_value, NULL, help, .choices = (choices_))

#define FLM_OPT_ROW(type_, c_type, name_, field, default_, unit_, help_, ...)                                   \
    {                                                                                                           \
        .type = (type_), .name = (name_), .offset = FLM_OPT_OFFSET(field, c_type), .default_value = (default_), \
        .unit = (unit_), .help = (help_), __VA_ARGS__                                                           \
    }
#define FLM_OPT_OFFSET(field, c_type) \
    (offsetof(FLM_OPT_STRUCT, field) + 0 * sizeof(_Generic(((FLM_OPT_STRUCT *)0)->field, c_type : 0)))

/* An option that had another name, and perhaps other values. The old name is accepted in configuration files (the
 * config.ini of an old run directory) and refused on the command line, with a message that gives the new name. Or a
 * name that users look for here in vain, with the reason. */
typedef struct flm_option_value {
    const char *old_value, *new_value;
} flm_option_value;

typedef struct flm_option_rename {
    const char *old_name, *new_name; /* new_name NULL: refused everywhere, with the reason */
    const flm_option_value *values;  /* ends with {NULL, NULL}; NULL: the values are the same */
    const char *reason;              /* why the program has no option of this name; NULL with a new name */
} flm_option_rename;

/* The command line of a program; outlives the flm_options made from it. */
typedef struct flm_options_spec {
    const char *program, *purpose;
    const char *arguments;  /* the positional arguments, for --help; NULL: none are allowed */
    const flm_option *rows; /* [count] */
    int count;
    const flm_option_rename *renamed; /* ends with {NULL, NULL}; NULL: none */
} flm_options_spec;

/* .rows and .count of an array of rows. */
#define FLM_OPT_ROWS(array) .rows = (array), .count = (int)(sizeof(array) / sizeof(array)[0])

typedef struct flm_options flm_options;

/* flm_options_parse - fill `values` (zeroed by the caller) from the defaults, the file of --config and argv, in that
 * order. --help and --version set *stop, and print to stdout if is_root: the program then ends with 0.
 * Not collective: every rank calls it with the same argv and gets the same result.
 * Errors: FLM_E_USAGE naming the option and what is allowed; FLM_E_IO (configuration file). */
flm_status flm_options_parse(const flm_options_spec *spec, int argc, char **argv, void *values, bool is_root,
                             bool *stop, flm_options **out);

/* flm_options_destroy - free the options and every string in `values`. Accepts NULL, nulls it. */
void flm_options_destroy(flm_options **options);

/* flm_options_positional - the positional arguments [*count]. Owned by the options. */
const char *const *flm_options_positional(const flm_options *options, int *count);

/* flm_options_given - whether the command line or the file set the option; otherwise it has its default. */
bool flm_options_given(const flm_options *options, const char *name);

/* flm_options_changed - whether an option has another value than its default. */
bool flm_options_changed(const flm_options *options, const char *name);

/* flm_options_value - the resolved value as text, as a configuration file has it; "" when there is none. */
const char *flm_options_value(const flm_options *options, const char *name);

/* flm_options_replace - set an option that has its default to text, as if that were its default: a value that only the
 * program can know, such as one recorded in a file that it resumes from. Strings of the old value become invalid.
 * Errors: FLM_E_USAGE (not allowed), FLM_E_NOMEM, FLM_E_ARG (no such option, or given). */
flm_status flm_options_replace(flm_options *options, const char *name, const char *text);

/* flm_options_write - every resolved `name = value`, one per line, readable by --config. Errors: FLM_E_IO. */
flm_status flm_options_write(const flm_options *options, FILE *file);

/* flm_options_count, flm_options_name - the options in the order of the table, without groups. */
int flm_options_count(const flm_options *options);
const char *flm_options_name(const flm_options *options, int index);

/* flm_options_int_list - the integers of "1,2,128", each min..max; the caller frees *list [*count].
 * flm_options_float_list - the same of numbers, "0,0.8,1".
 * Errors: FLM_E_USAGE naming the option, FLM_E_NOMEM. */
flm_status flm_options_int_list(const char *name, const char *text, int64_t min, int64_t max, int64_t **list,
                                int *count);
flm_status flm_options_float_list(const char *name, const char *text, double min, double max, double **list,
                                  int *count);

#endif
