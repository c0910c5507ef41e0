/* convert_external.h - tensors in files of other programs: safetensors (one file, or shards with their index) and the
 * zip files of PyTorch (.ckpt, .pt).
 *
 * The files are untrusted: every size, offset and name is checked before it is used, and nothing in a pickle is
 * executed (convert_pickle.h). A tensor is read when it is requested, so that files larger than memory can be
 * converted. Sources: the safetensors format, version 0.3 and later (huggingface/safetensors, README, "Format");
 * torch.save's zip format (PyTorch 1.6 and later: torch/serialization.py). SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_CONVERT_EXTERNAL_H
#define FLM_CONVERT_EXTERNAL_H

#include "io/io_checkpoint.h"

enum { FLM_EXTERNAL_DIMS = 8, FLM_EXTERNAL_NAME_BYTES = 256, FLM_EXTERNAL_TENSORS_MAX = 65536 };

typedef enum flm_external_dtype {
    FLM_EXTERNAL_F32,
    FLM_EXTERNAL_F64,
    FLM_EXTERNAL_F16,
    FLM_EXTERNAL_BF16,
    FLM_EXTERNAL_OTHER /* integers, ...: listed, but cannot be read */
} flm_external_dtype;

typedef struct flm_external_tensor {
    char name[FLM_EXTERNAL_NAME_BYTES]; /* PyTorch: keys joined by dots: "state_dict.NAME", "ema.shadow_params.0" */
    flm_external_dtype dtype;
    int ndim; /* 0: a scalar */
    int64_t dim[FLM_EXTERNAL_DIMS];
    int64_t elements;
    bool strided; /* PyTorch: the elements are apart or in another order, as stride says; else they are contiguous */
    int64_t stride[FLM_EXTERNAL_DIMS];
    int64_t part, offset; /* private: number of the file or zip member, offset of the data in it */
} flm_external_tensor;

typedef struct flm_external flm_external;
struct json_t; /* of jansson.h */

/* flm_external_open - the content decides the format: a zip file is PyTorch's; a name that ends in .json is that of an
 * index of shards beside it, of either format, and anything else is safetensors. Not collective.
 * Errors: FLM_E_IO; FLM_E_FORMAT naming path, tensor or member, and the reason (also for files of PyTorch before 1.6);
 * FLM_E_CHECKSUM (a damaged zip member); FLM_E_NOMEM. */
flm_status flm_external_open(const char *path, flm_external **out);

/* flm_external_close - accepts NULL, nulls it. */
void flm_external_close(flm_external **external);

/* flm_external_tensors - all tensors [*count], owned by the file: of safetensors sorted by name, of PyTorch in the
 * order of the file. */
const flm_external_tensor *flm_external_tensors(const flm_external *external, int *count);

/* flm_external_get_metadata - a text of "__metadata__" of safetensors, or NULL. Owned by the file. */
const char *flm_external_get_metadata(const flm_external *external, const char *name);

/* flm_external_get_integer - an integer at the top level of a PyTorch file ("global_step"); false if there is none. */
bool flm_external_get_integer(const flm_external *external, const char *name, int64_t *value);

/* flm_external_get_settings - the settings of the training in a PyTorch file ("hyper_parameters", "hparams" or
 * "config"): a new object of integers, booleans, texts and objects, without everything else; NULL if it has none.
 * Objects of omegaconf are the dicts that they hold. */
struct json_t *flm_external_get_settings(const flm_external *external);

/* flm_external_tensor_check_shape - check a tensor's shape against dim [ndim], ndim 1 or 2.
 * Errors: FLM_E_MISMATCH naming the tensor and both shapes. */
flm_status flm_external_tensor_check_shape(const flm_external_tensor *tensor, int ndim, const int64_t *dim);

/* flm_external_log_notes - log which of the tensors index [count] are converted to f32, and which are not contiguous.
 */
void flm_external_log_notes(const flm_external *external, const int *index, int count);

/* flm_external_read - tensor `index` as f32 [elements]; the conversion from f16 and bf16 is exact, f64 is rounded. Not
 * thread-safe. Errors: FLM_E_INTERRUPTED (flm_process_poll), FLM_E_FORMAT (dtype OTHER, a number beyond the range of
 * f32), FLM_E_IO, FLM_E_CHECKSUM (a damaged zip member), FLM_E_NOMEM. */
flm_status flm_external_read(flm_external *external, int index, float *data);

#endif
