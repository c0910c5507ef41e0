/* io_lock.h - one job at a time writes to a directory or to a file.
 *
 * The lock is a lock of the kernel (fcntl, of the open file description) on a file beside the output: DIRECTORY/.lock,
 * or DIRECTORY/.NAME.lock for the file DIRECTORY/NAME. It ends with the process that holds it, however that ends. The
 * content of the lock file (host, batch job, process) is for messages only. On a file system without such locks two
 * jobs are not kept apart, with a warning. docs/files.md section 6 has the requirements for NFS and Lustre.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_IO_LOCK_H
#define FLM_IO_LOCK_H

#include "base/base_err.h"

typedef struct flm_lock flm_lock;

/* flm_lock_directory - lock an existing directory. flm_lock_file - lock a file, which need not exist; names that are
 * links to one file have one lock.
 * A lock that another process holds is tried for two seconds; for two minutes if its batch job has the same id, since
 * the lock of a requeued job may outlive its processes that long on a network file system.
 * Not collective: one rank takes it for all. Errors: FLM_E_LOCKED naming path, host, job and process of the holder;
 * FLM_E_IO, FLM_E_MISSING with errno; FLM_E_NOMEM. */
flm_status flm_lock_directory(const char *directory, flm_lock **out);
flm_status flm_lock_file(const char *path, flm_lock **out);

/* flm_lock_release - remove the lock file and release the lock; accepts NULL, nulls it. */
void flm_lock_release(flm_lock **lock);

#endif
