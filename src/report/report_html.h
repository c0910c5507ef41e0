/* report_html.h - text and numbers as HTML. Owns escaping and the form of numbers; leaves the page to others.
 * All write to a stream in memory, whose failure its owner detects with ferror. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_REPORT_HTML_H
#define FLM_REPORT_HTML_H

#include "base/base_err.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* flm_html_put_text - a text from a file, safe between tags and in a quoted attribute: & < > " ' as entities, control
 * characters as their pictures (U+2400 and so on), what is not UTF-8 as U+FFFD. A tab or a line break stays one.
 * Errors: FLM_E_NOMEM. */
flm_status flm_html_put_text(FILE *out, const char *text);
flm_status flm_html_put_bytes(FILE *out, const char *text, size_t bytes);

enum { FLM_HTML_NUMBER_BYTES = 48 };

/* Numbers for people, to text; each returns text. No more than four significant digits.
 * flm_html_number - "0.6556", "12,340", "3×10⁻⁵"; "–" for NaN. flm_html_count - a whole number, "1,234,567".
 * flm_html_short - with a unit prefix for axes and totals: "1.5M", "200k". flm_html_bytes - "17.6 MB".
 * flm_html_seconds - "12.3 ms", "41 s", "3 h 12 min". */
const char *flm_html_number(double value, char text[FLM_HTML_NUMBER_BYTES]);
const char *flm_html_count(int64_t value, char text[FLM_HTML_NUMBER_BYTES]);
const char *flm_html_short(double value, char text[FLM_HTML_NUMBER_BYTES]);
const char *flm_html_bytes(double bytes, char text[FLM_HTML_NUMBER_BYTES]);
const char *flm_html_seconds(double seconds, char text[FLM_HTML_NUMBER_BYTES]);

#endif
