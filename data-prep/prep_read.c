/* prep_read.c - see prep.h: plain text files taken apart into documents, in bounded memory: what is held is one
 * document and what was read beyond it. Line ends are LF or CR LF; the last one of a document is not part of it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "prep_read.h"

#include "base/base_sha256.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

enum { READ_BYTES = 1 << 20 };

struct prep_reader {
    const prep_input *input;
    int fd, documents;
    size_t most; /* bytes of a document */
    char *buffer;
    size_t capacity, begin, scan, end; /* begin: of the document; scan: what follows has not been looked at */
    int64_t base;                      /* the buffer's place in the file */
    bool eof, whole;                   /* whole: the one document of a file was given */
    flm_sha256 *sum;
};

/* Kinds that would be taken for text of a strange language. */
static const char *unread_kind(const char *path)
{
    static const char *const kinds[] = {".gz", ".xz", ".zst", ".bz2", ".tar", ".tgz", ".zip", ".jsonl", ".h5"};
    size_t length = strlen(path);

    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        size_t n = strlen(kinds[i]);
        if (length > n && strcasecmp(path + length - n, kinds[i]) == 0) return kinds[i];
    }
    return NULL;
}

static flm_status stat_all(prep_job *job, int64_t *seen)
{
    flm_status rc = FLM_OK;
    struct stat st;

    for (int i = 0; i < job->inputs_count; i++) {
        const char *path = job->inputs[i].path, *kind = unread_kind(path);
        if (kind) FLM_FAIL(FLM_E_FORMAT, "%s: a file of kind %s is not plain text, which alone is read", path, kind);
        if (stat(path, &st) != 0 || access(path, R_OK) != 0)
            FLM_FAIL(FLM_E_IO, "%s: cannot be read: %s", path, strerror(errno));
        if (!S_ISREG(st.st_mode)) FLM_FAIL(FLM_E_FORMAT, "%s: is not a regular file", path);
        seen[3 * i] = st.st_size;
        seen[3 * i + 1] = st.st_mtim.tv_sec;
        seen[3 * i + 2] = st.st_mtim.tv_nsec;
    }
done:
    return rc;
}

flm_status prep_inputs_stat(prep_job *job, flm_comm *comm)
{
    flm_status rc = FLM_OK;
    int64_t *seen = calloc((size_t)job->inputs_count, 3 * sizeof *seen);

    if (!seen) FLM_FAIL(FLM_E_NOMEM, "no memory for %d inputs", job->inputs_count);
    if (flm_comm_rank(comm) == 0) rc = stat_all(job, seen);
    FLM_TRY(flm_comm_agree(comm, rc));
    FLM_TRY(flm_comm_broadcast(comm, seen, job->inputs_count * (int64_t)(3 * sizeof *seen), 0));
    for (int i = 0; i < job->inputs_count; i++) {
        job->inputs[i].bytes = seen[3 * i];
        job->inputs[i].mtime_s = seen[3 * i + 1];
        job->inputs[i].mtime_ns = seen[3 * i + 2];
    }
done:
    free(seen);
    return rc;
}

/* Asked at both ends of every reading. */
static flm_status check_unchanged(const prep_reader *r)
{
    flm_status rc = FLM_OK;
    const prep_input *input = r->input;
    struct stat st;

    if (fstat(r->fd, &st) != 0) FLM_FAIL(FLM_E_IO, "%s: %s", input->path, strerror(errno));
    if (st.st_size != input->bytes || st.st_mtim.tv_sec != input->mtime_s || st.st_mtim.tv_nsec != input->mtime_ns)
        FLM_FAIL(FLM_E_MISMATCH, "%s: has changed while it was read; run the command again with an --out of its own",
                 input->path);
done:
    return rc;
}

flm_status prep_reader_open(const prep_job *job, int input, int64_t offset, bool sum_wanted, prep_reader **out)
{
    flm_status rc = FLM_OK;
    prep_reader *r = calloc(1, sizeof *r);

    if (!r) FLM_FAIL(FLM_E_NOMEM, "no memory to read %s", job->inputs[input].path);
    r->fd = -1;
    r->input = &job->inputs[input];
    r->documents = job->documents;
    r->most = (size_t)job->document_bytes;
    r->base = offset;
    r->capacity = READ_BYTES;
    r->buffer = malloc(r->capacity);
    if (!r->buffer) FLM_FAIL(FLM_E_NOMEM, "no memory to read %s", r->input->path);
    if (sum_wanted) FLM_TRY(flm_sha256_begin(&r->sum));
    do r->fd = open(r->input->path, O_RDONLY | O_CLOEXEC);
    while (r->fd < 0 && errno == EINTR);
    if (r->fd < 0) FLM_FAIL(FLM_E_IO, "%s: cannot be read: %s", r->input->path, strerror(errno));
    FLM_TRY(check_unchanged(r));
    *out = r;
    r = NULL;
done:
    prep_reader_close(&r);
    return rc;
}

void prep_reader_close(prep_reader **reader)
{
    if (!*reader) return;
    if ((*reader)->fd >= 0) close((*reader)->fd);
    flm_sha256_destroy(&(*reader)->sum);
    free((*reader)->buffer);
    free(*reader);
    *reader = NULL;
}

static flm_status too_large(const prep_reader *r)
{
    return flm_err_raise(FLM_E_FORMAT, __FILE__, __LINE__,
                         "%s: the document at byte %lld has more than --document-bytes %zu", r->input->path,
                         (long long)(r->base + (int64_t)r->begin), r->most);
}

/* More bytes after r->end, or eof. Moves the document to the buffer's beginning: places are kept relative to begin. */
static flm_status fill(prep_reader *r)
{
    flm_status rc = FLM_OK;
    ssize_t got;

    if (r->begin > 0) {
        memmove(r->buffer, r->buffer + r->begin, r->end - r->begin);
        r->base += (int64_t)r->begin;
        r->scan -= r->begin;
        r->end -= r->begin;
        r->begin = 0;
    }
    if (r->end == r->capacity) {
        char *grown;
        if (r->end > r->most + 2) FLM_TRY(too_large(r)); /* 2: a line's end */
        grown = realloc(r->buffer, 2 * r->capacity);
        if (!grown)
            FLM_FAIL(FLM_E_NOMEM, "%s: no memory for a document of more than %zu bytes", r->input->path, r->end);
        r->buffer = grown;
        r->capacity *= 2;
    }
    do got = pread(r->fd, r->buffer + r->end, r->capacity - r->end, r->base + (int64_t)r->end);
    while (got < 0 && errno == EINTR);
    if (got < 0) FLM_FAIL(FLM_E_IO, "%s: cannot be read: %s", r->input->path, strerror(errno));
    r->eof = got == 0;
    if (r->sum && got > 0) FLM_TRY(flm_sha256_add(r->sum, r->buffer + r->end, (size_t)got));
    r->end += (size_t)got;
    if (r->eof) FLM_TRY(check_unchanged(r));
    if (r->eof && r->base + (int64_t)r->end != r->input->bytes)
        FLM_FAIL(FLM_E_MISMATCH, "%s: ends at byte %lld, where it had %lld", r->input->path,
                 (long long)(r->base + (int64_t)r->end), (long long)r->input->bytes);
done:
    return rc;
}

static bool is_white(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

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

static bool all_white(const char *text, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        if (!is_white(text[i])) return false;
    return true;
}

/* The next line that is not blank; the document begins with it. */
static flm_status next_text_line(prep_reader *r, size_t *bytes, bool *none)
{
    flm_status rc = FLM_OK;
    size_t from = 0, to = 0;

    do {
        r->begin = r->scan;
        FLM_TRY(next_line(r, &from, &to, none));
    } while (!*none && all_white(r->buffer + r->begin, to));
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
        over = over || all_white(r->buffer + r->begin + from, to - from);
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
    *none = r->whole || all_white(r->buffer + r->begin, *bytes);
    while (*bytes > 0 && (r->buffer[r->begin + *bytes - 1] == '\n' || r->buffer[r->begin + *bytes - 1] == '\r'))
        --*bytes;
    r->whole = true;
done:
    return rc;
}

flm_status prep_reader_next(prep_reader *reader, prep_document *document, bool *end)
{
    flm_status rc = FLM_OK;
    size_t bytes = 0;
    bool none = false;

    switch ((prep_documents)reader->documents) {
    case PREP_LINE: FLM_TRY(next_text_line(reader, &bytes, &none)); break;
    case PREP_BLANK: FLM_TRY(next_block(reader, &bytes, &none)); break;
    case PREP_FILE: FLM_TRY(next_file(reader, &bytes, &none)); break;
    }
    if (!none && bytes > reader->most) FLM_TRY(too_large(reader));
    if (!none) {
        document->text = reader->buffer + reader->begin;
        document->bytes = bytes;
        document->offset = reader->base + (int64_t)reader->begin;
    }
    *end = none;
done:
    return rc;
}

flm_status prep_reader_sum(prep_reader *reader, char *text) { return flm_sha256_end(&reader->sum, text); }
