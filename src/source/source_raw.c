/* source_raw.c - see source_raw.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "source/source_raw.h"

#include "base/base_sha256.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct flm_raw_file {
    const flm_source_file *file;
    int fd;
    int64_t position;
    flm_sha256 *digest;
};

/* Called at the beginning and at the end of every reading. */
static flm_status check_unchanged(const flm_raw_file *raw)
{
    flm_status rc = FLM_OK;
    const flm_source_file *file = raw->file;
    struct stat st;

    if (fstat(raw->fd, &st) != 0)
        FLM_FAIL(flm_status_from_errno(errno), "%s: cannot be read: %s", file->path, strerror(errno));
    if (st.st_size != file->bytes || st.st_mtim.tv_sec != file->mtime_s || st.st_mtim.tv_nsec != file->mtime_ns)
        FLM_FAIL(FLM_E_MISMATCH, "%s: the file changed while it was read; run the command again with a new --out",
                 file->path);
done:
    return rc;
}

flm_status flm_raw_file_open(const flm_source_file *file, int64_t offset, bool want_digest, flm_raw_file **out)
{
    flm_status rc = FLM_OK;
    flm_raw_file *raw = calloc(1, sizeof *raw);

    if (!raw) FLM_FAIL(FLM_E_NOMEM, "no memory to read %s", file->path);
    raw->file = file;
    raw->position = offset;
    do raw->fd = open(file->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    while (raw->fd < 0 && errno == EINTR);
    if (raw->fd < 0) FLM_FAIL(flm_status_from_errno(errno), "%s: cannot be read: %s", file->path, strerror(errno));
    if (want_digest) FLM_TRY(flm_sha256_begin(&raw->digest));
    FLM_TRY(check_unchanged(raw));
    *out = raw;
    raw = NULL;
done:
    flm_raw_file_close(&raw);
    return rc;
}

void flm_raw_file_close(flm_raw_file **raw)
{
    if (!*raw) return;
    if ((*raw)->fd >= 0) close((*raw)->fd);
    flm_sha256_destroy(&(*raw)->digest);
    free(*raw);
    *raw = NULL;
}

flm_status flm_raw_file_read(flm_raw_file *raw, void *buffer, size_t bytes, size_t *got)
{
    flm_status rc = FLM_OK;
    ssize_t n;

    do n = pread(raw->fd, buffer, bytes, raw->position);
    while (n < 0 && errno == EINTR);
    if (n < 0) FLM_FAIL(flm_status_from_errno(errno), "%s: cannot be read: %s", raw->file->path, strerror(errno));
    if (raw->digest && n > 0) FLM_TRY(flm_sha256_add(raw->digest, buffer, (size_t)n));
    raw->position += n;
    if (n == 0) FLM_TRY(check_unchanged(raw));
    if (n == 0 && raw->position != raw->file->bytes)
        FLM_FAIL(FLM_E_MISMATCH, "%s: the file ends at byte %lld; it had %lld bytes before", raw->file->path,
                 (long long)raw->position, (long long)raw->file->bytes);
    *got = (size_t)n;
done:
    return rc;
}

int64_t flm_raw_file_position(const flm_raw_file *raw) { return raw->position; }
int flm_raw_file_descriptor(const flm_raw_file *raw) { return raw->fd; }

flm_status flm_raw_file_digest(flm_raw_file *raw, char *text)
{
    flm_status rc = FLM_OK;
    char rest[1 << 14];
    size_t got = 1;

    while (got > 0) FLM_TRY(flm_raw_file_read(raw, rest, sizeof rest, &got));
    FLM_TRY(flm_sha256_end(&raw->digest, text));
done:
    return rc;
}
