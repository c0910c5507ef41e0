/* text_lm1b.h - LM1B's sentences as they were before their publisher took them apart. SPDX-License-Identifier:
 * Apache-2.0 */
#ifndef FLM_TEXT_LM1B_H
#define FLM_TEXT_LM1B_H

#include <stddef.h>

/* flm_text_lm1b_detokenize - in place, text [*bytes] without a NUL; it never grows. What is not UTF-8 is left as it is
 * and is part of no word. Local, cannot fail. Source: data.md section 3, in its order; the published rules are regular
 * expressions of Python, whose \w and $ these are. */
void flm_text_lm1b_detokenize(char *text, size_t *bytes);

#endif
