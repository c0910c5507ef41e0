/* prep_read.c - see prep_read.h: text taken apart into documents, in bounded memory: what is held is one document and
 * what was read beyond it. Line ends are LF or CR LF; the last one of a document is not part of it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "prep_read.h"

#include "base/base_log.h"
#include "base/base_progress.h"
#include "prep_source.h"
#include "text/text_lm1b.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { READ_BYTES = 1 << 20 };

struct prep_reader {
    const prep_job *job;
    prep_source *source;
    size_t max; /* bytes of a document */
    char *buffer;
    size_t capacity, begin, scan, end; /* begin: of the document; scan: what follows has not been looked at */
    int64_t base;                      /* the buffer's place in the member */
    bool inside, jsonl, eof, whole;    /* whole: the one document of a file was given */
    char *text;                        /* of a line of JSON */
    int64_t bad_lines, text_bytes;
};

/* What a file is, by its first bytes; a name that promises something else is an error. */
static flm_status kind_find(const char *path, int64_t *kind)
{
    flm_status rc = FLM_OK;
    unsigned char head[PREP_HEAD_BYTES];
    const prep_kind named = prep_kind_named(path);
    ssize_t got;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0) FLM_FAIL(FLM_E_IO, "%s: cannot be read: %s", path, strerror(errno));
    do got = pread(fd, head, sizeof head, 0);
    while (got < 0 && errno == EINTR);
    if (got < 0) FLM_FAIL(FLM_E_IO, "%s: cannot be read: %s", path, strerror(errno));
    *kind = prep_kind_of(head, (size_t)got);
    if (*kind == PREP_PLAIN && named == PREP_TAR && prep_kind_tar_empty(head, (size_t)got)) *kind = PREP_TAR;
    if (*kind == PREP_PLAIN && named != PREP_PLAIN)
        FLM_FAIL(FLM_E_FORMAT, "%s: is named as %s and is none: it is damaged or something else", path,
                 prep_kind_name(named));
    if (prep_ends_in(path, ".h5")) FLM_FAIL(FLM_E_FORMAT, "%s: a file of kind .h5 is no text", path);
done:
    if (fd >= 0) close(fd);
    return rc;
}

enum { SEEN = 4 }; /* size, two of time, kind */

static flm_status stat_all(prep_job *job, int64_t *seen)
{
    flm_status rc = FLM_OK;
    struct stat st;

    for (int i = 0; i < job->inputs_count; i++, seen += SEEN) {
        const char *path = job->inputs[i].path;
        if (stat(path, &st) != 0 || access(path, R_OK) != 0)
            FLM_FAIL(FLM_E_IO, "%s: cannot be read: %s", path, strerror(errno));
        if (!S_ISREG(st.st_mode)) FLM_FAIL(FLM_E_FORMAT, "%s: is not a regular file", path);
        seen[0] = st.st_size;
        seen[1] = st.st_mtim.tv_sec;
        seen[2] = st.st_mtim.tv_nsec;
        FLM_TRY(kind_find(path, &seen[3]));
    }
done:
    return rc;
}

flm_status prep_inputs_stat(prep_job *job, flm_comm *comm)
{
    flm_status rc = FLM_OK;
    int64_t *seen = calloc((size_t)job->inputs_count, SEEN * sizeof *seen);

    if (!seen) FLM_FAIL(FLM_E_NOMEM, "no memory for %d inputs", job->inputs_count);
    if (flm_comm_rank(comm) == 0) rc = stat_all(job, seen);
    FLM_TRY(flm_comm_agree(comm, rc));
    FLM_TRY(flm_comm_broadcast(comm, seen, job->inputs_count * (int64_t)(SEEN * sizeof *seen), 0));
    for (int i = 0; i < job->inputs_count; i++) {
        prep_input *input = &job->inputs[i];
        input->bytes = seen[SEEN * i];
        input->mtime_s = seen[SEEN * i + 1];
        input->mtime_ns = seen[SEEN * i + 2];
        input->kind = (int)seen[SEEN * i + 3];
    }
done:
    free(seen);
    return rc;
}

flm_status prep_reader_open(const prep_job *job, int input, int64_t offset, bool sum_wanted, prep_reader **out)
{
    flm_status rc = FLM_OK;
    prep_reader *r = calloc(1, sizeof *r);

    if (!r) FLM_FAIL(FLM_E_NOMEM, "no memory to read %s", job->inputs[input].path);
    r->job = job;
    r->max = (size_t)job->document_bytes;
    r->base = offset;
    r->capacity = READ_BYTES;
    r->buffer = malloc(r->capacity);
    if (!r->buffer) FLM_FAIL(FLM_E_NOMEM, "no memory to read %s", job->inputs[input].path);
    FLM_TRY(prep_source_open(job, &job->inputs[input], offset, sum_wanted, &r->source));
    *out = r;
    r = NULL;
done:
    prep_reader_close(&r);
    return rc;
}

void prep_reader_close(prep_reader **reader)
{
    if (!*reader) return;
    prep_source_close(&(*reader)->source);
    free((*reader)->text);
    free((*reader)->buffer);
    free(*reader);
    *reader = NULL;
}

static flm_status too_large(const prep_reader *r)
{
    return flm_err_raise(FLM_E_FORMAT, __FILE__, __LINE__,
                         "%s: the document at byte %lld has more than --document-bytes %zu",
                         prep_source_where(r->source), (long long)(r->base + (int64_t)r->begin), r->max);
}

/* More bytes after r->end, or eof. Moves the document to the buffer's beginning: places are kept relative to begin. */
static flm_status fill(prep_reader *r)
{
    flm_status rc = FLM_OK;
    const double before = flm_seconds();
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
            FLM_FAIL(FLM_E_NOMEM, "%s: no memory for a document of more than %zu bytes", prep_source_where(r->source),
                     r->end);
        r->buffer = grown;
        r->capacity *= 2;
    }
    FLM_TRY(prep_source_read(r->source, r->buffer + r->end, r->capacity - r->end, &got));
    r->eof = got == 0;
    r->end += got;
done:
    prep_progress_read(flm_seconds() - before);
    return rc;
}

/* The next line: its text without the end is [begin + *from, begin + *to); scan moves behind it. *none: there is none.
 */
static flm_status next_line(prep_reader *r, size_t *from, size_t *to, bool *none)
{
    flm_status rc = FLM_OK;
    size_t start = r->scan - r->begin, looked = start;

    for (;;) {
        char *p = r->buffer + r->begin, *feed = memchr(p + looked, '\n', r->end - r->begin - looked);
        looked = feed ? (size_t)(feed - p) : r->end - r->begin;
        if (feed || r->eof) {
            *none = !feed && looked == start;
            r->scan = r->begin + looked + (feed != NULL);
            break;
        }
        FLM_TRY(fill(r));
    }
    *from = start;
    *to = looked > start && r->buffer[r->begin + looked - 1] == '\r' ? looked - 1 : looked;
done:
    return rc;
}

static bool all_white(const prep_reader *r, const char *text, size_t bytes)
{
    return prep_is_white(text, bytes, r->job->clean == PREP_CLEAN_OWT);
}

/* The next line that is not blank; the document begins with it. */
static flm_status next_text_line(prep_reader *r, size_t *bytes, bool *none)
{
    flm_status rc = FLM_OK;
    size_t from = 0, to = 0;

    do {
        r->begin = r->scan;
        FLM_TRY(next_line(r, &from, &to, none));
    } while (!*none && all_white(r, r->buffer + r->begin, to));
    *bytes = to;
done:
    return rc;
}

/* Lines up to a blank one or the end. */
static flm_status next_block(prep_reader *r, size_t *bytes, bool *none)
{
    flm_status rc = FLM_OK;
    size_t from = 0, to = 0;
    bool over = false;

    FLM_TRY(next_text_line(r, bytes, none));
    while (!*none && !over) {
        FLM_TRY(next_line(r, &from, &to, &over));
        over = over || all_white(r, r->buffer + r->begin + from, to - from);
        if (!over) *bytes = to;
    }
done:
    return rc;
}

static flm_status next_file(prep_reader *r, size_t *bytes, bool *none)
{
    flm_status rc = FLM_OK;

    while (!r->eof) FLM_TRY(fill(r));
    *bytes = r->end - r->begin;
    *none = r->whole || all_white(r, r->buffer + r->begin, *bytes);
    while (*bytes > 0 && (r->buffer[r->begin + *bytes - 1] == '\n' || r->buffer[r->begin + *bytes - 1] == '\r'))
        --*bytes;
    r->whole = true;
done:
    return rc;
}

/* The next document of the member as it is divided; *none: there is none. */
static flm_status next_piece(prep_reader *r, size_t *bytes, bool *none)
{
    flm_status rc = FLM_OK;

    switch (r->jsonl ? PREP_LINE : (prep_documents)r->job->documents) {
    case PREP_LINE: FLM_TRY(next_text_line(r, bytes, none)); break;
    case PREP_BLANK: FLM_TRY(next_block(r, bytes, none)); break;
    case PREP_FILE: FLM_TRY(next_file(r, bytes, none)); break;
    }
    if (!*none && *bytes > r->max) FLM_TRY(too_large(r));
done:
    return rc;
}

/* A line of JSON becomes the text in it; *bad: it has none, and is passed over. */
static flm_status take_json(prep_reader *r, prep_document *document, bool *bad)
{
    flm_status rc = FLM_OK;
    char why[128];

    free(r->text);
    r->text = NULL;
    FLM_TRY(prep_json_text(document->text, document->bytes, r->job->field, &r->text, &document->bytes,
                           &document->replaced, why));
    *bad = why[0] != '\0';
    if (*bad && r->job->on_bad_line == PREP_BAD_FAIL)
        FLM_FAIL(FLM_E_FORMAT, "%s: the line at byte %lld %s; --on-bad-line skip passes such lines over",
                 prep_source_where(r->source), (long long)document->offset, why);
    if (*bad && r->job->surveying && r->bad_lines == 0)
        flm_log(FLM_LOG_WARN, "%s: the line at byte %lld %s; it is passed over, and so are others like it",
                prep_source_where(r->source), (long long)document->offset, why);
    r->bad_lines += *bad;
    document->text = r->text;
done:
    return rc;
}

/* The next member of the input. */
static flm_status enter(prep_reader *r, bool *end)
{
    flm_status rc = FLM_OK;
    const double before = flm_seconds();
    const bool first = r->end == 0 && r->base > 0; /* of a plain file that is read from the middle */

    FLM_TRY(prep_source_next(r->source, &r->jsonl, end));
    if (!first) r->base = 0;
    r->begin = r->scan = r->end = 0;
    r->eof = r->whole = false;
    r->inside = !*end;
done:
    prep_progress_read(flm_seconds() - before);
    return rc;
}

flm_status prep_reader_next(prep_reader *reader, prep_document *document, bool *end)
{
    flm_status rc = FLM_OK;
    prep_reader *r = reader;

    for (bool none = false;; none = false) {
        size_t bytes = 0;
        if (!r->inside) FLM_TRY(enter(r, end));
        if (!r->inside) break;
        FLM_TRY(next_piece(r, &bytes, &none));
        if (none) {
            r->inside = false;
            continue;
        }
        *document = (prep_document){.text = r->buffer + r->begin,
                                    .bytes = bytes,
                                    .offset = r->base + (int64_t)r->begin,
                                    .position = prep_raw_position(prep_source_raw(r->source))};
        if (r->jsonl) FLM_TRY(take_json(r, document, &none));
        if (none || (r->jsonl && all_white(r, document->text, document->bytes))) continue;
        r->text_bytes += (int64_t)document->bytes;
        *end = false;
        break;
    }
done:
    return rc;
}

void prep_reader_clean(const prep_reader *reader, prep_document *document)
{
    switch ((prep_clean)reader->job->clean) {
    case PREP_CLEAN_NONE: break;
    case PREP_CLEAN_LM1B: flm_text_lm1b_detokenize(document->text, &document->bytes); break;
    case PREP_CLEAN_OWT: prep_clean_owt(&document->text, &document->bytes); break;
    }
}

flm_status prep_reader_sum(prep_reader *reader, char *text)
{
    return prep_raw_sum(prep_source_raw(reader->source), text);
}

void prep_reader_tally(const prep_reader *reader, prep_tally *tally)
{
    *tally = *prep_source_tally(reader->source);
    tally->bad_lines = reader->bad_lines;
    tally->text_bytes = reader->text_bytes;
}
