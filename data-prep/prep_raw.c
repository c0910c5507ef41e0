/* prep_raw.c - an input's file, read in order and held against what it was (prep_source.h).
 * SPDX-License-Identifier: Apache-2.0 */
#include "prep_source.h"

#include "base/base_sha256.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct prep_raw {
    const prep_input *input;
    int fd;
    int64_t position;
    flm_sha256 *sum;
};

/* Asked at both ends of every reading. */
static flm_status check_unchanged(const prep_raw *raw)
{
    flm_status rc = FLM_OK;
    const prep_input *input = raw->input;
    struct stat st;

    if (fstat(raw->fd, &st) != 0) FLM_FAIL(FLM_E_IO, "%s: %s", input->path, strerror(errno));
    if (st.st_size != input->bytes || st.st_mtim.tv_sec != input->mtime_s || st.st_mtim.tv_nsec != input->mtime_ns)
        FLM_FAIL(FLM_E_MISMATCH, "%s: has changed while it was read; run the command again with an --out of its own",
                 input->path);
done:
    return rc;
}

flm_status prep_raw_open(const prep_input *input, int64_t offset, bool sum_wanted, prep_raw **out)
{
    flm_status rc = FLM_OK;
    prep_raw *raw = calloc(1, sizeof *raw);

    if (!raw) FLM_FAIL(FLM_E_NOMEM, "no memory to read %s", input->path);
    raw->input = input;
    raw->position = offset;
    do raw->fd = open(input->path, O_RDONLY | O_CLOEXEC);
    while (raw->fd < 0 && errno == EINTR);
    if (raw->fd < 0) FLM_FAIL(FLM_E_IO, "%s: cannot be read: %s", input->path, strerror(errno));
    if (sum_wanted) FLM_TRY(flm_sha256_begin(&raw->sum));
    FLM_TRY(check_unchanged(raw));
    *out = raw;
    raw = NULL;
done:
    prep_raw_close(&raw);
    return rc;
}

void prep_raw_close(prep_raw **raw)
{
    if (!*raw) return;
    if ((*raw)->fd >= 0) close((*raw)->fd);
    flm_sha256_destroy(&(*raw)->sum);
    free(*raw);
    *raw = NULL;
}

flm_status prep_raw_read(prep_raw *raw, void *buffer, size_t bytes, size_t *got)
{
    flm_status rc = FLM_OK;
    ssize_t n;

    do n = pread(raw->fd, buffer, bytes, raw->position);
    while (n < 0 && errno == EINTR);
    if (n < 0) FLM_FAIL(FLM_E_IO, "%s: cannot be read: %s", raw->input->path, strerror(errno));
    if (raw->sum && n > 0) FLM_TRY(flm_sha256_add(raw->sum, buffer, (size_t)n));
    raw->position += n;
    if (n == 0) FLM_TRY(check_unchanged(raw));
    if (n == 0 && raw->position != raw->input->bytes)
        FLM_FAIL(FLM_E_MISMATCH, "%s: ends at byte %lld, where it had %lld", raw->input->path, (long long)raw->position,
                 (long long)raw->input->bytes);
    *got = (size_t)n;
done:
    return rc;
}

int64_t prep_raw_position(const prep_raw *raw) { return raw->position; }

flm_status prep_raw_sum(prep_raw *raw, char *text)
{
    flm_status rc = FLM_OK;
    char rest[1 << 14];
    size_t got = 1;

    while (got > 0) FLM_TRY(prep_raw_read(raw, rest, sizeof rest, &got));
    FLM_TRY(flm_sha256_end(&raw->sum, text));
done:
    return rc;
}
