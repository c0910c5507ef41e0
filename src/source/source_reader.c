/* source_reader.c - dividing text into documents (source_reader.h). Memory is bounded by one document and what was read
 * beyond it. Lines end in LF or CR LF; the last line end of a document is not part of it. SPDX-License-Identifier:
 * Apache-2.0 */
#include "source/source_reader.h"

#include "base/base_clock.h"
#include "base/base_log.h"
#include "source/source_content.h"
#include "source/source_json.h"
#include "source/source_members.h"
#include "source/source_white.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { READ_BYTES = 1 << 20, CHECK_BYTES = 4096, STRIDE = 1 << 18 }; /* CHECK_BYTES of every STRIDE are checked */

struct flm_reader {
    const flm_source_rules *rules;
    flm_members *members;
    size_t max; /* bytes of a document */
    char *buffer;
    size_t capacity, begin, scan, end; /* begin: of the document; scan: end of what has been examined */
    int64_t base;                      /* the buffer's offset in the member */
    bool inside, jsonl, eof, given;    /* inside: a member is being read; given: the one document of a file was given */
    char *text;                        /* of the current line of JSON */
    size_t unchecked;                  /* bytes since the content was checked last */
    double seconds;
};

flm_status flm_reader_open(const flm_source_rules *rules, const flm_source_file *file, int64_t offset, bool want_digest,
                           flm_reader **out)
{
    flm_status rc = FLM_OK;
    flm_reader *r = calloc(1, sizeof *r);

    if (!r) FLM_FAIL(FLM_E_NOMEM, "no memory to read %s", file->path);
    r->rules = rules;
    r->max = (size_t)rules->document_bytes;
    r->base = offset;
    r->capacity = READ_BYTES;
    r->buffer = malloc(r->capacity);
    if (!r->buffer) FLM_FAIL(FLM_E_NOMEM, "no memory to read %s", file->path);
    FLM_TRY(flm_members_open(rules, file, offset, want_digest, &r->members));
    *out = r;
    r = NULL;
done:
    flm_reader_close(&r);
    return rc;
}

void flm_reader_close(flm_reader **reader)
{
    if (!*reader) return;
    flm_members_close(&(*reader)->members);
    free((*reader)->text);
    free((*reader)->buffer);
    free(*reader);
    *reader = NULL;
}

static flm_status too_large(const flm_reader *r)
{
    return flm_err_raise(FLM_E_FORMAT, __FILE__, __LINE__,
                         "%s: the document at byte %lld has more than %zu bytes (--document-bytes)",
                         flm_members_where(r->members), (long long)(r->base + (int64_t)r->begin), r->max);
}

/* Check that new bytes of a member are text: NULs in all of them, the share of other bytes in some. */
static flm_status check_text(flm_reader *r, const unsigned char *data, size_t bytes)
{
    flm_status rc = FLM_OK;
    const char *where = flm_members_where(r->members);

    FLM_TRY(flm_content_check_nuls(where, data, bytes));
    for (size_t at = 0, n; at < bytes;) {
        n = STRIDE - r->unchecked < bytes - at ? STRIDE - r->unchecked : bytes - at;
        at += n;
        r->unchecked += n;
        if (r->unchecked < STRIDE && (at < bytes || r->unchecked < CHECK_BYTES)) continue;
        n = at < CHECK_BYTES ? at : CHECK_BYTES;
        FLM_TRY(flm_content_check_share(where, data + at - n, n));
        r->unchecked = 0;
    }
done:
    return rc;
}

/* More bytes after r->end, or eof. Moves the document to the beginning of the buffer, so callers keep offsets relative
 * to r->begin. */
static flm_status fill(flm_reader *r)
{
    flm_status rc = FLM_OK;
    const double before = flm_clock_seconds();
    size_t got = 0;

    if (r->begin > 0) {
        memmove(r->buffer, r->buffer + r->begin, r->end - r->begin);
        r->base += (int64_t)r->begin;
        r->scan -= r->begin;
        r->end -= r->begin;
        r->begin = 0;
    }
    if (r->end == r->capacity) {
        char *grown;
        if (r->end > r->max + 2) FLM_TRY(too_large(r)); /* 2: a line's end */
        grown = realloc(r->buffer, 2 * r->capacity);
        if (!grown)
            FLM_FAIL(FLM_E_NOMEM, "%s: no memory for a document of more than %zu bytes", flm_members_where(r->members),
                     r->end);
        r->buffer = grown;
        r->capacity *= 2;
    }
    FLM_TRY(flm_members_read(r->members, r->buffer + r->end, r->capacity - r->end, &got));
    r->eof = got == 0;
    r->end += got;
    if (!r->rules->allow_binary) FLM_TRY(check_text(r, (unsigned char *)r->buffer + r->end - got, got));
done:
    r->seconds += flm_clock_seconds() - before;
    return rc;
}

/* The next line, without its end: [begin + *from, begin + *to); scan moves behind it. *none: there is no further line.
 */
static flm_status next_line(flm_reader *r, size_t *from, size_t *to, bool *none)
{
    flm_status rc = FLM_OK;
    size_t start = r->scan - r->begin, examined = start;

    for (;;) {
        char *p = r->buffer + r->begin, *feed = memchr(p + examined, '\n', r->end - r->begin - examined);
        examined = feed ? (size_t)(feed - p) : r->end - r->begin;
        if (feed || r->eof) {
            *none = !feed && examined == start;
            r->scan = r->begin + examined + (feed != NULL);
            break;
        }
        FLM_TRY(fill(r));
    }
    *from = start;
    *to = examined > start && r->buffer[r->begin + examined - 1] == '\r' ? examined - 1 : examined;
done:
    return rc;
}

/* The next line that is not white space; a document begins there. */
static flm_status next_text_line(flm_reader *r, size_t *bytes, bool *none)
{
    flm_status rc = FLM_OK;
    size_t from = 0, to = 0;

    do {
        r->begin = r->scan;
        FLM_TRY(next_line(r, &from, &to, none));
    } while (!*none && flm_white_is_all(r->buffer + r->begin, to));
    *bytes = to;
done:
    return rc;
}

/* The next block: lines up to one of white space or to the end. */
static flm_status next_block(flm_reader *r, size_t *bytes, bool *none)
{
    flm_status rc = FLM_OK;
    size_t from = 0, to = 0;
    bool over = false;

    FLM_TRY(next_text_line(r, bytes, none));
    while (!*none && !over) {
        FLM_TRY(next_line(r, &from, &to, &over));
        over = over || flm_white_is_all(r->buffer + r->begin + from, to - from);
        if (!over) *bytes = to;
    }
done:
    return rc;
}

static flm_status next_file(flm_reader *r, size_t *bytes, bool *none)
{
    flm_status rc = FLM_OK;

    while (!r->eof) FLM_TRY(fill(r));
    *bytes = r->end - r->begin;
    *none = r->given || flm_white_is_all(r->buffer + r->begin, *bytes);
    while (*bytes > 0 && (r->buffer[r->begin + *bytes - 1] == '\n' || r->buffer[r->begin + *bytes - 1] == '\r'))
        --*bytes;
    r->given = true;
done:
    return rc;
}

/* The next document of the member, as --documents divides it; *none: there is no further one. */
static flm_status next_in_member(flm_reader *r, size_t *bytes, bool *none)
{
    flm_status rc = FLM_OK;

    switch (r->jsonl ? FLM_SOURCE_LINE : (flm_source_documents)r->rules->documents) {
    case FLM_SOURCE_LINE: FLM_TRY(next_text_line(r, bytes, none)); break;
    case FLM_SOURCE_BLANK: FLM_TRY(next_block(r, bytes, none)); break;
    case FLM_SOURCE_FILE: FLM_TRY(next_file(r, bytes, none)); break;
    }
    if (!*none && *bytes > r->max) FLM_TRY(too_large(r));
done:
    return rc;
}

/* A line of JSON becomes the text in it; *skip: it has none, and --on-bad-line is skip. */
static flm_status parse_json(flm_reader *r, flm_document *document, bool *skip)
{
    flm_status rc = FLM_OK;
    flm_source_tally *tally = flm_members_tally(r->members);
    char where[64], message[512];
    size_t bytes = 0;

    free(r->text);
    r->text = NULL;
    if (document->bytes >= 3 && memcmp(document->text, "\xef\xbb\xbf", 3) == 0) { /* of files that were concatenated */
        document->text += 3;
        document->bytes -= 3;
        tally->marks++;
    }
    rc = flm_json_line_read(document->text, document->bytes, r->rules->field, &r->text, &bytes, &document->replaced);
    *skip = rc == FLM_E_FORMAT && r->rules->on_bad_line == FLM_SOURCE_BAD_LINE_SKIP;
    if (rc != FLM_OK) {
        snprintf(where, sizeof where, "line at byte %lld", (long long)document->offset);
        flm_err_prefix(rc, where);
    }
    if (*skip) {
        if (r->rules->log && tally->bad_lines == 0)
            flm_log(FLM_LOG_WARN, "%s: %s: skipped, like all further bad lines of this input",
                    flm_members_where(r->members), flm_err_message());
        tally->bad_lines++;
        flm_err_clear();
        rc = FLM_OK;
        goto done;
    }
    if (rc == FLM_E_FORMAT) {
        snprintf(message, sizeof message, "%s", flm_err_message());
        FLM_FAIL(rc, "%s: %s (see --on-bad-line)", flm_members_where(r->members), message);
    }
    FLM_TRY(flm_err_prefix(rc, flm_members_where(r->members)));
    document->text = r->text;
    document->bytes = bytes;
done:
    return rc;
}

/* Skip a byte order mark at the beginning of a member. */
static flm_status skip_mark(flm_reader *r)
{
    flm_status rc = FLM_OK;

    while (!r->eof && r->end < 3) FLM_TRY(fill(r));
    if (r->end < 3 || memcmp(r->buffer, "\xef\xbb\xbf", 3) != 0) goto done;
    r->begin = r->scan = 3;
    flm_members_tally(r->members)->marks++;
done:
    return rc;
}

/* Begin the next member of the input. */
static flm_status next_member(flm_reader *r, bool *end)
{
    flm_status rc = FLM_OK;
    const double before = flm_clock_seconds();
    const bool first = r->end == 0 && r->base > 0; /* a plain file read from the middle keeps its base */

    rc = flm_members_next(r->members, &r->jsonl, end);
    r->seconds += flm_clock_seconds() - before;
    FLM_TRY(rc);
    if (!first) r->base = 0;
    r->begin = r->scan = r->end = 0;
    r->eof = r->given = false;
    r->inside = !*end;
    if (r->inside && !first && (r->jsonl || !r->rules->keep_mark)) FLM_TRY(skip_mark(r));
done:
    return rc;
}

flm_status flm_reader_next(flm_reader *reader, flm_document *document, bool *end)
{
    flm_status rc = FLM_OK;
    flm_reader *r = reader;

    for (bool none = false;; none = false) {
        size_t bytes = 0;
        if (!r->inside) FLM_TRY(next_member(r, end));
        if (!r->inside) break;
        FLM_TRY(next_in_member(r, &bytes, &none));
        if (none) {
            r->inside = false;
            continue;
        }
        *document = (flm_document){.text = r->buffer + r->begin,
                                   .bytes = bytes,
                                   .offset = r->base + (int64_t)r->begin,
                                   .position = flm_raw_file_position(flm_members_raw_file(r->members))};
        if (r->jsonl) FLM_TRY(parse_json(r, document, &none));
        if (none) continue;
        if (r->jsonl && !r->rules->keep_white && flm_white_is_all(document->text, document->bytes)) continue;
        flm_members_tally(r->members)->text_bytes += (int64_t)document->bytes;
        *end = false;
        break;
    }
done:
    return rc;
}

flm_status flm_reader_digest(flm_reader *reader, char *text)
{
    return flm_raw_file_digest(flm_members_raw_file(reader->members), text);
}

const flm_source_tally *flm_reader_tally(const flm_reader *reader) { return flm_members_tally(reader->members); }
double flm_reader_seconds(const flm_reader *reader) { return reader->seconds; }
