/* convert_pickle_internal.h - private to convert_pickle*.c: the constructors that a pickle may name.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_CONVERT_PICKLE_INTERNAL_H
#define FLM_CONVERT_PICKLE_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>

/* flm_pickle_name_is_allowed - whether a pickle may name the constructor "module name" [bytes]. */
bool flm_pickle_name_is_allowed(const char *text, size_t bytes);

#endif
