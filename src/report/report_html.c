/* report_html.c - see report_html.h. SPDX-License-Identifier: Apache-2.0 */
#include "report/report_html.h"

#include "text/text_utf8.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PICTURES = 0x2400, DELETE_PICTURE = 0x2421, REPLACEMENT = 0xfffd };

static void put_code(FILE *out, uint32_t code)
{
    unsigned char bytes[4];
    fwrite(bytes, 1, flm_utf8_put(code, bytes), out);
}

static void put_character(FILE *out, uint32_t code)
{
    switch (code) {
    case '&': fputs("&amp;", out); return;
    case '<': fputs("&lt;", out); return;
    case '>': fputs("&gt;", out); return;
    case '"': fputs("&quot;", out); return;
    case '\'': fputs("&#39;", out); return;
    case '\n':
    case '\t': putc((int)code, out); return;
    default: break;
    }
    if (code < 0x20)
        put_code(out, PICTURES + code);
    else if (code == 0x7f)
        put_code(out, DELETE_PICTURE);
    else if (code < 0xa0 && code >= 0x80) /* the other control characters, which have no pictures */
        put_code(out, REPLACEMENT);
    else
        put_code(out, code);
}

flm_status flm_html_put_bytes(FILE *out, const char *text, size_t bytes)
{
    flm_status rc = FLM_OK;
    char *valid = NULL;
    uint32_t code;
    FLM_TRY(flm_utf8_repair(text, bytes, &valid, &bytes, NULL));
    for (size_t i = 0; i < bytes;) {
        i += flm_utf8_next((const unsigned char *)valid + i, &code);
        put_character(out, code);
    }
done:
    free(valid);
    return rc;
}

flm_status flm_html_put_text(FILE *out, const char *text) { return flm_html_put_bytes(out, text, strlen(text)); }

/* ---- numbers ---- */

/* Commas between the thousands of a number in decimal notation. */
static void add_commas(char text[FLM_HTML_NUMBER_BYTES])
{
    char *digits = text + (*text == '-');
    const size_t whole = strspn(digits, "0123456789");
    for (size_t at = whole; at > 3;) {
        at -= 3;
        memmove(digits + at + 1, digits + at, strlen(digits + at) + 1);
        digits[at] = ',';
    }
}

const char *flm_html_count(int64_t value, char text[FLM_HTML_NUMBER_BYTES])
{
    snprintf(text, FLM_HTML_NUMBER_BYTES, "%" PRId64, value);
    add_commas(text);
    return text;
}

/* "3e-05" as "3×10⁻⁵". */
static void put_power(double value, char text[FLM_HTML_NUMBER_BYTES])
{
    static const char *const raised[] = {"⁰", "¹", "²", "³", "⁴", "⁵", "⁶", "⁷", "⁸", "⁹"};
    char plain[24], *exponent;
    snprintf(plain, sizeof plain, "%.3g", value);
    exponent = strchr(plain, 'e');
    if (!exponent) {
        strcpy(text, plain);
        return;
    }
    *exponent++ = '\0';
    snprintf(text, FLM_HTML_NUMBER_BYTES, "%s×10%s", plain, *exponent == '-' ? "⁻" : "");
    exponent += *exponent == '-' || *exponent == '+';
    exponent += *exponent == '0' && exponent[1];
    for (; *exponent; exponent++) strcat(text, raised[*exponent - '0']);
}

const char *flm_html_number(double value, char text[FLM_HTML_NUMBER_BYTES])
{
    const double size = fabs(value);
    if (isnan(value)) return strcpy(text, "–");
    if (isinf(value)) return strcpy(text, value > 0 ? "∞" : "-∞");
    if (size != 0 && (size < 1e-3 || size >= 1e9)) {
        put_power(value, text);
        return text;
    }
    if (size >= 1000)
        snprintf(text, FLM_HTML_NUMBER_BYTES, "%.0f", value);
    else
        snprintf(text, FLM_HTML_NUMBER_BYTES, "%.4g", value);
    add_commas(text);
    return text;
}

const char *flm_html_short(double value, char text[FLM_HTML_NUMBER_BYTES])
{
    static const struct {
        double size;
        const char *prefix;
    } units[] = {{1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {1e4, "k"}};
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        const double size = units[i].size == 1e4 ? 1e3 : units[i].size;
        if (fabs(value) < units[i].size) continue;
        snprintf(text, FLM_HTML_NUMBER_BYTES, "%.4g%s", value / size, units[i].prefix);
        return text;
    }
    return flm_html_number(value, text);
}

const char *flm_html_bytes(double bytes, char text[FLM_HTML_NUMBER_BYTES])
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
    int unit = 0;
    for (; bytes >= 1000 && unit < 4; unit++) bytes /= 1000;
    snprintf(text, FLM_HTML_NUMBER_BYTES, "%.3g %s", bytes, units[unit]);
    return text;
}

const char *flm_html_seconds(double seconds, char text[FLM_HTML_NUMBER_BYTES])
{
    const int64_t whole = isfinite(seconds) && seconds < 1e15 ? (int64_t)(seconds + 0.5) : 0;
    if (!isfinite(seconds))
        strcpy(text, "–");
    else if (seconds < 1)
        snprintf(text, FLM_HTML_NUMBER_BYTES, "%.3g ms", 1000 * seconds);
    else if (seconds < 60)
        snprintf(text, FLM_HTML_NUMBER_BYTES, "%.3g s", seconds);
    else if (whole < 3600)
        snprintf(text, FLM_HTML_NUMBER_BYTES, "%" PRId64 " min %" PRId64 " s", whole / 60, whole % 60);
    else if (whole < 48 * 3600)
        snprintf(text, FLM_HTML_NUMBER_BYTES, "%" PRId64 " h %" PRId64 " min", whole / 3600, whole / 60 % 60);
    else
        snprintf(text, FLM_HTML_NUMBER_BYTES, "%" PRId64 " d %" PRId64 " h", whole / 86400, whole / 3600 % 24);
    return text;
}
