/* h5_format.h - the kind of a file, to choose a reader for it. Does not need hdf5.h. SPDX-License-Identifier:
 * Apache-2.0
 */
#ifndef FLM_H5_FORMAT_H
#define FLM_H5_FORMAT_H

#include "base/base_err.h"

#include <stdbool.h>

/* flm_format_is_hdf5 - whether a file begins with HDF5's signature. Not collective. Errors: FLM_E_IO naming the path.
 */
flm_status flm_format_is_hdf5(const char *path, bool *hdf5);

/* flm_format_identify - which of the suite's files this is, by its attribute "format": "checkpoint", "shard", "index"
 * or "samples". *kind is static. Not collective. Errors: FLM_E_IO, FLM_E_FORMAT (none of them), naming the path. */
flm_status flm_format_identify(const char *path, const char **kind);

#endif
