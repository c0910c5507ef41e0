/* base_file.h - files read and written completely, and replaced atomically.
 *
 * Owns the handling of interrupted calls (EINTR), of short reads and writes, and the order in which a file is written,
 * synced and renamed. Every failure is FLM_E_IO (FLM_E_FORMAT where a file ends too soon) with the path and strerror's
 * text, unless stated otherwise. Not collective, thread-safe. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_BASE_FILE_H
#define FLM_BASE_FILE_H

#include "base/base_err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* flm_file_open - open(2) with O_CLOEXEC; a new file gets mode 0666 less the umask. A pipe is refused, without waiting
 * for its other end: every rank would read a part of it. Errors: also FLM_E_FORMAT. */
flm_status flm_file_open(const char *path, int flags, int *fd);

/* flm_file_was_removed - whether reading path failed because it, there a moment ago, is not any more, so that another
 * attempt makes sense. The status does not tell: HDF5 reports a file that vanishes while it is opened as any other
 * failure. */
bool flm_file_was_removed(flm_status rc, const char *path);

/* flm_file_read_at, flm_file_write_at - all of `bytes` at an offset, in as many calls as that takes. A file that ends
 * earlier is an error of reading. path is for messages. */
flm_status flm_file_read_at(int fd, const char *path, void *data, size_t bytes, int64_t offset);
flm_status flm_file_write_at(int fd, const char *path, const void *data, size_t bytes, int64_t offset);

/* flm_file_append - all of `bytes` at the descriptor's position: the file's end where it was opened with O_APPEND. */
flm_status flm_file_append(int fd, const char *path, const void *data, size_t bytes);

/* flm_file_read_head - the first bytes of a file into head [bytes]; zeros after the end of a shorter one; *got (may be
 * NULL): how many the file has of them. */
flm_status flm_file_read_head(const char *path, void *head, size_t bytes, size_t *got);

/* flm_file_read - the content of a file of at most max bytes: *data is malloc'd, [*bytes] and a NUL after it.
 * Errors: FLM_E_IO, FLM_E_FORMAT (larger than max), FLM_E_NOMEM. */
flm_status flm_file_read(const char *path, size_t max, char **data, size_t *bytes);

/* flm_file_sync_close - fsync and close; *fd becomes -1 in any case. */
flm_status flm_file_sync_close(int *fd, const char *path);

/* flm_file_sync_directory - fsync a directory, so that renames in it survive a crash. */
flm_status flm_file_sync_directory(const char *directory);

/* flm_file_rename - rename(2), without any sync. */
flm_status flm_file_rename(const char *from, const char *to);

/* flm_file_reserve - create or truncate a file after the file system has shown that it can hold so many bytes. For
 * files that HDF5 writes, which cannot close a file that it could not flush. A file system that cannot reserve is
 * assumed to have the space. The blocks themselves are given back when the file is truncated. */
flm_status flm_file_reserve(const char *path, int64_t bytes);

/* flm_file_allocate - have the file system allocate the blocks of an open file up to `bytes`, so that a full disk is
 * reported now and not in the middle of the data. One that cannot is assumed to have the space. */
flm_status flm_file_allocate(int fd, const char *path, int64_t bytes);

/* flm_file_commit - give a temporary file its name: fsync and close *fd (-1 in any case), rename, fsync of the
 * directory. The caller removes the temporary file after a failure. */
flm_status flm_file_commit(int *fd, const char *temporary, const char *path);

/* flm_file_is_same - whether two paths name the same existing file, by whatever links. */
bool flm_file_is_same(const char *a, const char *b);

/* flm_file_check_output - check that a file may get this name: nothing has it yet, or a regular file has. For use
 * before long work. Errors: FLM_E_MISSING (a directory, a link to nothing), FLM_E_USAGE (a device, a pipe). */
flm_status flm_file_check_output(const char *path);

/* flm_file_replace - path holds data [bytes] afterwards, or what it held before: written as "PATH.tmp", which a failure
 * removes, then flm_file_commit. Errors: FLM_E_IO, FLM_E_USAGE (path too long; those of flm_file_check_output). */
flm_status flm_file_replace(const char *path, const void *data, size_t bytes);

#endif
