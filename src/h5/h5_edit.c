/* h5_edit.c - files with a final name are changed through HDF5 only in a copy that then replaces them (h5.h): HDF5
 * writes an object in several calls, between which the file is unreadable. SPDX-License-Identifier: Apache-2.0 */
#include "base/base_file.h"
#include "base/base_path.h"
#include "h5/h5_schema.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BLOCK_BYTES = 1 << 20 };

/* The bytes of a file and its permissions into temporary, with space for `more` further bytes. */
static flm_status copy(const char *path, const char *temporary, int64_t more)
{
    flm_status rc = FLM_OK;
    struct stat st;
    char *block = malloc(BLOCK_BYTES);
    int from = -1, to = -1;

    if (!block) FLM_FAIL(FLM_E_NOMEM, "%s: no memory to copy it", path);
    FLM_TRY(flm_file_open(path, O_RDONLY, &from));
    if (fstat(from, &st) != 0) FLM_FAIL(flm_status_from_errno(errno), "%s: cannot be read: %s", path, strerror(errno));
    FLM_TRY(flm_file_reserve(temporary, st.st_size + more));
    FLM_TRY(flm_file_open(temporary, O_WRONLY | O_TRUNC, &to));
    if (fchmod(to, st.st_mode & 07777) != 0)
        FLM_FAIL(flm_status_from_errno(errno), "%s: cannot get permissions: %s", temporary, strerror(errno));
    for (int64_t at = 0; at < st.st_size; at += BLOCK_BYTES) {
        const size_t n = st.st_size - at < BLOCK_BYTES ? (size_t)(st.st_size - at) : BLOCK_BYTES;
        FLM_TRY(flm_file_read_at(from, path, block, n, at));
        FLM_TRY(flm_file_write_at(to, temporary, block, n, at));
    }
done:
    if (from >= 0) close(from);
    if (to >= 0) close(to);
    free(block);
    return rc;
}

static flm_status edit_copy(const char *temporary, const char *kind, flm_h5_editor edit, void *context)
{
    flm_status rc = FLM_OK;
    hid_t file = H5I_INVALID_HID;
    int64_t bytes;

    FLM_TRY(flm_h5_open(temporary, true, &file, NULL));
    FLM_TRY(edit(context, file));
    FLM_TRY(flm_h5_close_file(&file));
    /* What a reader would refuse must not get the name. */
    FLM_TRY(flm_schema_open(temporary, kind, &file, &bytes));
done:
    flm_h5_close(&file);
    return flm_err_prefix(rc, temporary);
}

flm_status flm_h5_edit(const char *path, const char *kind, int64_t more, flm_h5_editor edit, void *context)
{
    flm_status rc = FLM_OK;
    char temporary[FLM_PATH_BYTES] = "", *real = realpath(path, NULL);
    int fd = -1;

    if (!real) FLM_FAIL(flm_status_from_errno(errno), "%s: cannot be opened: %s", path, strerror(errno));
    FLM_TRY(flm_path_format(temporary, "%s.tmp", real));
    FLM_TRY(copy(real, temporary, more));
    FLM_TRY(edit_copy(temporary, kind, edit, context));
    FLM_TRY(flm_file_open(temporary, O_WRONLY, &fd));
    FLM_TRY(flm_file_commit(&fd, temporary, real));
done:
    if (fd >= 0) close(fd);
    if (rc != FLM_OK && temporary[0]) unlink(temporary);
    free(real);
    return rc;
}
