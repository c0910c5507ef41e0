/* text_lm1b.h - undoes the tokenisation of LM1B's published sentences. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_TEXT_LM1B_H
#define FLM_TEXT_LM1B_H

#include <stddef.h>

/* flm_text_lm1b_detokenize - in place, text [*bytes] without a NUL; it never grows. Bytes that are not UTF-8 stay as
 * they are and belong to no word. Cannot fail. Source: data.md section 3, in its order; the published rules are Python
 * regular expressions, and \w and $ mean the same here. */
void flm_text_lm1b_detokenize(char *text, size_t *bytes);

#endif
