/* io_internal.h - private to the io room: whole reads and writes at offsets, syncing, names in directories.
 * Every failure is FLM_E_IO with the path and strerror's text. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_IO_INTERNAL_H
#define FLM_IO_INTERNAL_H

#include "io/io_checkpoint.h"
#include "io/io_h5.h"

#include <stddef.h>
#include <stdint.h>

enum { FLM_IO_BLOCK_BYTES = 4 << 20, FLM_IO_PATH_BYTES = 4096 };

/* flm_io_write_at, flm_io_read_at - bytes at an offset, all of them: in pieces, going on after short counts and EINTR.
 * A file that ends too soon is FLM_E_IO. */
flm_status flm_io_write_at(int fd, const char *path, const void *data, size_t bytes, int64_t offset);
flm_status flm_io_read_at(int fd, const char *path, void *data, size_t bytes, int64_t offset);

/* flm_io_open - open(2), mode 0644 where it creates. */
flm_status flm_io_open(const char *path, int flags, int *fd);

/* flm_io_sync_close - fsync and close; *fd becomes -1 in any case. */
flm_status flm_io_sync_close(int *fd, const char *path);

/* flm_io_sync_directory - make renames inside it last. */
flm_status flm_io_sync_directory(const char *directory);

/* flm_io_reserve - an empty file of that name, once the file system has shown that it can hold so many bytes. Asked
 * before HDF5 writes, which cannot be trusted to close a file that it could not flush. File systems that cannot
 * reserve are believed. */
flm_status flm_io_reserve(const char *path, int64_t bytes);

/* flm_io_rename - rename(2), naming both. */
flm_status flm_io_rename(const char *from, const char *to);

/* flm_io_join - "directory/name" into path [FLM_IO_PATH_BYTES]. Errors: FLM_E_ARG when it is too long. */
flm_status flm_io_join(char *path, const char *directory, const char *name);

/* flm_io_set_vocabulary, flm_io_get_vocabulary - tokenizer, tokenizer_sha256, V, begin_id, end_id of a file's root. */
flm_status flm_io_set_vocabulary(hid_t root, const flm_vocabulary *vocabulary);
flm_status flm_io_get_vocabulary(hid_t root, flm_vocabulary *vocabulary);

/* flm_io_program_version - "0.1.0 (REVISION)" into text. */
void flm_io_program_version(char *text, size_t size);

#endif
