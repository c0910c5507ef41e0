/* prep_read.c - dividing text into documents (prep_read.h). Memory is bounded by one document and what was read beyond
 * it. Lines end in LF or CR LF; the last line end of a document is not part of it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "prep_read.h"

#include "base/base_file.h"
#include "base/base_log.h"
#include "base/base_progress.h"
#include "prep_source.h"
#include "text/text_lm1b.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { READ_BYTES = 1 << 20 };

struct flm_reader {
    const flm_prep_job *job;
    flm_source *source;
    size_t max; /* bytes of a document */
    char *buffer;
    size_t capacity, begin, scan, end; /* begin: of the document; scan: end of what has been examined */
    int64_t base;                      /* the buffer's offset in the member */
    bool inside, jsonl, eof, given;    /* inside: a member is being read; given: the one document of a file was given */
    char *text;                        /* of the current line of JSON */
    int64_t bad_lines, text_bytes;
};

/* The container of a file. */
static flm_status find_container(const char *path, flm_container *container)
{
    flm_status rc = FLM_OK;
    unsigned char head[FLM_CONTAINER_HEAD_BYTES];
    size_t got = 0;

    FLM_TRY(flm_file_read_head(path, head, sizeof head, &got));
    FLM_TRY(flm_container_identify(path, path, head, got, container));
    if (flm_source_name_ends_in(path, ".h5")) FLM_FAIL(FLM_E_FORMAT, "%s: an HDF5 file is not text", path);
done:
    return rc;
}

/* What rank 0 finds out about an input. */
typedef struct file_facts {
    int64_t bytes, mtime_s, mtime_ns, container;
} file_facts;

static flm_status stat_all(const flm_prep_job *job, file_facts *facts)
{
    flm_status rc = FLM_OK;
    struct stat st;

    for (int i = 0; i < job->inputs_count; i++) {
        const char *path = job->inputs[i].path;
        flm_container container;
        if (stat(path, &st) != 0 || access(path, R_OK) != 0)
            FLM_FAIL(flm_status_from_errno(errno), "%s: cannot be read: %s", path, strerror(errno));
        if (!S_ISREG(st.st_mode)) FLM_FAIL(FLM_E_FORMAT, "%s: not a regular file", path);
        FLM_TRY(find_container(path, &container));
        facts[i] = (file_facts){st.st_size, st.st_mtim.tv_sec, st.st_mtim.tv_nsec, container};
    }
done:
    return rc;
}

flm_status flm_reader_stat_inputs(flm_prep_job *job, flm_comm *comm)
{
    flm_status rc = FLM_OK;
    file_facts *facts = calloc((size_t)job->inputs_count, sizeof *facts);

    if (!facts) FLM_FAIL(FLM_E_NOMEM, "no memory for %d inputs", job->inputs_count);
    if (flm_comm_rank(comm) == 0) rc = stat_all(job, facts);
    FLM_TRY(flm_comm_agree(comm, rc));
    FLM_TRY(flm_comm_broadcast(comm, facts, job->inputs_count * (int64_t)sizeof *facts, 0));
    for (int i = 0; i < job->inputs_count; i++) {
        flm_prep_input *input = &job->inputs[i];
        input->bytes = facts[i].bytes;
        input->mtime_s = facts[i].mtime_s;
        input->mtime_ns = facts[i].mtime_ns;
        input->container = (int)facts[i].container;
    }
done:
    free(facts);
    return rc;
}

flm_status flm_reader_open(const flm_prep_job *job, int input, int64_t offset, bool want_digest, flm_reader **out)
{
    flm_status rc = FLM_OK;
    flm_reader *r = calloc(1, sizeof *r);

    if (!r) FLM_FAIL(FLM_E_NOMEM, "no memory to read %s", job->inputs[input].path);
    r->job = job;
    r->max = (size_t)job->document_bytes;
    r->base = offset;
    r->capacity = READ_BYTES;
    r->buffer = malloc(r->capacity);
    if (!r->buffer) FLM_FAIL(FLM_E_NOMEM, "no memory to read %s", job->inputs[input].path);
    FLM_TRY(flm_source_open(job, &job->inputs[input], offset, want_digest, &r->source));
    *out = r;
    r = NULL;
done:
    flm_reader_close(&r);
    return rc;
}

void flm_reader_close(flm_reader **reader)
{
    if (!*reader) return;
    flm_source_close(&(*reader)->source);
    free((*reader)->text);
    free((*reader)->buffer);
    free(*reader);
    *reader = NULL;
}

static flm_status too_large(const flm_reader *r)
{
    return flm_err_raise(FLM_E_FORMAT, __FILE__, __LINE__,
                         "%s: the document at byte %lld has more than %zu bytes (--document-bytes)",
                         flm_source_where(r->source), (long long)(r->base + (int64_t)r->begin), r->max);
}

/* More bytes after r->end, or eof. Moves the document to the beginning of the buffer, so callers keep offsets relative
 * to r->begin. */
static flm_status fill(flm_reader *r)
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
            FLM_FAIL(FLM_E_NOMEM, "%s: no memory for a document of more than %zu bytes", flm_source_where(r->source),
                     r->end);
        r->buffer = grown;
        r->capacity *= 2;
    }
    FLM_TRY(flm_source_read(r->source, r->buffer + r->end, r->capacity - r->end, &got));
    r->eof = got == 0;
    r->end += got;
done:
    flm_prep_progress_add_reading(flm_seconds() - before);
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

static bool all_white(const flm_reader *r, const char *text, size_t bytes)
{
    return flm_document_is_white(text, bytes, r->job->clean == FLM_CORPUS_CLEAN_OWT);
}

/* The next line that is not white space; a document begins there. */
static flm_status next_text_line(flm_reader *r, size_t *bytes, bool *none)
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

/* The next block: lines up to one of white space or to the end. */
static flm_status next_block(flm_reader *r, size_t *bytes, bool *none)
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

static flm_status next_file(flm_reader *r, size_t *bytes, bool *none)
{
    flm_status rc = FLM_OK;

    while (!r->eof) FLM_TRY(fill(r));
    *bytes = r->end - r->begin;
    *none = r->given || all_white(r, r->buffer + r->begin, *bytes);
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

    switch (r->jsonl ? FLM_CORPUS_LINE : (flm_corpus_documents)r->job->documents) {
    case FLM_CORPUS_LINE: FLM_TRY(next_text_line(r, bytes, none)); break;
    case FLM_CORPUS_BLANK: FLM_TRY(next_block(r, bytes, none)); break;
    case FLM_CORPUS_FILE: FLM_TRY(next_file(r, bytes, none)); break;
    }
    if (!*none && *bytes > r->max) FLM_TRY(too_large(r));
done:
    return rc;
}

/* A line of JSON becomes the text in it; *skip: it has none, and --on-bad-line is skip. */
static flm_status parse_json(flm_reader *r, flm_document *document, bool *skip)
{
    flm_status rc = FLM_OK;

    free(r->text);
    r->text = NULL;
    rc = flm_document_parse_json(document, r->job->field, &r->text);
    *skip = rc == FLM_E_FORMAT && r->job->on_bad_line == FLM_CORPUS_BAD_LINE_SKIP;
    if (*skip) {
        if (r->job->surveying && r->bad_lines == 0)
            flm_log(FLM_LOG_WARN, "%s: %s: skipped, like all further bad lines of this input",
                    flm_source_where(r->source), flm_err_message());
        r->bad_lines++;
        flm_err_clear();
        rc = FLM_OK;
    }
    if (rc != FLM_OK) FLM_TRY(flm_err_prefix(rc, flm_source_where(r->source)));
done:
    return rc;
}

/* Begin the next member of the input. */
static flm_status next_member(flm_reader *r, bool *end)
{
    flm_status rc = FLM_OK;
    const double before = flm_seconds();
    const bool first = r->end == 0 && r->base > 0; /* a plain file read from the middle keeps its base */

    FLM_TRY(flm_source_next(r->source, &r->jsonl, end));
    if (!first) r->base = 0;
    r->begin = r->scan = r->end = 0;
    r->eof = r->given = false;
    r->inside = !*end;
done:
    flm_prep_progress_add_reading(flm_seconds() - before);
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
                                   .position = flm_raw_file_position(flm_source_raw_file(r->source))};
        if (r->jsonl) FLM_TRY(parse_json(r, document, &none));
        if (none || (r->jsonl && all_white(r, document->text, document->bytes))) continue;
        r->text_bytes += (int64_t)document->bytes;
        *end = false;
        break;
    }
done:
    return rc;
}

void flm_reader_clean(const flm_reader *reader, flm_document *document)
{
    switch ((flm_corpus_clean)reader->job->clean) {
    case FLM_CORPUS_CLEAN_NONE: break;
    case FLM_CORPUS_CLEAN_LM1B: flm_text_lm1b_detokenize(document->text, &document->bytes); break;
    case FLM_CORPUS_CLEAN_OWT: flm_document_clean_owt(&document->text, &document->bytes); break;
    }
}

flm_status flm_reader_digest(flm_reader *reader, char *text)
{
    return flm_raw_file_digest(flm_source_raw_file(reader->source), text);
}

void flm_reader_tally(const flm_reader *reader, flm_prep_tally *tally)
{
    *tally = *flm_source_tally(reader->source);
    tally->bad_lines = reader->bad_lines;
    tally->text_bytes = reader->text_bytes;
}
