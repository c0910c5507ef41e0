/* h5.h - HDF5 calls with the suite's error messages, for the modules that read or write HDF5, and for tests.
 *
 * FLM_H5(call) turns a negative id or status into FLM_E_FORMAT with the innermost message of HDF5's error stack, or
 * into an I/O error with the text of errno if the operating system refused the call. Leaves to others: what files
 * contain. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_H5_H
#define FLM_H5_H

#include "base/base_err.h"

#include <hdf5.h>
#include <stdbool.h>
#include <stdint.h>

/* flm_h5_check - FLM_OK for result >= 0, else a raised error. HDF5's own printing is switched off at the first call. */
flm_status flm_h5_check(int64_t result, const char *what, const char *file, int line);

#define FLM_H5(call)                                                   \
    do {                                                               \
        rc = flm_h5_check((int64_t)(call), #call, __FILE__, __LINE__); \
        if (rc != FLM_OK) goto done;                                   \
    } while (0)

/* flm_h5_silence - switch HDF5's automatic error printing off; call before the first HDF5 call of a function. */
void flm_h5_silence(void);

/* flm_h5_close - close an id of any kind (file, group, dataset, space, type, attribute, property list); accepts the
 * empty value H5I_INVALID_HID, and sets it. */
void flm_h5_close(hid_t *id);

/* flm_h5_close_file - close a file that was written; *file becomes the empty value in any case. Errors: FLM_E_IO with
 * errno, FLM_E_FORMAT: what was written before may be incomplete. */
flm_status flm_h5_close_file(hid_t *file);

/* flm_h5_create - a new, empty file, replacing one of that name; its format is HDF5 1.8's, where all metadata
 * have checksums, and without times, so that the same content gives the same file. All writers create their files with
 * it. Errors: FLM_E_IO with errno, FLM_E_FORMAT. */
flm_status flm_h5_create(const char *path, hid_t *file);

/* flm_h5_open - open an untrusted file for reading or (write, under a temporary name only) changing it. Before the
 * library sees a byte of it: a regular file, HDF5's signature at its head, format 1.8 or newer, exactly as long as its
 * superblock records. HDF5's file locks are not used. *bytes, if not NULL: the file's length. Errors: FLM_E_IO with
 * errno, FLM_E_FORMAT; both name the path. */
flm_status flm_h5_open(const char *path, bool write, hid_t *file, int64_t *bytes);

/* flm_h5_edit - change the structure or attributes of a file in a copy, PATH.tmp, that replaces it when it is complete,
 * passes the schema `kind` and is synced. After a failure or a kill the file is unchanged. more: bytes that the change
 * may add. Data that is not synced yet may be missing in the copy, and descriptors that are open for the file refer to
 * the old one afterwards. A link keeps its name: the file that it names is replaced. Not collective.
 * Errors: FLM_E_IO with errno, FLM_E_FORMAT, FLM_E_NOMEM, those of edit. */
typedef flm_status (*flm_h5_editor)(void *context, hid_t file);
flm_status flm_h5_edit(const char *path, const char *kind, int64_t more, flm_h5_editor edit, void *context);

/* flm_h5_descriptor - a descriptor, to be closed, for reading the very file that HDF5 has open: opening its path again
 * might meet another file. Errors: FLM_E_IO, FLM_E_FORMAT. */
flm_status flm_h5_descriptor(hid_t file, int *fd);

/* flm_h5_locate - the location of a contiguous, unfiltered, allocated dataset: dim [ndim <= 4], offset and bytes in the
 * file, inside its first file_bytes bytes. element: bytes an element must have; 0: any. Data are then read with pread,
 * without the library. Errors: FLM_E_FORMAT (laid out otherwise, not inside the file), without the dataset's name. */
flm_status flm_h5_locate(hid_t dataset, size_t element, int64_t file_bytes, int *ndim, int64_t dim[4], int64_t *offset,
                         int64_t *bytes);

/* flm_h5_create_group - a new group without times, below one that exists. Errors: FLM_E_FORMAT, FLM_E_IO. */
flm_status flm_h5_create_group(hid_t file, const char *path, hid_t *out);

/* flm_h5_create_dataset - a contiguous dataset, allocated at once, not filled: HDF5 writes the layout, others the data.
 * Groups in its path are created if they are missing. dim [ndim <= 4]. Errors: FLM_E_FORMAT, FLM_E_IO. */
flm_status flm_h5_create_dataset(hid_t file, const char *path, hid_t type, int ndim, const int64_t *dim, hid_t *out);

/* flm_h5_set_u32s - an attribute of count uint32; one that exists must have that size, and is overwritten in place. */
flm_status flm_h5_set_u32s(hid_t object, const char *name, const uint32_t *value, int64_t count);

/* Attributes of an object. Setting replaces. Getting checks the type class and size first; strings are
 * never truncated: FLM_E_FORMAT if they do not fit. Errors name the attribute. */
flm_status flm_h5_set_string(hid_t object, const char *name, const char *value);
flm_status flm_h5_set_i64(hid_t object, const char *name, int64_t value);
flm_status flm_h5_set_f64(hid_t object, const char *name, double value);
flm_status flm_h5_get_string(hid_t object, const char *name, char *value, size_t size);
flm_status flm_h5_get_i64(hid_t object, const char *name, int64_t *value);
flm_status flm_h5_get_f64(hid_t object, const char *name, double *value);

/* flm_h5_get_f64_or - the same; *value is `otherwise` if the object has no attribute of that name. */
flm_status flm_h5_get_f64_or(hid_t object, const char *name, double otherwise, double *value);

#endif
