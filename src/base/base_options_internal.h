/* base_options_internal.h - what the sources of the options share; for base_options*.c alone.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_BASE_OPTIONS_INTERNAL_H
#define FLM_BASE_OPTIONS_INTERNAL_H

#include "base/base_options.h"

struct flm_options {
    const char *program;
    const flm_option *table; /* [count], the caller's */
    int count;
    char *values;         /* the caller's struct */
    char **texts;         /* [count] resolved values as text, owned; NULL: neither given nor with a default */
    bool *given;          /* [count] */
    int *lines;           /* [count] line of the configuration file that set it, 0: none did */
    const char **command; /* [count] value on the command line, NULL: not there; points into argv */
    const char *config;   /* --config, NULL: none; points into argv */
    char **positional;    /* owned, with its strings */
    int positional_count;
    bool positional_allowed;
    bool help, version;
};

/* flm_options_find - the table's index of a name of `length` bytes, -1 when there is none. */
int flm_options_find(const flm_options *options, const char *name, size_t length);

/* flm_options_set - check text against row `index`, store the value in the caller's struct and its text as resolved.
 * in  where: what the message opens with, e.g. "--steps" or "train.ini:3: steps".
 * Errors: FLM_E_USAGE naming `where` and what is allowed; FLM_E_NOMEM. */
flm_status flm_options_set(flm_options *options, int index, const char *text, const char *where);

/* flm_options_read_file - take over every `name = value` of a configuration file; see base_options_file.c for its
 * grammar. Errors: FLM_E_USAGE with file and line; FLM_E_IO; FLM_E_NOMEM. */
flm_status flm_options_read_file(flm_options *options, const char *path);

/* flm_options_allowed - "a whole number from 1 to 8", "one of a, b" ... of a row into text [bytes]. */
void flm_options_allowed(const flm_option *row, char *text, size_t bytes);

#endif
