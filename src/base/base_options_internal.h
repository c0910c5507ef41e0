/* base_options_internal.h - shared by base_options*.c only. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_BASE_OPTIONS_INTERNAL_H
#define FLM_BASE_OPTIONS_INTERNAL_H

#include "base/base_options.h"

struct flm_options {
    const flm_options_spec *spec;
    const flm_option **rows; /* [count] the rows that are options */
    int count;
    char *values;         /* the caller's struct */
    char **texts;         /* [count] resolved values as text, owned; NULL: neither given nor with a default */
    bool *given;          /* [count] */
    int *lines;           /* [count] line of the configuration file that set it, 0: none */
    const char **command; /* [count] value on the command line, NULL: none; points into argv */
    const char **config;  /* [config_count] values of --config in their order, which point into argv */
    int config_count;
    char **positional; /* [positional_count] owned, with its strings */
    int positional_count;
    const char *help; /* the value of --help, "" for none; NULL: not given */
    bool version;
};

/* flm_options_find - the index of the option with a name of `length` bytes, -1 when there is none. */
int flm_options_find(const flm_options *options, const char *name, size_t length);

/* flm_options_find_rename - the rename of an old name of `length` bytes, NULL when `name` is not an old name. */
const flm_option_rename *flm_options_find_rename(const flm_options *options, const char *name, size_t length);

/* flm_options_new_value - the present value of an old one; one that the rename does not list is itself. */
const char *flm_options_new_value(const flm_option_rename *rename, const char *value);

/* flm_options_set - check text against option `index`, store the value in the caller's struct and its canonical text.
 * in  where: the first words of an error message, e.g. "--steps" or "train.ini:3: steps".
 * Errors: FLM_E_USAGE with `where` and what is allowed; FLM_E_NOMEM. */
flm_status flm_options_set(flm_options *options, int index, const char *text, const char *where);

/* flm_options_read_file - set every option of a configuration file (grammar: base_options_file.c).
 * Errors: FLM_E_USAGE with file and line; FLM_E_IO; FLM_E_NOMEM. */
flm_status flm_options_read_file(flm_options *options, const char *path);

/* flm_options_print_help - print --help to stdout, in at most 80 columns. flm_options_print_man - the same as a manual
 * page (roff, macros of man). flm_options_print_bash, flm_options_print_zsh - a completion for that shell. */
void flm_options_print_help(const flm_options_spec *spec);
void flm_options_print_man(const flm_options_spec *spec);
void flm_options_print_bash(const flm_options_spec *spec);
void flm_options_print_zsh(const flm_options_spec *spec);

/* flm_options_help_form - the function that prints --help=form; "" is --help alone, NULL returned for another word. */
typedef void flm_options_printer(const flm_options_spec *spec);
flm_options_printer *flm_options_help_form(const char *form);

/* flm_options_row - row `index` of what --help shows: the program's table, then the group and options that every
 * program has, then NULL. Of those, a row without a value has the unit "". */
const flm_option *flm_options_row(const flm_options_spec *spec, int index);

/* flm_options_limits - the range and default of a row, e.g. "1 to 8; default 2", to text [bytes]; "" for neither. */
void flm_options_limits(const flm_option *row, char *text, size_t bytes);

/* flm_options_values - what may follow --name=: the choices joined by "|", or the unit; to text [bytes]. */
void flm_options_values(const flm_option *row, char *text, size_t bytes);

/* flm_options_allowed - what a row allows, e.g. "an integer from 1 to 8" or "one of auto, cpu", to text [bytes]. */
void flm_options_allowed(const flm_option *row, char *text, size_t bytes);

#endif
