/* base_file.c - see base_file.h. SPDX-License-Identifier: Apache-2.0 */
#include "config.h" /* first: fallocate is a GNU extension */

#include "base/base_file.h"

#include "base/base_path.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const size_t CALL_BYTES = (size_t)1 << 30; /* Linux transfers at most 2 GiB - 4 KiB a call */

flm_status flm_file_open(const char *path, int flags, int *fd)
{
    flm_status rc = FLM_OK;
    int opened;
    struct stat st;

    do opened = open(path, flags | O_CLOEXEC | O_NONBLOCK, 0666); /* which has no effect on regular files */
    while (opened < 0 && errno == EINTR);
    if (opened < 0) FLM_FAIL(flm_status_from_errno(errno), "%s: cannot be opened: %s", path, strerror(errno));
    if (fstat(opened, &st) == 0 && S_ISFIFO(st.st_mode))
        FLM_FAIL(FLM_E_FORMAT,
                 "%s: is a pipe, not a regular file, and might be read more than once; save it to a file first", path);
    *fd = opened;
    opened = -1;
done:
    if (opened >= 0) close(opened);
    return rc;
}

bool flm_file_was_removed(flm_status rc, const char *path)
{
    return rc != FLM_OK && access(path, F_OK) != 0 && errno == ENOENT;
}

flm_status flm_file_read_at(int fd, const char *path, void *data, size_t bytes, int64_t offset)
{
    flm_status rc = FLM_OK;
    char *p = data;

    while (bytes > 0) {
        const ssize_t got = pread(fd, p, bytes < CALL_BYTES ? bytes : CALL_BYTES, offset);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) FLM_FAIL(flm_status_from_errno(errno), "%s: cannot be read: %s", path, strerror(errno));
        if (got == 0)
            FLM_FAIL(FLM_E_FORMAT, "%s: is truncated: it ends at byte %lld, %zu more bytes were expected", path,
                     (long long)offset, bytes);
        p += got;
        bytes -= (size_t)got;
        offset += got;
    }
done:
    return rc;
}

/* pwrite of everything, or write at the descriptor's position. A call that writes nothing sets no errno. */
static flm_status write_all(int fd, const char *path, const char *data, size_t bytes, bool at, int64_t offset)
{
    flm_status rc = FLM_OK;

    while (bytes > 0) {
        const size_t n = bytes < CALL_BYTES ? bytes : CALL_BYTES;
        const ssize_t wrote = at ? pwrite(fd, data, n, offset) : write(fd, data, n);
        if (wrote < 0 && errno == EINTR) continue;
        if (wrote <= 0) FLM_FAIL(FLM_E_IO, "%s: cannot be written: %s", path, strerror(wrote == 0 ? ENOSPC : errno));
        data += wrote;
        bytes -= (size_t)wrote;
        offset += wrote;
    }
done:
    return rc;
}

flm_status flm_file_write_at(int fd, const char *path, const void *data, size_t bytes, int64_t offset)
{
    return write_all(fd, path, data, bytes, true, offset);
}

flm_status flm_file_append(int fd, const char *path, const void *data, size_t bytes)
{
    return write_all(fd, path, data, bytes, false, 0);
}

/* read(2) until `bytes` are there or the file ends. */
static flm_status read_up_to(int fd, const char *path, char *data, size_t bytes, size_t *got)
{
    flm_status rc = FLM_OK;

    for (*got = 0; *got < bytes;) {
        const size_t left = bytes - *got;
        const ssize_t n = read(fd, data + *got, left < CALL_BYTES ? left : CALL_BYTES);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) FLM_FAIL(flm_status_from_errno(errno), "%s: cannot be read: %s", path, strerror(errno));
        if (n == 0) break;
        *got += (size_t)n;
    }
done:
    return rc;
}

flm_status flm_file_read_head(const char *path, void *head, size_t bytes, size_t *got)
{
    flm_status rc = FLM_OK;
    size_t there = 0;
    int fd = -1;

    FLM_TRY(flm_file_open(path, O_RDONLY, &fd));
    FLM_TRY(read_up_to(fd, path, head, bytes, &there));
    memset((char *)head + there, 0, bytes - there);
    if (got) *got = there;
done:
    if (fd >= 0) close(fd);
    return rc;
}

flm_status flm_file_read(const char *path, size_t max, char **data, size_t *bytes)
{
    flm_status rc = FLM_OK;
    char *all = NULL;
    size_t size = 0, capacity = 1 << 16, got;
    int fd = -1;

    FLM_TRY(flm_file_open(path, O_RDONLY, &fd));
    for (;; capacity *= 2) {
        char *grown = realloc(all, capacity + 1);
        if (!grown) FLM_FAIL(FLM_E_NOMEM, "%s: no memory for %zu bytes", path, capacity);
        all = grown;
        FLM_TRY(read_up_to(fd, path, all + size, capacity - size, &got));
        size += got;
        if (size > max) FLM_FAIL(FLM_E_FORMAT, "%s: is larger than %zu bytes", path, max);
        if (size < capacity) break;
    }
    all[size] = '\0';
    *data = all;
    *bytes = size;
    all = NULL;
done:
    if (fd >= 0) close(fd);
    free(all);
    return rc;
}

flm_status flm_file_sync_close(int *fd, const char *path)
{
    flm_status rc = FLM_OK;
    const int closing = *fd;

    *fd = -1;
    if (fsync(closing) != 0)
        rc = flm_err_raise(flm_status_from_errno(errno), __FILE__, __LINE__, "%s: cannot be synced: %s", path,
                           strerror(errno));
    if (close(closing) != 0 && rc == FLM_OK)
        rc = flm_err_raise(flm_status_from_errno(errno), __FILE__, __LINE__, "%s: cannot be closed: %s", path,
                           strerror(errno));
    return rc;
}

flm_status flm_file_sync_directory(const char *directory)
{
    flm_status rc = FLM_OK;
    int fd = -1;

    FLM_TRY(flm_file_open(directory, O_RDONLY | O_DIRECTORY, &fd));
    /* EINVAL: the file system does not sync directories */
    if (fsync(fd) != 0 && errno != EINVAL)
        FLM_FAIL(flm_status_from_errno(errno), "%s: cannot be synced: %s", directory, strerror(errno));
done:
    if (fd >= 0) close(fd);
    return rc;
}

flm_status flm_file_rename(const char *from, const char *to)
{
    if (rename(from, to) == 0) return FLM_OK;
    return flm_err_raise(flm_status_from_errno(errno), __FILE__, __LINE__, "%s: cannot be renamed to %s: %s", from, to,
                         strerror(errno));
}

/* Refusals that mean "no space" or "not allowed this much"; all others mean that the call is not supported. */
static bool out_of_space(int error) { return error == ENOSPC || error == EFBIG || error == EDQUOT || error == EIO; }

static int allocate(int fd, int64_t bytes)
{
    int failed;
    do failed = fallocate(fd, 0, 0, bytes);
    while (failed != 0 && errno == EINTR);
    return failed;
}

flm_status flm_file_allocate(int fd, const char *path, int64_t bytes)
{
    if (allocate(fd, bytes) == 0 || !out_of_space(errno)) return FLM_OK;
    return flm_err_raise(flm_status_from_errno(errno), __FILE__, __LINE__, "%s: %lld bytes cannot be written: %s", path,
                         (long long)bytes, strerror(errno));
}

flm_status flm_file_reserve(const char *path, int64_t bytes)
{
    flm_status rc = FLM_OK;
    int fd = -1, failed;

    FLM_TRY(flm_file_open(path, O_WRONLY | O_CREAT | O_TRUNC, &fd));
    failed = allocate(fd, bytes);
    /* at least the limits on a file's size are known to ftruncate */
    if (failed && (errno == EOPNOTSUPP || errno == ENOSYS)) failed = ftruncate(fd, bytes);
    if (failed && out_of_space(errno))
        FLM_FAIL(flm_status_from_errno(errno), "%s: %lld bytes cannot be written: %s", path, (long long)bytes,
                 strerror(errno));
done:
    if (fd >= 0) close(fd);
    return rc;
}

flm_status flm_file_commit(int *fd, const char *temporary, const char *path)
{
    flm_status rc = FLM_OK;
    char directory[FLM_PATH_BYTES];

    FLM_TRY(flm_path_directory(directory, path));
    FLM_TRY(flm_file_sync_close(fd, temporary));
    FLM_TRY(flm_file_rename(temporary, path));
    FLM_TRY(flm_file_sync_directory(directory));
done:
    return rc;
}

bool flm_file_is_same(const char *a, const char *b)
{
    struct stat x, y;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_ino == y.st_ino && x.st_dev == y.st_dev;
}

flm_status flm_file_check_output(const char *path)
{
    flm_status rc = FLM_OK;
    struct stat st;

    if (stat(path, &st) != 0) {
        if (lstat(path, &st) == 0) FLM_FAIL(FLM_E_MISSING, "%s: is a link to a file that does not exist", path);
        goto done; /* what is wrong with the path shows when it is written */
    }
    if (S_ISDIR(st.st_mode)) FLM_FAIL(FLM_E_MISSING, "%s: is a directory; the output must be a file", path);
    if (!S_ISREG(st.st_mode)) FLM_FAIL(FLM_E_USAGE, "%s: is not a regular file, and would be replaced by one", path);
done:
    return rc;
}

flm_status flm_file_replace(const char *path, const void *data, size_t bytes)
{
    flm_status rc = FLM_OK;
    char temporary[FLM_PATH_BYTES];
    bool made = false;
    int fd = -1;

    FLM_TRY(flm_file_check_output(path));
    FLM_TRY(flm_path_format(temporary, "%s.tmp", path));
    FLM_TRY(flm_file_open(temporary, O_WRONLY | O_CREAT | O_TRUNC, &fd));
    made = true;
    FLM_TRY(flm_file_write_at(fd, temporary, data, bytes, 0));
    FLM_TRY(flm_file_commit(&fd, temporary, path));
done:
    if (fd >= 0) close(fd);
    if (rc != FLM_OK && made) unlink(temporary);
    return rc;
}
