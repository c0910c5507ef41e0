/* json.c - lines of JSON as Python's json module reads them; every expected value is what CPython 3.11 gives, with
 * U+FFFD for halves of surrogate pairs and for invalid UTF-8. SPDX-License-Identifier: Apache-2.0 */
#include "source/source_json.h"
#include "tests/tap.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

typedef struct line {
    const char *json, *text; /* NULL: refused */
    int replaced;
} line;

static const line lines[] = {
    {"{\"text\":\"a\"}", "a", 0},
    {" \t{ \"text\" :\r\n\"a\" } \n", "a", 0},
    {"{\"text\":\"a\",\"text\":\"b\"}", "b", 0}, /* the last one counts */
    {"{\"a\":{\"text\":\"no\"},\"text\":\"yes\"}", "yes", 0},
    {"{\"te\\u0078t\":\"escaped name\"}", "escaped name", 0},
    {"{\"text\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"}", "\"\\/\b\f\n\r\t", 0},
    {"{\"text\":\"\\u00e9\\u20AC\\ud83d\\ude00\"}", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 0},
    {"{\"text\":\"x\\ud800y\"}", "x\xef\xbf\xbdy", 1},
    {"{\"text\":\"x\\udc00\"}", "x\xef\xbf\xbd", 1},
    {"{\"text\":\"\\ud800\\ud83d\\ude00\"}", "\xef\xbf\xbd\xf0\x9f\x98\x80", 1},
    {"{\"text\":\"\\ud800\\n\"}", "\xef\xbf\xbd\n", 1},
    {"{\"text\":\"\\ude00\\ud83d\"}", "\xef\xbf\xbd\xef\xbf\xbd", 2},
    {"{\"text\":\"caf\xe9 \\ud800\"}", "caf\xef\xbf\xbd \xef\xbf\xbd", 2},
    {"{\"text\":\"\xed\xa0\x80\"}", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd", 3},
    {"{\"text\":\"\"}", "", 0},
    {"{\"text\":\"\x7f\xc2\x85\"}", "\x7f\xc2\x85", 0},
    {"{\"a\":NaN,\"b\":[Infinity,-Infinity],\"text\":\"a\"}", "a", 0},
    {"{\"a\":[0,-0,1,-12,0.5,1e999,-1E+999,2e-999],\"text\":\"a\"}", "a", 0},
    {"{\"a\":123456789012345678901234567890123456789012345678901234567890,\"text\":\"a\"}", "a", 0},
    {"{\"a\":[null,true,false,[],{},[[]]],\"text\":\"a\"}", "a", 0},
    {"{\"a\":01,\"text\":\"a\"}", NULL, 0},
    {"{\"a\":1.,\"text\":\"a\"}", NULL, 0},
    {"{\"a\":.5,\"text\":\"a\"}", NULL, 0},
    {"{\"a\":+1,\"text\":\"a\"}", NULL, 0},
    {"{\"a\":1e,\"text\":\"a\"}", NULL, 0},
    {"{\"a\":-,\"text\":\"a\"}", NULL, 0},
    {"{\"a\":-NaN,\"text\":\"a\"}", NULL, 0},
    {"{\"a\":nul,\"text\":\"a\"}", NULL, 0},
    {"{\"a\":TRUE,\"text\":\"a\"}", NULL, 0},
    {"{\"text\":\"a\\x41\"}", NULL, 0},
    {"{\"text\":\"\\u12g4\"}", NULL, 0},
    {"{\"text\":\"\\u123\"}", NULL, 0},
    {"{\"text\":\"a\nb\"}", NULL, 0},
    {"{\"text\":\"a\tb\"}", NULL, 0},
    {"{\"text\":\"a", NULL, 0},
    {"{\"text\":\"a\\", NULL, 0},
    {"{\"text\":\"a\"", NULL, 0},
    {"{\"text\":\"a\",}", NULL, 0},
    {"{\"a\":[1,],\"text\":\"a\"}", NULL, 0},
    {"{\"a\":[1 2],\"text\":\"a\"}", NULL, 0},
    {"{text:\"a\"}", NULL, 0},
    {"{'text':'a'}", NULL, 0},
    {"{\"text\" \"a\"}", NULL, 0},
    {"{\"text\":\"a\"} x", NULL, 0},
    {"{\"text\":\"a\"}{\"text\":\"b\"}", NULL, 0},
    {"{\"text\":\"a\"}\xc2\xa0", NULL, 0},
    {"\xef\xbb\xbf{\"text\":\"a\"}", NULL, 0}, /* a byte order mark belongs to the file */
    {"{\"text\":7}", NULL, 0},
    {"{\"text\":\"a\",\"text\":null}", NULL, 0},
    {"{\"other\":\"a\"}", NULL, 0},
    {"[\"text\"]", NULL, 0},
    {"\"text\"", NULL, 0},
    {"", NULL, 0},
    {"  ", NULL, 0},
};

static void check(const line *l)
{
    char *text = NULL;
    size_t bytes = 0;
    int64_t replaced = 0;
    flm_status rc = flm_json_line_read(l->json, strlen(l->json), "text", &text, &bytes, &replaced);

    if (!l->text)
        tap_ok(rc == FLM_E_FORMAT, "%s: refused: %s", l->json[0] ? "line" : "no line", flm_err_message());
    else
        tap_ok(rc == FLM_OK && bytes == strlen(l->text) && strcmp(text, l->text) == 0 && replaced == l->replaced,
               "read, with %d replacements: %s", l->replaced, flm_err_message());
    flm_err_clear();
    free(text);
}

/* Brackets inside one another, as many as Python reads and more than are allowed. */
static void check_depth(int depth, bool allowed)
{
    static char json[1 << 14];
    char *text = NULL;
    size_t n = 0, bytes = 0;
    int64_t replaced = 0;
    flm_status rc;

    n += (size_t)snprintf(json + n, sizeof json - n, "{\"a\":");
    for (int i = 0; i < depth; i++) json[n++] = '[';
    for (int i = 0; i < depth; i++) json[n++] = ']';
    n += (size_t)snprintf(json + n, sizeof json - n, ",\"text\":\"a\"}");
    rc = flm_json_line_read(json, n, "text", &text, &bytes, &replaced);
    tap_ok(rc == (allowed ? FLM_OK : FLM_E_FORMAT), "%d brackets: %s", depth, flm_err_message());
    flm_err_clear();
    free(text);
}

int main(void)
{
    static const char nul[] = "{\"text\":\"a\\u0000b\"}", raw[] = "{\"text\":\"a\0b\"}";
    char *text = NULL;
    size_t bytes = 0;
    int64_t replaced = 0;
    flm_status rc;

    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) check(&lines[i]);
    check_depth(900, true);
    check_depth(3000, false);
    rc = flm_json_line_read(nul, sizeof nul - 1, "text", &text, &bytes, &replaced);
    tap_ok(rc == FLM_OK && bytes == 3 && memcmp(text, "a\0b", 3) == 0, "an escaped NUL is a character");
    free(text);
    text = NULL;
    rc = flm_json_line_read(raw, sizeof raw - 1, "text", &text, &bytes, &replaced);
    tap_ok(rc == FLM_E_FORMAT, "a NUL itself is none");
    flm_err_clear();
    free(text);
    return tap_end();
}
