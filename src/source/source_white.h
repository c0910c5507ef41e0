/* source_white.h - white space of Unicode in UTF-8. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_SOURCE_WHITE_H
#define FLM_SOURCE_WHITE_H

#include <stdbool.h>
#include <stddef.h>

/* flm_white_is_all - whether the text has no characters but white space, as of Python's str.isspace. */
bool flm_white_is_all(const char *text, size_t bytes);

/* flm_white_strip - move *text and *bytes past white space at both ends, as Python's str.strip does. */
void flm_white_strip(char **text, size_t *bytes);

#endif
