/* io_h5.h - private to the io room (and to tests that read HDF5 directly): HDF5 calls under the error idiom.
 * FLM_H5(call) turns a negative id or status into FLM_E_FORMAT with the innermost text of HDF5's error stack.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_IO_H5_H
#define FLM_IO_H5_H

#include "base/base_status.h"

#include <hdf5.h>
#include <stdbool.h>
#include <stdint.h>

/* flm_err_h5 - FLM_OK for result >= 0, else a raised error. HDF5's own printing is switched off at the first call. */
flm_status flm_err_h5(int64_t result, const char *what, const char *file, int line);

#define FLM_H5(call)                                                    \
    do {                                                                \
        rc = flm_err_h5((int64_t)(call), #call, __FILE__, __LINE__);    \
        if (rc != FLM_OK) goto done;                                    \
    } while (0)

/* flm_h5_quiet - switch HDF5's automatic error printing off; call before the first HDF5 call of a function. */
void flm_h5_quiet(void);

/* flm_h5_close - close an id of any kind (file, group, dataset, space, type, attribute, property list); accepts the
 * empty value H5I_INVALID_HID, and sets it. */
void flm_h5_close(hid_t *id);

/* Attributes of an object. Setting replaces. Getting checks the type class and size first; strings are truncated
 * never: FLM_E_FORMAT when they do not fit. Errors name the attribute. */
flm_status flm_h5_set_string(hid_t object, const char *name, const char *value);
flm_status flm_h5_set_i64(hid_t object, const char *name, int64_t value);
flm_status flm_h5_set_f64(hid_t object, const char *name, double value);
flm_status flm_h5_get_string(hid_t object, const char *name, char *value, size_t size);
flm_status flm_h5_get_i64(hid_t object, const char *name, int64_t *value);
flm_status flm_h5_get_f64(hid_t object, const char *name, double *value);

#endif
