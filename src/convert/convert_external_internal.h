/* convert_external_internal.h - private to convert_external.c, to the two formats, convert_safetensors.c and
 * convert_torch.c, and to convert_index.c: an open file of another program, or several with their index.
 * SPDX-License-Identifier: Apache-2.0 */
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
    json_t *metadata;        /* NULL, or an object of texts */
    int fd;                  /* safetensors */
    struct flm_torch *torch; /* NULL unless it is a PyTorch file */
    flm_external **parts;    /* [parts_count] of an index: its files; a tensor's offset is its number in its part */
    int parts_count;
};

/* flm_external_add - append a tensor with this name and everything else zero. *out is valid until the next call.
 * Errors: FLM_E_FORMAT (too many tensors, name empty or too long), FLM_E_NOMEM. */
flm_status flm_external_add(flm_external *external, const char *name, flm_external_tensor **out);

/* flm_external_sort - sort the tensors by name. Errors: FLM_E_FORMAT (none, or one name twice).
 * flm_external_find - the tensor of that name among sorted ones, or NULL. */
flm_status flm_external_sort(flm_external *external);
const flm_external_tensor *flm_external_find(const flm_external *external, const char *name);

/* flm_external_element_size - bytes per element of F32, F64, F16 or BF16. */
int64_t flm_external_element_size(flm_external_dtype dtype);

/* flm_external_count_elements - set tensor->elements from dim [ndim]. Errors: FLM_E_FORMAT (negative, overflow). */
flm_status flm_external_count_elements(flm_external_tensor *tensor);

/* flm_external_span - stored elements from the first to the last one of a tensor: its elements, or more if strided. */
int64_t flm_external_span(const flm_external_tensor *tensor);

/* flm_safetensors_open - fill an external whose path is set and that is empty otherwise.
 * flm_safetensors_read - the stored elements of a tensor. Errors: as flm_external_open and flm_external_read. */
flm_status flm_safetensors_open(flm_external *external);
flm_status flm_safetensors_read(flm_external *external, const flm_external_tensor *tensor, void *data);

/* flm_torch_settings - flm_external_get_settings of a file's pickle. */
struct flm_pickle;
json_t *flm_torch_settings(const struct flm_pickle *pickle);

/* flm_torch_* - the same for a PyTorch file; flm_torch_close accepts NULL, nulls it. */
flm_status flm_torch_open(flm_external *external);
flm_status flm_torch_read(flm_external *external, const flm_external_tensor *tensor, void *data);
bool flm_torch_get_integer(const struct flm_torch *torch, const char *name, int64_t *value);
const struct flm_pickle *flm_torch_get_pickle(const struct flm_torch *torch);
void flm_torch_close(struct flm_torch **torch);

/* flm_index_open - the same for the index of a sharded model. flm_index_close - close its files. */
flm_status flm_index_open(flm_external *external);
void flm_index_close(flm_external *external);

#endif
