/* base_options.h - option tables: one table a program makes --help, the configuration file, the checks and the record.
 *
 * A program declares a plain struct and a table of flm_option rows pointing into it by offset. The same long name
 * works on the command line (--name VALUE, --name=VALUE) and in a file given by --config (lines `name = value`,
 * # comments); the command line wins. Unknown names, values of the wrong type or out of range and trailing junk are
 * refused before any work. --help and --version are added to every program.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_BASE_OPTIONS_H
#define FLM_BASE_OPTIONS_H

#include "base/base_status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

typedef enum flm_option_type {
    FLM_OPTION_INT,    /* int64_t; suffixes k, m, g = 10^3, 10^6, 10^9 are not accepted: write the number */
    FLM_OPTION_FLOAT,  /* double, finite */
    FLM_OPTION_BOOL,   /* bool: yes|no|true|false|1|0; --name alone means yes */
    FLM_OPTION_STRING, /* const char *, owned by the options; "" when absent */
    FLM_OPTION_CHOICE, /* int: index into choices */
    FLM_OPTION_LIST    /* const char *: comma-separated, kept as text; see flm_options_int_list */
} flm_option_type;

typedef struct flm_option {
    const char *name; /* long option, lower case with dashes */
    flm_option_type type;
    size_t offset;              /* of the value in the program's struct */
    const char *default_value;  /* the default, as text */
    double min, max;            /* allowed range of INT and FLOAT, inclusive; both 0: no limit */
    const char *const *choices; /* of CHOICE, NULL-terminated */
    const char *group;          /* heading in --help */
    const char *unit;           /* shown in --help after the name, e.g. "N", "FILE", "SECONDS" */
    const char *help;
    bool required;
} flm_option;

typedef struct flm_options flm_options;

/* flm_options_parse - fill `values` (zeroed by the caller) from defaults, --config file and argv, in that order.
 * in  table [count]; positional arguments are allowed when `positional` (their description for --help) is not NULL.
 * --help and --version print to stdout and set *stop (rank 0 prints: `speak`), the caller then exits with 0.
 * Collective: no; every rank calls it with the same argv and comes to the same result.
 * Errors: FLM_E_USAGE naming the option and what is allowed; FLM_E_IO for the configuration file. */
flm_status flm_options_parse(const char *program, const char *purpose, const char *positional, const flm_option *table,
                             int count, int argc, char **argv, void *values, bool speak, bool *stop, flm_options **out);

/* flm_options_destroy - also frees every string the options handed out. Accepts NULL, nulls it. */
void flm_options_destroy(flm_options **options);

/* flm_options_positional - the positional arguments, count by out-parameter. Owned by the options. */
const char *const *flm_options_positional(const flm_options *options, int *count);

/* flm_options_given - whether the name was set by the command line or the file (false: its default stands). */
bool flm_options_given(const flm_options *options, const char *name);

/* flm_options_value - the resolved value of a name as text, as it would be written to a configuration file. */
const char *flm_options_value(const flm_options *options, const char *name);

/* flm_options_write - every `name = value` as resolved, a line each, readable by --config. Errors: FLM_E_IO. */
flm_status flm_options_write(const flm_options *options, FILE *file);

/* flm_options_count, flm_options_name - walk the table, e.g. to record it in a checkpoint. */
int flm_options_count(const flm_options *options);
const char *flm_options_name(const flm_options *options, int index);

/* flm_options_int_list - "1,2,128" as integers in [least, most]; *list is malloc'd, the caller frees it.
 * Errors: FLM_E_USAGE naming the option. */
flm_status flm_options_int_list(const char *name, const char *text, int64_t min, int64_t max, int64_t **list,
                                int *count);

#endif
