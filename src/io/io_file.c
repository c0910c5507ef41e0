/* io_file.c - see io_internal.h: the operating system's calls, done whole. SPDX-License-Identifier: Apache-2.0 */
#include "config.h" /* first: fallocate is a GNU extension */

#include "base/base_version.h"
#include "io/io_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "files are little-endian and are written as they lie in memory");

static const size_t PIECE_BYTES = (size_t)1 << 30; /* Linux moves at most 2 GiB - 4 KiB a call */

flm_status flm_io_write_at(int fd, const char *path, const void *data, size_t bytes, int64_t offset)
{
    flm_status rc = FLM_OK;
    const char *p = data;

    while (bytes > 0) {
        ssize_t wrote = pwrite(fd, p, bytes < PIECE_BYTES ? bytes : PIECE_BYTES, offset);
        if (wrote < 0 && errno == EINTR) continue;
        if (wrote < 0) FLM_FAIL(FLM_E_IO, "%s: cannot be written: %s", path, strerror(errno));
        p += wrote;
        bytes -= (size_t)wrote;
        offset += wrote;
    }
done:
    return rc;
}

flm_status flm_io_read_at(int fd, const char *path, void *data, size_t bytes, int64_t offset)
{
    flm_status rc = FLM_OK;
    char *p = data;

    while (bytes > 0) {
        ssize_t got = pread(fd, p, bytes < PIECE_BYTES ? bytes : PIECE_BYTES, offset);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) FLM_FAIL(FLM_E_IO, "%s: cannot be read: %s", path, strerror(errno));
        if (got == 0) FLM_FAIL(FLM_E_IO, "%s: ends at byte %lld, before its data do", path, (long long)offset);
        p += got;
        bytes -= (size_t)got;
        offset += got;
    }
done:
    return rc;
}

flm_status flm_io_open(const char *path, int flags, int *fd)
{
    flm_status rc = FLM_OK;
    int opened;

    do opened = open(path, flags | O_CLOEXEC, 0644);
    while (opened < 0 && errno == EINTR);
    if (opened < 0) FLM_FAIL(FLM_E_IO, "%s: cannot be opened: %s", path, strerror(errno));
    *fd = opened;
done:
    return rc;
}

flm_status flm_io_sync_close(int *fd, const char *path)
{
    flm_status rc = FLM_OK;
    int closing = *fd;

    *fd = -1;
    if (fsync(closing) != 0)
        rc = flm_err_raise(FLM_E_IO, __FILE__, __LINE__, "%s: cannot be synced: %s", path, strerror(errno));
    if (close(closing) != 0 && rc == FLM_OK)
        rc = flm_err_raise(FLM_E_IO, __FILE__, __LINE__, "%s: cannot be closed: %s", path, strerror(errno));
    return rc;
}

flm_status flm_io_sync_directory(const char *directory)
{
    flm_status rc = FLM_OK;
    int fd = -1;

    FLM_TRY(flm_io_open(directory, O_RDONLY | O_DIRECTORY, &fd));
    /* EINVAL: the file system has nothing to sync in a directory */
    if (fsync(fd) != 0 && errno != EINVAL) FLM_FAIL(FLM_E_IO, "%s: cannot be synced: %s", directory, strerror(errno));
done:
    if (fd >= 0) close(fd);
    return rc;
}

flm_status flm_io_reserve(const char *path, int64_t bytes)
{
    flm_status rc = FLM_OK;
    int fd = -1, failed;

    FLM_TRY(flm_io_open(path, O_WRONLY | O_CREAT | O_TRUNC, &fd));
    do failed = fallocate(fd, 0, 0, bytes);
    while (failed != 0 && errno == EINTR);
    if (failed && (errno == EOPNOTSUPP || errno == ENOSYS)) failed = ftruncate(fd, bytes); /* limits it still knows */
    if (failed && (errno == ENOSPC || errno == EFBIG || errno == EDQUOT || errno == EIO))
        FLM_FAIL(FLM_E_IO, "%s: %lld bytes cannot be written: %s", path, (long long)bytes, strerror(errno));
done:
    if (fd >= 0) close(fd);
    return rc;
}

flm_status flm_io_rename(const char *from, const char *to)
{
    if (rename(from, to) == 0) return FLM_OK;
    return flm_err_raise(FLM_E_IO, __FILE__, __LINE__, "%s: cannot be renamed to %s: %s", from, to, strerror(errno));
}

flm_status flm_io_join(char *path, const char *directory, const char *name)
{
    if (snprintf(path, FLM_IO_PATH_BYTES, "%s/%s", directory, name) < FLM_IO_PATH_BYTES) return FLM_OK;
    return flm_err_raise(FLM_E_ARG, __FILE__, __LINE__, "%.200s...: the path is too long", directory);
}

flm_status flm_io_set_vocabulary(hid_t root, const flm_vocabulary *vocabulary)
{
    flm_status rc = FLM_OK;

    FLM_TRY(flm_h5_set_string(root, "tokenizer", vocabulary->name));
    FLM_TRY(flm_h5_set_string(root, "tokenizer_sha256", vocabulary->sha256));
    FLM_TRY(flm_h5_set_i64(root, "V", vocabulary->V));
    FLM_TRY(flm_h5_set_i64(root, "begin_id", vocabulary->begin_id));
    FLM_TRY(flm_h5_set_i64(root, "end_id", vocabulary->end_id));
done:
    return rc;
}

flm_status flm_io_get_vocabulary(hid_t root, flm_vocabulary *vocabulary)
{
    flm_status rc = FLM_OK;

    FLM_TRY(flm_h5_get_string(root, "tokenizer", vocabulary->name, sizeof vocabulary->name));
    FLM_TRY(flm_h5_get_string(root, "tokenizer_sha256", vocabulary->sha256, sizeof vocabulary->sha256));
    FLM_TRY(flm_h5_get_i64(root, "V", &vocabulary->V));
    FLM_TRY(flm_h5_get_i64(root, "begin_id", &vocabulary->begin_id));
    FLM_TRY(flm_h5_get_i64(root, "end_id", &vocabulary->end_id));
    if (vocabulary->begin_id >= vocabulary->V || vocabulary->end_id >= vocabulary->V)
        FLM_FAIL(FLM_E_FORMAT, "attributes \"begin_id\" and \"end_id\" are not below \"V\"");
done:
    return rc;
}

void flm_io_program_version(char *text, size_t size)
{
    if (snprintf(text, size, "%s (%s)", flm_version_string(), flm_version_revision()) >= (int)size)
        text[size - 1] = '\0';
}
