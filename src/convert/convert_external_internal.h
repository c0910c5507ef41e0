/* convert_external_internal.h - private: an open foreign file. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_CONVERT_EXTERNAL_INTERNAL_H
#define FLM_CONVERT_EXTERNAL_INTERNAL_H

#include "base/base_file.h"
#include "base/base_path.h"
#include "convert/convert_external.h"

#include <jansson.h>

struct flm_external {
    char path[FLM_PATH_BYTES];
    flm_external_tensor *tensors; /* [count] */
    int count, capacity;
    json_t *metadata; /* NULL, or an object of texts */
    int *fd;          /* safetensors: [files] */
    char **file;      /* their paths */
    int files;
    struct flm_torch *torch; /* PyTorch's, NULL otherwise */
};

/* flm_external_add - one more tensor, zeroed but for its name. Errors: FLM_E_FORMAT (too many, too long a name),
 * FLM_E_NOMEM. */
flm_status flm_external_add(flm_external *foreign, const char *name, flm_external_tensor **out);

/* flm_external_element_size - bytes an element. flm_external_count_elements - elements from dim [ndim], checked.
 * Errors: FLM_E_FORMAT. */
int64_t flm_external_element_size(flm_external_dtype dtype);
flm_status flm_external_count_elements(flm_external_tensor *tensor);

/* flm_external_widen - elements of dtype F16 or BF16 [count] as f32. */
void flm_external_widen(flm_external_dtype dtype, const void *from, int64_t count, float *to);

/* flm_safetensors_open - fill a zeroed foreign that has its path from one file or an index. */
flm_status flm_safetensors_open(flm_external *foreign);
flm_status flm_safetensors_read(flm_external *foreign, const flm_external_tensor *tensor, void *data);

/* flm_torch_open, flm_torch_read, flm_torch_close - the same of a PyTorch file; close accepts NULL, nulls it. */
flm_status flm_torch_open(flm_external *foreign);
flm_status flm_torch_read(flm_external *foreign, const flm_external_tensor *tensor, void *data);
bool flm_torch_get_integer(const struct flm_torch *torch, const char *name, int64_t *value);
void flm_torch_close(struct flm_torch **torch);

#endif
