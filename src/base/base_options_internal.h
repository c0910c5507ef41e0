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
    bool help, version;
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

/* flm_options_print_help - print --help to stdout, in at most 80 columns. */
void flm_options_print_help(const flm_options_spec *spec);

/* flm_options_allowed - what a row allows, e.g. "an integer from 1 to 8" or "one of auto, cpu", to text [bytes]. */
void flm_options_allowed(const flm_option *row, char *text, size_t bytes);

#endif
